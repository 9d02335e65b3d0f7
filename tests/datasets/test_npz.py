import zipfile

import numpy as np
import pytest

from halo_jax import datasets
from tests.datasets.original_files import labels_of, own_arrays, pictures, write_npz
from tests.datasets.surroundings import message_of


def _load(place, **sizes):
    return datasets.load("npz", str(place), **sizes)


@pytest.mark.parametrize("kind", [np.uint8, np.int64])
def test_arrays_come_back(tmp_path, kind):
    labels = labels_of(60, 3).astype(kind)
    dataset = _load(write_npz(tmp_path, train_labels=labels))
    assert dataset.train_images.shape == (60, 9, 7, 1)
    assert dataset.train_labels.dtype == np.int32
    for ours, expected in zip(dataset[:4], own_arrays().values(), strict=True):
        np.testing.assert_array_equal(ours.squeeze(), expected)
    assert dataset.num_classes == 3
    assert dataset.train_writers is None


def test_colour_and_writers(tmp_path):
    images = pictures(60, 4, 5, 3)
    path = write_npz(tmp_path, train_images=images, test_images=images[:30], train_writers=np.arange(60) // 7)
    part = _load(path, train_examples=25, validation_examples=20)
    for image, writer in zip(part.train_images, part.train_writers, strict=True):
        assert writer in [i // 7 for i in range(60) if (images[i] == image).all()]
    np.testing.assert_array_equal(_load(path).train_writers, np.arange(60) // 7)
    assert _load(path).train_images.shape == (60, 4, 5, 3)


LABELS = labels_of(60, 3)
WRONG = {
    "an array is missing": (
        {"test_labels": None},
        "found no test_labels among train_images, train_labels, test_images; right: train_images, train_labels, ",
    ),
    "float images": ({"train_images": pictures(60, 9, 7) / 255}, "found train_images float64 (60, 9, 7); right: uint8"),
    "one image": ({"test_images": pictures(9, 7)}, "found test_images uint8 (9, 7); right: uint8 [D, H, W] or"),
    "no images": ({"test_images": pictures(0, 9, 7), "test_labels": LABELS[:0]}, "found test_images uint8 (0, 9, 7)"),
    "other sizes": (
        {"test_images": pictures(30, 7, 9)},
        "npz: found images of (9, 7, 1) for train, (7, 9, 1) for test",
    ),
    "fewer labels": ({"train_labels": LABELS[:59]}, "found train_labels int32 (59,); right: whole numbers (60,), one"),
    "float labels": ({"train_labels": LABELS / 1}, "found train_labels float64 (60,); right: whole numbers"),
    "one-hot labels": (
        {"train_labels": np.eye(3, dtype=int)[LABELS]},
        "found train_labels int64 (60, 3); right: whole",
    ),
    "objects": (
        {"train_labels": LABELS.astype(object)},
        "found train_labels object (60,); right: whole numbers (60,), one per image",
    ),
    "texts": ({"train_labels": LABELS.astype(str)}, "found train_labels <U11 (60,); right: whole numbers"),
    "a label below": ({"train_labels": LABELS - 1}, "found train_labels from -1 to 1; right: numbers from 0 to "),
    "a huge label": (
        {"test_labels": labels_of(30, 3) + np.int64(2**40)},
        "found test_labels from 1099511627776 ",
    ),
    "labels from 1": (
        {"train_labels": LABELS + 1},
        "found no training image of class 0; right: some of every class fr",
    ),
    "a test label above": ({"test_labels": labels_of(30, 4)}, "npz test: found labels from 0 to 3; right: 0 to 2"),
    "fewer writers": ({"train_writers": LABELS[:9]}, "found train_writers int32 (9,); right: whole numbers (60,)"),
    "a writer below": ({"train_writers": LABELS - 1}, "found train_writers from -1 to 1; right: numbers from 0"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line(tmp_path, change, message):
    assert message in message_of(_load, write_npz(tmp_path, **change))


def test_a_file_that_is_missing_or_broken_is_one_line(tmp_path):
    right = "train_images, train_labels, test_images, test_labels"
    assert message_of(datasets.load, "npz") == f"npz: data_dir is empty; right: the path of a .npz file with {right}"
    path = tmp_path / "own.npz"
    assert message_of(_load, path) == f"{path}: found no such file; right: a .npz file with {right}"
    assert "found no such file" in message_of(_load, tmp_path)
    path.write_bytes(b"x" * 100)
    assert (
        message_of(_load, path) == f"{path}: found no whole .npz file; right: one written by numpy.savez, not cut off"
    )
    raw = bytearray(write_npz(tmp_path).read_bytes())
    path.write_bytes(raw[: len(raw) // 2])
    assert "found no whole .npz file" in message_of(_load, path)
    raw[300:400] = b"\xff" * 100
    path.write_bytes(raw)
    assert "cannot be read (" in message_of(_load, path)
    with zipfile.ZipFile(path, "w") as archive:
        for name in own_arrays():
            archive.writestr(name, b"no array")
    assert "found no train_images among no arrays; right: train_images, " in message_of(_load, path)
    with zipfile.ZipFile(path, "w") as archive:
        for name in own_arrays():
            archive.writestr(f"{name}.npy", b"no array")
    assert "found that train_images cannot be read (" in message_of(_load, path)
    path.write_bytes(b"before" + write_npz(tmp_path).read_bytes())
    assert "found no whole .npz file" in message_of(_load, path)
    with path.open("wb") as file:
        np.save(file, pictures(3, 3, 3))
    assert "found no whole .npz file" in message_of(_load, path)
