import gzip
import re

import numpy as np
import pytest

from halo_jax.datasets import idx
from halo_jax.datasets.base import DatasetError
from tests.datasets.idx_files import idx_bytes, write_mnist

IMAGES = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
RAW = idx_bytes(IMAGES)


def members(raw):
    """Gzip data of three members, an empty one among them, and zeros that fill a block."""
    return gzip.compress(raw[:20]) + gzip.compress(b"") + bytes(9) + gzip.compress(raw[20:]) + bytes(99)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, members], ids=["plain", "gz", "gz of three members"])
def test_reads_what_was_written(tmp_path, pack):
    path = tmp_path / "images"
    path.write_bytes(pack(RAW))
    np.testing.assert_array_equal(idx.read_idx(path, rank=3), IMAGES)


BROKEN = {
    "empty": (b"", r"found 0 bytes long; right: at least the 16 bytes of the header"),
    "half a header": (RAW[:9], r"found 9 bytes long; right: at least the 16 bytes"),
    "labels in place of images": (
        idx_bytes(np.arange(20)),
        r"found magic number 0x00000801; right: 0x00000803 \(unsigned bytes, 3 dimensions\)",
    ),
    "floats": (b"\0\0\x0d\x03" + RAW[4:], r"found magic number 0x00000d03; right: 0x00000803"),
    "no IDX file": (b"<!DOCTYPE html><html>", r"found magic number 0x3c21444f; right: 0x00000803"),
    "truncated": (RAW[:-1], r"found 29 bytes of data; right: 30 for the dimensions \[2, 3, 5\]"),
    "too long": (RAW + b"\0", r"found 31 bytes of data; right: 30"),
    "absurd dimensions": (
        RAW[:4] + b"\xff" * 12 + RAW[16:],
        r"found images and labels of 79228\d+ bytes; right: at most \d+ bytes on th",
    ),
    "truncated gzip": (gzip.compress(RAW)[:-12], r"found broken gzip data \(.*\); right: a whole gzip file"),
    "corrupt gzip": (
        gzip.compress(RAW)[:10] + b"\xff" * 30,
        r"found broken gzip data \(.*invalid block type",
    ),
    "gzip checksum": (gzip.compress(RAW)[:-8] + b"\1" * 8, r"found broken gzip data \(.*incorrect data check"),
}


@pytest.mark.parametrize(("raw", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_one_line_that_names_it(tmp_path, raw, message):
    path = tmp_path / "broken-images"
    path.write_bytes(raw)
    with pytest.raises(DatasetError, match="broken-images: " + message) as caught:
        idx.read_idx(path, rank=3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("gz", [False, True])
def test_reads_a_folder(tmp_path, gz):
    dataset = idx.read_dataset(write_mnist(tmp_path, gz=gz), num_classes=10)
    assert dataset.train_images.shape == (20, 28, 28, 1)
    assert dataset.test_images.shape == (10, 28, 28, 1)
    assert dataset.train_images.dtype == np.uint8
    assert dataset.train_labels.dtype == np.int32
    np.testing.assert_array_equal(dataset.train_images[:, 27, 0, 0], np.arange(20))
    np.testing.assert_array_equal(dataset.train_labels, np.arange(20) % 10)
    np.testing.assert_array_equal(dataset.test_labels, np.arange(10))


def test_counts_of_images_and_labels_must_agree(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.arange(9)))
    message = "t10k-labels-idx1-ubyte: found 9 labels; right: 10, one per image in t10k-images-idx3-ubyte"
    with pytest.raises(DatasetError, match=message):
        idx.read_dataset(tmp_path, num_classes=10)


def test_half_a_set_is_an_error_not_an_absence(tmp_path):
    assert not idx.present(tmp_path)
    write_mnist(tmp_path)
    missing = tmp_path / "train-labels-idx1-ubyte"
    missing.unlink()
    assert idx.present(tmp_path)
    with pytest.raises(DatasetError, match=re.escape(f"{missing}: found neither this nor {missing.name}.gz")):
        idx.read_dataset(tmp_path, num_classes=10)
