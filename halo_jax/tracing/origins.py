"""Where the values of a traced program come from: the input, or trained tensors and slices of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from halo_jax.types import LayerShape


class Leaf(NamedTuple):
    """A trained tensor, by the path of its parameter, or a slice of it such as "[3]"."""

    path: str
    slice: str = ""


class Origin(NamedTuple):
    """Where a value comes from: the input, or else these leaves, if any; and what it is, if it is a known index."""

    data: bool = False
    leaves: frozenset[Leaf] = frozenset()
    value: np.ndarray | None = None

    def sliced(self, taken: str, value: np.ndarray | None = None) -> "Origin":
        """The origin of a slice of it."""
        return Origin(self.data, frozenset(Leaf(leaf.path, leaf.slice + taken) for leaf in self.leaves), value)


DATA = Origin(data=True)


def join(origins: Sequence[Origin]) -> Origin:
    """The origin of what is computed from all of these: the input if any is, else the leaves of all."""
    if any(origin.data for origin in origins):
        return DATA
    return Origin(leaves=frozenset().union(*(origin.leaves for origin in origins)))


class Operation(NamedTuple):
    """An operation on what depends on the input; `layer` and its `weights`, or the `reason` why it is none."""

    name: str
    macs: int
    elements: int
    reason: str = ""
    layer: LayerShape | None = None
    weights: frozenset[Leaf] = frozenset()
    times: int = 1


class Flow(NamedTuple):
    """What a program, or one equation of it, gives: the origins of its results, and what runs to get them."""

    results: list[Origin]
    operations: list[Operation]
