"""Data sets that tensorflow_datasets has prepared on disk, read without TensorFlow.

Preparing needs TensorFlow (`pip install -e '.[prepare]'`) and a download; reading needs neither, provided
that the files are in the array_record format: https://www.tensorflow.org/datasets/tfless_tfds. Nothing is
ever downloaded here.

tensorflow_datasets itself would import whatever module the files name for a feature, look for shards wherever they say,
and decode images of any size. So the two descriptions, dataset_info.json and features.json, are read here as data: an
image, a label and features that are left out, and the usual names of shards.
"""

import json
import os
import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from halo_jax.datasets import array_records
from halo_jax.datasets.base import MOST_CLASSES, MOST_PIXELS, MOST_TEXT, Dataset, DatasetError, check_size, one_line
from halo_jax.datasets.images import decode, most_bytes
from halo_jax.runtime.safe_files import read_bytes
from halo_jax.runtime.visible import visible

_IMAGE = "tensorflow_datasets.core.features.image_feature.Image"
_LABEL = "tensorflow_datasets.core.features.class_label_feature.ClassLabel"
_FORMATS = ("PNG", "JPEG")  # that tensorflow_datasets writes
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_MOST_SHARDS = 500  # tensorflow_datasets makes some dozens of 16 GB
_INT32 = 2**31


class _Description(NamedTuple):
    """What the two files say."""

    shards: dict[str, list[tuple[Path, int]]]  # of train and test, with their numbers of examples
    image_shape: tuple[int, int, int]
    num_classes: int


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

    Raises DatasetError, one line, if it is not what tensorflow_datasets writes, for example because its files are
    tfrecords, if it is damaged, or if it is more than is read.
    """
    try:
        described = _described(folder)
        check_size(folder, *((_count(shards), *described.image_shape) for shards in described.shards.values()))
        train, test = (_read_split(shards, described.image_shape) for shards in described.shards.values())
    except DatasetError:
        raise
    except Exception as error:  # damaged descriptions may raise anything
        reason = f"it does not say {one_line(error)}" if isinstance(error, KeyError) else one_line(error)
        raise DatasetError(
            f"{visible(folder)}: tensorflow_datasets cannot read it ({reason}); "
            "right: a whole data set, built with file_format='array_record'"
        ) from error
    return Dataset(*train, *test, described.num_classes)


def _read_split(shards: list[tuple[Path, int]], shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """One split: images uint8 `[D, H, W, C]`, labels int32 `[D]`."""
    from tensorflow_datasets.proto import tf_example_pb2  # its slow import is paid for only by those who read

    example: Any = tf_example_pb2
    images, labels = np.empty((_count(shards), *shape), np.uint8), np.empty(_count(shards), np.int32)
    for number, record in enumerate(array_records.read(shards, most_bytes(*shape[:2]))):
        features = example.Example.FromString(record).features.feature
        (image,), (label,) = features["image"].bytes_list.value, features["label"].int64_list.value
        pixels = decode(image, _FORMATS, shape[:2])
        if pixels.shape != shape or not -_INT32 <= label < _INT32:
            raise ValueError(f"an image of {pixels.shape} with label {label}, not of {shape} with one of 32 bits")
        images[number], labels[number] = pixels, label
    return images, labels


def _count(shards: list[tuple[Path, int]]) -> int:
    return sum(count for _, count in shards)


def _described(folder: Path) -> _Description:
    """Read the two descriptions. Raises ValueError, or whatever else comes of JSON of another form."""
    info, features = (
        json.loads(read_bytes(folder / name, MOST_TEXT)) for name in ("dataset_info.json", "features.json")
    )
    _expect("the version", info["version"], folder.name)
    _expect("the file format", info["fileFormat"], "array_record")
    if not re.fullmatch(r"\w+", info["name"]):
        raise ValueError(f"its name is {info['name']}")
    splits = {split["name"]: split for split in info["splits"]}
    fields = features["featuresDict"]["features"]
    if missing := [name for name in ("image", "label") if name not in fields]:
        raise ValueError(f"its features are {', '.join(sorted(fields))}, without {missing[0]}")
    image, label = fields["image"], fields["label"]
    _expect("the type of image", image["pythonClassName"], _IMAGE)
    _expect("the type of label", label["pythonClassName"], _LABEL)
    _expect("the numbers of an image", image["image"]["dtype"], "uint8")
    shape = tuple(int(size) for size in image["image"]["shape"]["dimensions"])
    classes = int(label["classLabel"]["numClasses"])
    if len(shape) != 3 or min(shape) < 1 or shape[0] * shape[1] > MOST_PIXELS or shape[2] not in (1, 3):
        raise ValueError(f"images of {shape}; at most {MOST_PIXELS} pixels, grey or in colour, are read")
    if not 0 < classes <= MOST_CLASSES:
        raise ValueError(f"{classes} classes; at most {MOST_CLASSES} are read")
    shards = {name: _shards(folder, info["name"], splits[name]) for name in ("train", "test")}
    return _Description(shards, shape, classes)


def _shards(folder: Path, dataset: str, split: dict[str, Any]) -> list[tuple[Path, int]]:
    """The files of a split, of their usual names in the folder, with their numbers of examples."""
    _expect("the template of file names", split.get("filepathTemplate", _TEMPLATE), _TEMPLATE)
    counts = [int(count) for count in split["shardLengths"]]
    if not 0 < len(counts) <= _MOST_SHARDS or min(counts) < 0:
        raise ValueError(f"{len(counts)} files of {split['name']}; 1 to {_MOST_SHARDS} are read")
    stem = f"{dataset}-{split['name']}.array_record"
    return [(folder / f"{stem}-{i:05d}-of-{len(counts):05d}", count) for i, count in enumerate(counts)]


def _expect(what: str, found: object, right: str) -> None:
    if found != right:
        raise ValueError(f"{what} is {found}, not {right}")


def _version(folder: Path) -> tuple[int, ...]:
    """`3.10.1` -> (3, 10, 1), so that it is newer than `3.9.0`; what is no version comes first."""
    numbers = folder.name.split(".")
    return tuple(map(int, numbers)) if all(map(str.isdecimal, numbers)) else ()
