"""Round every weight to a uniform grid of b bits: Table IV's "model size times the precision of weights".

With W = max|w| of a tensor (1 for whole-number masters), the message is n = round(w / W * S(b)), |n| <= 2^(b-1) - 1.
Stochastic rounding is unbiased away from the clip; nearest rounding of a 2-bit master freezes learning.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from halo_jax.compressors.base import Compressor
from halo_jax.quantize import levels, step_size, stochastic_round, uniform_like
from halo_jax.types import Precision


def uniform(*, model_bits: int, bits: int = 0, rounding: Literal["stochastic", "nearest"] = "stochastic") -> Compressor:
    """A b-bit upload: `bits`, or each client's weight bits when 0; 32 more bits per float tensor for its scale."""

    if not 0 <= bits <= 8:
        raise ValueError(f"uniform: bits={bits}; allowed: 0 to 8")

    def compress(model: Any, reference: Any, state: Any, *, precision: Precision, key: jax.Array):
        del reference
        width = jnp.asarray(bits or precision.weights, jnp.int32)
        draws = uniform_like(key, model) if rounding == "stochastic" else jax.tree.map(lambda leaf: None, model)

        def encode(leaf: jax.Array, noise: jax.Array | None) -> tuple[jax.Array, jax.Array]:
            scale = _scale(leaf, model_bits)
            whole = leaf / scale * levels(width)
            whole = jnp.round(whole) if noise is None else stochastic_round(whole, noise)
            return jnp.clip(whole, 1 - levels(width), levels(width) - 1).astype(jnp.int8), scale

        leaves, tree = jax.tree.flatten(model)
        codes = tree.unflatten(map(encode, leaves, tree.flatten_up_to(draws)))
        floats = sum(not jnp.issubdtype(leaf.dtype, jnp.integer) for leaf in leaves)
        payload = sum(leaf.size for leaf in leaves) * width + 32 * floats
        return (codes, width), state, payload

    def decompress(message: Any, reference: Any) -> Any:
        codes, width = message
        rebuild = lambda like, code: (code[0] * step_size(width) * code[1]).astype(like.dtype)  # noqa: E731
        return jax.tree.map(rebuild, reference, codes)

    return Compressor(lambda model: (), compress, decompress)


def _scale(leaf: jax.Array, model_bits: int) -> jax.Array:
    """What 1.0 of the grid stands for: the whole range of a master, the largest value of a float tensor."""
    if jnp.issubdtype(leaf.dtype, jnp.integer):
        return jnp.float32(2 ** (model_bits - 1))
    peak = jnp.max(jnp.abs(leaf), initial=0.0)
    return jnp.where(peak > 0, peak, 1.0)
