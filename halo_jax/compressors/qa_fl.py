"""QA-FL, an interpretation: quantisation-aware federated averaging in its plainest form.

Each tensor has the symmetric grid n Delta, |n| <= 2^(b-1) - 1, Delta = max|W| / (2^(b-1) - 1). The network sees its
weights rounded to it, with gradients straight through, and b-bit weights travel both ways.

# Choice: the system that is compared under this name is not identified for certain. This follows the quantisation-aware
variants of Gupta et al., Quantization Robust Federated Learning, TMLR 2023 (arXiv 2206.10844), not a published QA-FL.
"""

from typing import Annotated

import jax
import jax.numpy as jnp

from halo_jax.compressors.base import (
    Broadcast,
    Compressor,
    Server,
    Upload,
    draws,
    peak,
    positive,
    rebuild,
    size_of,
    tensors_of,
)
from halo_jax.compressors.codings import Codes
from halo_jax.numerics.quantize import stochastic_round
from halo_jax.parameters import whole


def qa_fl(*, bits: Annotated[int, whole(2, 16)] = 8) -> Compressor:
    """Weights of b = `bits` bits, 2 to 16, in training and on both ways.

    Args:
      bits: b of a weight, in training and on both ways.

    Bits: b d + 32 per tensor, each way.
    """
    if bits not in range(2, 17):
        raise ValueError(f"qa_fl: bits={bits}; allowed: 2 to 16")
    top = 2 ** (bits - 1) - 1

    def on_grid(tensor: jax.Array) -> tuple[jax.Array, jax.Array]:
        """A tensor in steps of its Delta, and Delta."""
        step = peak(tensor) / top
        return tensor / positive(step), step

    # Choice: what travels is rounded stochastically, both ways. The average of the uploads replaces the server's
    # weights, so nearest rounding in either direction would undo every change below half a step, and learning freezes.
    def encode(x, key):
        tensors = tensors_of(x)
        scaled, steps = zip(*map(on_grid, tensors), strict=True)
        rounded = map(stochastic_round, scaled, draws(key, tensors))
        codes = [(jnp.clip(code, -top, top) + top).astype(jnp.int32) for code in rounded]
        return (Codes(codes, 2 * top + 1), list(steps)), bits * size_of(x) + 32 * len(tensors)

    def decompress(message, like, context):
        del context
        codes, steps = message
        return rebuild([(code - top) * step for code, step in zip(codes.values, steps, strict=True)], like)

    def compress(x, state, context, key):
        del context
        message, nominal = encode(x, key)
        return Upload(message, state, nominal)

    def broadcast(weights, state, key):
        message, nominal = encode(weights, key)
        return Broadcast(decompress(message, weights, ()), message, nominal, state)

    def view(weights):
        # Nearest, as in inference: the least change to what is computed, and no noise between forward passes.
        return rebuild([jnp.round(scaled) * step for scaled, step in map(on_grid, tensors_of(weights))], weights)

    return Compressor(compress, decompress, carries="weights", view=view, server=Server(broadcast=broadcast))
