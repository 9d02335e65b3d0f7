"""`model.json`: what a run knows of its model before it trains it, so that the model can be used without the data.

It lies beside the `config.json` of an arm and says the rest of what the checkpoints' weights need to be a network again,
and which data they come from.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from halo_jax.config import ConfigError, show
from halo_jax.parameters import is_precision
from halo_jax.records import run_folder
from halo_jax.records.checks import is_sha256
from halo_jax.records.run_folder import RecordError
from halo_jax.runtime.visible import visible

FILE = "model.json"
_MOST_PIXELS, _MOST_CLASSES = 2**24, 2**20  # more than any data set has, and few enough for shapes to be computed


class ModelRecord(NamedTuple):
    """What a model takes and gives.

    Attributes:
      image_shape: (H, W, C) of its images.
      num_classes: K, its outputs.
      precision: the bits at which it is evaluated, "bw-ba-be".
      data_sha256: of the images and labels of both splits, as they were trained and tested on.
    """

    image_shape: tuple[int, int, int]
    num_classes: int
    precision: str
    data_sha256: str


def write(folder: Path, record: ModelRecord) -> None:
    """Write `model.json` into the folder of an arm. Raises RecordError."""
    run_folder.write(folder / FILE, json.dumps(record._asdict(), indent=2) + "\n")


def read(folder: Path) -> ModelRecord:
    """Read `model.json` in the folder of an arm. Raises RecordError if it is missing or wrong, one line."""
    path = folder / FILE
    if not path.exists():
        advice = "the run's own command, once more, writes what runs of earlier versions lack"
        raise RecordError(f"{visible(path)}: No such file or directory; {advice}")
    fields = run_folder.read_json(path)
    try:
        return checked(fields)
    except ValueError as error:
        raise RecordError(f"{visible(path)}: {error}") from error


def require_same_data(folder: Path, data_sha256: str) -> None:
    """Raise ConfigError, one line, if the arm in `folder` was trained on other data; RecordError as `read`.

    Where there is no arm, or one of a version that kept no record of its data, nothing is raised.
    """
    if not (folder / FILE).exists():
        return
    there = read(folder).data_sha256
    if there != data_sha256:
        found = f"sha256 {there[:12]} there, {data_sha256[:12]} here"
        advice = "the same images and labels in the same order, another --workdir or --overwrite"
        raise ConfigError(f"{visible(folder)} holds a run on other data ({found}); right: {advice}")


def checked(fields: Mapping[str, Any]) -> ModelRecord:
    """The record that a JSON object holds; other fields are left out. Raises ValueError, one line."""
    for name, (is_right, right) in _FIELDS.items():
        if not is_right(fields.get(name)):
            raise ValueError(f"{name} is {show(fields.get(name))}; right: {right}")
    height, width, channels = fields["image_shape"]
    return ModelRecord((height, width, channels), *(fields[name] for name in ModelRecord._fields[1:]))


def _is_shape(value: Any) -> bool:
    sizes = value if isinstance(value, list | tuple) and len(value) == 3 else [0]
    return all(type(size) is int and size > 0 for size in sizes) and math.prod(sizes) <= _MOST_PIXELS


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value <= _MOST_CLASSES


def _is_precision(value: Any) -> bool:
    return isinstance(value, str) and is_precision(value)


_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "image_shape": (_is_shape, "height, width and channels"),
    "num_classes": (_is_count, "a whole number from 1"),
    "precision": (_is_precision, "'bw-ba-be' with 2 to 8 bits each"),
    "data_sha256": (is_sha256, "64 hexadecimal digits"),
}
