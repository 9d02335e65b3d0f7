"""EMNIST's Matlab files: the same images as in its IDX files, and who wrote each.

A file holds a struct `dataset` with `train` and `test`, each with `images` uint8 `[D, 784]`, `labels` `[D, 1]` and
`writers` `[D, 1]`. Source: https://www.nist.gov/itl/products-and-services/emnist-dataset, "Matlab format dataset".
"""

from pathlib import Path
from typing import Any

import numpy as np

from halo_jax.datasets import mat_file
from halo_jax.datasets.base import Dataset, DatasetError, check_size, fault, one_line
from halo_jax.runtime.safe_files import open_regular

_SIDE = 28
_INT32 = -(2**31), 2**31 - 1
_SPLIT = {"images": None, "labels": None}
_LAYOUT = {"dataset": {"train": {**_SPLIT, "writers": None}, "test": _SPLIT}}


def read_dataset(path: Path, num_classes: int) -> Dataset:
    """Read a file, images as they are stored: their rows are the columns of the upright images.

    Raises DatasetError, one line, if it is broken or holds something else, or more than is read.
    """
    content = _read(path).get("dataset", {})
    if not content.keys() >= {"train", "test"}:
        fault(path, "no struct dataset with train and test", "EMNIST's Matlab file")
    train, test = content["train"], content["test"]
    images, labels = _split(path, train, "train")
    writers = _whole(path, train, "train", "writers", len(images)) if "writers" in train else None
    return Dataset(images, labels, *_split(path, test, "test"), num_classes, writers)


def _read(path: Path) -> dict[str, Any]:
    shapes: list[tuple[int, ...]] = []

    def check(shape: tuple[int, ...]) -> None:
        shapes.append(shape)
        check_size(path, *shapes)

    try:
        with open_regular(path) as file:
            return mat_file.read(file, _LAYOUT, check)
    except DatasetError:
        raise
    except Exception as error:  # a damaged file may raise anything
        fault(path, f"that it cannot be read ({one_line(error)})", "a whole Matlab 5 file; fetch it again")


def _split(path: Path, split: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 `[D, 28, 28, 1]`, labels int32 `[D]`."""
    if "images" not in split:
        fault(path, f"no {name} images", f"uint8 (images, {_SIDE**2})")
    images = split["images"]
    if images.dtype != np.uint8 or images.ndim != 2 or images.shape[1] != _SIDE**2:
        fault(path, f"{name} images {images.dtype} {images.shape}", f"uint8 (images, {_SIDE**2})")
    return images.reshape(-1, _SIDE, _SIDE, 1), _whole(path, split, name, "labels", len(images))


def _whole(path: Path, split: dict[str, np.ndarray], name: str, field: str, count: int) -> np.ndarray:
    """One whole number per image, int32 `[D]`."""
    if field not in split:
        fault(path, f"no {name} {field}", f"whole numbers ({count}, 1), one per image")
    numbers = split[field]
    if sorted(numbers.shape) != sorted((1, count)) or not (numbers == np.clip(np.round(numbers), *_INT32)).all():
        fault(path, f"{name} {field} {numbers.dtype} {numbers.shape}", f"whole numbers ({count}, 1), one per image")
    return numbers.reshape(-1).astype(np.int32)
