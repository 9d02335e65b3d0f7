"""TernGrad: three levels per tensor, unbiased for the clipped tensor, with one scaler for the cohort."""

import functools

import jax
import numpy as np
import pytest

from halo_jax.compressors import wire
from halo_jax.compressors.base import Context
from halo_jax.compressors.terngrad import terngrad
from halo_jax.types import Precision

DRAWS = 4000
X = {"a": np.random.default_rng(5).normal(size=(6, 7)).astype(np.float32) / 9, "b": np.float32([0.3, -2, 0.1, 0, 0.2])}


def context(pooled=()):
    precision = Precision(*(np.int32(8),) * 3)
    return Context(np.int32(0), np.int32(0), precision, np.float32(1), jax.random.key(1), pooled=pooled)


@functools.partial(jax.jit, static_argnums=0)
def round_trip(compressor, x, key, pooled=()):
    made = compressor.compress(x, (), context(pooled), key)
    return compressor.decompress(made.message, x, context(pooled))


@pytest.mark.parametrize(("clip", "scaler", "share", "factor"), [(1.2, "sigma", False, 1), (0, "max", True, 3)])
def test_the_mean_of_many_decodes_is_the_clipped_tensor(clip, scaler, share, factor):
    compressor = terngrad(clip=clip, scaler=scaler, share_scaler=share)
    pooled = [factor * s for s in jax.device_get(jax.jit(compressor.stats)(X))] if share else ()
    keys = jax.random.split(jax.random.key(0), DRAWS)
    found = jax.jit(jax.vmap(lambda key: round_trip(compressor, X, key, pooled)))(keys)
    for name in X:
        exact = np.asarray(X[name], np.float64)
        bound = clip * exact.std() if clip else np.abs(exact).max()
        scale, clipped = factor * bound, np.clip(exact, -bound, bound)
        values = np.asarray(found[name], np.float64)
        assert set(np.unique(np.round(values / scale, 5))) == {-1, 0, 1}
        error = np.sqrt(np.abs(clipped) * (scale - np.abs(clipped)) / DRAWS)
        assert (np.abs(values.mean(0) - clipped) <= 5 * error + 1e-6).all()


def test_scalers_are_c_sigma_or_the_largest_clipped_element():
    for name, expected in {"sigma": lambda x: 2 * x.std(), "max": lambda x: min(2 * x.std(), np.abs(x).max())}.items():
        found = jax.jit(terngrad(clip=2, scaler=name).stats)(X)
        np.testing.assert_allclose(found, [expected(np.asarray(x)) for x in X.values()], rtol=1e-5)


def test_a_shared_scaler_below_a_clients_own_saturates_at_the_shared_one():
    pooled = [np.float32(0.01), np.float32(0.1)]
    found = round_trip(terngrad(), X, jax.random.key(0), pooled)["b"]
    found = np.asarray(found)
    np.testing.assert_allclose(found[:2], [0.1, -0.1], rtol=1e-6)
    assert float(found[3]) == 0


@pytest.mark.parametrize("share", [False, True])
def test_the_message_packs_to_what_is_counted(share):
    compressor = terngrad(share_scaler=share)
    pooled = jax.jit(compressor.stats)(X) if share else ()
    made = jax.jit(compressor.compress)(X, (), context(pooled), jax.random.key(0))
    assert int(made.nominal_bits) == 2 * 47 + 32 * 2
    assert int(made.extra_down_bits) == (64 if share else 0)
    assert (compressor.stats is not None) == share
    data = wire.pack(made.message)
    weight = jax.jit(lambda: wire.size(made.message, made.nominal_bits))()
    assert wire.packed_bits(weight) == 8 * len(data)
    jax.tree.map(np.testing.assert_array_equal, wire.unpack(data, made.message), made.message)


@pytest.mark.parametrize("scaler", ["sigma", "max"])
@pytest.mark.parametrize("share", [False, True])
def test_zero_constant_and_single_tensors_come_back_as_they_are(scaler, share):
    x = {"zero": np.zeros(5), "constant": np.full((3, 4), -0.7), "one": np.full(1, 0.3), "none": np.zeros(0)}
    x = jax.tree.map(np.float32, x)
    compressor = terngrad(scaler=scaler, share_scaler=share)
    found = round_trip(compressor, x, jax.random.key(0), jax.jit(compressor.stats)(x) if share else ())
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-6), found, x)


@pytest.mark.parametrize("options", [{"clip": -1}, {"clip": float("nan")}, {"scaler": "l2"}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=r"^terngrad: \w+=.*; allowed: "):
        terngrad(**options)
