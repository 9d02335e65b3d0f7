"""What a study is: a function from a config to tables; nothing is trained, and only `partition` reads data."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from halo_jax.config import Config, ConfigError, show
from halo_jax.datasets.shapes import SHAPES
from halo_jax.hardware import Chip
from halo_jax.models import Traced, trace_layers
from halo_jax.runner.lookup import make_model, make_platform
from halo_jax.types import Cost, LayerShape, Precision

PAPER_SETS = ("cifar10", "emnist", "tiny_imagenet")


class Table(NamedTuple):
    """One table of a study's answer: rows of one NamedTuple type, written as CSV and JSON, and printed if `shown`.

    `drawn`, if there is one, is what is printed in place of the rows.
    """

    title: str
    rows: Sequence[Any]
    shown: bool = True
    drawn: Any = None


def chip_of(config: Config) -> Chip:
    """The chip that the config names. Raises ConfigError."""
    return make_platform(config)


def setting(config: Config, precision: Precision | None = None) -> str:
    """What is priced, in a few words: "vgg7 for cifar10 at 6-4-4, halosim calibrated"."""
    at = "" if precision is None else f" at {precision}"
    return f"{config.model} for {config.dataset}{at}, {config.hardware.name} {config.hardware.device}"


def network_of(config: Config, dataset: str = "") -> Traced:
    """The layers of the config's model at `hardware.width`, for a data set: the config's own if none is named.

    Raises:
      ConfigError: the sizes of the data set are not known, or do not fit the model.
    """
    image, classes = (), 0
    if not dataset:
        dataset, image, classes = config.dataset, tuple(config.image_shape), config.num_classes
    if dataset not in SHAPES and not (image and classes):
        raise ConfigError(
            f"dataset={show(dataset)}; known: {', '.join(SHAPES)}; for others give image_shape and num_classes"
        )
    known_image, known_classes = SHAPES.get(dataset, (image, classes))
    # Without numerics the layers are the same, and are traced faster.
    module = make_model(config, classes or known_classes, config.hardware.width, numerics=None)
    try:
        return trace_layers(module, image or known_image)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def describe(layer: LayerShape) -> str:
    """A layer in a few characters: '3x3 128>256 at 16x16', then '/2' for a stride, 'g64' groups, 'x3' repeats."""
    stride = "" if layer.stride == (1, 1) else "/" + "x".join(map(str, dict.fromkeys(layer.stride)))
    groups = "" if layer.groups == 1 else f" g{layer.groups}"
    repeats = "" if layer.repeats == 1 else f" x{layer.repeats}"
    return f"{_size(layer.kernel)}{stride} {layer.c_in}>{layer.c_out}{groups} at {_size(layer.out_hw)}{repeats}"


def _size(pair: tuple[int, int]) -> str:
    return f"{pair[0]}x{pair[1]}"


def weights(layer: LayerShape) -> int:
    """How many weights it has."""
    return layer.kernel[0] * layer.kernel[1] * (layer.c_in // layer.groups) * layer.c_out


def macs(layer: LayerShape) -> int:
    """Multiplications of one forward pass."""
    return layer.repeats * layer.out_hw[0] * layer.out_hw[1] * weights(layer)


def price(chip: Chip, layers: Sequence[LayerShape], precision: Precision) -> Cost:
    """The cost of one precision, in float32 as it is computed, so that few digits say all of it."""
    return Cost(*map(number, chip.evaluate(layers, precision)))


def number(value: Any) -> Any:
    """A scalar array as NumPy's float32, or whatever it holds: printed with few digits, and none lost."""
    return np.asarray(value)[()]
