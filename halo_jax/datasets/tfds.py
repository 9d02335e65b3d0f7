"""Data sets that tensorflow_datasets has prepared on disk, read without TensorFlow.

Preparing needs TensorFlow (`pip install -e '.[prepare]'`) and a download; reading needs neither, provided
that the files are in the array_record format: https://www.tensorflow.org/datasets/tfless_tfds. Nothing is
ever downloaded here.
"""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from halo_jax.datasets.base import Dataset, DatasetError, one_line

_BATCH = 4096  # images that are read at a time


def default_dir() -> Path:
    """The folder that tensorflow_datasets uses when it is told none; known without its slow import."""
    return Path(os.path.expanduser(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")))


def prepare_command(name: str, data_dir: str = "") -> str:
    """The shell command that downloads `name` and prepares it in a form that this module can read."""
    where = f" --data_dir={shlex.quote(data_dir)}" if data_dir else ""
    return f"pip install -e '.[prepare]' && python experiments/prepare.py {name}{where}"


def find(data_dir: Path, name: str) -> Path | None:
    """The newest prepared version of `name` under `data_dir`, or None.

    `name` may hold a variant: `"emnist/balanced"`.
    """
    folders = [path.parent for path in (data_dir / name).glob("*.*.*/dataset_info.json")]
    return max(folders, key=_version, default=None)


def read_dataset(folder: Path) -> Dataset:
    """Read the `train` and `test` splits of the version in `folder`, in the order on disk.

    Raises DatasetError, one line, if tensorflow_datasets cannot read them, for example because they are
    tfrecords.
    """
    import tensorflow_datasets  # takes most of a second, so only those who read pay for it

    try:
        builder: Any = tensorflow_datasets.builder_from_directory(folder)
        missing = {"image", "label"} - set(builder.info.features)
        if missing:
            raise ValueError(
                f"its features are {sorted(builder.info.features)}, without {' and '.join(sorted(missing))}"
            )
        image = builder.info.features["image"]
        train, test = (_read_split(builder.as_data_source(split), image) for split in ("train", "test"))
        return Dataset(*train, *test, num_classes=builder.info.features["label"].num_classes)
    # Choice: it raises many undocumented kinds, some over many lines; each becomes one line.
    except Exception as error:
        reason = re.sub(r" <.*? at 0x\w+>", "", one_line(error))
        raise DatasetError(
            f"{folder}: tensorflow_datasets cannot read it ({reason}); "
            "right: a whole data set, built with file_format='array_record'"
        ) from error


def _read_split(source: Any, image: Any) -> tuple[np.ndarray, np.ndarray]:
    """One split: images uint8 `[D, H, W, C]`, labels int32 `[D]`; `image` is the feature of that name."""
    images = np.empty((len(source), *image.shape), image.np_dtype)
    labels = np.empty(len(source), np.int32)
    for start in range(0, len(source), _BATCH):  # batches: twice as fast as one by one, half the memory of all at once
        batch = range(start, min(start + _BATCH, len(source)))
        for place, example in zip(batch, source.__getitems__(batch), strict=True):
            images[place], labels[place] = example["image"], example["label"]
    return images, labels


def _version(folder: Path) -> tuple[int, ...]:
    """`3.10.1` -> (3, 10, 1), so that it is newer than `3.9.0`; what is no version comes first."""
    parts = folder.name.split(".")
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else ()
