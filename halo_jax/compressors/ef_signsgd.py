"""EF-signSGD: the signs of a tensor times the mean size of its elements, with error feedback.

C(p) = (||p||_1 / n) sign(p) for a tensor of n elements, of p = x + e, the update and what earlier rounds left unsent;
then e <- p - C(p). The signs alone need not converge; with the memory e they do, at the rate of SGD.

Source: Karimireddy, Rebjock, Stich, Jaggi, ICML 2019 (arXiv 1901.09847). There p is a step on one minibatch, here the
update of a whole round.
"""

import jax.numpy as jnp

from halo_jax.compressors.base import Compressor, Upload, rebuild, size_of, tensors_of
from halo_jax.compressors.codings import Codes
from halo_jax.compressors.error_feedback import error_feedback


def ef_signsgd() -> Compressor:
    """`sign` with error feedback; it has no options.

    Bits: d + 32 per tensor.
    """
    return error_feedback(sign())


def sign() -> Compressor:
    """The signs of each tensor times its mean absolute value, without memory: biased.

    Bits: d + 32 per tensor.
    """

    def compress(x, state, context, key):
        del context, key
        tensors = tensors_of(x)
        scales = [jnp.sum(jnp.abs(tensor)) / max(tensor.size, 1) for tensor in tensors]
        # Choice: the sign of zero is +, since one bit has no third value; e takes it back.
        codes = [(tensor >= 0).astype(jnp.int32) for tensor in tensors]
        return Upload((Codes(codes, 2), scales), state, size_of(x) + 32 * len(tensors))

    def decompress(message, like, context):
        del context
        codes, scales = message
        return rebuild([(2 * code - 1) * scale for code, scale in zip(codes.values, scales, strict=True)], like)

    return Compressor(compress, decompress)
