"""The layout of Tiny ImageNet as it is published: the folder `tiny-imagenet-200`, or the zip of it.

    wnids.txt                            the 200 classes; their order gives the labels
    train/WNID/WNID_boxes.txt            an image a line: its name, then a box
    train/WNID/images/NAME.JPEG
    val/val_annotations.txt              an image a line: its name, its class, then a box
    val/images/NAME.JPEG

The folder `test` has no labels, so `val` is the test split, as everywhere in the field.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from halo_jax.datasets import archives
from halo_jax.datasets.archives import Files
from halo_jax.datasets.base import fault
from halo_jax.datasets.images import ImageError, WrongSize, decode, in_colour
from halo_jax.datasets.shapes import SHAPES

FOLDER, ARCHIVE = "tiny-imagenet-200", "tiny-imagenet-200.zip"
MOST_IMAGES = 2**17  # of a split; the published ones have 100,000 and 10,000
MOST_PHOTO = 2**16  # bytes of a file; the largest that is published has 7,000
IMAGE_SHAPE, NUM_CLASSES = SHAPES["tiny_imagenet"]


def find(place: Path) -> Files | None:
    """The folder or the zip, in `place` or `place` itself; None if there is neither. Raises DatasetError."""
    return archives.find(place, FOLDER, ARCHIVE)


def class_names(files: Files) -> list[str]:
    """The WordNet ids of the 200 classes, in the order of their labels. Raises DatasetError."""
    names = [name for name, *_ in files.read_lines("wnids.txt")]
    if len(set(names)) != NUM_CLASSES or len(names) != NUM_CLASSES:
        fault(files.path, f"{len(set(names))} classes in {len(names)} lines of wnids.txt", f"{NUM_CLASSES}, one a line")
    return names


def examples(files: Files, split: str) -> Iterator[tuple[str, np.ndarray, int]]:
    """Name, image uint8 `[64, 64, 3]` (grey ones too) and label of each image of "train" or "test".

    Raises DatasetError, one line, for what is missing or broken.
    """
    for path, label in _listed(files, split):
        try:
            yield path, in_colour(decode(files.read(path, MOST_PHOTO), ("JPEG",), IMAGE_SHAPE[:2])), label
        except WrongSize as error:
            fault(files.path, f"{path} of {error}", f"{IMAGE_SHAPE[0]}x{IMAGE_SHAPE[1]}")
        except ImageError as error:
            fault(files.path, f"that {path} cannot be read ({error})", "a whole image; fetch it again")


def count(files: Files, split: str) -> int:
    """How many images a split has. Raises DatasetError for more than are read."""
    total = 0
    for total, _ in enumerate(_listed(files, split), start=1):
        if total > MOST_IMAGES:
            fault(files.path, f"more than {MOST_IMAGES} images", "100,000 to train on and 10,000 to test")
    return total


def _listed(files: Files, split: str) -> Iterator[tuple[str, int]]:
    names = class_names(files)
    if split == "train":
        for label, name in enumerate(names):
            for image, *_ in files.read_lines(f"train/{name}/{name}_boxes.txt"):
                yield f"train/{name}/images/{image}", label
        return
    labels = {name: label for label, name in enumerate(names)}
    for number, words in enumerate(files.read_lines("val/val_annotations.txt"), start=1):
        if len(words) < 2 or words[1] not in labels:
            wrong = f"line {number} of val/val_annotations.txt: {' '.join(words)!r}"
            fault(files.path, wrong, "an image and its class")
        yield f"val/images/{words[0]}", labels[words[1]]
