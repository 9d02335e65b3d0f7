"""What a hardware platform is: devices that make out a bill for a network, and so price every precision of it."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

from halo_jax.hardware.bill import Bill, Layers, Part
from halo_jax.hardware.pricing import breakdown_of, total, total_per_layer
from halo_jax.types import Cost, Precision


class EvaluateFn(Protocol):
    """Price training on one sample; jittable, elementwise over any shape of precision."""

    def __call__(self, layers: Layers, precision: Precision) -> Cost:
        """Return energy in mJ, latency in s and area in mm2, each of the shape of the bits."""
        ...


class Chip(NamedTuple):
    """One device of a platform: its constants, and the bill that it makes out for a network."""

    device: Any  # a frozen dataclass, as it stands in a device file
    bill: Callable[[Layers], Bill]

    def evaluate(self, layers: Layers, precision: Precision, *, relaxed: bool = False) -> Cost:
        """`total` on this chip."""
        return total(self.bill(layers), precision, relaxed=relaxed)

    def evaluate_per_layer(self, layers: Layers, precision: Precision, *, relaxed: bool = False) -> Cost:
        """`total_per_layer` on this chip."""
        return total_per_layer(self.bill(layers), precision, relaxed=relaxed)

    def breakdown(self, layers: Layers, precision: Precision) -> dict[Part, jax.Array]:
        """`breakdown_of` on this chip."""
        return breakdown_of(self.bill(layers), precision)
