"""Hardware platforms: what training one sample costs. To add one: a file here and one line in `PLATFORMS`.

A platform's `make(device)` returns a `Chip`: a preset of its name, or the chip of a YAML file; anything else raises
ValueError. A file holds `bill(layers, constants)`: what each layer makes the chip do, and what that costs. From any
bill `pricing` makes the cost of a precision, its breakdown by layer and part, and its smooth form for gradients.
"""

from collections.abc import Callable

from halo_jax.hardware import bit_serial, halosim
from halo_jax.hardware.base import Chip, EvaluateFn

__all__ = ["PLATFORMS", "Chip", "EvaluateFn", "bit_serial", "halosim"]

PLATFORMS: dict[str, Callable[[str], Chip]] = {
    "halosim": halosim.make,
    "bit_serial": bit_serial.make,
}
