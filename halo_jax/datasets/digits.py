"""Digits: 1,797 handwritten digits, 8x8 grey, that come with scikit-learn; real images without a download.

Source: the test set of Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI repository,
1998.
"""

import numpy as np

from halo_jax.datasets.base import Dataset

TEST_EXAMPLES = 360  # a fifth, so 1,437 are left to train on
_MAX_VALUE = 16  # pixels count inked dots in cells of 4x4


def load(data_dir: str = "") -> Dataset:
    """Load the digits: uint8 `[D, 8, 8, 1]` in 0..255; `data_dir` is not used.

    The stratified split is fixed. It does not depend on the experiment's seed, so that test accuracies of
    different seeds are comparable.
    """
    from sklearn.datasets import load_digits  # takes a second, so only those who load digits pay for it
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    images = np.round(pixels * 255 / _MAX_VALUE).astype(np.uint8).reshape(-1, 8, 8, 1)
    labels = labels.astype(np.int32)
    everything = np.arange(len(labels))
    train, test = train_test_split(everything, test_size=TEST_EXAMPLES, random_state=0, stratify=labels)
    return Dataset(images[train], labels[train], images[test], labels[test], num_classes=10)
