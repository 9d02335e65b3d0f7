"""MNIST: 70,000 handwritten digits, 28x28 grey; the data set that the quick experiments of the field share.

Source: LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 86(11), 1998.
"""

import os
from pathlib import Path

from halo_jax.datasets import idx, tfds
from halo_jax.datasets.base import Dataset, DatasetError

NUM_CLASSES = 10
IMAGE_SHAPE = (28, 28, 1)


def load(data_dir: str = "") -> Dataset:
    """Load MNIST, from `data_dir` or the usual places.

    Those are `data/mnist` and the default folder of tensorflow_datasets. Raises DatasetError, one line, if it
    is nowhere (with the command that gets it) or broken.
    """
    return load_28x28("mnist", data_dir)


def load_28x28(name: str, data_dir: str, system_dirs: tuple[str, ...] = (), package: str = "") -> Dataset:
    """Load MNIST or a data set of the same form: IDX files, or array_record files of tensorflow_datasets.

    Looks in `data_dir` alone if it is given; else in `data/<name>`, `system_dirs` and the default folder of
    tensorflow_datasets, in this order. `package` is the Debian package to recommend. Raises DatasetError, one
    line.
    """
    if data_dir:
        places = [Path(os.path.expanduser(data_dir))]  # Path.expanduser raises for a user that is unknown
    else:
        places = [Path("data", name), *map(Path, system_dirs), tfds.default_dir()]
    for place in places:
        if idx.present(place):
            return _checked(idx.read_dataset(place, NUM_CLASSES), place)
        if folder := tfds.find(place, name):
            return _checked(tfds.read_dataset(folder), folder)
    apt = f"apt-get install {package}, or: " if package else ""
    raise DatasetError(
        f"{name}: neither IDX files nor a tensorflow_datasets build in {', '.join(map(str, places))}; "
        f"to get it: {apt}{tfds.build_command(name, data_dir)}"
    )


def _checked(dataset: Dataset, place: Path) -> Dataset:
    shapes = {dataset.train_images.shape[1:], dataset.test_images.shape[1:]}
    if shapes != {IMAGE_SHAPE} or dataset.num_classes != NUM_CLASSES:
        found = f"images of {' and '.join(map(str, sorted(shapes)))} in {dataset.num_classes} classes"
        raise DatasetError(f"{place}: found {found}; right: {IMAGE_SHAPE} in {NUM_CLASSES} classes")
    return dataset
