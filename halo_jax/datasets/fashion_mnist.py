"""Fashion-MNIST: 70,000 articles of clothing, 28x28 grey: MNIST's form, but harder; a Debian package has it.

Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
algorithms", arXiv:1708.07747, 2017.
"""

from halo_jax.datasets.base import Dataset
from halo_jax.datasets.mnist import read_idx_files
from halo_jax.datasets.places import search

DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_DIR = "/usr/share/datasets/fashion-mnist"  # where that package puts its IDX files


def load(data_dir: str = "") -> Dataset:
    """Load Fashion-MNIST, from `data_dir` or the usual places.

    Those are `data/fashion_mnist`, the Debian package, and the default folder of tensorflow_datasets. Raises
    DatasetError, one line, if it is nowhere (with the command that gets it) or broken.
    """
    places = {"system_dirs": (DEBIAN_DIR,), "package": DEBIAN_PACKAGE}
    return search("fashion_mnist", data_dir, "IDX files", read_idx_files, **places)
