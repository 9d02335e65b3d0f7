"""Compressors against slow twins in NumPy: float64, element by element, the papers' formulas on the same draws."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from halo_jax.compressors.base import draws
from halo_jax.compressors.codings import Codes
from halo_jax.compressors.drive import drive
from halo_jax.compressors.lfl import lfl
from halo_jax.compressors.qsgd import qsgd
from halo_jax.compressors.terngrad import terngrad
from tests.compressors.context import CONTEXT

KEY = jax.random.key(5)
SHAPES = {"a": (17, 9), "b": (40,)}
X = {name: np.random.default_rng(i).normal(size=SHAPES[name]).astype(np.float32) for i, name in enumerate(SHAPES)}


@functools.partial(jax.jit, static_argnums=0)
def rebuilt(compressor, x):
    """What the server makes of x."""
    made = compressor.compress(x, compressor.init(x), CONTEXT, KEY)
    return compressor.decompress(made.message, x, CONTEXT)


@jax.jit
def noise_of(parts):
    return draws(KEY, parts)


def compare(compressor, twin, *, flat=False, x=X):
    """`twin` maps the float64 elements and draws of one scale to what is rebuilt of them."""
    found = rebuilt(compressor, x)
    parts = [np.concatenate([leaf.reshape(-1) for leaf in x.values()])] if flat else list(x.values())
    noise = noise_of(parts)
    expected = [
        twin(*(np.asarray(each, np.float64).reshape(-1) for each in pair)) for pair in zip(parts, noise, strict=True)
    ]
    whole = np.concatenate([np.asarray(leaf).reshape(-1) for leaf in found.values()])
    np.testing.assert_allclose(whole, np.concatenate(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("norm", "flat"), [("l2", False), ("max", False), ("l2", True)])
def test_qsgd_is_the_paper_s_rule(norm, flat):
    def twin(x, noise, levels=3):
        length = math.sqrt(sum(v * v for v in x)) if norm == "l2" else max(abs(v) for v in x)
        return [
            length * math.copysign(1, v) * math.floor(levels * abs(v) / length + u) / levels
            for v, u in zip(x, noise, strict=True)
        ]

    compare(qsgd(levels=3, norm=norm, scope="flat" if flat else "tensor"), twin, flat=flat)


@pytest.mark.parametrize(("clip", "scaler"), [(2.5, "sigma"), (1.0, "sigma"), (1.5, "max"), (0, "max")])
def test_terngrad_is_the_paper_s_rule(clip, scaler):
    def twin(x, noise):
        mean = sum(x) / len(x)
        limit = clip * math.sqrt(sum((v - mean) ** 2 for v in x) / len(x)) if clip else math.inf
        clipped = [min(max(v, -limit), limit) for v in x]
        scale = limit if scaler == "sigma" else max(abs(v) for v in clipped)
        return [scale * math.copysign(u < abs(v) / scale, v) for v, u in zip(clipped, noise, strict=True)]

    compare(terngrad(clip=clip, scaler=scaler, share_scaler=False), twin)


@pytest.mark.parametrize(("levels", "flat"), [(2, True), (7, True), (5, False)])
def test_lfl_is_the_paper_s_quantiser_with_the_sign_on_the_whole(levels, flat):
    def twin(x, noise):
        least, most = min(abs(v) for v in x), max(abs(v) for v in x)
        places = [math.floor(levels * (abs(v) - least) / (most - least) + u) for v, u in zip(x, noise, strict=True)]
        return [math.copysign(least + (most - least) * p / levels, v) for p, v in zip(places, x, strict=True)]

    compare(lfl(levels=levels, scope="flat" if flat else "tensor"), twin, flat=flat)


def test_hsq_takes_the_nearest_multiple_of_a_unit_vector():
    from halo_jax.compressors.hsq import hsq

    size, words, bits = 8, 128, 5
    compressor = hsq(dimension=size, codewords=words, norm_bits=bits)
    listed = Codes([np.arange(words)], words), Codes([np.zeros(words, np.int32)], 2**bits), [np.ones(2, np.float32)]
    codebook = np.asarray(
        jax.jit(lambda: compressor.decompress(([], listed), jnp.zeros((words, size)), CONTEXT))(), np.float64
    )
    np.testing.assert_allclose(np.linalg.norm(codebook, axis=1), 1, rtol=1e-5)

    x = np.random.default_rng(4).normal(size=1021).astype(np.float32)
    blocks = [np.asarray(x, np.float64)[i : i + size] for i in range(0, 1021, size)]
    blocks[-1] = np.pad(blocks[-1], (0, size - len(blocks[-1])))
    chosen = [max(range(words), key=lambda j, block=block: abs(codebook[j] @ block)) for block in blocks]
    along = [codebook[j] @ block for j, block in zip(chosen, blocks, strict=True)]
    step = (max(along) - min(along)) / (2**bits - 1)
    draw = lambda key: jax.random.uniform(jax.random.split(jax.random.fold_in(key, 0))[1], (len(blocks),))  # noqa: E731
    noise = np.asarray(jax.jit(draw)(KEY), np.float64)
    lengths = [
        min(along) + step * min(math.floor((u - min(along)) / step + n), 2**bits - 1)
        for u, n in zip(along, noise, strict=True)
    ]
    expected = np.concatenate([u * codebook[j] for u, j in zip(lengths, chosen, strict=True)])[:1021]
    np.testing.assert_allclose(rebuilt(compressor, x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shift", [-0.4, 0.0, 0.017])
def test_fl_pqsu_is_the_paper_s_affine_code_with_the_nearest_zero_point(shift):
    from halo_jax.compressors.fl_pqsu import fl_pqsu

    def twin(x, noise):
        del noise
        scale = (max(x) - min(x)) / 255
        zero = min(max(round(-min(x) / scale), 0), 255)
        return [scale * (round(min(max(zero + v / scale, 0), 255)) - zero) for v in x]

    compare(fl_pqsu(), twin, x=jax.tree.map(lambda leaf: leaf + np.float32(shift), X))


@pytest.mark.parametrize("d", [1, 3, 64, 200])
def test_drive_is_one_bit_after_an_explicit_hadamard_matrix(d):
    side = 2 ** math.ceil(math.log2(d))
    words = np.asarray(jax.random.bits(CONTEXT.shared, (math.ceil(side / 32), 1))).reshape(-1).tolist()
    signs = [(-1) ** (words[i // 32] >> i % 32 & 1) for i in range(side)]
    rotation = scipy.linalg.hadamard(side) @ np.diag(signs) / side**0.5
    x = np.random.default_rng(6).normal(size=d).astype(np.float32)
    rotated = rotation @ np.pad(np.asarray(x, np.float64), (0, side - d))
    scale = sum(v * v for v in rotated) / sum(abs(v) for v in rotated)
    expected = rotation.T @ [math.copysign(scale, v) for v in rotated]
    np.testing.assert_allclose(rebuilt(drive(), x), expected[:d], rtol=1e-5, atol=1e-5)
