import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.datasets import generated

IMAGES = generated.load().train_images


def test_an_image_depends_on_its_number_alone():
    alone = IMAGES[jnp.array([7])]
    among = jax.jit(lambda images, wanted: images[wanted])(IMAGES, jnp.array([3, 7, 2**22 - 1]))
    np.testing.assert_array_equal(among[1], alone[0])
    assert (among[0] != among[1]).any()


def test_images_of_a_class_look_alike_and_others_do_not():
    batch = np.asarray(IMAGES[jnp.array([4, 14, 5])], float).reshape(3, -1)
    same, other = np.corrcoef(batch)[0, 1:]
    assert same > 0.7
    assert abs(other) < 0.2


def test_it_reads_like_an_array_and_holds_ten_patterns():
    assert IMAGES.shape == (2**22, 28, 28, 1)
    assert IMAGES.first(100).shape == (100, 28, 28, 1)
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(IMAGES.patterns)) == 10 * 28 * 28 * 4
    with pytest.raises(TypeError):
        IMAGES[jnp.array([0.5])]
