"""Makes `fixtures/tfds_mnist.zip`: a tiny MNIST written by tensorflow_datasets, 20 train and 10 test images.

Image `i` of a split holds the value `i` everywhere and has the label `i % 10`. Zipped because an array_record
file is padded with zeros to 128 KiB. Reading it needs no TensorFlow, writing does:
`pip install -e '.[prepare]' && python tests/datasets/make_fixture.py`.
"""

import pathlib
import shutil
import tempfile

import numpy as np
import tensorflow_datasets as tfds

FIXTURE = pathlib.Path(__file__).parent / "fixtures" / "tfds_mnist.zip"
SIZES = {"train": 20, "test": 10}


def _examples(count: int) -> list[tuple[int, dict]]:
    return [(i, {"image": np.full((28, 28, 1), i, np.uint8), "label": i % 10}) for i in range(count)]


def main() -> None:
    features = {
        "image": tfds.features.Image(shape=(28, 28, 1)),
        "label": tfds.features.ClassLabel(num_classes=10),
    }
    with tempfile.TemporaryDirectory() as data_dir:
        builder = tfds.dataset_builders.AdhocBuilder(
            name="mnist",
            version="3.0.1",
            features=tfds.features.FeaturesDict(features),
            split_datasets={split: _examples(count) for split, count in SIZES.items()},
            data_dir=data_dir,
            file_format="array_record",
        )
        builder.download_and_prepare()
        FIXTURE.parent.mkdir(exist_ok=True)
        shutil.make_archive(str(FIXTURE.with_suffix("")), "zip", data_dir, "mnist")


if __name__ == "__main__":
    main()
