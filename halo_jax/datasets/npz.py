"""Arrays of your own in one NumPy file: `data_dir` is its path.

    np.savez("mine.npz", train_images=..., train_labels=..., test_images=..., test_labels=...)
    python launch.py --config.dataset=npz --config.data_dir=mine.npz

Images are uint8 `[D, H, W]` or `[D, H, W, C]`, labels whole numbers `[D]` from 0. `train_writers`, whole numbers `[D]`,
may say whose each training image is.
"""

import zipfile
from pathlib import Path

import numpy as np

from halo_jax.datasets.base import Dataset, DatasetError, fault, one_line
from halo_jax.datasets.places import expand

REQUIRED = ("train_images", "train_labels", "test_images", "test_labels")
OPTIONAL = "train_writers"


def load(data_dir: str = "") -> Dataset:
    """Load the file `data_dir`. Raises DatasetError, one line, that says which array is wrong and how."""
    if not data_dir:
        raise DatasetError(f"npz: data_dir is empty; right: the path of a .npz file with {', '.join(REQUIRED)}")
    path = expand(data_dir)
    arrays = _read(path)
    train, test = (_split(path, arrays, split) for split in ("train", "test"))
    num_classes = int(train[1].max()) + 1
    if empty := sorted(set(range(num_classes)) - set(train[1].tolist())):
        fault(path, f"no training image of class {empty[0]}", f"some of every class from 0 to {num_classes - 1}")
    writers = _whole(path, arrays, OPTIONAL, len(train[1])) if OPTIONAL in arrays else None
    return Dataset(*train, *test, num_classes, writers)


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the file."""
    if not path.is_file():
        fault(path, "no such file", f"a .npz file with {', '.join(REQUIRED)}")
    if not zipfile.is_zipfile(path):
        fault(path, "no whole .npz file", "one written by numpy.savez, not cut off")
    arrays, name = {}, "it"
    try:
        with np.load(path, allow_pickle=False) as content:
            names = content.files
            for name in {*REQUIRED, OPTIONAL} & {*names}:
                arrays[name] = np.asarray(content[name])
    except Exception as error:  # a damaged file may raise anything
        fault(path, f"that {name} cannot be read ({one_line(error)})", "a whole array of numbers")
    if missing := [name for name in REQUIRED if name not in names]:
        fault(path, f"no {missing[0]} among {', '.join(names) or 'no arrays'}", ", ".join(REQUIRED))
    return arrays


def _split(path: Path, arrays: dict[str, np.ndarray], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 `[D, H, W, C]`, labels int32 `[D]`."""
    name = f"{split}_images"
    images = arrays[name]
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or 0 in images.shape:
        fault(path, f"{name} {images.dtype} {images.shape}", "uint8 [D, H, W] or [D, H, W, C], none of them 0")
    images = images[..., None] if images.ndim == 3 else images
    return images, _whole(path, arrays, f"{split}_labels", len(images))


def _whole(path: Path, arrays: dict[str, np.ndarray], name: str, count: int) -> np.ndarray:
    """Whole numbers from 0, int32 `[D]`."""
    numbers = arrays[name]
    if numbers.dtype.kind not in "ui" or numbers.shape != (count,):
        fault(path, f"{name} {numbers.dtype} {numbers.shape}", f"whole numbers ({count},), one per image")
    if numbers.min() < 0 or numbers.max() >= 2**31:
        fault(path, f"{name} from {numbers.min()} to {numbers.max()}", "numbers from 0 to 2147483647")
    return numbers.astype(np.int32)
