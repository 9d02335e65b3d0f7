"""What travels between the server and its clients in a round, for any compressor: broadcast, upload, average."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from halo_jax.compressors.base import Context, Upload, size_of, whole_model
from halo_jax.compressors.wire import Counts, Size, size
from halo_jax.federation import server
from halo_jax.federation.fingerprint import fingerprint
from halo_jax.federation.local_training import Trained
from halo_jax.federation.participants import Client, ClientMemory, Downlink, Shared
from halo_jax.federation.stages import Stages
from halo_jax.types import Stream, stream


class Exchange(NamedTuple):
    """What the server and one client have exchanged in a round.

    Attributes:
      received: what the server has rebuilt of the client's message or, where none came, what it holds of the client.
      memory: what the compressor keeps of the client after it.
      uploaded: False where the compressor's gate kept the message back, bool `[]`.
      up_size: of the client's message.
      down_size: of all that the client was sent.
      fingerprint: of `received`, uint32 `[2]`.
    """

    received: Any
    memory: ClientMemory
    uploaded: jax.Array
    up_size: Size
    down_size: Size
    fingerprint: jax.Array


def broadcast(model: Any, server_state: Any, stages: Stages, key: jax.Array) -> Downlink:
    """What all clients are sent (Algorithm 1, line 7).

    # Choice A5: without a broadcast of the compressor's own, the master itself travels (8 bits in `wage`); a client
    # rounds it to its own bits at every forward pass.

    Args:
      model: the server's, in the recipe's dtype.
      server_state: the compressor's state on the server.
      stages: of which the compressor and the recipe count here.
      key: the round's key for this draw.
    """
    recipe, hooks = stages.recipe, stages.compressor.server
    if hooks.broadcast is None:
        message_size = size(whole_model(model, recipe.model_bits), size_of(model) * recipe.model_bits)
        return Downlink(model, hooks.plan(server_state), message_size, server_state)
    made = hooks.broadcast(recipe.decode(model), server_state, key)
    message_size = size(made.message, made.nominal_bits)
    return Downlink(recipe.encode(made.weights), made.plan, message_size, made.state)


def exchange(stages: Stages, client: Client, trained: Trained, shared: Shared, pooled: Any) -> Exchange:
    """One client compresses and sends what it has learned, and the server decompresses that (Algorithm 1, line 19).

    Args:
      stages: of which the compressor and the recipe count here.
      client: who sends, no array with a client axis.
      trained: what its training made of the model.
      shared: what all clients of the round share.
      pooled: the maxima over the cohort of what `compressor.stats` says; nothing without `stats`.
    """
    compressor, key = stages.compressor, shared.key
    private = stream(stream(key, Stream.CLIENT, shared.round, client.id), Stream.COMPRESS)
    context = Context(
        client=client.id,
        round=shared.round,
        precision=client.precision,
        loss=trained.loss,
        shared=stream(key, Stream.DITHER, shared.round, client.id),
        plan=shared.downlink.plan,
        pooled=pooled,
        last_received=client.memory.held,
    )
    x = carried(stages, trained.model, shared.downlink.model)
    upload: Upload = compressor.compress(x, client.memory.state, context, private)
    received, kept = compressor.decompress(upload.message, x, context), client.memory.held
    uploaded = jnp.asarray(upload.sent)
    if compressor.remembers:
        received = kept = jax.tree.map(lambda new, old: jnp.where(uploaded, new, old), received, kept)
    return Exchange(
        received=received,
        memory=ClientMemory(upload.state, kept),
        uploaded=uploaded,
        up_size=size(upload.message, upload.nominal_bits, uploaded, gated=compressor.remembers),
        down_size=_down_size(shared.downlink.size, upload),
        fingerprint=fingerprint(received),
    )


def _down_size(broadcast: Size, upload: Upload) -> Size:
    """The size of what one client was sent: the broadcast or the whole model, and what came beside it."""
    whole_bits, extra_bits = (jnp.asarray(bits, jnp.int32) for bits in (upload.whole_down_bits, upload.extra_down_bits))
    missed = whole_bits > 0

    def total(bits: jax.Array) -> jax.Array:
        return jnp.where(missed, whole_bits, bits) + extra_bits

    return Size(
        nominal_bits=total(broadcast.nominal_bits),
        fixed_bits=total(broadcast.fixed_bits),
        raw_bits=total(broadcast.raw_bits),
        codes=tuple(Counts(jnp.where(missed, 0, codes.counts), codes.coding) for codes in broadcast.codes),
    )


def carried(stages: Stages, trained: Any, start: Any) -> Any:
    """x: what a client compresses of the model that it trained from `start`, both in the recipe's dtype."""
    carries, decode = stages.compressor.carries, stages.recipe.decode
    if carries == "model":
        return trained
    weights = decode(trained)
    return weights if carries == "weights" else jax.tree.map(jnp.subtract, weights, decode(start))


def aggregate(stages: Stages, values: Any, num_examples: jax.Array, states: Any, start: Any, key: jax.Array) -> Any:
    """The server's new model from what it has of its clients (Algorithm 1, line 21), in the recipe's dtype.

    Args:
      stages: of which the compressor and the recipe count here.
      values: what the server has rebuilt of each client's message, `[C, ...]`.
      num_examples: int32 `[C]`, |D_c|; 0 for a client that did not take part.
      states: the compressor's states of these clients, `[C, ...]`.
      start: the model that they started from, in the recipe's dtype.
      key: the round's key for this draw.
    """
    compressor, recipe = stages.compressor, stages.recipe
    if compressor.carries == "model":
        return server.aggregate(values, num_examples, rounding=recipe.rounding, key=key)
    weigh, shares = compressor.server.weigh, num_examples.astype(jnp.float32)
    mean = server.mean(values, shares if weigh is None else weigh(shares, states))
    if compressor.carries == "update":
        mean = jax.tree.map(jnp.add, recipe.decode(start), mean)
    return server.to_master(mean, start, bits=recipe.model_bits, rounding=recipe.rounding, key=key)
