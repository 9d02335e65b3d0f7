"""HSQ, hyper-sphere quantisation: a block of c elements becomes the number of a unit vector, and a length.

With m unit vectors C = (c_1 ... c_m), known to both ends, a block v is rebuilt as u c_j, where

  greedy     j = argmax |<c_j, v>|                      u = <c_j, v>, signed: the nearest multiple, biased
  unbiased   j with probability |p_j| / ||p||_1         u = sign(p_j) ||p||_1, p the pseudo-inverse of C times v

and the u of a tensor are rounded stochastically to 2^n numbers between their least and their largest.

Source: Dai et al., arXiv 1911.04655 (2019). There v is cut from the gradient of a minibatch, here from
the update of a whole round.
"""

import functools
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from halo_jax.compressors.base import Compressor, Upload, positive, rebuild, tensors_of
from halo_jax.compressors.codings import Codes
from halo_jax.numerics.quantize import stochastic_round
from halo_jax.parameters import boolean, whole

_RAW = 1000  # Paper: tensors of so many elements or fewer are sent as they are.
_SAMPLES, _ROUNDS = 2**14, 8  # of k-means. Choice: the paper has 10^6, which take 60 times as long.


class Blocks(NamedTuple):
    """Tensors of more than _RAW elements as blocks, each entry of one tensor, or a list over tensors."""

    numbers: Any  # of the vectors
    lengths: Any  # their codes
    limits: Any  # the least and the largest length


def hsq(
    *,
    dimension: Annotated[int, whole(2, 64)] = 16,
    codewords: Annotated[int, whole(2, 1024)] = 256,
    norm_bits: Annotated[int, whole(1, 16)] = 6,
    unbiased: Annotated[bool, boolean()] = False,
) -> Compressor:
    """Blocks of c = `dimension` elements (2 to 64), m = `codewords` (c to 1024), n = `norm_bits` per length (1 to 16).

    A tensor is filled up with zeros to whole blocks. Greedy vectors are biased, and without a memory of the rest.

    Args:
      dimension: c, elements in a block.
      codewords: m, directions that are known, c at least.
      norm_bits: n, bits of a block's length.
      unbiased: draw the direction, so that the mean is right; else the nearest one.

    Bits: for a tensor of N > 1000 elements ceil(N / c) (ceil(log2 m) + n) + 64, for a smaller one 32 N.
    """
    bounds = {"dimension": (2, 64), "codewords": (dimension, 1024), "norm_bits": (1, 16)}
    for (name, (least, most)), value in zip(bounds.items(), (dimension, codewords, norm_bits), strict=True):
        if value not in range(least, most + 1):
            raise ValueError(f"hsq: {name}={value}; allowed: {least} to {most}")
    vectors = _codebook(dimension, codewords)
    top = 2**norm_bits - 1  # Paper: its code has 2^n + 1 lengths, which n bits do not hold. Choice: 2^n of them.

    def encode(tensor, key):
        """The blocks of a tensor: numbers and lengths `[blocks]`."""
        choice, rounding = jax.random.split(key)
        blocks = jnp.pad(tensor.reshape(-1), (0, -tensor.size % dimension)).reshape(-1, dimension)
        numbers, lengths = (_drawn if unbiased else _greedy)(blocks, vectors, choice)
        least, most = jnp.min(lengths), jnp.max(lengths) + jnp.sum(0 * lengths)  # NaN stays NaN
        scaled = (lengths - least) / positive(most - least) * top
        codes = stochastic_round(scaled, jax.random.uniform(rounding, scaled.shape))
        return Blocks(numbers, jnp.clip(codes, 0, top).astype(jnp.int32), (least, most))

    def decode(numbers, codes, limits):
        least, most = limits
        lengths = least + codes * ((most - least) / top)
        return (jnp.asarray(vectors)[numbers] * lengths[:, None]).reshape(-1)

    def compress(x, state, context, key):
        del context
        tensors = tensors_of(x)
        raw, large = [p for p in tensors if p.size <= _RAW], [p for p in tensors if p.size > _RAW]
        coded = [encode(tensor, jax.random.fold_in(key, i)) for i, tensor in enumerate(large)]
        blocks = sum(-(-tensor.size // dimension) for tensor in large)
        nominal = blocks * ((codewords - 1).bit_length() + norm_bits) + 64 * len(large) + 32 * sum(p.size for p in raw)
        if coded:
            numbers, lengths, limits = map(list, zip(*coded, strict=True))
            coded = Blocks(Codes(numbers, codewords), Codes(lengths, 2**norm_bits), limits)
        return Upload((raw, coded), state, nominal)

    def decompress(message, like, context):
        del context
        raw, coded = message
        numbers, lengths, limits = coded or Blocks(Codes([], codewords), Codes([], 2**norm_bits), [])
        large = zip(numbers.values, lengths.values, limits, strict=True)
        small, leaves = iter(raw), tensors_of(like)
        tensors = [next(small) if leaf.size <= _RAW else decode(*next(large))[: leaf.size] for leaf in leaves]
        return rebuild(tensors, like)

    return Compressor(compress, decompress)


def _greedy(blocks, vectors, key):
    """The vector with the largest |<c_j, v>| of each block, and that product."""
    del key
    # One maximum finds size and place: the place stands in the lowest bits of the product, so products that are equal
    # to 2^-13 count as ties. On a CPU an argmax takes eight times as long.
    low = 2 ** (len(vectors) - 1).bit_length() - 1
    sizes = lax.bitcast_convert_type(jnp.abs(blocks @ vectors.T), jnp.int32)
    marked = lax.bitcast_convert_type((sizes & ~low) | jnp.arange(len(vectors)), jnp.float32)
    numbers = lax.bitcast_convert_type(jnp.max(marked, axis=1), jnp.int32) & low
    return numbers, jnp.sum(jnp.asarray(vectors)[numbers] * blocks, axis=1)


def _drawn(blocks, vectors, key):
    """A vector for each block with probability |p_j| / ||p||_1, and sign(p_j) ||p||_1."""
    inverse = jnp.asarray(np.linalg.pinv(vectors.T.astype(np.float64)), jnp.float32)
    total = jnp.sum(jnp.abs(jnp.matmul(blocks, inverse.T, precision="highest")), axis=1)
    aim = total * jax.random.uniform(key, total.shape)

    def passed(carry, row):
        reached, number = carry
        reached = reached + jnp.abs(jnp.matmul(blocks, row, precision="highest"))
        return (reached, number + (reached <= aim)), None

    start = jnp.zeros_like(total), jnp.zeros(total.shape, jnp.int32)
    numbers = jnp.minimum(lax.scan(passed, start, inverse, unroll=8)[0][1], len(vectors) - 1)
    return numbers, jnp.sign(jnp.sum(inverse[numbers] * blocks, axis=1)) * total


@functools.lru_cache
def _codebook(dimension: int, codewords: int) -> np.ndarray:
    """m unit vectors `[m, c]` float32: k-means of Gaussian directions; for m = c an orthogonal basis."""
    rng = np.random.default_rng(0)
    if codewords == dimension:
        return np.linalg.qr(rng.normal(size=(dimension, dimension)))[0].astype(np.float32)
    samples = rng.normal(size=(_SAMPLES, dimension))
    samples /= np.linalg.norm(samples, axis=1, keepdims=True)
    centres = samples[:codewords]
    for _ in range(_ROUNDS):
        nearest = np.argmin(np.sum(centres**2, axis=1) - 2 * samples @ centres.T, axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, samples)
        counts = np.bincount(nearest, minlength=codewords)[:, None]
        centres = np.where(counts > 0, sums / np.maximum(counts, 1), centres)
    return (centres / np.linalg.norm(centres, axis=1, keepdims=True)).astype(np.float32)
