"""What travels between the server and its clients in a round, for any compressor: broadcast, upload, average."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from halo_jax.compressors.base import Compressor, Context, Upload, size_of, whole_model
from halo_jax.compressors.wire import Size, size, travelling_bits
from halo_jax.federation import server
from halo_jax.federation.fingerprint import fingerprint
from halo_jax.recipes.base import Recipe
from halo_jax.types import Precision, Stream, stream


class Sent(NamedTuple):
    """What the server has sent: the model that clients start from, in the recipe's dtype, and its weight."""

    model: Any
    plan: Any
    weight: Size
    state: Any  # of the server, which is no part of what travels


class Own(NamedTuple):
    """What one client keeps from round to round (`state`), and what the server keeps of it (`held`)."""

    state: Any
    held: Any


class Received(NamedTuple):
    """What the server has received from one client, and what that weighed."""

    value: Any  # what `decompress` rebuilt, or what is held of the client
    own: Own
    weight: Size
    sent: jax.Array
    whole_down_bits: jax.Array
    extra_down_bits: jax.Array
    fingerprint: jax.Array


def broadcast(model: Any, state: Any, compressor: Compressor, recipe: Recipe, key: jax.Array) -> Sent:
    """What all clients are sent (Algorithm 1, line 7).

    # Choice A5: without a broadcast of the compressor's own, the master itself travels (8 bits in `wage`); a client
    # rounds it to its own bits at every forward pass.
    """
    hooks = compressor.server
    if hooks.broadcast is None:
        weight = size(whole_model(model, recipe.model_bits), size_of(model) * recipe.model_bits)
        return Sent(model, hooks.plan(state), weight, state)
    made = hooks.broadcast(recipe.decode(model), state, key)
    return Sent(recipe.encode(made.weights), made.plan, size(made.message, made.nominal_bits), made.state)


def make_upload(compressor: Compressor, recipe: Recipe) -> Callable[..., Received]:
    """Build `upload(client, precision, trained, loss, own, sent, pooled, key, round) -> Received`, for one client."""

    def upload(
        client: jax.Array,
        precision: Precision,
        trained: Any,
        loss: jax.Array,
        own: Own,
        sent: Sent,
        pooled: Any,
        key: jax.Array,
        round: jax.Array,
    ) -> Received:
        private = stream(stream(key, Stream.CLIENT, round, client), Stream.COMPRESS)
        shared = stream(key, Stream.DITHER, round, client)
        context = Context(client, round, precision, loss, shared, sent.plan, pooled, own.held)
        x = carried(compressor, recipe, trained, sent.model)
        made: Upload = compressor.compress(x, own.state, context, private)
        value, held, arrived = compressor.decompress(made.message, x, context), own.held, jnp.asarray(made.sent)
        if compressor.remembers:
            value = held = jax.tree.map(lambda new, old: jnp.where(arrived, new, old), value, held)
        weight = size(made.message, made.nominal_bits, arrived, gated=compressor.remembers)
        extras = jnp.asarray(made.whole_down_bits, jnp.int32), jnp.asarray(made.extra_down_bits, jnp.int32)
        return Received(value, Own(made.state, held), weight, arrived, *extras, fingerprint(value))

    return upload


def down_bits(sent: Sent, received: Received) -> jax.Array:
    """What one client was sent, as packed, int32 `[]`: the broadcast or the whole model, and what came beside it."""
    whole = received.whole_down_bits
    message = jnp.where(whole > 0, 8 * -(-whole // 8), travelling_bits(sent.weight))
    return message + received.extra_down_bits


def carried(compressor: Compressor, recipe: Recipe, trained: Any, start: Any) -> Any:
    """x: what a client compresses of the model that it trained from `start`."""
    if compressor.carries == "model":
        return trained
    weights = recipe.decode(trained)
    return weights if compressor.carries == "weights" else jax.tree.map(jnp.subtract, weights, recipe.decode(start))


def aggregate(
    values: Any, examples: jax.Array, states: Any, sent: Sent, compressor: Compressor, recipe: Recipe, key: jax.Array
) -> Any:
    """The new model from what the server has of its clients `[C, ...]` (Algorithm 1, line 21)."""
    if compressor.carries == "model":
        return server.aggregate(values, examples, rounding=recipe.rounding, key=key)
    weigh, shares = compressor.server.weigh, examples.astype(jnp.float32)
    mean = server.mean(values, shares if weigh is None else weigh(shares, states))
    if compressor.carries == "update":
        mean = jax.tree.map(jnp.add, recipe.decode(sent.model), mean)
    return server.to_master(mean, sent.model, bits=recipe.model_bits, rounding=recipe.rounding, key=key)
