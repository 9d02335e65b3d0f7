"""Arrays of your own in one NumPy file: `data_dir` is its path.

    np.savez("mine.npz", train_images=..., train_labels=..., test_images=..., test_labels=...)
    python launch.py --config.dataset=npz --config.data_dir=mine.npz

Images are uint8 `[D, H, W]` or `[D, H, W, C]`, labels whole numbers `[D]` from 0. `train_writers`, whole numbers `[D]`,
may say whose each training image is. Other arrays in the file are not read, and these not before their headers are.
"""

import zipfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from halo_jax.datasets.base import MOST_BYTES, Dataset, DatasetError, check_classes, check_size, fault, one_line
from halo_jax.datasets.places import expand
from halo_jax.datasets.zips import open_member, open_zip
from halo_jax.runtime.safe_files import open_regular

REQUIRED = ("train_images", "train_labels", "test_images", "test_labels")
OPTIONAL = "train_writers"
_MOST_LIST = 2**20  # bytes of the list of arrays; NumPy reads an array by fewer at a time


class _Header(NamedTuple):
    """What an array is, without its numbers."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


def load(data_dir: str = "") -> Dataset:
    """Load the file `data_dir`. Raises DatasetError, one line, that says which array is wrong and how."""
    if not data_dir:
        raise DatasetError(f"npz: data_dir is empty; right: the path of a .npz file with {', '.join(REQUIRED)}")
    path = expand(data_dir)
    if not path.is_file():
        fault(path, "no such file", f"a .npz file with {', '.join(REQUIRED)}")
    arrays = _read(path)
    for name in arrays.keys() - {"train_images", "test_images"}:
        arrays[name] = _numbers(path, name, arrays[name])
    num_classes = int(arrays["train_labels"].max()) + 1
    check_classes(path, num_classes)
    empty = np.ones(num_classes, bool)
    empty[arrays["train_labels"]] = False
    if empty.any():
        fault(path, f"no training image of class {empty.argmax()}", f"some of every class from 0 to {num_classes - 1}")
    splits = [arrays[name] for name in REQUIRED]
    return Dataset(splits[0], splits[1], splits[2], splits[3], num_classes, arrays.get(OPTIONAL))


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the file, images `[D, H, W, C]`; none is read before all their headers are right."""
    name = "it"
    try:
        with open_regular(path) as file:
            if file.read(2) != b"PK":
                raise zipfile.BadZipFile
            archive = open_zip(file, _MOST_LIST)
            names = [entry.removesuffix(".npy") for entry in archive.namelist() if entry.endswith(".npy")]
            headers: dict[str, _Header] = {}
            arrays: dict[str, np.ndarray] = {}
            for name in [wanted for wanted in (*REQUIRED, OPTIONAL) if wanted in names]:
                with open_member(archive, f"{name}.npy", MOST_BYTES) as content:
                    headers[name] = _header(content)
            _check(path, names, headers)
            for name in headers:
                with open_member(archive, f"{name}.npy", MOST_BYTES) as content:
                    array = np.lib.format.read_array(content, allow_pickle=False)
                arrays[name] = array[..., None] if array.ndim == 3 else array
    except DatasetError:
        raise
    except Exception as error:  # a damaged file may raise anything
        if name == "it":
            fault(path, "no whole .npz file", "one written by numpy.savez, not cut off")
        fault(path, f"that {name} cannot be read ({one_line(error)})", "a whole array of numbers")
    return arrays


def _header(content: BinaryIO) -> _Header:
    version = np.lib.format.read_magic(content)
    if version != (1, 0):  # the others are for structures, and for headers of up to 4 GB
        raise ValueError(f"an array of form {version}")
    shape, _, dtype = np.lib.format.read_array_header_1_0(content)
    return _Header(shape, dtype)


def _check(path: Path, names: list[str], headers: dict[str, _Header]) -> None:
    """Raise DatasetError unless the arrays are those of a data set that can be read."""
    if missing := [name for name in REQUIRED if name not in names]:
        fault(path, f"no {missing[0]} among {', '.join(names) or 'no arrays'}", ", ".join(REQUIRED))
    if twice := [name for name in headers if names.count(name) > 1]:
        fault(path, f"{twice[0]} twice", "each array once")
    for split in ("train", "test"):
        name, images = f"{split}_images", headers[f"{split}_images"]
        if images.dtype != np.uint8 or len(images.shape) not in (3, 4) or min(images.shape) < 1:
            fault(path, f"{name} {images}", "uint8 [D, H, W] or [D, H, W, C], none of them 0")
        for name in (f"{split}_labels", OPTIONAL if split == "train" else ""):
            if name in headers and (headers[name].dtype.kind not in "ui" or headers[name].shape != images.shape[:1]):
                fault(path, f"{name} {headers[name]}", f"whole numbers {images.shape[:1]}, one per image")
    check_size(path, headers["train_images"].shape, headers["test_images"].shape)


def _numbers(path: Path, name: str, numbers: np.ndarray) -> np.ndarray:
    """Whole numbers from 0, int32 `[D]`."""
    if numbers.min() < 0 or numbers.max() >= 2**31:
        fault(path, f"{name} from {numbers.min()} to {numbers.max()}", "numbers from 0 to 2147483647")
    return numbers.astype(np.int32)
