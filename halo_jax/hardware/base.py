"""What a hardware platform is: one pure function from layers and precision to cost."""

from collections.abc import Sequence
from typing import Protocol

from halo_jax.types import Cost, LayerShape, Precision


class EvaluateFn(Protocol):
    """Price training on one sample; jittable, elementwise over any shape of precision."""

    def __call__(self, layers: Sequence[LayerShape], precision: Precision) -> Cost:
        """Return energy in mJ, latency in s and area in mm2, each of the shape of the bits."""
        ...
