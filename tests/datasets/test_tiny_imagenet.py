import io
import shutil

import numpy as np
import pytest
from PIL import Image

from halo_jax import datasets
from halo_jax.datasets import tiny_imagenet
from tests.datasets.original_files import tiny_imagenet_colour, write_tiny_imagenet
from tests.datasets.surroundings import FIXTURES, go_nowhere, hide_tensorflow, message_of

COLOURS = np.array([tiny_imagenet_colour(label) for label in range(200)])
LAST = "n99999999"  # the first of wnids.txt, the last of the alphabet


def _right_colours(images, labels):
    assert images.shape[1:] == (64, 64, 3)
    off = images.astype(int) - COLOURS[labels][:, None, None]
    return (np.abs(off) <= 3).all()  # JPEG's error


@pytest.mark.parametrize("packed", [False, True])
def test_the_folder_and_the_zip(tmp_path, packed):
    dataset = datasets.load("tiny_imagenet", str(write_tiny_imagenet(tmp_path, per_class=2, val=30, packed=packed)))
    np.testing.assert_array_equal(dataset.train_labels, np.repeat(np.arange(200), 2))  # in the order of wnids.txt
    np.testing.assert_array_equal(dataset.test_labels, 7 * np.arange(30) % 200)
    assert _right_colours(dataset.train_images, dataset.train_labels)
    assert _right_colours(dataset.test_images, dataset.test_labels)
    assert dataset.num_classes == 200


def test_prepared_by_our_builder_read_without_tensorflow(tmp_path, monkeypatch):
    hide_tensorflow(monkeypatch)
    shutil.unpack_archive(FIXTURES / "tfds_tiny_imagenet.zip", tmp_path / "prepared")
    dataset = datasets.load("tiny_imagenet", str(tmp_path / "prepared"))
    assert sorted(dataset.train_labels) == list(range(200))
    assert sorted(dataset.test_labels) == sorted(7 * np.arange(40) % 200)
    assert _right_colours(dataset.train_images, dataset.train_labels)
    assert _right_colours(dataset.test_images, dataset.test_labels)
    direct = datasets.load("tiny_imagenet", str(write_tiny_imagenet(tmp_path, per_class=1, val=40)))
    order = np.argsort(dataset.train_labels)
    np.testing.assert_array_equal(dataset.train_images[order], direct.train_images)  # the same bits either way


def test_missing_names_the_places_and_the_command(tmp_path, monkeypatch):
    nowhere = go_nowhere(tmp_path, monkeypatch)
    message = message_of(tiny_imagenet.load)
    assert message.startswith(
        "tiny_imagenet: neither tiny-imagenet-200.zip or the folder in it nor a tensorflow_datasets"
    )
    assert f"in data/tiny_imagenet, {nowhere}/home/tensorflow_datasets; to get it: " in message
    assert message.endswith("python experiments/prepare.py tiny_imagenet")


def _image(format, size):
    Image.new("RGB", size).save(raw := io.BytesIO(), format)
    return raw.getvalue()


def _edit(name, change):
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


VAL, BOXES = "val/val_annotations.txt", f"train/{LAST}/{LAST}_boxes.txt"
IMAGE = f"train/{LAST}/images/{LAST}_0.JPEG"
BROKEN = {
    "no classes": (lambda f: (f / "wnids.txt").unlink(), "found no wnids.txt; right: all its files"),
    "fewer classes": (
        _edit("wnids.txt", lambda raw: raw[10:]),
        "found 199 classes in 199 lines of wnids.txt; right: 200, one a line",
    ),
    "a class twice": (
        _edit("wnids.txt", lambda raw: raw[10:] + b"\n" + raw[10:19]),
        "found 199 classes in 200 lines of wnids.txt",
    ),
    "a class is missing": (lambda f: shutil.rmtree(f / "train" / LAST), f"found no {BOXES}"),
    "an image is missing": (lambda f: (f / IMAGE).unlink(), f"found no {IMAGE}; right: all its files; unpack or fetch"),
    "no validation split": (lambda f: shutil.rmtree(f / "val"), f"found no {VAL}"),
    "an unknown class": (
        _edit(VAL, lambda raw: raw + b"val_99.JPEG\tn00000001\t0\t0\t1\t1\n"),
        f"found line 31 of {VAL}: 'val_99.JPEG n00000001 0 0 1 1'; right: an image and its class",
    ),
    "half a line": (_edit(VAL, lambda raw: raw + b"val_99.JPEG"), f"found line 31 of {VAL}: 'val_99.JPEG'; right: "),
    "no text": (_edit(VAL, lambda raw: b"\xff\xfe"), f"found that {VAL} is no text"),
    "an image is cut off": (_edit(IMAGE, lambda raw: raw[:-200]), f"found that {IMAGE} cannot be read ("),
    "no image": (_edit(IMAGE, lambda raw: b"<html>"), f"found that {IMAGE} cannot be read (no image); right: a whole"),
    "another size": (
        _edit(IMAGE, lambda raw: _image("JPEG", (32, 64))),
        f"found {IMAGE} of 64x32; right: 64x64",
    ),
    "no JPEG": (_edit(IMAGE, lambda raw: _image("PNG", (64, 64))), f"found that {IMAGE} cannot be read (no image)"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_tiny_imagenet(tmp_path_factory.mktemp("whole"), per_class=1, val=30)


@pytest.mark.parametrize(("damage", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_one_line(tmp_path, whole, damage, message):
    folder = tmp_path / "tiny-imagenet-200"
    shutil.copytree(whole / "tiny-imagenet-200", folder)
    damage(folder)
    found = message_of(datasets.load, "tiny_imagenet", str(tmp_path))
    assert message in found
    assert found.startswith(str(folder))


def test_a_zip_that_is_cut_off_is_one_line(tmp_path, whole):
    archive = tmp_path / "tiny-imagenet-200.zip"
    shutil.make_archive(str(archive.with_suffix("")), "zip", whole, "tiny-imagenet-200")
    archive.write_bytes(archive.read_bytes()[:-1000])
    assert message_of(datasets.load, "tiny_imagenet", str(archive)).startswith(f"{archive}: found a broken archive (")
