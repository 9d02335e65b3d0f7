"""Arrays of a user's own as a data set: put into the types that training takes, and one line where they are wrong.

    hj.run(config, "runs/mine", dataset=hj.Dataset(train_images, train_labels, test_images, test_labels, num_classes=10))
"""

from typing import Any

import numpy as np

from halo_jax.datasets.base import MOST_CLASSES, Dataset, fault, one_line

_HOW = "uint8 [D, H, W] or [D, H, W, C] with pixels of 0 to 255, none of them 0"


def of_arrays(dataset: Any) -> Dataset:
    """The same data set as loaders make them: images uint8 `[D, H, W, C]`, labels and writers int32 `[D]`.

    Images may lack C where it is 1. Labels may be whole numbers of any size. All may be what NumPy makes arrays of, such
    as lists and JAX's arrays. Floats are refused: which grey level 0.5 stands for is for the user to say.

    Args:
      dataset: a `Dataset` of such arrays.

    Raises:
      DatasetError: it is something else, or an array has another shape or type, one line.
    """
    if not isinstance(dataset, Dataset):
        fault("dataset", f"a {type(dataset).__name__}", f"halo_jax.Dataset({', '.join(Dataset._fields)})")
    num_classes = dataset.num_classes
    if isinstance(num_classes, bool) or not isinstance(num_classes, int | np.integer):
        num_classes = 0
    if not 0 < num_classes <= MOST_CLASSES:
        fault("dataset.num_classes", repr(dataset.num_classes), f"a whole number from 1 to {MOST_CLASSES}")
    train_images, test_images = (_images(name, getattr(dataset, name)) for name in ("train_images", "test_images"))
    writers = dataset.train_writers
    return Dataset(
        train_images,
        _numbers("train_labels", dataset.train_labels, train_images),
        test_images,
        _numbers("test_labels", dataset.test_labels, test_images),
        int(num_classes),
        None if writers is None else _numbers("train_writers", writers, train_images),
    )


def _array(name: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except Exception as error:  # what is no array may raise anything
        fault(f"dataset.{name}", f"what is no array ({one_line(error)})", "an array")


def _images(name: str, values: Any) -> Any:
    if hasattr(values, "first"):  # it makes images when it is indexed
        return values
    images = _array(name, values)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or 0 in images.shape[1:]:
        fault(f"dataset.{name}", _described(images), _HOW)
    return images[..., None] if images.ndim == 3 else images


def _numbers(name: str, values: Any, images: Any) -> np.ndarray:
    """Whole numbers from 0, one per image, int32 `[D]`."""
    numbers, shape = _array(name, values), images.shape[:1]
    if numbers.dtype.kind not in "ui" or numbers.shape != shape:
        fault(f"dataset.{name}", _described(numbers), f"whole numbers {shape}, one per image")
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < 2**31:
        fault(f"dataset.{name}", f"numbers from {numbers.min()} to {numbers.max()}", "numbers from 0 on")
    return numbers.astype(np.int32)


def _described(array: np.ndarray) -> str:
    """The type and shape of an array, and of floats the range or that some are NaN."""
    text = f"{array.dtype} {array.shape}"
    if array.dtype.kind != "f" or not array.size:
        return text
    return f"{text} with NaN" if np.isnan(array).any() else f"{text} from {array.min():g} to {array.max():g}"
