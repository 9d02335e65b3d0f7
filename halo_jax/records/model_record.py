"""`model.json`: what a network takes and gives, which a config does not say, so that a model is loaded without data.

It lies beside the `config.json` of an arm; the file of an exported model says the same.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from halo_jax.config import ConfigError, show
from halo_jax.records import files
from halo_jax.records.files import RecordError
from halo_jax.runtime.visible import visible
from halo_jax.types import is_precision

FILE = "model.json"
_MOST_PIXELS, _MOST_CLASSES = 2**24, 2**20  # more than any data set has, and few enough for shapes to be computed


class ModelRecord(NamedTuple):
    """What a model takes and gives.

    Attributes:
      image_shape: (H, W, C) of its images.
      num_classes: K, its logits.
      precision: the bits at which the run evaluates it, "bw-ba-be".
    """

    image_shape: tuple[int, int, int]
    num_classes: int
    precision: str


def write(folder: Path, record: ModelRecord) -> None:
    """Write `model.json` into the folder of an arm. Raises RecordError."""
    files.write_json(folder / FILE, record._asdict())


def read(folder: Path) -> ModelRecord:
    """Read `model.json` in the folder of an arm. Raises RecordError, one line, if it is missing or wrong."""
    path = folder / FILE
    if not path.exists():
        advice = "launch this run again in its own folder, which writes it and trains nothing twice"
        raise RecordError(f"{visible(path)}: missing, as in runs of earlier versions; right: {advice}")
    fields = files.read_json(path)
    with files.errors_of(path, files.START_ANEW):
        return checked(fields)


def require_same(folder: Path, record: ModelRecord) -> None:
    """Raise ConfigError, one line, if a model of other images or classes lies in the folder of an arm."""
    if (folder / FILE).exists() and (there := read(folder)) != record:
        advice = "the data with which it began, another --workdir or --overwrite"
        raise ConfigError(f"{visible(folder)} holds a model of {_text(there)}, here: {_text(record)}; right: {advice}")


def checked(fields: Mapping[str, Any]) -> ModelRecord:
    """The record that a JSON object holds; other fields are left out. Raises ValueError, one line."""
    for name, (is_right, right) in _FIELDS.items():
        if not is_right(fields.get(name)):
            raise ValueError(f"{name} is {show(fields.get(name))}; right: {right}")
    height, width, channels = fields["image_shape"]
    return ModelRecord((height, width, channels), fields["num_classes"], fields["precision"])


def _text(record: ModelRecord) -> str:
    sizes = "x".join(map(str, record.image_shape))
    return f"{sizes} pixels and {record.num_classes} classes at {record.precision}"


def _is_shape(value: Any) -> bool:
    sizes = value if isinstance(value, list | tuple) and len(value) == 3 else [0]
    return all(type(size) is int and size > 0 for size in sizes) and math.prod(sizes) <= _MOST_PIXELS


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value <= _MOST_CLASSES


def _is_precision(value: Any) -> bool:
    return isinstance(value, str) and is_precision(value, 2, 8)


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "image_shape": (_is_shape, "height, width and channels"),
    "num_classes": (_is_count, "a whole number from 1"),
    "precision": (_is_precision, "'bw-ba-be' with 2 to 8 bits each"),
}
