import os

import numpy as np
import pytest

from halo_jax import datasets
from halo_jax.datasets import base, synthetic
from halo_jax.datasets.shapes import SHAPES

SMALL = synthetic.make(train_examples=30, test_examples=12)


def _load(monkeypatch, dataset, **sizes):
    monkeypatch.setitem(datasets.DATASETS, "mine", lambda data_dir="": dataset)
    return datasets.load("mine", **sizes)


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match="dataset='nist'; known: cifar10, digits, emnist, fashion_mnist, generated"):
        datasets.load("nist")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnist/letters", "dataset='mnist/letters'; mnist has no variants"),
        ("digits/", "dataset='digits/'; digits has no variants"),
        ("emnist/", "dataset='emnist/'; known variants of emnist: balanced, byclass, bymerge, digits, letters, mnist"),
        ("emnist/Letters", "dataset='emnist/Letters'; known variants of emnist: balanced, "),
        ("emnist/letters/1", "dataset='emnist/letters/1'; known variants of emnist: "),
        ("nist/letters", "dataset='nist/letters'; known: cifar10, "),
    ],
)
def test_an_unknown_variant_is_one_line(name, message):
    with pytest.raises(ValueError, match=message):
        datasets.load(name)


def test_the_variant_reaches_the_loader(monkeypatch):
    seen = []
    monkeypatch.setitem(datasets.DATASETS, "mine", lambda data_dir="", variant="old": seen.append(variant) or SMALL)
    monkeypatch.setitem(datasets.VARIANTS, "mine", ("old", "new"))
    datasets.load("mine")
    datasets.load("mine/new")
    assert seen == ["old", "new"]


def test_writers_keep_in_step_with_the_images(monkeypatch):
    labels = np.arange(30, dtype=np.int32)
    images = np.broadcast_to(labels[:, None, None, None], (30, 2, 2, 1)).astype(np.uint8)
    written = datasets.Dataset(images, labels, images, labels, 30, train_writers=100 + labels)
    for sizes in ({}, {"train_examples": 10}, {"train_examples": 10, "validation_examples": 6, "test_examples": 3}):
        part = _load(monkeypatch, written, **sizes)
        np.testing.assert_array_equal(part.train_writers, 100 + part.train_labels)
    assert _load(monkeypatch, SMALL, train_examples=10).train_writers is None


def test_data_dir_reaches_the_loader(monkeypatch):
    seen = []
    monkeypatch.setitem(datasets.DATASETS, "mine", lambda data_dir="": seen.append(data_dir) or SMALL)
    datasets.load("mine", "there")
    assert seen == ["there"]


def test_zero_keeps_all_in_order(monkeypatch):
    whole = _load(monkeypatch, SMALL)
    np.testing.assert_array_equal(whole.train_images, SMALL.train_images)
    np.testing.assert_array_equal(whole.test_labels, SMALL.test_labels)


def test_fewer_are_the_start_of_one_fixed_shuffle(monkeypatch):
    labels = np.arange(30, dtype=np.int32)
    images = np.broadcast_to(labels[:, None, None, None], (30, 2, 2, 1)).astype(np.uint8)
    numbered = datasets.Dataset(images, labels, images, labels, 30)
    few = _load(monkeypatch, numbered, train_examples=10, test_examples=4)
    more = _load(monkeypatch, numbered, train_examples=20, test_examples=30)
    assert len(few.train_labels) == 10
    assert len(few.test_labels) == 4
    np.testing.assert_array_equal(few.train_images[:, 0, 0, 0], few.train_labels)
    np.testing.assert_array_equal(more.train_labels[:10], few.train_labels)
    assert sorted(more.test_labels) == list(range(30))
    assert list(few.train_labels) != list(range(10))


def test_validation_images_follow_the_training_images_in_the_shuffle_and_the_test_split_is_not_touched(monkeypatch):
    labels = np.arange(30, dtype=np.int32)
    images = np.broadcast_to(labels[:, None, None, None], (30, 2, 2, 1)).astype(np.uint8)
    numbered = datasets.Dataset(images, labels, images[:1], labels[:1], 30)
    longer = _load(monkeypatch, numbered, train_examples=16)
    held = _load(monkeypatch, numbered, train_examples=10, validation_examples=6)
    np.testing.assert_array_equal(np.append(held.train_labels, held.test_labels), longer.train_labels)
    np.testing.assert_array_equal(held.test_images[:, 0, 0, 0], held.test_labels)
    rest = _load(monkeypatch, numbered, validation_examples=6)
    assert sorted([*rest.train_labels, *rest.test_labels]) == list(range(30))
    assert len(rest.test_labels) == 6


@pytest.mark.parametrize("sizes", [{"validation_examples": 30}, {"train_examples": 25, "validation_examples": 6}])
def test_more_validation_images_than_are_left_is_one_line(monkeypatch, sizes):
    with pytest.raises(datasets.DatasetError, match=r"mine train: 3[01] .*; right: "):
        _load(monkeypatch, SMALL, **sizes)


@pytest.mark.parametrize(("field", "split", "count"), [("train_examples", "train", 31), ("test_examples", "test", 13)])
def test_more_than_there_are_names_both_numbers(monkeypatch, field, split, count):
    with pytest.raises(datasets.DatasetError, match=f"mine {split}: {count} examples .* the {count - 1} there"):
        _load(monkeypatch, SMALL, **{field: count})


def test_what_does_not_fit_into_memory_is_one_line(monkeypatch):
    monkeypatch.setitem(datasets.DATASETS, "mine", lambda data_dir="": np.empty(2**60, np.uint8))
    with pytest.raises(datasets.DatasetError, match=r"^there: it does not fit into this machine's memory$"):
        datasets.load("mine", "there")


def test_the_limit_is_half_of_the_memory_and_counts_labels(monkeypatch):
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4, "SC_PHYS_PAGES": 1000}.get)
    base.check_size("there", (10, 100), (10, 68))
    with pytest.raises(
        datasets.DatasetError, match=r"^there: found images and labels of 2001 bytes; right: at most 2000"
    ):
        base.check_size("there", (10, 100), (10, 68), (0, 1))


def test_the_limits_leave_room_for_the_sets_of_the_field():
    sizes = {"emnist/byclass": 814_255, "cifar10": 60_000, "tiny_imagenet": 110_000}
    for name, count in sizes.items():
        base.check_size(name, (count, *SHAPES[name][0]))
    assert base.MOST_BYTES > 2_000_000 * 64 * 64 * 1
    base.check_classes("all of ImageNet", 21_841)


WRONG = {
    "float images": ({"train_images": SMALL.train_images / 255}, "mine train: found images float64"),
    "no channel": ({"test_images": SMALL.test_images[..., 0]}, "for test; right: one shape"),
    "no channel in either": (
        {"train_images": SMALL.train_images[..., 0], "test_images": SMALL.test_images[..., 0]},
        r"mine train: found images uint8 \(30, 8, 8\); right: uint8 \[D, H, W, C\]",
    ),
    "empty": ({"test_images": SMALL.test_images[:0]}, r"mine test: found images uint8 \(0, 8, 8, 1\)"),
    "other size": ({"test_images": SMALL.test_images[:, :4]}, r"\(8, 8, 1\) for train, \(4, 8, 1\) for test"),
    "label above": ({"num_classes": 3}, "mine train: found labels from 0 to 3; right: 0 to 2"),
    "label below": (
        {"test_labels": SMALL.test_labels - 1},
        "mine test: found labels from -1 to 2; right: 0 to 3",
    ),
    "int64 labels": ({"train_labels": SMALL.train_labels.astype(np.int64)}, "found labels int64"),
    "fewer writers": (
        {"train_writers": SMALL.train_labels[:29]},
        r"mine train: found writers int32 \(29,\); right: int32 \(30,\), one per image",
    ),
    "int64 writers": ({"train_writers": SMALL.train_labels.astype(np.int64)}, "found writers int64"),
    "fewer labels": (
        {"train_labels": SMALL.train_labels[:29]},
        r"found labels int32 \(29,\); right: int32 \(30,\), one per image",
    ),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_wrong_data_are_one_line(monkeypatch, change, message):
    with pytest.raises(datasets.DatasetError, match=message) as caught:
        _load(monkeypatch, SMALL._replace(**change))
    assert "\n" not in str(caught.value)
