"""Hardware platforms: what training one sample costs. To add one: a file here and one line in `PLATFORMS`.

A platform's `make(device)` returns its `EvaluateFn` for one named device; an unknown name raises ValueError.
"""

from collections.abc import Callable

from halo_jax.hardware import halosim
from halo_jax.hardware.base import EvaluateFn

__all__ = ["PLATFORMS", "EvaluateFn", "halosim"]

PLATFORMS: dict[str, Callable[[str], EvaluateFn]] = {
    "halosim": halosim.make,
}
