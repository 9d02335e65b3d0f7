"""Layers that learn nothing are counted, step by step, and told from those that learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from halo_jax.federation.local_data import Images, LocalData
from halo_jax.federation.local_training import make_local_train
from halo_jax.numerics import dead_layers as health
from halo_jax.numerics.dead_layers import KINDS, dead_codes, dead_layers, first_dead, name_tensors, none_dead
from halo_jax.numerics.layers import QuantConv, QuantDense
from halo_jax.numerics.quantize import step_size
from halo_jax.recipes.wage import wage
from halo_jax.types import Precision

STEPS = 5


class Net(nn.Module):
    """A convolution and a dense layer."""

    @nn.compact
    def __call__(self, x, bits):
        """Logits of images."""
        x = nn.relu(QuantConv(8)(x, bits))
        return QuantDense(4, head=True)(x.reshape(x.shape[0], -1), bits)


def bits(*numbers: int) -> Precision:
    return Precision(*map(jnp.int32, numbers))


def masters(conv: float = 96, dense: float = 96) -> dict:
    rng = np.random.default_rng(0)
    draw = lambda size, shape: jnp.asarray(rng.integers(-size, size + 1, shape), jnp.int8)  # noqa: E731
    kernels = {"QuantConv_0": draw(conv, (3, 3, 1, 8)), "QuantDense_0": draw(dense, (6 * 6 * 8, 4))}
    return {name: {"kernel": kernel} for name, kernel in kernels.items()}


@jax.jit
def train(model, precision, dead):
    rng = np.random.default_rng(1)
    images = Images(jnp.asarray(rng.integers(0, 256, (40, 6, 6, 1)), jnp.uint8), jnp.asarray(rng.integers(0, 4, 40)))
    local_data = LocalData(jnp.arange(40), jnp.ones(40, bool))
    local_train = make_local_train(Net(), wage(), 8, 1)
    return local_train(model, precision, local_data, images, dead, learning_rate=jnp.float32(8), key=jax.random.key(0))[
        2
    ]


@pytest.mark.parametrize("k", [2, 4, 8])
def test_codes_are_dead_when_all_are_zero_or_all_at_their_largest(k):
    top = 1 - step_size(k)
    signs = jnp.where(jnp.arange(3 * 5 * 7 * 4) % 2, 1.0, -1.0).reshape(3, 5, 7, 4)
    assert dead_codes(jnp.zeros((3, 5, 7, 4)), k).tolist() == [True, False]
    assert dead_codes(signs * top, k).tolist() == [False, True]
    one_lives = signs.at[1, 2, 3, 0].set(0) * top
    assert dead_codes(one_lives, k).tolist() == [False, False]
    assert dead_codes(jnp.zeros((6, 9)), k).tolist() == [True, False]


def test_one_code_in_a_thousand_may_live():
    codes = jnp.zeros((50, 40))
    assert dead_codes(codes.at[:2, 0].set(0.5), 8)[0]
    assert not dead_codes(codes.at[:3, 0].set(0.5), 8)[0]


def test_training_that_works_has_no_dead_layer():
    assert np.asarray(train(masters(), bits(8, 8, 8), none_dead(masters()))).max() == 0


def test_a_convolution_of_zeros_starves_the_layer_after_it():
    dead = np.asarray(train(masters(conv=0, dense=0), bits(2, 8, 8), none_dead(masters())))
    names, kinds = name_tensors(masters()), list(KINDS)
    assert names == ["QuantConv_0", "QuantDense_0"]
    # Weights of zero pass no error, and no activation: the network cannot leave this state.
    assert dead[0].tolist() == [0, 0, STEPS]
    assert dead[1][kinds.index("activations all zero")] == STEPS
    assert first_dead(dead, STEPS) == (1, 0)
    assert first_dead(dead, STEPS + 1) is None


def test_the_count_goes_on_from_the_round_before_and_starts_anew_where_a_layer_lives():
    before = none_dead(masters()) + 7
    assert np.asarray(train(masters(), bits(8, 8, 8), before)).max() == 0
    assert np.asarray(train(masters(conv=0, dense=0), bits(2, 8, 8), before))[0, 2] == 7 + STEPS


def test_padding_does_not_count():
    local_data = LocalData(jnp.zeros(40, jnp.int32), jnp.arange(40) < 8)
    images = Images(jnp.zeros((1, 6, 6, 1), jnp.uint8), jnp.zeros(1, jnp.int32))
    one = make_local_train(Net(), wage(), 8, 1)
    model = masters(conv=0, dense=0)
    arguments = {"learning_rate": jnp.float32(8), "key": jax.random.key(0)}
    dead = jax.jit(lambda m: one(m, bits(2, 8, 8), local_data, images, none_dead(m), **arguments)[2])(model)
    assert np.asarray(dead).max() == 1


def test_trouble_begins_at_the_first_dead_activations_or_else_the_last_zero_gradient():
    dead = np.zeros((4, 3), int)
    dead[:3, 2] = 9
    assert first_dead(dead, 9) == (2, 2)
    dead[1:, 1] = 9
    assert first_dead(dead, 9) == (1, 1)
    dead[2:, 0] = 9
    assert first_dead(dead, 9) == (2, 0)


def test_a_model_without_our_layers_is_judged_by_its_gradients():
    gradients = {"a": jnp.zeros(3), "b": jnp.array([0.0, 1e-30])}
    assert dead_layers(gradients, {}).tolist() == [[False, False, True], [False, False, False]]


def test_every_kind_has_a_remedy():
    assert len(KINDS) == len(health.REMEDIES)
