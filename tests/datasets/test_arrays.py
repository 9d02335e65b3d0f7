"""Arrays in memory become what loaders make, whatever holds them, or one line says what is wrong."""

import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax import datasets
from halo_jax.datasets import Dataset, DatasetError, generated, synthetic
from halo_jax.datasets.arrays import images_of, of_arrays

MADE = synthetic.make(train_examples=6, test_examples=4)


def assert_same(found: Dataset, expected: Dataset) -> None:
    for name, value in expected._asdict().items():
        np.testing.assert_array_equal(getattr(found, name), value, strict=name != "num_classes")


@pytest.mark.parametrize(
    "held",
    [
        np.asarray,
        jnp.asarray,
        lambda array: array.tolist(),
        lambda array: array.astype(np.int64),
        lambda array: np.asfortranarray(array)[::1],
        lambda array: array.astype(np.uint16),
    ],
    ids=["numpy", "jax", "lists", "int64", "strided", "uint16"],
)
def test_arrays_of_any_kind_are_those_that_loaders_make(held):
    writers = np.arange(6, dtype=np.int32)
    given = MADE._replace(train_writers=held(writers))
    given = given._replace(**{name: held(getattr(MADE, name)) for name in MADE._fields[:4]})
    assert_same(of_arrays(given), MADE._replace(train_writers=writers))


def test_images_of_one_channel_need_no_axis_for_it():
    flat = MADE._replace(train_images=MADE.train_images[..., 0], test_images=MADE.test_images[..., 0])
    assert_same(of_arrays(flat), MADE)


def test_images_that_are_made_when_they_are_indexed_stay_so():
    made = generated.load()
    assert of_arrays(made).train_images is made.train_images


def test_numpy_arrays_of_the_right_type_are_not_copied():
    assert np.shares_memory(of_arrays(MADE).train_images, MADE.train_images)


IMAGES, LABELS = MADE.train_images, MADE.train_labels
WRONG = {
    "floats": ({"train_images": IMAGES / 255}, "dataset.train_images: found float64 (6, 8, 8, 1) from 0 to 1; right"),
    "NaN": ({"train_images": IMAGES * np.nan}, "dataset.train_images: found float64 (6, 8, 8, 1) with NaN; right"),
    "too bright": (
        {"test_images": IMAGES + np.int32(1)},
        "dataset.test_images: found int32 (6, 8, 8, 1) from 1 to 2",
    ),
    "too dark": ({"test_images": IMAGES - np.int32(1)}, "dataset.test_images: found int32 (6, 8, 8, 1) from -1 to 25"),
    "flat": (
        {"train_images": IMAGES.reshape(6, -1)},
        "dataset.train_images: found uint8 (6, 64); right: whole numbers",
    ),
    "no pixels": ({"train_images": IMAGES[:, :0]}, "dataset.train_images: found uint8 (6, 0, 8, 1); right"),
    "bool": ({"train_images": IMAGES > 9}, "dataset.train_images: found bool (6, 8, 8, 1); right"),
    "ragged": ({"train_images": [[1], [2, 3]]}, "dataset.train_images: found what is no array ("),
    "nothing": ({"train_images": None}, "dataset.train_images: found object (); right"),
    "float labels": ({"train_labels": LABELS / 1}, "dataset.train_labels: found float64 (6,) from 0 to "),
    "one-hot labels": ({"train_labels": np.eye(4, dtype=int)[LABELS]}, "dataset.train_labels: found int64 (6, 4)"),
    "fewer labels": (
        {"test_labels": LABELS[:3]},
        "dataset.test_labels: found int32 (3,); right: whole numbers (4,)",
    ),
    "a label below": ({"train_labels": LABELS - 1}, "dataset.train_labels: found numbers from -1 to "),
    "a huge label": (
        {"train_labels": LABELS + np.int64(2**40)},
        "dataset.train_labels: found numbers from 1099511627776 to ",
    ),
    "fewer writers": ({"train_writers": [1, 2]}, "dataset.train_writers: found int64 (2,); right: whole numbers (6,)"),
    "no classes": ({"num_classes": 0}, "dataset.num_classes: found 0; right: a whole number from 1 to 65536"),
    "half a class": ({"num_classes": 2.5}, "dataset.num_classes: found 2.5; right"),
    "true": ({"num_classes": True}, "dataset.num_classes: found True; right"),
    "too many": ({"num_classes": 2**16 + 1}, "dataset.num_classes: found 65537; right"),
    "a label above": ({"num_classes": 2}, "memory train: found labels from 0 to 3; right: 0 to 1"),
    "no images": (
        {"train_images": IMAGES[:0], "train_labels": LABELS[:0]},
        "memory train: found images uint8 (0, 8, 8",
    ),
    "two shapes": ({"test_images": IMAGES[:4, :7]}, "memory: found images of (8, 8, 1) for train, (7, 8, 1) for test"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line(change, message):
    with pytest.raises(DatasetError) as caught:
        datasets.keep("memory", of_arrays(MADE._replace(**change)))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("given", [(IMAGES, LABELS), {"train_images": IMAGES}, "digits"])
def test_what_is_no_data_set_is_one_line(given):
    with pytest.raises(DatasetError, match=r"^dataset: found a \w+; right: halo_jax.Dataset\(train_images, train_lab"):
        of_arrays(given)


def test_images_are_named_as_the_caller_says():
    assert images_of("images", IMAGES[..., 0]).shape == (6, 8, 8, 1)
    with pytest.raises(DatasetError, match=r"^images: found float64"):
        images_of("images", IMAGES / 1)


def test_what_was_in_memory_is_a_name_that_no_loader_knows():
    datasets.check_name("memory")
    with pytest.raises(DatasetError, match=r"^dataset='memory' names arrays that were in memory, and no file; right: "):
        datasets.load("memory")
