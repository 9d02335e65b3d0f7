import numpy as np
import pytest

from halo_jax.datasets import synthetic


def _nearest_mean_accuracy(dataset) -> float:
    flat = dataset.train_images.reshape(len(dataset.train_labels), -1).astype(float)
    means = np.stack([flat[dataset.train_labels == k].mean(0) for k in range(dataset.num_classes)])
    tests = dataset.test_images.reshape(len(dataset.test_labels), -1).astype(float)
    nearest = ((tests[:, None] - means) ** 2).sum(-1).argmin(1)
    return (nearest == dataset.test_labels).mean()


def test_classes_can_be_learned():
    assert _nearest_mean_accuracy(synthetic.load()) > 0.95
    assert _nearest_mean_accuracy(synthetic.make(noise=1e5)) < 0.6  # so the noise does make it harder


def test_without_noise_a_class_is_one_pattern():
    dataset = synthetic.make(noise=0)
    assert len(np.unique(dataset.train_images.reshape(256, -1), axis=0)) == 4


def test_noise_is_clipped_and_never_wraps_around():
    clean, noisy = (synthetic.make(noise=noise).train_images.astype(int) for noise in (0, 20))
    assert np.abs(noisy - clean).max() < 6 * 20
    assert np.std(noisy - clean) == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize(("shape", "classes"), [((8, 8, 1), 4), ((32, 24, 3), 10), ((1, 1, 1), 2)])
def test_sizes(shape, classes):
    dataset = synthetic.make(shape, classes, train_examples=53, test_examples=17)
    assert dataset.train_images.shape == (53, *shape)
    assert dataset.test_images.shape == (17, *shape)
    counts = np.bincount(dataset.train_labels, minlength=classes)
    assert counts.max() - counts.min() <= 1


def test_seed():
    a, b, c = synthetic.make(seed=1), synthetic.make(seed=1), synthetic.make(seed=2)
    np.testing.assert_array_equal(a.train_images, b.train_images)
    np.testing.assert_array_equal(a.test_labels, b.test_labels)
    assert (a.train_images != c.train_images).any()
