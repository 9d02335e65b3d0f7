"""DRIVE: rotate, send signs, rotate back: one bit per element.

x^ = S R' sign(Rx) with S = ||Rx||_2^2 / ||Rx||_1 and R the random rotation of `rotation`. So <x^, x> = ||x||^2 always,
and E x^ = x for a uniform rotation; E||x^ - x||^2 -> (pi/2 - 1) ||x||^2.

Source: Vargaftik et al., NeurIPS 2021 (arXiv 2105.08339).
"""

import jax.numpy as jnp

from halo_jax.compressors.base import Compressor, Upload, positive, rebuild, size_of, tensors_of
from halo_jax.compressors.codings import Codes
from halo_jax.compressors.rotation import chunks, rotate, rotate_back


def drive() -> Compressor:
    """One bit and the unbiased scale; it has no options. The update is one vector, in chunks of n = 4096 elements.

    A Hadamard rotation stands for a uniform one, so a chunk that one or two elements dominate keeps a bias across x.

    Bits: n per chunk, the zeros that fill up the last one included, + 32 per chunk for S.
    """

    def compress(x, state, context, key):
        del key
        rotated = rotate(tensors_of(x, "flat")[0], context.shared)
        sizes = jnp.sum(jnp.abs(rotated), axis=1)
        # Choice: S for each chunk. Its own costs 1/128 bit per element and follows layers of different scales.
        scales = jnp.sum(rotated * rotated, axis=1) / positive(sizes)
        number, side = chunks(size_of(x))
        return Upload((Codes([(rotated >= 0).astype(jnp.int32)], 2), scales), state, number * side + 32 * number)

    def decompress(message, like, context):
        codes, scales = message
        signs = 2 * codes.values[0] - 1
        return rebuild([rotate_back(signs * scales[:, None], context.shared, size_of(like))], like, "flat")

    return Compressor(compress, decompress)
