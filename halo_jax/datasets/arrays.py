"""Arrays of a user's own as a data set: put into the types that training takes, and one line where they are wrong.

They need no file: `hj.run(config, "runs/mine", dataset=hj.Dataset(...))`.
"""

from typing import Any

import numpy as np

from halo_jax.datasets.base import MOST_CLASSES, Dataset, fault, one_line


def of_arrays(dataset: Any) -> Dataset:
    """The same data set as loaders make them: images uint8 `[D, H, W, C]`, labels and writers int32 `[D]`.

    Arrays may be whatever NumPy makes arrays of, such as lists and JAX's arrays, of whole numbers of any type.
    Images may lack C where it is 1. Floats are refused: which grey level 0.5 stands for is for the user to say.

    Args:
      dataset: a `Dataset` of such arrays.

    Raises:
      DatasetError: it is something else, or an array has another shape or other numbers, one line.
    """
    if not isinstance(dataset, Dataset):
        fault("dataset", f"a {type(dataset).__name__}", f"halo_jax.Dataset({', '.join(Dataset._fields)})")
    num_classes = dataset.num_classes
    is_whole = isinstance(num_classes, int | np.integer) and not isinstance(num_classes, bool)
    if not is_whole or not 0 < num_classes <= MOST_CLASSES:
        fault("dataset.num_classes", repr(num_classes), f"a whole number from 1 to {MOST_CLASSES}")
    train_images, writers = dataset.train_images, dataset.train_writers
    if not hasattr(train_images, "first"):  # else it makes images when it is indexed
        train_images = images_of("dataset.train_images", train_images)
    test_images = images_of("dataset.test_images", dataset.test_images)
    return Dataset(
        train_images,
        _numbers("dataset.train_labels", dataset.train_labels, train_images.shape[0]),
        test_images,
        _numbers("dataset.test_labels", dataset.test_labels, test_images.shape[0]),
        int(num_classes),
        None if writers is None else _numbers("dataset.train_writers", writers, train_images.shape[0]),
    )


def images_of(place: str, values: Any) -> np.ndarray:
    """Images of a user's own as uint8 `[D, H, W, C]`.

    Args:
      place: what an error calls them.
      values: whole numbers from 0 to 255, `[D, H, W, C]`, or `[D, H, W]` for a C of 1.

    Raises:
      DatasetError: they are something else, one line.
    """
    images = _array(place, values)
    right = "whole numbers from 0 to 255, [D, H, W] or [D, H, W, C] with H, W and C above 0"
    if images.dtype.kind not in "ui" or images.ndim not in (3, 4) or 0 in images.shape[1:]:
        fault(place, _described(images), right)
    if images.dtype != np.uint8 and images.size and not 0 <= images.min() <= images.max() <= 255:
        fault(place, f"{images.dtype} {images.shape} from {images.min()} to {images.max()}", right)
    images = images.astype(np.uint8, copy=False)
    return images[..., None] if images.ndim == 3 else images


def _numbers(place: str, values: Any, count: int) -> np.ndarray:
    """Whole numbers from 0, one for each image, int32 `[D]`."""
    numbers = _array(place, values)
    if numbers.dtype.kind not in "ui" or numbers.shape != (count,):
        fault(place, _described(numbers), f"whole numbers ({count},), one per image")
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < 2**31:
        fault(place, f"numbers from {numbers.min()} to {numbers.max()}", "numbers from 0 to 2147483647")
    return numbers.astype(np.int32)


def _array(place: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except Exception as error:  # what is no array may raise anything
        fault(place, f"what is no array ({one_line(error)})", "an array")


def _described(array: np.ndarray) -> str:
    """The type and shape of an array, and of floats their range, or that some are NaN."""
    text = f"{array.dtype} {array.shape}"
    if array.dtype.kind != "f" or not array.size:
        return text
    return f"{text} with NaN" if np.isnan(array).any() else f"{text} from {array.min():g} to {array.max():g}"
