"""TernGrad: every element becomes -s, 0 or s, at random and right on average.

Each tensor g is clipped to |g_i| <= c sigma, sigma its standard deviation about its mean; then
Q(g)_i = s sign(g_i) 1[u_i < |g_i| / s], which is unbiased for the clipped tensor where s >= max|g_i|.

Source: Wen et al., NIPS 2017 (arXiv 1705.07878).
"""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from halo_jax.compressors.base import Compressor, Upload, draws, peak, rebuild, size_of, tensors_of
from halo_jax.compressors.codings import Codes
from halo_jax.parameters import boolean, real

SCALERS = ("sigma", "max")


def terngrad(
    *,
    clip: Annotated[float, real(0, 1e6)] = 2.5,
    scaler: Literal["sigma", "max"] = "sigma",
    share_scaler: Annotated[bool, boolean()] = True,
) -> Compressor:
    """Clip at `clip` standard deviations (c > 0; 0: not at all), and quantise each tensor to three levels.

    s is the limit c sigma (`scaler="sigma"`) or what the largest element is once clipped (`"max"`, and wherever nothing
    is clipped). With `share_scaler` s is the largest of the cohort's: a client sends its own and receives the largest.

    Args:
      clip: c, the standard deviations beyond which elements are clipped; 0: never.
      scaler: s, the size of a level: the limit c sigma, or the largest element once clipped.
      share_scaler: one s for the cohort, so that ternary sums are whole.

    Bits: 2 d + 32 per tensor; and 32 per tensor come back with `share_scaler`.
    """
    if not 0 <= clip < float("inf"):
        raise ValueError(f"terngrad: clip={clip}; allowed: 0 (no clipping) or a positive number")
    if scaler not in SCALERS:
        raise ValueError(f"terngrad: scaler={scaler!r}; allowed: {', '.join(SCALERS)}")

    def limits(tensors: list[jax.Array]) -> tuple[list[jax.Array], list[jax.Array]]:
        """Where each tensor is clipped, and its own scaler."""
        peaks = list(map(peak, tensors))
        if not clip:
            return peaks, peaks
        # Choice: a tensor without spread, such as a single element, is not clipped; c sigma = 0 would erase it.
        spreads = [clip * _deviation(tensor) for tensor in tensors]
        bounds = [jnp.where(spread > 0, spread, peak) for spread, peak in zip(spreads, peaks, strict=True)]
        return bounds, bounds if scaler == "sigma" else list(map(jnp.minimum, bounds, peaks))

    def stats(x):
        return limits(tensors_of(x))[1]

    def compress(x, state, context, key):
        tensors = tensors_of(x)
        bounds, client_scales = limits(tensors)
        codes = [
            (jnp.sign(tensor) * (noise * scale < jnp.minimum(jnp.abs(tensor), bound)) + 1).astype(jnp.int32)
            for tensor, bound, scale, noise in zip(
                tensors, bounds, context.pooled if share_scaler else client_scales, draws(key, tensors), strict=True
            )
        ]
        scalers = 32 * len(tensors)
        message = Codes(codes, 3, coding="radix"), client_scales
        return Upload(message, state, 2 * size_of(x) + scalers, extra_down_bits=scalers if share_scaler else 0)

    def decompress(message, like, context):
        codes, client_scales = message
        scales = context.pooled if share_scaler else client_scales
        return rebuild([(code - 1) * scale for code, scale in zip(codes.values, scales, strict=True)], like)

    return Compressor(compress, decompress, stats=stats if share_scaler else None)


def _deviation(tensor: jax.Array) -> jax.Array:
    """The standard deviation about the mean; counted from the first element, so that it is 0 where all are alike."""
    flat = tensor.reshape(-1)
    return jnp.std(flat - flat[:1])
