"""Round every weight to a uniform grid of b bits: Table IV's "model size times the precision of weights".

With W = max|w| of a tensor (1 for whole-number masters), the code is n = round(w / W * S(b)), |n| <= 2^(b-1) - 1.
Stochastic rounding is unbiased away from the clip; nearest rounding of a 2-bit master freezes learning.
"""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from halo_jax.compressors.base import Compressor, Upload, peak, positive, size_of
from halo_jax.compressors.codings import Codes
from halo_jax.numerics.quantize import levels, step_size, stochastic_round, uniform_like
from halo_jax.parameters import bits_or_none

_MOST_BITS = 8


def uniform(
    *,
    model_bits: int,
    bits: Annotated[int, bits_or_none()] = 0,
    rounding: Literal["stochastic", "nearest"] = "stochastic",
) -> Compressor:
    """A b-bit upload: `bits`, or each client's weight bits when 0; 32 more bits per float tensor for its scale.

    Args:
      model_bits: of the model that travels; the recipe's.
      bits: of an uploaded number, 2 to 8; 0: the client's weight bits.
      rounding: of an uploaded number.
    """

    if bits and not 2 <= bits <= _MOST_BITS:
        raise ValueError(f"uniform: bits={bits}; allowed: 0, or 2 to {_MOST_BITS}")

    def compress(x, state, context, key):
        width = jnp.asarray(bits or context.precision.weights, jnp.int32)
        top = levels(width) - 1
        draws = uniform_like(key, x) if rounding == "stochastic" else jax.tree.map(lambda leaf: None, x)
        floats = [leaf for leaf in jax.tree.leaves(x) if not jnp.issubdtype(leaf.dtype, jnp.integer)]
        scales = [positive(peak(leaf)) for leaf in floats]

        def encode(leaf, noise, scale):
            scaled = leaf / scale * levels(width)
            code = jnp.round(scaled) if noise is None else stochastic_round(scaled, noise)
            return (jnp.clip(code, -top, top) + top).astype(jnp.int32)

        leaves, tree = jax.tree.flatten(x)
        units = scales or [2.0 ** (model_bits - 1)] * len(leaves)
        codes = tree.unflatten(map(encode, leaves, tree.flatten_up_to(draws), units))
        message = Codes(codes, 2**width, 2**_MOST_BITS), scales
        return Upload(message, state, size_of(x) * width + 32 * len(scales))

    def decompress(message, like, context):
        codes, scales = message
        width = jnp.asarray(bits or context.precision.weights, jnp.int32)
        leaves, tree = jax.tree.flatten(like)
        units = scales or [2.0 ** (model_bits - 1)] * len(leaves)

        def rebuild(code, leaf, unit):
            return ((code - (levels(width) - 1)) * step_size(width) * unit).astype(leaf.dtype)

        return tree.unflatten(map(rebuild, tree.flatten_up_to(codes.values), leaves, units))

    return Compressor(compress, decompress, carries="model")
