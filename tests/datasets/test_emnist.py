import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from halo_jax import datasets
from halo_jax.datasets import emnist, fashion_mnist, idx, shapes
from tests.datasets.idx_files import idx_bytes
from tests.datasets.original_files import emnist_splits, write_emnist, write_emnist_matlab
from tests.datasets.surroundings import FIXTURES, go_nowhere, hide_tensorflow, message_of

CLASSES = shapes.EMNIST_CLASSES
debian = pytest.mark.skipif(
    not Path(fashion_mnist.DEBIAN_DIR).is_dir(), reason="dataset-fashion-mnist is not installed"
)


def _equal(dataset, splits):
    train, test = splits["train"], splits["test"]
    for ours, expected in zip(dataset[:4], (*train, *test), strict=True):
        np.testing.assert_array_equal(ours.squeeze(), expected)


@pytest.mark.parametrize("variant", CLASSES)
def test_idx_files_of_every_variant_are_upright_and_numbered_from_0(tmp_path, variant):
    splits = emnist_splits(CLASSES[variant])
    dataset = datasets.load(f"emnist/{variant}", str(write_emnist(tmp_path, variant, splits, gz=False)))
    _equal(dataset, splits)
    assert dataset.train_images.shape == (2 * CLASSES[variant], 28, 28, 1)
    assert set(dataset.train_labels) == set(range(CLASSES[variant]))
    assert dataset.num_classes == CLASSES[variant]


@pytest.mark.parametrize("variant", ["balanced", "letters"])
def test_matlab_files_are_the_same_and_say_who_wrote_what(tmp_path, variant):
    splits = emnist_splits(CLASSES[variant])
    dataset = datasets.load(f"emnist/{variant}", str(write_emnist_matlab(tmp_path, variant, splits)))
    _equal(dataset, splits)
    assert dataset.train_writers.dtype == np.int32
    np.testing.assert_array_equal(dataset.train_writers, 100 + np.arange(2 * CLASSES[variant]) // 3)
    part = datasets.load(f"emnist/{variant}", str(tmp_path), train_examples=20)
    for image, writer in zip(part.train_images, part.train_writers, strict=True):
        same = (dataset.train_images == image).all((1, 2, 3))
        assert writer in dataset.train_writers[same]


@pytest.mark.parametrize("packed", [False, True])
def test_other_variables_and_fields_are_passed_over(tmp_path, packed):
    images, labels = emnist_splits(10)["train"]
    split = {
        "before": np.ones((3, 3)),
        "images": images.reshape(-1, 784),
        "cells": [{"a": 1}],
        "labels": labels[:, None],
    }
    content = {"dataset": {"mapping": np.eye(9), "train": split, "test": split, "x": {"y": {"z": "text"}}}}
    path = tmp_path / "emnist-digits.mat"
    scipy.io.savemat(path, {"first": np.ones(999), **content, "last": "text"}, do_compression=packed)
    dataset = emnist.load(str(path), "digits")
    np.testing.assert_array_equal(dataset.train_images[..., 0], images.swapaxes(1, 2))
    np.testing.assert_array_equal(dataset.test_labels, labels)


def test_one_image_without_writers_is_enough(tmp_path):
    images, labels = emnist_splits(10)["test"]
    one = {"train": (images[:1], labels[:1]), "test": (images[3:4], labels[3:4])}
    dataset = emnist.load(str(write_emnist_matlab(tmp_path, "digits", one, writers=None)), "digits")
    np.testing.assert_array_equal(dataset.test_images[..., 0], images[3:4])
    np.testing.assert_array_equal(dataset.test_labels, [3])
    assert dataset.train_writers is None


def test_places_in_order(tmp_path, monkeypatch):
    go_nowhere(tmp_path, monkeypatch)
    splits = emnist_splits(47)
    write_emnist(Path("data/emnist/gzip"), "balanced", splits)  # where the published archives put them
    assert emnist.load().train_writers is None
    write_emnist_matlab(Path("data/emnist/matlab"), "balanced", splits)
    assert emnist.load().train_writers is not None
    assert emnist.load("data/emnist/matlab/emnist-balanced.mat").train_writers is not None


@debian
def test_real_images_in_emnists_place_come_back_upright(tmp_path):
    clothes = idx.read_dataset(Path(fashion_mnist.DEBIAN_DIR), 10)
    split = lambda images, labels: (images[:1000, :, :, 0], labels[:1000])  # noqa: E731
    splits = {"train": split(*clothes[:2]), "test": split(*clothes[2:4])}
    _equal(emnist.load(str(write_emnist(tmp_path, "mnist", splits)), "mnist"), splits)


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """What tensorflow_datasets' builder has made of files in the published layout, see make_fixtures.py."""
    hide_tensorflow(monkeypatch)
    shutil.unpack_archive(FIXTURES / "tfds_emnist.zip", tmp_path)
    return str(tmp_path)


def _pairs(images, labels):
    return sorted((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))


def test_prepared_letters_are_26_though_tensorflow_datasets_says_37(prepared):
    dataset, splits = datasets.load("emnist/letters", prepared), emnist_splits(26)
    assert '"37"' in (Path(prepared) / "emnist/letters/3.1.0/features.json").read_text()
    assert dataset.num_classes == 26
    assert _pairs(dataset.train_images, dataset.train_labels) == _pairs(*splits["train"])
    assert _pairs(dataset.test_images, dataset.test_labels) == _pairs(*splits["test"])


@debian
def test_prepared_real_images_are_upright(prepared):
    dataset = datasets.load("emnist", prepared)
    clothes = idx.read_dataset(Path(fashion_mnist.DEBIAN_DIR), 10)
    labels = np.arange(94) % 47
    assert dataset.num_classes == 47
    assert _pairs(dataset.train_images, dataset.train_labels) == _pairs(clothes.train_images[:94], labels)
    assert _pairs(dataset.test_images, dataset.test_labels) == _pairs(clothes.test_images[:47], labels[:47])


def test_missing_names_the_places_and_the_command(tmp_path, monkeypatch):
    nowhere = go_nowhere(tmp_path, monkeypatch)
    message = message_of(datasets.load, "emnist/letters")
    assert message.startswith("emnist/letters: neither Matlab or IDX files nor a tensorflow_datasets build in ")
    assert f"in data/emnist, {nowhere}/home/tensorflow_datasets; to get it: " in message
    assert message.endswith("python experiments/prepare.py emnist/letters")
    write_emnist(Path("data/emnist"), "digits", emnist_splits(10))
    assert message_of(datasets.load, "emnist/letters") == message  # another variant does not help


def _put(name, array):
    return lambda folder: (folder / name).write_bytes(gzip.compress(idx_bytes(array)))


TRAIN_LABELS = "emnist-letters-train-labels-idx1-ubyte.gz"
BROKEN = {
    "half there": (
        lambda folder: (folder / TRAIN_LABELS).unlink(),
        f"/{TRAIN_LABELS[:-3]}: found neither this nor {TRAIN_LABELS}; right: all four IDX files",
    ),
    "truncated": (
        lambda folder: (folder / TRAIN_LABELS).write_bytes((folder / TRAIN_LABELS).read_bytes()[:-9]),
        f"/{TRAIN_LABELS}: found broken gzip data (",
    ),
    "wrong size": (
        _put("emnist-letters-test-images-idx3-ubyte.gz", np.zeros((26, 28, 14))),
        "found images of (14, 28, 1) and (28, 28, 1) in 26 classes; right: (28, 28, 1) in 26 classes",
    ),
    "labels from 0": (_put(TRAIN_LABELS, np.arange(52) % 26), "found labels from 0 to 25 in train; right: 1 to 26"),
    "label above": (_put(TRAIN_LABELS, 1 + np.arange(52) % 27), "found labels from 1 to 27 in train; right: 1 to 26"),
}


@pytest.mark.parametrize(("damage", "message"), BROKEN.values(), ids=BROKEN)
def test_wrong_idx_files_are_one_line(tmp_path, damage, message):
    damage(write_emnist(tmp_path, "letters", emnist_splits(26)))
    assert message in message_of(datasets.load, "emnist/letters", str(tmp_path))


COUNT = 20
WRONG_MATLAB = {
    "no images": ({"images": None}, "found no train images; right: uint8 (images, 784)"),
    "float images": ({"images": np.zeros((COUNT, 784))}, "found train images float64 (20, 784)"),
    "other images": ({"images": np.zeros((COUNT, 99), np.uint8)}, "found train images uint8 (20, 99)"),
    "no labels": ({"labels": None}, "found no train labels; right: whole numbers (20, 1), one per image"),
    "fewer labels": ({"labels": np.ones((19, 1))}, "found train labels "),
    "broken labels": ({"labels": np.full((COUNT, 1), 0.5)}, "found train labels float64 (20, 1); right: whole numbers"),
    "no numbers": ({"labels": "a" * COUNT}, "that it cannot be read (labels is no array of numbers)"),
    "NaN": ({"writers": np.full((COUNT, 1), np.nan)}, "found train writers float64 (20, 1)"),
    "fewer writers": ({"writers": np.ones((19, 1))}, "found train writers "),
    "labels out of range": ({"labels": np.full((COUNT, 1), 10)}, "found labels from 10 to 10 in train; right: 0 to 9"),
}


@pytest.mark.parametrize(("change", "message"), WRONG_MATLAB.values(), ids=WRONG_MATLAB)
def test_wrong_matlab_files_are_one_line(tmp_path, change, message):
    write_emnist_matlab(tmp_path, "digits", emnist_splits(10), **change)
    found = message_of(datasets.load, "emnist/digits", str(tmp_path))
    assert message in found
    assert found.startswith(str(tmp_path))


def test_a_file_that_is_not_emnists_or_is_cut_off_is_one_line(tmp_path):
    path = tmp_path / "emnist-digits.mat"
    for content, message in (
        ({"dataset": {"train": {"images": 1}}}, "found no struct dataset with train and test"),
        ({"data": 1}, "found no struct dataset with train and test"),
        ({"dataset": {"train": 1}}, "found that it cannot be read (train is not one struct)"),
        ({"dataset": {"train": {"images": {}}}}, "found that it cannot be read (images is no array of numbers)"),
    ):
        scipy.io.savemat(path, content)
        assert message in message_of(datasets.load, "emnist/digits", str(tmp_path))
    write_emnist_matlab(tmp_path, "digits", emnist_splits(10))
    whole = path.read_bytes()
    for raw in (b"", b"MATLAB", whole[:1000], whole[:150]):
        path.write_bytes(raw)
        message = message_of(datasets.load, "emnist/digits", str(tmp_path))
        assert message.startswith(f"{path}: found ")
