import shutil
from pathlib import Path

import numpy as np
import pytest

from halo_jax.datasets import fashion_mnist, mnist, tfds
from tests.datasets.idx_files import write_mnist
from tests.datasets.surroundings import FIXTURES, go_nowhere, hide_tensorflow, message_of


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    return go_nowhere(tmp_path, monkeypatch)


@pytest.fixture
def prepared(nowhere, monkeypatch):
    """The folder of a tiny MNIST that tensorflow_datasets wrote; TensorFlow cannot be imported."""
    hide_tensorflow(monkeypatch)
    shutil.unpack_archive(FIXTURES / "tfds_mnist.zip", nowhere / "prepared")
    return nowhere / "prepared"


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("load", [mnist.load, fashion_mnist.load])
def test_idx_files_in_data_dir(nowhere, load, gz):
    dataset = load(str(write_mnist(nowhere / "mine", gz=gz)))
    assert dataset.train_images.shape == (20, 28, 28, 1)
    assert dataset.test_images.shape == (10, 28, 28, 1)
    assert dataset.num_classes == 10


def test_prepared_files_are_read_without_tensorflow(prepared):
    dataset = mnist.load(str(prepared))
    assert dataset.train_images.shape == (20, 28, 28, 1)
    assert dataset.test_images.shape == (10, 28, 28, 1)
    assert dataset.train_images.dtype == np.uint8
    assert dataset.train_labels.dtype == np.int32
    assert dataset.num_classes == 10
    values = dataset.train_images.reshape(20, -1)
    assert (values == values[:, :1]).all()
    assert sorted(values[:, 0]) == list(range(20))
    np.testing.assert_array_equal(dataset.train_labels, values[:, 0] % 10)


def test_usual_places_in_order(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert len(mnist.load().train_labels) == 20
    write_mnist(Path("data/mnist"), train=7)
    assert len(mnist.load().train_labels) == 7
    write_mnist(Path("debian"), gz=True, train=5)
    assert len(fashion_mnist.load().train_labels) == 5
    write_mnist(Path("data/fashion_mnist"), train=6)
    assert len(fashion_mnist.load().train_labels) == 6


def test_data_dir_is_the_only_place_if_given(nowhere):
    write_mnist(Path("data/mnist"))
    message = message_of(mnist.load, "elsewhere")
    assert "in elsewhere; to get it: " in message
    assert message.endswith("&& python experiments/prepare.py mnist --data_dir=elsewhere")


def test_missing_names_the_places_and_the_command(nowhere):
    message = message_of(mnist.load)
    assert f"in data/mnist, {nowhere}/home/tensorflow_datasets; to get it: pip install" in message
    assert message.endswith("pip install -e '.[prepare]' && python experiments/prepare.py mnist")
    message = message_of(fashion_mnist.load)
    assert f"in data/fashion_mnist, {nowhere}/debian, " in message
    assert "to get it: apt-get install dataset-fashion-mnist, or: pip install" in message


def test_images_of_another_size_are_refused(nowhere):
    write_mnist(nowhere / "small", side=14)
    assert "found images of (14, 14, 1) in 10 classes; right: (28, 28, 1)" in message_of(mnist.load, "small")


def test_newest_prepared_version_is_found(tmp_path):
    for version in ("3.9.0", "3.10.1", "3.1.0"):
        folder = tmp_path / "emnist" / "balanced" / version
        folder.mkdir(parents=True)
        (folder / "dataset_info.json").touch()
    (tmp_path / "emnist" / "balanced" / "3.11.0").mkdir()  # unfinished: without its description
    assert tfds.find(tmp_path, "emnist/balanced") == tmp_path / "emnist/balanced/3.10.1"
    assert tfds.find(tmp_path, "mnist") is None


def test_broken_prepared_files_are_one_line(prepared):
    folder = prepared / "mnist" / "3.0.1"
    (folder / "mnist-train.array_record-00000-of-00001").write_bytes(b"x" * 100)
    message = message_of(mnist.load, str(prepared))
    assert message.startswith(f"{folder}: tensorflow_datasets cannot read it (ArrayRecord file should be")


def test_tfrecords_are_refused_with_the_format_to_use(prepared):
    info = prepared / "mnist" / "3.0.1" / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    assert "right: a whole data set, built with file_format='array_record'" in message_of(mnist.load, str(prepared))


@pytest.mark.skipif(not Path(fashion_mnist.DEBIAN_DIR).is_dir(), reason="dataset-fashion-mnist is not installed")
def test_the_debian_package():
    dataset = fashion_mnist.load(fashion_mnist.DEBIAN_DIR)
    assert dataset.train_images.shape == (60000, 28, 28, 1)
    assert dataset.test_images.shape == (10000, 28, 28, 1)
    np.testing.assert_array_equal(np.bincount(dataset.train_labels), [6000] * 10)
    np.testing.assert_array_equal(np.bincount(dataset.test_labels), [1000] * 10)
    np.testing.assert_array_equal(dataset.train_labels[:5], [9, 0, 0, 3, 0])
    # mean and deviation that the field uses to normalise this data set
    assert dataset.train_images.mean() / 255 == pytest.approx(0.2860, abs=1e-4)
    assert dataset.train_images.std() / 255 == pytest.approx(0.3530, abs=1e-4)
