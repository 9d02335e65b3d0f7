import shutil

import numpy as np
import pytest

from halo_jax import datasets
from halo_jax.datasets import cifar10
from tests.datasets.original_files import cifar10_batches, python2_pickle, write_cifar10
from tests.datasets.surroundings import FIXTURES, go_nowhere, hide_tensorflow, message_of


def _expected():
    batches = [*cifar10_batches().values()]
    train = [np.concatenate(arrays) for arrays in zip(*batches[:5], strict=True)]
    return (*train, *batches[5])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("version", ["bin", "py"])
def test_both_versions_packed_or_not(tmp_path, version, packed):
    dataset = datasets.load("cifar10", str(write_cifar10(tmp_path, version=version, packed=packed)))
    for ours, expected in zip(dataset[:4], _expected(), strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert dataset.train_images.shape == (50, 32, 32, 3)
    assert dataset.num_classes == 10
    assert dataset.train_writers is None


def test_data_dir_may_be_the_folder_or_the_archive_itself(tmp_path):
    write_cifar10(tmp_path / "a")
    write_cifar10(tmp_path / "b", version="py", packed=True)
    for path in ("a/cifar-10-batches-bin", "b/cifar-10-python.tar.gz"):
        assert len(cifar10.load(str(tmp_path / path)).train_labels) == 50


def test_prepared_by_tensorflow_datasets_read_without_tensorflow(tmp_path, monkeypatch):
    hide_tensorflow(monkeypatch)
    shutil.unpack_archive(FIXTURES / "tfds_cifar10.zip", tmp_path)
    dataset = cifar10.load(str(tmp_path))
    pairs = lambda images, labels: sorted(  # noqa: E731
        (image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)
    )
    train_images, train_labels, test_images, test_labels = _expected()
    assert pairs(dataset.train_images, dataset.train_labels) == pairs(train_images, train_labels)
    assert pairs(dataset.test_images, dataset.test_labels) == pairs(test_images, test_labels)


def test_missing_names_the_places_and_the_command(tmp_path, monkeypatch):
    nowhere = go_nowhere(tmp_path, monkeypatch)
    message = message_of(datasets.load, "cifar10")
    assert message.startswith(
        "cifar10: neither the archive cifar-10-python.tar.gz or -binary nor a tensorflow_datasets"
    )
    assert f"in data/cifar10, {nowhere}/home/tensorflow_datasets; to get it: pip install -e '.[prepare]' && " in message
    assert message.endswith("python experiments/prepare.py cifar10")
    write_cifar10(tmp_path / "data" / "cifar10")
    assert len(cifar10.load().train_labels) == 50


def _python(images, labels):
    return lambda folder: (folder / "data_batch_3").write_bytes(python2_pickle(images, np.array(labels)))


ROWS = np.zeros((2, 3072), np.uint8)
BROKEN = {
    "a batch is missing": ("bin", lambda f: (f / "data_batch_4.bin").unlink(), "found no data_batch_4.bin; right: all"),
    "truncated": (
        "bin",
        lambda f: (f / "test_batch.bin").write_bytes(b"\0" * 5000),
        "found 5000 bytes in test_batch.bin; right: a multiple of 3073",
    ),
    "empty": ("bin", lambda f: (f / "test_batch.bin").write_bytes(b""), "found 0 bytes in test_batch.bin"),
    "wrong label": (
        "bin",
        lambda f: (f / "data_batch_1.bin").write_bytes(b"\x0a" * 3073),
        "cifar10 train: found labels from 0 to 10; right: 0 to 9",
    ),
    "a python batch is missing": ("py", lambda f: (f / "test_batch").unlink(), "found no test_batch; right: all"),
    "a python batch is cut off": (
        "py",
        lambda f: (f / "data_batch_1").write_bytes((f / "data_batch_1").read_bytes()[:99]),
        "found that data_batch_1 cannot be read (a broken pickle: ",
    ),
    "a python batch runs something": (
        "py",
        lambda f: (f / "data_batch_1").write_bytes(b"cos\nsystem\n(S'echo hacked'\ntR."),
        "found that data_batch_1 cannot be read (it names os.system); right: the python version as published",
    ),
    "python images of another size": ("py", _python(ROWS[:, :99], [1, 2]), "found data of (2, 99) in data_batch_3"),
    "fewer python labels": ("py", _python(ROWS, [1]), "found 1 labels in data_batch_3; right: 2, one per image"),
    "wrong python label": ("py", _python(ROWS, [1, 10]), "found no labels from 0 to 9 in data_batch_3"),
    "no data": (
        "py",
        lambda f: (f / "data_batch_2").write_bytes(b"}."),
        "found no array data in data_batch_2; right: (images, 3072)",
    ),
}


@pytest.mark.parametrize(("version", "damage", "message"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_one_line(tmp_path, version, damage, message):
    write_cifar10(tmp_path, version=version, per_batch=2)
    damage(tmp_path / f"cifar-10-batches-{version}")
    assert message in message_of(datasets.load, "cifar10", str(tmp_path))
