"""Makes `fixtures/tfds_*.zip`: small data sets as tensorflow_datasets' own builders, and ours, write them.

Files in the published layouts (original_files.py) are served on this machine; the builders download, unpack and convert
them as they do the real ones, which is all of their code but the addresses and, for EMNIST, the numbers of images.
`balanced` holds real images: the first of Fashion-MNIST in EMNIST's place. Zipped because an array_record file is
padded with zeros to 128 KiB. Reading them needs no TensorFlow, writing does:

    pip install -e '.[prepare]' && python -m tests.datasets.make_fixtures
"""

import contextlib
import functools
import http.server
import os
import pathlib
import shutil
import tempfile
import threading
from collections.abc import Iterator
from unittest import mock

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.image_classification import cifar, mnist

from halo_jax.datasets import idx
from halo_jax.datasets.prepare import prepare
from halo_jax.datasets.tiny_imagenet_builder import TinyImagenet
from tests.datasets.original_files import emnist_splits, write_cifar10, write_emnist, write_tiny_imagenet

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
DEBIAN_DIR = pathlib.Path("/usr/share/datasets/fashion-mnist")
MNIST_SIZES = {"train": 20, "test": 10}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@contextlib.contextmanager
def served(folder: pathlib.Path) -> Iterator[str]:
    """The address at which the files of a folder can be downloaded."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def make_mnist(data_dir: str) -> None:
    """Image `i` of a split holds the value `i` everywhere and has the label `i % 10`."""
    examples = {
        split: [(i, {"image": np.full((28, 28, 1), i, np.uint8), "label": i % 10}) for i in range(count)]
        for split, count in MNIST_SIZES.items()
    }
    features = {"image": tfds.features.Image(shape=(28, 28, 1)), "label": tfds.features.ClassLabel(num_classes=10)}
    builder = tfds.dataset_builders.AdhocBuilder(
        name="mnist",
        version="3.0.1",
        features=tfds.features.FeaturesDict(features),
        split_datasets=examples,
        data_dir=data_dir,
        file_format="array_record",
    )
    builder.download_and_prepare()


def make_cifar10(data_dir: str, source: pathlib.Path) -> None:
    write_cifar10(source, packed=True)
    with served(source) as address:
        published = cifar.Cifar10._cifar_info.fget
        moved = property(lambda self: published(self)._replace(url=f"{address}/cifar-10-binary.tar.gz"))
        with mock.patch.object(cifar.Cifar10, "_cifar_info", moved):
            print(prepare("cifar10", data_dir))


def make_emnist(data_dir: str, source: pathlib.Path) -> None:
    clothes = idx.read_dataset(DEBIAN_DIR, 10)
    labels = np.arange(94) % 47
    splits = {
        "balanced": {
            "train": (clothes.train_images[:94, :, :, 0], labels),
            "test": (clothes.test_images[:47, :, :, 0], labels[:47]),
        },
        "letters": emnist_splits(26),
    }
    for variant, images in splits.items():
        write_emnist(source / "gzip", variant, images)
    shutil.make_archive(str(source / "gzip"), "zip", source, "gzip")
    with served(source) as address, mock.patch.object(mnist.EMNIST, "URL", f"{address}/gzip.zip"):
        for config in mnist.EMNIST.BUILDER_CONFIGS:
            if config.name in splits:
                config.train_examples, config.test_examples = (len(split[1]) for split in splits[config.name].values())
                print(prepare(f"emnist/{config.name}", data_dir))


def make_tiny_imagenet(data_dir: str, source: pathlib.Path) -> None:
    write_tiny_imagenet(source, per_class=1, val=40, packed=True)
    with served(source) as address, mock.patch.object(TinyImagenet, "URL", f"{address}/tiny-imagenet-200.zip"):
        print(prepare("tiny_imagenet", data_dir))


def main() -> None:
    os.environ["NO_PROXY"] = "127.0.0.1"
    FIXTURES.mkdir(exist_ok=True)
    for name, make in {"cifar10": make_cifar10, "emnist": make_emnist, "tiny_imagenet": make_tiny_imagenet}.items():
        with tempfile.TemporaryDirectory() as data_dir, tempfile.TemporaryDirectory() as source:
            make(data_dir, pathlib.Path(source))
            shutil.make_archive(str(FIXTURES / f"tfds_{name}"), "zip", data_dir, name)
    if not (FIXTURES / "tfds_mnist.zip").exists():
        with tempfile.TemporaryDirectory() as data_dir:
            make_mnist(data_dir)
            shutil.make_archive(str(FIXTURES / "tfds_mnist"), "zip", data_dir, "mnist")


if __name__ == "__main__":
    main()
