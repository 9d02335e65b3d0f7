"""IDX: the file format of MNIST and its relatives, plain or gzipped.

An IDX file is a magic number `00 00 TYPE RANK`, one big-endian uint32 per dimension, and the numbers. Source:
"The IDX file format" at the foot of https://yann.lecun.com/exdb/mnist/. Only unsigned bytes (TYPE 08) are
read.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from halo_jax.datasets.base import Dataset, DatasetError, fault

# (images, labels) of train and test, as MNIST, Fashion-MNIST and Debian's package name them; each may end in .gz
Names = tuple[tuple[str, str], tuple[str, str]]
FILES: Names = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08


def present(folder: Path, files: Names = FILES) -> bool:
    """Whether `folder` holds any of the four files: half a set is an error, not an absence."""
    return any(_find(folder, name) for names in files for name in names)


def read_dataset(folder: Path, num_classes: int, files: Names = FILES) -> Dataset:
    """Read the four files in `folder`.

    Raises DatasetError, one line that names the file, if one is missing or broken or if the counts disagree.
    """
    return Dataset(*_read_split(folder, *files[0]), *_read_split(folder, *files[1]), num_classes)


def read_idx(path: Path, rank: int) -> np.ndarray:
    """Read one file of unsigned bytes with `rank` dimensions.

    Raises DatasetError, one line with what was found and what is right, unless the file is whole and of that
    form.
    """
    raw = _read_bytes(path)
    header = 4 + 4 * rank
    if len(raw) < header:
        fault(path, f"{len(raw)} bytes long", f"at least the {header} bytes of the header")
    magic, *shape = struct.unpack(f">{1 + rank}I", raw[:header])
    right = _UNSIGNED_BYTE << 8 | rank
    if magic != right:
        fault(path, f"magic number 0x{magic:08x}", f"0x{right:08x} (unsigned bytes, {rank} dimensions)")
    if len(raw) - header != math.prod(shape):
        fault(path, f"{len(raw) - header} bytes of data", f"{math.prod(shape)} for the dimensions {shape}")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def _read_split(folder: Path, images_name: str, labels_name: str) -> tuple[np.ndarray, np.ndarray]:
    """One split: images uint8 `[D, H, W, 1]`, labels int32 `[D]`."""
    images_path, labels_path = _required(folder, images_name), _required(folder, labels_name)
    images, labels = read_idx(images_path, rank=3), read_idx(labels_path, rank=1)
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
        raise DatasetError(f"{folder / name}: found neither this nor {name}.gz; right: all four IDX files")
    return path


def _read_bytes(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        fault(path, f"that it cannot be read ({error.strerror})", "a file that can")
    if not raw.startswith(_GZIP_MAGIC):
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error) as error:
        fault(path, f"broken gzip data ({error})", "a whole gzip file; fetch it again")
