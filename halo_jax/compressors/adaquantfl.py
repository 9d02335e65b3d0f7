"""AdaQuantFL: QSGD whose levels grow as the training loss falls.

In round k there are s_k = ceil(s_0 sqrt(f_0 / f_k)) levels above zero, f the global training loss: the s that
minimises the bound on the error after a number of bits.

Source: Jhunjhunwala, Gadhikar, Joshi, Eldar, ICASSP 2021 (arXiv 2102.04487).
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from halo_jax.compressors.base import Compressor, Scope, Server, Upload, rebuild, size_of, tensors_of
from halo_jax.compressors.codings import width
from halo_jax.compressors.qsgd import Quantised, decode, encode
from halo_jax.parameters import whole

MOST_LEVELS = 255


class Message(NamedTuple):
    """What a client sends: its update, and its mean training loss, float32 []."""

    update: Quantised
    loss: jax.Array


class Losses(NamedTuple):
    """What the server knows: f_0 and f_k, float32 []; infinite before the first round."""

    first: jax.Array
    latest: jax.Array


def adaquantfl(*, levels: Annotated[int, whole(1, 255)] = 2, scope: Scope = "flat") -> Compressor:
    """s_0 = `levels`, 1..255; one l2 norm for the whole update, or (`scope="tensor"`) for each tensor.

    Args:
      levels: s_0, the levels above zero of the first round.
      scope: what shares a norm: each tensor, or the whole update.

    Bits: 32 per norm + 32 for the loss that the client reports + d (1 + ceil(log2(s_k + 1))); 8 for s_k come with the
    model.
    """
    if levels not in range(1, MOST_LEVELS + 1):
        raise ValueError(f"adaquantfl: levels={levels}; allowed: 1 to {MOST_LEVELS}")

    def compress(x, state, context, key):
        update = encode(tensors_of(x, scope), context.plan, "l2", key, most=MOST_LEVELS)
        nominal = 32 * len(update.scales) + 32 + size_of(x) * (1 + width(context.plan + 1))
        return Upload(Message(update, context.loss), state, nominal, extra_down_bits=8)

    def decompress(message, like, context):
        return rebuild(decode(message.update, context.plan), like, scope)

    def plan(losses):
        # Choice: 1 to 255 levels, so that a code has 9 bits at most; s_0 while nothing is known, or f_0 = 0.
        fallen = losses.first / losses.latest
        wanted = jnp.where(jnp.isnan(fallen), levels, jnp.ceil(levels * jnp.sqrt(fallen)))
        return jnp.clip(wanted, 1, MOST_LEVELS).astype(jnp.int32)

    def observe(losses, change, loss):
        # Paper: f of the current model over all clients, who report it even in rounds that they sit out.
        # Choice: the cohort's mean training loss of the round before; one that is not finite changes nothing.
        del change
        has_first, finite = jnp.isfinite(losses.first), jnp.isfinite(loss)
        latest = jnp.where(finite, loss, losses.latest)
        return Losses(jnp.where(has_first, losses.first, latest), latest)

    def init(weights):
        del weights
        return Losses(jnp.float32(jnp.inf), jnp.float32(jnp.inf))

    return Compressor(compress, decompress, feedback=False, server=Server(init, plan=plan, observe=observe))
