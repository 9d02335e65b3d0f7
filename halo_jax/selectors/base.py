"""What a precision selector is: two pure functions, written for one client."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

from halo_jax.types import Cost, Demand, Precision

CostFn = Callable[[Precision], Cost]  # the only thing a selector knows about hardware


class SelectFn(Protocol):
    """Choose one client's precision for this round."""

    def __call__(
        self,
        state: Any,
        precision: Precision,
        demand: Demand,
        cost_fn: CostFn,
        *,
        round: jax.Array,
        loss: jax.Array,
        key: jax.Array,
    ) -> tuple[Precision, Any]:
        """Return the new precision (int32 `[]`) and the new state.

        Args:
          state: what `init` or the last call returned.
          precision: the client's current precision, int32 `[]`.
          demand: what the client wants low, and its limits.
          cost_fn: precision -> cost per sample, elementwise over any shape of precision.
          round: int32 `[]`, counted from 0.
          loss: float32 `[]`, the client's mean training loss in the last round it took part in (inf before).
          key: this client's and round's own random key.
        """
        ...


class Selector(NamedTuple):
    """A precision selector.

    Attributes:
      init: () -> one client's first state.
      select: (state, precision, demand, cost_fn, *, round, loss, key) -> (precision, state).
      selects: False where every client keeps its first precision.
    """

    init: Callable[[], Any]
    select: SelectFn
    selects: bool = True
