"""QSGD: unbiased, within its bound, and as many bits as its formula."""

import jax
import numpy as np
import pytest

from halo_jax.compressors.qsgd import qsgd
from halo_jax.compressors.wire import pack, packed_bits, size, unpack
from tests.compressors.context import CONTEXT

DRAWS = 3000


def update(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "a": rng.normal(size=(9, 5)).astype(np.float32),
        "b": np.float32(rng.normal(size=11) / 50),
    }


def decoded(compressor, x, keys):
    one = lambda key: compressor.decompress(compressor.compress(x, (), CONTEXT, key).message, x, CONTEXT)  # noqa: E731
    return jax.jit(jax.vmap(one))(keys)


@pytest.mark.parametrize(("norm", "scope", "levels"), [("l2", "flat", 1), ("l2", "tensor", 3), ("max", "tensor", 7)])
def test_the_mean_of_many_is_the_update_and_the_variance_is_within_the_bound(norm, scope, levels):
    x, keys = update(), jax.random.split(jax.random.key(3), DRAWS)
    found = decoded(qsgd(levels=levels, norm=norm, scope=scope), x, keys)
    errors = 0.0
    whole = np.linalg.norm(np.concatenate([leaf.ravel() for leaf in x.values()]))
    for name, leaf in x.items():
        drawn, exact = np.asarray(found[name], np.float64), np.asarray(leaf, np.float64)
        scale = whole if scope == "flat" else np.linalg.norm(exact) if norm == "l2" else np.abs(exact).max()
        share = np.abs(exact) / scale * levels % 1
        deviation = scale / levels * np.sqrt(share * (1 - share) / DRAWS)  # of the mean, as the law says
        assert (np.abs(drawn.mean(0) - exact) < 5 * deviation + 5 * scale / levels / DRAWS).all()
        errors += ((drawn - exact) ** 2).mean(0).sum()
    if norm == "l2":
        parts = [np.concatenate([leaf.ravel() for leaf in x.values()])] if scope == "flat" else x.values()
        squares = [(part.size, float((np.asarray(part) ** 2).sum())) for part in parts]
        assert errors <= sum(min(d / levels**2, d**0.5 / levels) * square for d, square in squares)
        assert errors > 0


def test_every_decode_is_a_level_next_to_the_element():
    x = update(1)
    found = decoded(qsgd(levels=5), x, jax.random.split(jax.random.key(0), 50))
    for name, leaf in x.items():
        step = float(np.abs(leaf).max()) / 5
        levels = np.asarray(found[name]) / step
        np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
        assert (np.abs(np.asarray(found[name]) - np.asarray(leaf)) < step * 1.0001).all()


@pytest.mark.parametrize(("levels", "bits"), [(1, 2), (3, 3), (4, 4), (7, 4), (255, 9)])
def test_bits_are_those_of_the_formula_and_the_bytes_hold_the_message(levels, bits):
    x = update(2)
    sent = jax.jit(qsgd(levels=levels).compress)(x, (), CONTEXT, jax.random.key(0))
    data, weight = pack(sent.message), jax.jit(lambda: size(sent.message, sent.nominal_bits))()
    assert int(weight.nominal_bits) == 56 * bits + 2 * 32
    assert packed_bits(weight) == 8 * len(data) == 8 * -(-int(weight.nominal_bits) // 8)
    jax.tree.map(np.testing.assert_array_equal, unpack(data, sent.message), sent.message)


def test_scaling_the_update_by_a_power_of_two_scales_what_arrives():
    x, key = update(3), jax.random.split(jax.random.key(4), 1)
    one = decoded(qsgd(), x, key)
    other = decoded(qsgd(), jax.tree.map(lambda leaf: leaf * np.float32(2.0**-40), x), key)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.asarray(a) * np.float32(2.0**-40), b), one, other)
