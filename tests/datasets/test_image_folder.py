import shutil

import numpy as np
import pytest
from PIL import Image

from halo_jax import datasets
from tests.datasets.original_files import pictures, write_image_folder
from tests.datasets.surroundings import message_of


@pytest.mark.parametrize(("shape", "channels"), [((6, 5, 3), 3), ((6, 5), 1)])
@pytest.mark.parametrize("suffix", ["png", "BMP"])
def test_images_come_back_class_by_class(tmp_path, shape, channels, suffix):
    write_image_folder(tmp_path, shape=shape, per_class=4, suffix=suffix)
    dataset = datasets.load("image_folder", str(tmp_path))
    assert dataset.train_images.shape == (12, 6, 5, channels)
    np.testing.assert_array_equal(dataset.train_images.squeeze(), pictures(12, *shape))
    np.testing.assert_array_equal(dataset.train_labels, np.repeat([0, 1, 2], 4))
    np.testing.assert_array_equal(dataset.test_images.squeeze(), pictures(6, *shape))
    np.testing.assert_array_equal(dataset.test_labels, np.repeat([0, 1, 2], 2))
    assert dataset.num_classes == 3


def test_one_image_in_colour_makes_all_so(tmp_path):
    write_image_folder(tmp_path, shape=(6, 5), per_class=4)
    grey = datasets.load("image_folder", str(tmp_path))
    Image.new("RGB", (5, 6), (255, 0, 9)).save(tmp_path / "test" / "cat" / "z.png")
    dataset = datasets.load("image_folder", str(tmp_path))
    np.testing.assert_array_equal(dataset.train_images, np.repeat(grey.train_images, 3, 3))
    np.testing.assert_array_equal(dataset.test_images[-1, 0, 0], [255, 0, 9])


def test_palettes_and_transparency_are_colours_and_other_files_are_passed_over(tmp_path):
    write_image_folder(tmp_path, shape=(6, 5), per_class=2)
    image = Image.new("RGBA", (5, 6), (255, 0, 9, 128))
    image.save(tmp_path / "train" / "ape" / "a.png")
    image.convert("RGB").quantize().save(tmp_path / "train" / "ape" / "b.gif")
    (tmp_path / "train" / "ape" / "notes.txt").write_text("nothing")
    (tmp_path / "train" / ".cache").mkdir()
    dataset = datasets.load("image_folder", str(tmp_path))
    assert len(dataset.train_labels) == 8
    np.testing.assert_array_equal(dataset.train_images[2:4, 3, 3], [[255, 0, 9]] * 2)


def test_links_to_files_and_folders_elsewhere_are_followed(tmp_path):
    write_image_folder(tmp_path / "disk", shape=(6, 5), per_class=4)
    expected = datasets.load("image_folder", str(tmp_path / "disk"))
    (tmp_path / "here" / "train" / "ape").mkdir(parents=True)
    (tmp_path / "here" / "test").symlink_to(tmp_path / "disk" / "test")
    for name in ("bee", "cat"):
        (tmp_path / "here" / "train" / name).symlink_to(f"../../disk/train/{name}")
    for path in (tmp_path / "disk" / "train" / "ape").iterdir():
        (tmp_path / "here" / "train" / "ape" / path.name).symlink_to(path)
    found = datasets.load("image_folder", str(tmp_path / "here"))
    for ours, theirs in zip(found[:4], expected[:4], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("suffix", ["png", "gif", "webp", "tiff"])
def test_of_moving_images_the_first_is_read(tmp_path, suffix):
    write_image_folder(tmp_path, shape=(6, 5, 3), per_class=2)
    first, *others = (Image.new("RGB", (5, 6), (shade, 0, 255 - shade)) for shade in range(0, 250, 10))
    options = {"lossless": True} if suffix == "webp" else {}
    first.save(tmp_path / "train" / "ape" / f"0.{suffix}", save_all=True, append_images=others, **options)
    dataset = datasets.load("image_folder", str(tmp_path))
    np.testing.assert_array_equal(dataset.train_images[0], np.broadcast_to([0, 0, 255], (6, 5, 3)))


def _save(name, mode="RGB", size=(5, 6)):
    return lambda folder: Image.new(mode, size).save(folder / name)


def _new_folder(name):
    return lambda folder: (folder / name).mkdir()


BROKEN = {
    "no test split": (
        lambda f: shutil.rmtree(f / "test"),
        "/test: found no such folder; right: a folder for each class",
    ),
    "no classes": (
        lambda f: [shutil.rmtree(path) for path in (f / "train").iterdir()],
        "/train: found no folders; right: one for each class, with its images",
    ),
    "an unknown class": (
        _new_folder("test/dog"),
        "/test/dog: found a class that train has not; right: one of ape, bee",
    ),
    "an empty class": (_new_folder("train/dog"), "/train/dog: found no images; right: some that end in .bmp, .gif"),
    "another size": (
        _save("test/bee/zz.png", size=(6, 5)),
        "/test/bee/zz.png: found an image of 5x6; right: 6x5, as ",
    ),
    "the first of two": (
        lambda f: [_save(name, size=(7, 7))(f) for name in ("train/bee/x.png", "train/cat/x.png")],
        "/train/bee/x.png: found an image of 7x7; right: 6x5, as ",
    ),
    "no image": (
        lambda f: (f / "train/ape/x.jpg").write_bytes(b"<html>"),
        "x.jpg: found that it cannot be read (no image",
    ),
    "cut off": (
        lambda f: (f / "train/ape/0_000.png").write_bytes((f / "train/ape/0_000.png").read_bytes()[:50]),
        "0_000.png: found that it cannot be read (",
    ),
    "deep colours": (
        _save("train/ape/x.png", "I;16"),
        "found that it cannot be read (more than 8 bits a channel); right",
    ),
    "a folder in place of an image": (_new_folder("train/ape/x.png"), "/train/ape/x.png: Is a directory"),
}


@pytest.mark.parametrize(("damage", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_one_line(tmp_path, damage, message):
    damage(write_image_folder(tmp_path, per_class=2))
    assert message in message_of(datasets.load, "image_folder", str(tmp_path))


def test_without_a_folder():
    message = "image_folder: data_dir is empty; right: a folder with train/CLASS/*.png, test/CLASS/*.png"
    assert message_of(datasets.load, "image_folder") == message
    assert message_of(datasets.load, "image_folder", "/nope").startswith("/nope/train: found no such folder; right: ")
