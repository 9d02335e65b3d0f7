"""Where the files of a data set are looked for, and what is said if they are nowhere."""

import os
from collections.abc import Callable
from pathlib import Path

from halo_jax.datasets import tfds
from halo_jax.datasets.base import Dataset, DatasetError, fault
from halo_jax.datasets.shapes import SHAPES
from halo_jax.runtime.visible import visible


def search(
    name: str,
    data_dir: str,
    forms: str,
    read: Callable[[Path], Dataset | None],
    *,
    finish: Callable[[Dataset, Path], Dataset] = lambda dataset, place: dataset,
    system_dirs: tuple[str, ...] = (),
    package: str = "",
) -> Dataset:
    """Load a data set from the first place that has it, in its original form or prepared by tensorflow_datasets.

    Args:
      name: of the data set; it may hold a variant, as in "emnist/letters".
      data_dir: the only place to look in; "" for `data/<name>`, `system_dirs`, and the default folder of
        tensorflow_datasets, in this order.
      forms: what `read` looks for, for the message that it is nowhere.
      read: the data set of a place, or None where there is none.
      finish: turns what was read from either form into what users see.
      system_dirs: where packages of the system put it.
      package: the Debian package to recommend; "" for none.

    Returns:
      The data set of the first place that has it.

    Raises:
      DatasetError: it is nowhere (with the command that gets it), broken, or of another size than `SHAPES[name]`; one
        line.
    """
    if data_dir:
        places = [expand(data_dir)]
    else:
        places = [Path("data", name.partition("/")[0]), *map(Path, system_dirs), tfds.default_dir()]
    for place in places:
        if (found := read(place)) is not None:
            return _checked(name, finish(found, place), place)
        if folder := tfds.find(place, name):
            return _checked(name, finish(tfds.read_dataset(folder), folder), folder)
    apt = f"apt-get install {package}, or: " if package else ""
    raise DatasetError(
        f"{name}: neither {forms} nor a tensorflow_datasets build in {', '.join(map(visible, places))}; "
        f"to get it: {apt}{visible(tfds.prepare_command(name, data_dir))}"
    )


def expand(path: str) -> Path:
    """The path, with the user's home in place of `~`; Path.expanduser raises for a user that is unknown."""
    return Path(os.path.expanduser(path))


def _checked(name: str, dataset: Dataset, place: Path) -> Dataset:
    shape, num_classes = SHAPES[name]
    shapes = {dataset.train_images.shape[1:], dataset.test_images.shape[1:]}
    if shapes != {shape} or dataset.num_classes != num_classes:
        found = f"images of {' and '.join(map(str, sorted(shapes)))} in {dataset.num_classes} classes"
        fault(place, found, f"{shape} in {num_classes} classes")
    return dataset
