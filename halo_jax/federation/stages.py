"""The pluggable parts of a round, each written for one client."""

from typing import NamedTuple

from halo_jax.compressors.base import Compressor
from halo_jax.federation.local_training import LocalTrain
from halo_jax.recipes.base import Recipe
from halo_jax.selectors.base import CostFn, Selector


class Stages(NamedTuple):
    """What the stages of a round do.

    Attributes:
      recipe: the arithmetic of the model that travels.
      local_train: trains one client's model.
      selector: chooses one client's precision.
      compressor: what one client's message holds, and what the server does around it.
      cost_fn: precision -> cost of one training sample on the client's chip.
    """

    recipe: Recipe
    local_train: LocalTrain
    selector: Selector
    compressor: Compressor
    cost_fn: CostFn
