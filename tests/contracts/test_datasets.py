"""What every entry of DATASETS keeps: on its files if they are here, else on small ones of the same form."""

import numpy as np
import pytest

from halo_jax import datasets
from tests.datasets import original_files

NO_FILES_NEEDED = {"digits", "generated", "synthetic"}
SMALL_ONES = {
    "cifar10": lambda place: original_files.write_cifar10(place, per_batch=20),
    "emnist": lambda place: original_files.write_emnist(place, "balanced", original_files.emnist_splits(47)),
    "image_folder": original_files.write_image_folder,
    "npz": original_files.write_npz,
    "tiny_imagenet": original_files.write_tiny_imagenet,
}


@pytest.fixture(scope="module", params=datasets.DATASETS)
def known(request, tmp_path_factory):
    """Name and data_dir."""
    name = request.param
    try:
        datasets.load(name)
    except datasets.DatasetError as error:
        if name in NO_FILES_NEEDED or not ("to get it:" in str(error) or "data_dir is empty" in str(error)):
            raise
        if name not in SMALL_ONES:
            pytest.skip(str(error))
        return name, str(SMALL_ONES[name](tmp_path_factory.mktemp(name)))
    return name, ""


@pytest.fixture(scope="module")
def dataset(known):
    return datasets.load(*known)


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


def test_loading_is_deterministic(known, dataset):
    again = datasets.load(*known)
    np.testing.assert_array_equal(some(*dataset[:2])[0], some(*again[:2])[0])
    for one, other in zip(dataset[1:], again[1:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_part_is_a_part(known, dataset):
    part = datasets.load(*known, train_examples=50, test_examples=20)
    assert part.train_images.shape == (50, *dataset.train_images.shape[1:])
    assert part.test_labels.shape == (20,)
    assert part.num_classes == dataset.num_classes
    whole = {(image.tobytes(), int(label)) for image, label in zip(*some(*dataset[:2]), strict=True)}
    images = np.asarray(part.train_images[np.arange(50)])
    assert {(image.tobytes(), int(label)) for image, label in zip(images, part.train_labels, strict=True)} <= whole
