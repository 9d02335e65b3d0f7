"""IDX: the file format of MNIST and its relatives, plain or gzipped.

An IDX file is a magic number `00 00 TYPE RANK`, one big-endian uint32 per dimension, and the numbers. Source:
"The IDX file format" at the foot of https://yann.lecun.com/exdb/mnist/. Only unsigned bytes (TYPE 08) are
read. The dimensions say how much is read, and how much is too much.
"""

import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from halo_jax.datasets.base import Dataset, check_size, fault, one_line
from halo_jax.datasets.unfolded import gunzipped, is_gzipped
from halo_jax.runtime.safe_files import open_regular

# (images, labels) of train and test, as MNIST, Fashion-MNIST and Debian's package name them; each may end in .gz
Names = tuple[tuple[str, str], tuple[str, str]]
FILES: Names = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
_UNSIGNED_BYTE = 0x08


def present(folder: Path, files: Names = FILES) -> bool:
    """Whether `folder` holds any of the four files: half a set is an error, not an absence."""
    return any(_find(folder, name) for names in files for name in names)


def read_dataset(folder: Path, num_classes: int, files: Names = FILES) -> Dataset:
    """Read the four files in `folder`.

    Raises DatasetError, one line that names the file, if one is missing or broken, if the counts disagree or if the
    images are more than is read.
    """
    train = _read_split(folder, *files[0])
    return Dataset(*train, *_read_split(folder, *files[1], train[0].shape), num_classes)


def read_idx(path: Path, rank: int, *beside: tuple[int, ...]) -> np.ndarray:
    """Read one file of unsigned bytes with `rank` dimensions; arrays of the shapes `beside` are in memory already.

    Raises DatasetError, one line with what was found and what is right, unless the file is whole and of that
    form.
    """
    try:
        with open_regular(path) as file:
            if is_gzipped(file):
                return _read_array(path, gunzipped(file), None, rank, beside)
            return _read_array(path, file, os.fstat(file.fileno()).st_size, rank, beside)
    except OSError as error:
        fault(path, f"that it cannot be read ({one_line(error)})", "a file that can")
    except (EOFError, zlib.error) as error:
        fault(path, f"broken gzip data ({one_line(error)})", "a whole gzip file; fetch it again")


def _read_array(
    path: Path, file: Any, length: int | None, rank: int, beside: tuple[tuple[int, ...], ...]
) -> np.ndarray:
    """The array in a file, whose length is not known if it is unfolded from another."""
    header = file.read(4 + 4 * rank)
    if len(header) < 4 + 4 * rank:
        fault(path, f"{len(header)} bytes long", f"at least the {4 + 4 * rank} bytes of the header")
    magic, *shape = struct.unpack(f">{1 + rank}I", header)
    right = _UNSIGNED_BYTE << 8 | rank
    if magic != right:
        fault(path, f"magic number 0x{magic:08x}", f"0x{right:08x} (unsigned bytes, {rank} dimensions)")
    check_size(path, tuple(shape), *beside)
    size, expected = math.prod(shape), f"{math.prod(shape)} for the dimensions {shape}"
    if length not in (None, len(header) + size):
        fault(path, f"{length - len(header)} bytes of data", expected)
    array = np.empty(shape, np.uint8)
    there = file.readinto(array.reshape(-1))
    if there < size or file.read(1):
        fault(path, f"{there if there < size else f'more than {size}'} bytes of data", expected)
    return array


def _read_split(
    folder: Path, images_name: str, labels_name: str, *beside: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """One split: images uint8 `[D, H, W, 1]`, labels int32 `[D]`."""
    images_path, labels_path = _required(folder, images_name), _required(folder, labels_name)
    images = read_idx(images_path, 3, *beside)
    labels = read_idx(labels_path, 1, images.shape, *beside)
    if len(labels) != len(images):
        fault(labels_path, f"{len(labels)} labels", f"{len(images)}, one per image in {images_path.name}")
    return images[..., None], labels.astype(np.int32)


def _find(folder: Path, name: str) -> Path | None:
    """The plain file if there is one, else the gzipped one."""
    candidates = (folder / name, folder / f"{name}.gz")
    return next((path for path in candidates if path.is_file()), None)


def _required(folder: Path, name: str) -> Path:
    path = _find(folder, name)
    if path is None:
        fault(folder / name, f"neither this nor {name}.gz", "all four IDX files")
    return path
