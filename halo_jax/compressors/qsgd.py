"""QSGD, and FedPAQ, which is QSGD on the updates of local training.

Q(x)_i = ||x|| sign(x_i) SR(s |x_i| / ||x||) / s with s levels above zero: unbiased, and with the l2 norm of d elements
E||Q(x) - x||^2 <= min(d / s^2, sqrt(d) / s) ||x||^2.

Sources: Alistarh et al., NIPS 2017 (arXiv 1610.02132); Reisizadeh et al., FedPAQ, AISTATS 2020 (arXiv 1909.13014).
"""

from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from halo_jax.compressors.base import Compressor, Scope, Upload, draws, peak, positive, rebuild, size_of, tensors_of
from halo_jax.compressors.codings import Codes, width
from halo_jax.numerics.quantize import stochastic_round
from halo_jax.parameters import whole

NORMS = {"l2": jnp.linalg.norm, "max": peak}


class Quantised(NamedTuple):
    """Some tensors on the wire: levels -s..s as codes 0..2s, and the norm of each."""

    codes: Codes
    scales: list[jax.Array]


def qsgd(
    *,
    levels: Annotated[int, whole(1, 255)] = 4,
    norm: Literal["l2", "max"] = "max",
    scope: Scope = "tensor",
) -> Compressor:
    """s = `levels`; `norm` and one scale for each tensor, or (`scope="flat"`) for the whole update.

    Args:
      levels: s, the levels above zero.
      norm: of a vector, which scales its levels.
      scope: what shares a scale: each tensor, or the whole update.

    Bits: 32 per scale + d ceil(log2(2 s + 1)).
    """
    if levels < 1:
        raise ValueError(f"qsgd: levels={levels}; allowed: 1 or more")
    if norm not in NORMS:
        raise ValueError(f"qsgd: norm={norm!r}; allowed: {', '.join(NORMS)}")

    def compress(x, state, context, key):
        del context
        message = encode(tensors_of(x, scope), levels, norm, key, most=levels)
        return Upload(message, state, 32 * len(message.scales) + size_of(x) * width(2 * levels + 1))

    def decompress(message, like, context):
        del context
        return rebuild(decode(message, levels), like, scope)

    return Compressor(compress, decompress, feedback=norm == "max")


def encode(tensors: list[jax.Array], levels: Any, norm: str, key: jax.Array, most: int) -> Quantised:
    """Q of each tensor, as level sign(x_i) SR(s |x_i| / ||x||).

    Args:
      tensors: float32, of any shapes.
      levels: s, int32 `[]`; may be traced.
      norm: a key of NORMS.
      key: of the stochastic rounding.
      most: a static bound of s.
    """
    scales = [NORMS[norm](tensor.reshape(-1)) for tensor in tensors]
    codes = []
    for tensor, scale, noise in zip(tensors, scales, draws(key, tensors), strict=True):
        level = stochastic_round(jnp.abs(tensor) / positive(scale) * levels, noise)
        level = jnp.minimum(level, levels)  # a norm that is rounded down must not make a code of its own
        codes.append((jnp.sign(tensor) * level + levels).astype(jnp.int32))
    return Quantised(Codes(codes, 2 * levels + 1, 2 * most + 1), scales)


def decode(message: Quantised, levels: Any) -> list[jax.Array]:
    """The tensors of `encode`, each near its own within scale / s."""
    codes, scales = message
    return [(code - levels) * (scale / levels) for code, scale in zip(codes.values, scales, strict=True)]
