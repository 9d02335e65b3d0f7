"""Downloads data sets and prepares them for reading without TensorFlow; this itself needs TensorFlow."""

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

from halo_jax.datasets import tfds
from halo_jax.datasets.base import DatasetError, one_line
from halo_jax.datasets.emnist import DEFAULT_VARIANT, VARIANTS

NAMES = ("cifar10", "emnist", *(f"emnist/{variant}" for variant in VARIANTS), "fashion_mnist", "mnist", "tiny_imagenet")


class Prepared(NamedTuple):
    """Where a data set lies now, and its size."""

    folder: Path
    train_examples: int
    test_examples: int


def prepare(name: str, data_dir: str = "", manual_dir: str = "") -> Prepared:
    """Download `name` and prepare it in the array_record format, or find that this has been done.

    In `data_dir` or the default folder of tensorflow_datasets. An archive in `manual_dir`, named as it is published,
    is not downloaded. Raises DatasetError, one line.
    """
    if name not in NAMES:
        raise DatasetError(f"{name!r} cannot be prepared; known: {', '.join(NAMES)}")
    for needed in ("tensorflow", "importlib_resources"):
        if importlib.util.find_spec(needed) is None:
            raise DatasetError(f"preparing needs {needed}, which is missing; to get it: pip install -e '.[prepare]'")
    import tensorflow_datasets  # takes seconds, so only those who prepare pay for it

    # Choice: not `tfds build`, which needs apache-beam: https://github.com/tensorflow/datasets/issues/5463.
    options = tensorflow_datasets.download.DownloadConfig(
        manual_dir=manual_dir or None,
        try_download_gcs=False,  # what is prepared there is in another format
    )
    try:
        builder = _builder(name, str(data_dir or tfds.default_dir()))
        builder.download_and_prepare(download_config=options)
        sizes = (builder.info.splits[split].num_examples for split in ("train", "test"))
        return Prepared(Path(builder.data_dir), *sizes)
    except DatasetError:
        raise
    except Exception as error:  # it raises many kinds, some over many lines
        advice = "an archive that is at hand is taken from --manual_dir"
        raise DatasetError(f"{name}: tensorflow_datasets cannot prepare it ({one_line(error)}); {advice}") from error


def _builder(name: str, data_dir: str) -> Any:
    import tensorflow_datasets

    where: Any = {"data_dir": data_dir, "file_format": "array_record"}
    if name == "tiny_imagenet":
        from halo_jax.datasets.tiny_imagenet_builder import TinyImagenet

        return TinyImagenet(**where)
    return tensorflow_datasets.builder(f"emnist/{DEFAULT_VARIANT}" if name == "emnist" else name, **where)
