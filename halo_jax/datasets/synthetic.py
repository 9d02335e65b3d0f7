"""Synthetic images that a small network learns in seconds: for tests, and for any shape."""

import numpy as np

from halo_jax.datasets.base import Dataset


def load(data_dir: str = "") -> Dataset:
    """Make 256 train and 64 test images, uint8 `[D, 8, 8, 1]`, in 4 classes; `data_dir` is not used."""
    return make()


def make(
    image_shape: tuple[int, int, int] = (8, 8, 1),
    num_classes: int = 4,
    train_examples: int = 256,
    test_examples: int = 64,
    noise: float = 48.0,
    seed: int = 0,
) -> Dataset:
    """Make images that are a random pattern of their class plus Gaussian noise, clipped to uint8.

    The same arguments give the same arrays.

    Args:
      image_shape: (H, W, C), pixels and channels.
      num_classes: classes, of equal size up to one image.
      train_examples: images to train on.
      test_examples: images to test on.
      noise: standard deviation in grey levels; patterns are uniform in 0..255.
      seed: of numpy's default generator, which draws patterns, labels and noise.

    Returns:
      Images uint8 `[D, H, W, C]` and labels int32 `[D]` of both splits.
    """
    rng = np.random.default_rng(seed)
    patterns = rng.uniform(0, 255, (num_classes, *image_shape))

    def split(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.permutation(np.arange(count) % num_classes).astype(np.int32)
        images = patterns[labels] + rng.normal(0, noise, (count, *image_shape))
        return np.clip(np.round(images), 0, 255).astype(np.uint8), labels

    return Dataset(*split(train_examples), *split(test_examples), num_classes)
