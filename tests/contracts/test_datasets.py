"""What every entry of DATASETS keeps, as far as its files are here."""

import numpy as np
import pytest

from halo_jax import datasets

NO_FILES_NEEDED = {"digits", "synthetic"}


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


@pytest.mark.parametrize("split", ["train", "test"])
def test_arrays(dataset, split):
    images, labels = getattr(dataset, f"{split}_images"), getattr(dataset, f"{split}_labels")
    assert isinstance(images, np.ndarray)
    assert isinstance(labels, np.ndarray)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int32
    assert images.ndim == 4
    assert images.shape[:1] == labels.shape
    assert images.shape[3] in (1, 3)
    assert images.min() == 0
    assert images.max() == 255
    assert set(np.unique(labels)) == set(range(dataset.num_classes))


def test_splits_are_of_one_kind_and_train_is_larger(dataset):
    assert dataset.train_images.shape[1:] == dataset.test_images.shape[1:]
    assert len(dataset.train_labels) > len(dataset.test_labels) > 0


def test_loading_is_deterministic(name, dataset):
    again = datasets.load(name)
    for one, other in zip(dataset, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_part_is_a_part(name, dataset):
    part = datasets.load(name, train_examples=50, test_examples=20)
    assert part.train_images.shape == (50, *dataset.train_images.shape[1:])
    assert part.test_labels.shape == (20,)
    assert part.num_classes == dataset.num_classes
    whole = {(image.tobytes(), int(label)) for image, label in zip(*dataset[:2], strict=True)}
    assert {(image.tobytes(), int(label)) for image, label in zip(*part[:2], strict=True)} <= whole
