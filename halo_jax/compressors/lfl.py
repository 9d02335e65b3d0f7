"""LFL: lossy both ways. Clients send quantised updates, the server the quantised change of the global model.

With m = min|x_i|, M = max|x_i| and q levels above m,
Q(x)_i = sign(x_i) (m + (M - m) SR(q (|x_i| - m) / (M - m)) / q), which is unbiased.

Both ends keep an estimate T of the server's model W. The server sends D = Q(W - T), both set T <- T + D and clients
train from T. A client sends U = Q(x + e) for its update x and keeps e <- x + e - U; then W <- T + mean U.

Source: Amiri, Gunduz, Kulkarni, Poor, "Federated Learning With Quantized Global Model Updates" (arXiv 2006.10672).
"""

import math
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from halo_jax.compressors.base import (
    Broadcast,
    Compressor,
    Scope,
    Server,
    Upload,
    draws,
    peak,
    positive,
    rebuild,
    size_of,
    tensors_of,
)
from halo_jax.compressors.codings import Codes, CodingName, radix
from halo_jax.numerics.quantize import stochastic_round
from halo_jax.parameters import whole

MOST_LEVELS = 255


class Client(NamedTuple):
    """What a client keeps: e, what its messages have left out so far, and the last round that it took part in."""

    error: Any
    heard: jax.Array


class Quantised(NamedTuple):
    """Some tensors on the wire: 2 level + (1 if negative) of each element, and (m, M) of each tensor."""

    codes: Codes
    bounds: list[jax.Array]


def lfl(
    *,
    model_bits: int = 32,
    levels: Annotated[int, whole(2, 255)] = 2,
    down_levels: Annotated[int, whole(1, 255)] = 2,
    scope: Scope = "flat",
) -> Compressor:
    """q = `levels` up, 2..255, `down_levels` down, 1..255; m and M of the whole model, or (`scope="tensor"`) of each.

    One level up would err by as much as M, and e would grow for ever. A client that took no part in the round before
    has missed a D: it is sent the whole T, in float32, as everyone is sent the first model.

    Bits, each way: 64 per (m, M) + d (1 + log2(q + 1)), rounded up.

    Args:
      model_bits: of the first model, which is sent whole; the recipe's.
      levels: q of an upload.
      down_levels: q of the broadcast.
      scope: what shares m and M: each tensor, or the whole model.
    """
    for option, value, least in (("levels", levels, 2), ("down_levels", down_levels, 1)):
        if value not in range(least, MOST_LEVELS + 1):
            raise ValueError(f"lfl: {option}={value}; allowed: {least} to {MOST_LEVELS}")

    def init(weights):
        # -2: no round has a number of which this is the one before.
        return Client(jax.tree.map(jnp.zeros_like, weights), jnp.int32(-2))

    def compress(x, state, context, key):
        owed = jax.tree.map(jnp.add, x, state.error)
        message = encode(tensors_of(owed, scope), levels, key)
        error = jax.tree.map(jnp.subtract, owed, rebuild(decode(message, levels), x, scope))
        estimate_bits = size_of(x) * jnp.where(context.round == 0, model_bits, 32)
        missed = jnp.where(state.heard == context.round - 1, 0, estimate_bits)
        return Upload(message, Client(error, context.round), _nominal(message, levels), whole_down_bits=missed)

    def decompress(message, like, context):
        del context
        return rebuild(decode(message, levels), like, scope)

    def broadcast(weights, estimate, key):
        message = encode(tensors_of(jax.tree.map(jnp.subtract, weights, estimate), scope), down_levels, key)
        estimate = jax.tree.map(jnp.add, estimate, rebuild(decode(message, down_levels), weights, scope))
        return Broadcast(estimate, message, _nominal(message, down_levels), estimate)

    server = Server(init=lambda weights: weights, broadcast=broadcast)
    return Compressor(compress, decompress, init, feedback=False, server=server)


def encode(tensors: list[jax.Array], levels: int, key: jax.Array) -> Quantised:
    """Q of each tensor: levels 0 to q and signs, and (m, M)."""
    sizes = [jnp.abs(tensor) for tensor in tensors]
    bounds = [jnp.stack([jnp.min(size), peak(size)]) for size in sizes]
    codes = []
    for tensor, size, (least, most), noise in zip(tensors, sizes, bounds, draws(key, tensors), strict=True):
        level = stochastic_round((size - least) / positive(most - least) * levels, noise)
        codes.append(2 * jnp.minimum(level, levels).astype(jnp.int32) + (tensor < 0))
    coding = _shorter(2 * (levels + 1), size_of(tensors))
    return Quantised(Codes(codes, 2 * (levels + 1), coding=coding), bounds)


def decode(message: Quantised, levels: int) -> list[jax.Array]:
    """The tensors of `encode`, each near its own within (M - m) / q."""
    codes, bounds = message
    # Paper: the sign is of all of it, m included.
    return [
        jnp.where(code % 2 == 1, -1.0, 1.0) * (least + (most - least) * ((code // 2) / levels))
        for code, (least, most) in zip(codes.values, bounds, strict=True)
    ]


def _shorter(alphabet: int, number: int) -> CodingName:
    """The coding that takes fewer bits for so many codes."""
    group = radix(alphabet)
    return "radix" if -(-number // group.codes) * group.bits < number * (alphabet - 1).bit_length() else "fixed"


def _nominal(message: Quantised, levels: int) -> int:
    codes, bounds = message
    return 64 * len(bounds) + math.ceil(size_of(codes.values) * (1 + math.log2(levels + 1)))
