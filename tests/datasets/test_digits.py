import numpy as np
from sklearn.datasets import load_digits

from halo_jax.datasets import digits


def test_split_is_a_permutation_of_the_scaled_originals():
    dataset = digits.load()
    pixels, labels = load_digits(return_X_y=True)
    assert dataset.train_images.shape == (1437, 8, 8, 1)
    assert dataset.test_images.shape == (360, 8, 8, 1)
    # every grey level v of 0..16 becomes the uint8 nearest to 255 v / 16, in whole numbers
    expected = {(row.astype(bytes).tobytes(), label) for row, label in zip(pixels, labels, strict=True)}
    images = np.concatenate([dataset.train_images, dataset.test_images]).reshape(-1, 64).astype(int)
    back = images * 16 // 255 + (images * 16 % 255 > 127)
    found = np.concatenate([dataset.train_labels, dataset.test_labels])
    assert {
        (row.astype(float).astype(bytes).tobytes(), label) for row, label in zip(back, found, strict=True)
    } == expected
    assert len(expected) == len(pixels)  # all originals differ, so none is in both splits
    assert sorted(set(images.ravel())) == [round(255 * v / 16) for v in range(17)]


def test_split_is_stratified_and_fixed():
    dataset = digits.load()
    shares = np.bincount(dataset.test_labels) / np.bincount(np.concatenate([dataset.train_labels, dataset.test_labels]))
    np.testing.assert_allclose(shares, 360 / 1797, atol=0.004)
    np.testing.assert_array_equal(digits.load().test_images, dataset.test_images)
