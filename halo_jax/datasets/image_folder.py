"""Image files of your own: `data_dir` holds `train/CLASS/*.png` and `test/CLASS/*.png`, or .jpg and so on.

    python launch.py --config.dataset=image_folder --config.data_dir=FOLDER

All images are of one size. They are grey if every file is, else in colour. Classes are numbered in the order of their
names.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from halo_jax.datasets.base import Dataset, DatasetError, fault
from halo_jax.datasets.images import ImageError, decode, in_colour
from halo_jax.datasets.places import expand

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


def load(data_dir: str = "") -> Dataset:
    """Load the images below `data_dir`. Raises DatasetError, one line, that names the first file that is wrong."""
    if not data_dir:
        raise DatasetError("image_folder: data_dir is empty; right: a folder with train/CLASS/*.png, test/CLASS/*.png")
    folder = expand(data_dir)
    classes = _classes(folder / "train")
    if unknown := [name for name in _classes(folder / "test") if name not in classes]:
        fault(folder / "test" / unknown[0], "a class that train has not", f"one of {', '.join(classes)}")
    read = {split: list(_read(folder / split, classes)) for split in ("train", "test")}
    colour = any(image.shape[2] == 3 for split in read.values() for _, image, _ in split)
    first_path, first, _ = read["train"][0]
    for path, image, _ in (*read["train"], *read["test"]):
        if image.shape[:2] != first.shape[:2]:
            fault(path, f"an image of {_size(image)}", f"{_size(first)}, as {first_path} is")
    train, test = (_stack(split, colour) for split in read.values())
    return Dataset(*train, *test, len(classes))


def _classes(split: Path) -> list[str]:
    if not split.is_dir():
        fault(split, "no such folder", "a folder for each class, with its images")
    classes = sorted(path.name for path in split.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not classes:
        fault(split, "no folders", "one for each class, with its images")
    return classes


def _read(split: Path, classes: list[str]) -> Iterator[tuple[Path, np.ndarray, int]]:
    """Path, image and label of each file of a split, class by class, in the order of names."""
    for label, name in enumerate(classes):
        if split.name == "test" and not (split / name).is_dir():
            continue
        paths = sorted(path for path in (split / name).iterdir() if path.suffix.lower() in SUFFIXES)
        if not paths:
            fault(split / name, "no images", f"some that end in {', '.join(SUFFIXES)}")
        for path in paths:
            try:
                yield path, decode(path.read_bytes()), label
            except ImageError as error:
                fault(path, f"that it cannot be read ({error})", "a whole image of 8 bits a channel")


def _stack(split: list[tuple[Path, np.ndarray, int]], colour: bool) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 `[D, H, W, C]`, labels int32 `[D]`."""
    images = np.stack([in_colour(image) if colour else image for _, image, _ in split])
    return images, np.array([label for *_, label in split], np.int32)


def _size(image: np.ndarray) -> str:
    return f"{image.shape[0]}x{image.shape[1]}"
