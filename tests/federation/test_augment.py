"""Crops and flips: against a NumPy twin that moves pixel by pixel, as random as they should be, and the same padded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.federation.augment import crop_and_flip, make_augment
from halo_jax.federation.local_training import make_local_train
from halo_jax.numerics.dead_layers import none_dead
from halo_jax.recipes import wage
from halo_jax.types import Stream, stream
from tests.federation.test_training import KEY, TwoDense, bits_of, data_of, local_data_of, masters, order_of

SHAPE = (32, 32, 3)


def twin(image: np.ndarray, corner: tuple[int, int], mirrored: bool) -> np.ndarray:
    """Pixel (y, x) of the answer lies at (y, x) + corner - 4 in the image, or is black outside of it."""
    cut = np.zeros_like(image)
    height, width = image.shape[:2]
    for y in range(height):
        for x in range(width):
            at = y + corner[0] - 4, (width - 1 - x if mirrored else x) + corner[1] - 4
            if 0 <= at[0] < height and 0 <= at[1] < width:
                cut[y, x] = image[at]
    return cut


@pytest.mark.parametrize("shape", [(7, 5, 3), (2, 3, 1)])
def test_a_crop_is_that_of_the_twin(shape):
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (81, *shape)).astype(np.uint8)
    corners, mirrored = np.stack(np.divmod(np.arange(81), 9), axis=1), rng.random(81) < 0.5
    found = jax.jit(crop_and_flip)(images, jnp.asarray(corners), jnp.asarray(mirrored))
    assert found.dtype == jnp.uint8
    for i in range(81):
        np.testing.assert_array_equal(found[i], twin(images[i], corners[i], mirrored[i]))


def marked(count: int) -> jnp.ndarray:
    """Images of one bright pixel, left of the middle, that tells where it went."""
    return jnp.zeros((count, *SHAPE), jnp.uint8).at[:, 16, 10, :].set(255)


@pytest.mark.parametrize("name", ["crop", "crop_flip"])
def test_moves_and_flips_are_uniform_and_one_for_each_image(name):
    augment = make_augment(name, SHAPE)
    moved = np.asarray(jax.jit(augment)(marked(4000), KEY))
    _, y, x, _ = np.nonzero(moved[..., :1])
    assert len(y) == 4000
    mirrored = x > 15
    assert mirrored.mean() == pytest.approx(0.5 if name == "crop_flip" else 0, abs=0.03)
    for offset in (y - 16, np.where(mirrored, 31 - x, x) - 10):
        shares = np.bincount(offset + 4, minlength=9) / 4000
        np.testing.assert_allclose(shares, np.full(9, 1 / 9), atol=0.02)
    assert len(set(zip(y, x, strict=True))) == (162 if name == "crop_flip" else 81)


def test_an_images_draws_do_not_depend_on_the_batch():
    augment = make_augment("crop_flip", SHAPE)
    np.testing.assert_array_equal(augment(marked(7), KEY)[:5], augment(marked(5), KEY))


def test_auto_is_for_colour_images_of_32_by_32_and_more():
    assert [
        make_augment("auto", shape) is None for shape in ((28, 28, 1), (32, 32, 1), (28, 28, 3), SHAPE, (64, 64, 3))
    ] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert make_augment("none", SHAPE) is None


def test_training_augments_the_images_of_each_step_by_its_own_key():
    """One client trained with a spy, padded and not: the keys are those of its real steps, and so is what is learnt."""
    recipe, keys = wage(), []

    def spy(images, key):
        jax.debug.callback(lambda data: keys.append(tuple(data.tolist())), jax.random.key_data(key))
        return 255 - images

    train = make_local_train(TwoDense(recipe.numerics), recipe, 4, 1, augment=spy)
    plain = make_local_train(TwoDense(recipe.numerics), recipe, 4, 1)
    answers = []
    for one, data, padding in ((train, data_of(), 0), (train, data_of(), 7), (plain, None, 0)):
        inverted = data or data_of()._replace(images=255 - data_of().images)
        arguments = {"learning_rate": jnp.float32(1), "key": KEY}
        answers.append(
            one(masters(), bits_of(4, 6, 8), local_data_of(6, padding), inverted, none_dead(masters()), **arguments)[:2]
        )
        jax.effects_barrier()
    steps = [tuple(jax.random.key_data(stream(KEY, Stream.AUGMENT, number)).tolist()) for number in range(2)]
    assert sorted(keys) == sorted(steps * 2)
    assert len(order_of(local_data_of(6), 4, 1, KEY)[0]) == 2
    for other in answers[1:]:
        jax.tree.map(np.testing.assert_array_equal, answers[0], other)
