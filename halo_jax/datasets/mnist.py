"""MNIST: 70,000 handwritten digits, 28x28 grey; the data set that the quick experiments of the field share.

Source: LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 86(11), 1998.
"""

from pathlib import Path

from halo_jax.datasets import idx
from halo_jax.datasets.base import Dataset
from halo_jax.datasets.places import search

NUM_CLASSES = 10


def load(data_dir: str = "") -> Dataset:
    """Load MNIST, from `data_dir` or the usual places.

    Those are `data/mnist` and the default folder of tensorflow_datasets. Raises DatasetError, one line, if it
    is nowhere (with the command that gets it) or broken.
    """
    return search("mnist", data_dir, "IDX files", read_idx_files)


def read_idx_files(place: Path) -> Dataset | None:
    """The data set whose IDX files lie in `place`, or None if there is none of them. Raises DatasetError."""
    return idx.read_dataset(place, NUM_CLASSES) if idx.present(place) else None
