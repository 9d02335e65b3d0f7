from halo_jax.datasets import DATASETS, VARIANTS, load
from halo_jax.datasets.shapes import SHAPES


def test_the_known_sizes_are_those_of_the_data():
    data = load("digits", "", 0, 0)
    assert SHAPES["digits"] == (data.train_images.shape[1:], data.num_classes)


def test_the_papers_sets_and_the_real_ones_that_can_be_loaded_are_known():
    assert {"cifar10", "emnist", "tiny_imagenet"} <= SHAPES.keys()
    assert DATASETS.keys() - SHAPES.keys() == {"synthetic", "generated", "image_folder", "npz"}
    variants = {f"{name}/{variant}" for name, known in VARIANTS.items() for variant in known}
    assert variants == {name for name in SHAPES if "/" in name}
