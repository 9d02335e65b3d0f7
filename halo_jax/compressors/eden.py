"""EDEN: rotate, quantise to the 2^b levels that suit a normal variable best, rotate back.

x^ = S R' c(Rx): R is the random rotation of `rotation`, c takes each element to the nearest Lloyd-Max centroid of
N(0, ||x||^2 / n). With S = ||x||^2 / <Rx, c(Rx)> ("unbiased") E x^ = x for a uniform rotation and the error is
D / (1 - D) of ||x||^2, D the quantiser's distortion (0.363, 0.117, 0.035, 0.0095 for b = 1..4); with
S = <Rx, c(Rx)> / ||c(Rx)||^2 ("mse") it is D, the least, but x^ is shrunk.

Source: Vargaftik et al., ICML 2022 (arXiv 2108.08842), whose fractions of a bit are left out.
"""

import functools
import math
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np

from halo_jax.compressors.base import Compressor, Upload, positive, rebuild, size_of, tensors_of
from halo_jax.compressors.codings import Codes
from halo_jax.compressors.rotation import chunks, rotate, rotate_back
from halo_jax.parameters import whole

SCALES = ("mse", "unbiased")
MOST_BITS = 4


def eden(
    *,
    bits: Annotated[int, whole(1, 4)] = 1,
    scale: Literal["mse", "unbiased"] = "unbiased",
) -> Compressor:
    """`bits` per element, 1..4, and the choice of S. The update is one vector, in chunks of n = 4096 elements.

    A Hadamard rotation stands for a uniform one, so a chunk that one or two elements dominate keeps a bias across x.

    Args:
      bits: b of an element.
      scale: S, which makes the mean right, or the error least.

    Bits: b n per chunk, the zeros that fill up the last one included, + 32 per chunk for S.
    """
    if bits not in range(1, MOST_BITS + 1):
        raise ValueError(f"eden: bits={bits}; allowed: 1 to {MOST_BITS}")
    if scale not in SCALES:
        raise ValueError(f"eden: scale={scale!r}; allowed: {', '.join(SCALES)}")

    def compress(x, state, context, key):
        del key
        rotated = rotate(tensors_of(x, "flat")[0], context.shared)
        number, side = chunks(size_of(x))
        squared = jnp.sum(rotated * rotated, axis=1, keepdims=True)
        codes = _nearest(rotated, jnp.sqrt(squared / side), bits)
        levels = _levels(codes, bits)
        along = jnp.sum(rotated * levels, axis=1)
        # Choice: S for each chunk, in units of the centroids of N(0, 1): the server needs no second number.
        scales = squared[:, 0] / positive(along) if scale == "unbiased" else along / jnp.sum(levels * levels, axis=1)
        return Upload((Codes([codes], 2**bits), scales), state, bits * number * side + 32 * number)

    def decompress(message, like, context):
        codes, scales = message
        levels = _levels(codes.values[0], bits) * scales[:, None]
        return rebuild([rotate_back(levels, context.shared, size_of(like))], like, "flat")

    return Compressor(compress, decompress)


def _nearest(rotated: jax.Array, deviation: jax.Array, bits: int) -> jax.Array:
    """The place of the centroid nearest to each element: how many of the midpoints between them lie at or below it."""
    middles = (centroids(bits)[1:] + centroids(bits)[:-1]) / 2
    codes = jnp.zeros(rotated.shape, jnp.int32)
    for middle in middles.tolist():
        codes += rotated >= deviation * middle
    return codes


def _levels(codes: jax.Array, bits: int) -> jax.Array:
    """The centroids at these places; selected by comparing, as a gather takes them one by one."""
    table = centroids(bits).tolist()
    levels = jnp.full(codes.shape, table[0], jnp.float32)
    for place, centroid in enumerate(table[1:], 1):
        levels = jnp.where(codes == place, centroid, levels)
    return levels


@functools.lru_cache
def centroids(bits: int) -> np.ndarray:
    """The 2^bits levels that quantise N(0, 1) with the least mean squared error, by Lloyd's iteration, float64."""
    levels = np.linspace(-2.0, 2.0, 2**bits)
    for _ in range(1000):
        edges = [-math.inf, *(levels[1:] + levels[:-1]) / 2, math.inf]
        density = np.array([math.exp(-edge * edge / 2) / math.sqrt(2 * math.pi) for edge in edges])
        below = np.array([math.erf(edge / math.sqrt(2)) / 2 for edge in edges])
        levels = -np.diff(density) / np.diff(below)
    return levels
