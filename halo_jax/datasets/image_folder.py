"""Image files of your own: `data_dir` holds `train/CLASS/*.png` and `test/CLASS/*.png`, or .jpg and so on.

    python launch.py --config.dataset=image_folder --config.data_dir=FOLDER

All images are of one size. They are grey if every file is, else in colour. Classes are numbered in the order of their
names. Files and folders may be links to others, as on a larger disk.
"""

from pathlib import Path

import numpy as np

from halo_jax.datasets.base import MOST_PIXELS, Dataset, DatasetError, check_classes, check_size, fault
from halo_jax.datasets.images import ImageError, WrongSize, decode, most_bytes
from halo_jax.datasets.places import expand
from halo_jax.runtime.safe_files import read_bytes

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")  # those of images.FORMATS


def load(data_dir: str = "") -> Dataset:
    """Load the images below `data_dir`. Raises DatasetError, one line, that names the first file that is wrong."""
    if not data_dir:
        raise DatasetError("image_folder: data_dir is empty; right: a folder with train/CLASS/*.png, test/CLASS/*.png")
    folder = expand(data_dir)
    classes = _classes(folder / "train")
    check_classes(folder / "train", len(classes))
    if unknown := sorted({*_classes(folder / "test")} - {*classes}):
        fault(folder / "test" / unknown[0], "a class that train has not", f"one of {', '.join(classes)}")
    files = {split: _files(folder / split, classes) for split in ("train", "test")}
    first, _ = files["train"][0]
    height, width, _ = _image(first).shape
    check_size(folder, *((len(listed), height, width, 3) for listed in files.values()))
    images = [_image(path, first, (height, width)) for listed in files.values() for path, _ in listed]
    pixels = np.empty((len(images), height, width, max(image.shape[2] for image in images)), np.uint8)
    for number, image in enumerate(images):
        pixels[number] = image  # a grey one among others in all three colours
    train = len(files["train"])
    labels = np.array([label for listed in files.values() for _, label in listed], np.int32)
    return Dataset(pixels[:train], labels[:train], pixels[train:], labels[train:], len(classes))


def _classes(split: Path) -> list[str]:
    if not split.is_dir():
        fault(split, "no such folder", "a folder for each class, with its images")
    classes = sorted(path.name for path in split.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not classes:
        fault(split, "no folders", "one for each class, with its images")
    return classes


def _files(split: Path, classes: list[str]) -> list[tuple[Path, int]]:
    """Path and label of each image of a split, class by class, in the order of names."""
    labelled = []
    for label, name in enumerate(classes):
        if split.name == "test" and not (split / name).is_dir():
            continue
        paths = sorted(path for path in (split / name).iterdir() if path.suffix.lower() in SUFFIXES)
        if not paths:
            fault(split / name, "no images", f"some that end in {', '.join(SUFFIXES)}")
        labelled += [(path, label) for path in paths]
    return labelled


def _image(path: Path, first: Path | None = None, size: tuple[int, int] | None = None) -> np.ndarray:
    """An image, of the same size as the first."""
    try:
        return decode(read_bytes(path, most_bytes(*(size or (MOST_PIXELS, 1)))), size=size)
    except WrongSize as error:
        height, width = size or (0, 0)
        fault(path, f"an image of {error}", f"{height}x{width}, as {first} is")
    except ImageError as error:
        fault(path, f"that it cannot be read ({error})", "a whole image of 8 bits a channel")
