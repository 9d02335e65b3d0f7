"""What every entry of DATASETS keeps, as far as its files are here."""

import numpy as np
import pytest

from halo_jax import datasets

NO_FILES_NEEDED = {"digits", "generated", "synthetic"}


@pytest.fixture(scope="module", params=datasets.DATASETS)
def name(request):
    try:
        datasets.load(request.param)
    except datasets.DatasetError as error:
        if request.param in NO_FILES_NEEDED or "to get it:" not in str(error):
            raise
        pytest.skip(str(error))
    return request.param


@pytest.fixture(scope="module")
def dataset(name):
    return datasets.load(name)


def some(images, labels):
    """Both as arrays; the first thousand where images are made when they are asked for."""
    first = slice(None) if isinstance(images, np.ndarray) else np.arange(1000)
    return np.asarray(images[first]), labels[first]


@pytest.mark.parametrize("split", ["train", "test"])
def test_arrays(dataset, split):
    images, labels = getattr(dataset, f"{split}_images"), getattr(dataset, f"{split}_labels")
    assert isinstance(labels, np.ndarray)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int32
    assert images.ndim == 4
    assert images.shape[:1] == labels.shape
    images, labels = some(images, labels)
    assert images.dtype == np.uint8
    assert images.shape[3] in (1, 3)
    assert images.min() == 0
    assert images.max() == 255
    assert set(np.unique(labels)) == set(range(dataset.num_classes))


def test_splits_are_of_one_kind_and_train_is_larger(dataset):
    assert dataset.train_images.shape[1:] == dataset.test_images.shape[1:]
    assert len(dataset.train_labels) > len(dataset.test_labels) > 0


def test_loading_is_deterministic(name, dataset):
    again = datasets.load(name)
    np.testing.assert_array_equal(some(*dataset[:2])[0], some(*again[:2])[0])
    for one, other in zip(dataset[1:], again[1:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_part_is_a_part(name, dataset):
    part = datasets.load(name, train_examples=50, test_examples=20)
    assert part.train_images.shape == (50, *dataset.train_images.shape[1:])
    assert part.test_labels.shape == (20,)
    assert part.num_classes == dataset.num_classes
    whole = {(image.tobytes(), int(label)) for image, label in zip(*some(*dataset[:2]), strict=True)}
    images = np.asarray(part.train_images[np.arange(50)])
    assert {(image.tobytes(), int(label)) for image, label in zip(images, part.train_labels, strict=True)} <= whole
