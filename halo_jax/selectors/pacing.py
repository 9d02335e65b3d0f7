"""When a client may lower its precision: in listed rounds, or once its own training loss has stopped falling."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Pace(NamedTuple):
    """When reductions are due, for one client, as pure functions of a traced state.

    `due(state, round, loss) -> (due bool [], state)` is asked once in every round, `round` from 0 and `loss` the last
    training loss; `reduced(state) -> state` follows where the client has lowered its precision.
    """

    init: Callable[[], Any]
    due: Callable[[Any, jax.Array, jax.Array], tuple[jax.Array, Any]]
    reduced: Callable[[Any], Any]


class PlateauState(NamedTuple):
    """What a client remembers of its losses at its present precision."""

    best: jax.Array  # float32 [], inf before the first
    last: jax.Array  # float32 [], inf before the first
    stale: jax.Array  # int32 [], rounds since the best


def in_listed(rounds: Sequence[int]) -> Pace:
    """In these rounds, counted from 1; without state."""
    listed = np.array(rounds, np.int32)
    return Pace(
        init=lambda: (),
        due=lambda state, round, loss: ((round + 1 == listed).any(), state),
        reduced=lambda state: state,
    )


def on_plateau(patience: int, gain: float, *, all_take_part: bool = True) -> Pace:
    """When the loss has not fallen by the fraction `gain` below its best for `patience` rounds in a row.

    The loss at a new precision starts a new count, so that reductions are at least `patience` + 1 rounds apart. Losses
    that are not finite do not count: there is none before a client's first round, and fewer bits help no client that
    has diverged. Unless all clients take part in every round, a loss that is the last one, bit for bit, is that of a
    client which has rested, and does not count.
    """

    def fresh() -> PlateauState:
        return PlateauState(jnp.float32(jnp.inf), jnp.float32(jnp.inf), jnp.int32(0))

    def due(state: PlateauState, round: jax.Array, loss: jax.Array) -> tuple[jax.Array, PlateauState]:
        counts = jnp.isfinite(loss) & (all_take_part | (loss != state.last))
        improved = loss < state.best * np.float32(1 - gain)
        stale = jnp.where(counts, jnp.where(improved, 0, state.stale + 1), state.stale)
        best = jnp.where(counts & improved, loss, state.best)
        return stale >= patience, PlateauState(best, jnp.where(counts, loss, state.last), stale)

    return Pace(init=fresh, due=due, reduced=lambda state: fresh()._replace(last=state.last))
