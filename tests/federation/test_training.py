"""Local training of one client: the order of its examples, padding, and whole runs against the integer twin."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from halo_jax.federation.local_data import Images, LocalData, batch_order, local_steps, normalise
from halo_jax.federation.local_training import make_local_train
from halo_jax.federation.loss_sum import LossSum
from halo_jax.numerics.dead_layers import none_dead
from halo_jax.numerics.layers import QuantDense
from halo_jax.numerics.quantize import uniform_like
from halo_jax.recipes import bfp, float32, wage
from halo_jax.recipes.wage import from_codes
from halo_jax.types import Precision, Stream, stream
from tests.oracles import wage_numpy

CLASSES, PIXELS, HIDDEN = 3, (2, 4, 1), 6
KEY = jax.random.key(7)


class TwoDense(nn.Module):
    numerics: object

    @nn.compact
    def __call__(self, images, precision=None):
        x = images.reshape(images.shape[0], -1)
        x = nn.relu(QuantDense(HIDDEN, numerics=self.numerics)(x, precision))
        return QuantDense(CLASSES, head=True, numerics=self.numerics)(x, precision)


def bits_of(*bits):
    return Precision(*map(jnp.int32, bits))


def data_of(size=20):
    """Three classes that differ in which pixels are bright, and noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(size) % CLASSES
    images = rng.integers(0, 90, (size, *PIXELS))
    images[np.arange(size), labels % 2, labels] += 160
    return Images(jnp.asarray(images, jnp.uint8), jnp.asarray(labels, jnp.int32))


def local_data_of(real, padding=0):
    """`real` examples, then padding that points at some image."""
    mask = np.arange(real + padding) < real
    return LocalData(jnp.asarray(np.where(mask, np.arange(real + padding) * 2 % 19, 19), jnp.int32), jnp.asarray(mask))


def masters():
    rng = np.random.default_rng(1)
    kernel = lambda *shape: {"kernel": jnp.asarray(rng.integers(-96, 97, shape), jnp.int8)}  # noqa: E731
    return {"QuantDense_0": kernel(8, HIDDEN), "QuantDense_1": kernel(HIDDEN, CLASSES)}


@functools.cache
def trainer(make, local_epochs):
    recipe = make()
    local_train = make_local_train(TwoDense(recipe.numerics), recipe, 4, local_epochs)
    return jax.jit(lambda *args, **kwargs: local_train(*args, none_dead(masters()), **kwargs)[:2])


order_of = jax.jit(batch_order, static_argnums=(1, 2))


def equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_pixels_lie_between_minus_one_and_one():
    np.testing.assert_allclose(normalise(jnp.array([0, 51, 255], jnp.uint8)), [-1, -0.6, 1], rtol=1e-6)


@pytest.mark.parametrize(("examples", "batch", "epochs", "steps"), [(10, 4, 1, 3), (8, 4, 3, 6), (1, 32, 2, 2)])
def test_steps_see_each_example_once_an_epoch(examples, batch, epochs, steps):
    assert local_steps(examples, batch, epochs) == steps
    order = jax.eval_shape(lambda: batch_order(local_data_of(examples), batch, epochs, KEY))
    assert [part.shape for part in order] == [(steps, batch)] * 2


def test_each_epoch_is_a_permutation_of_the_real_examples():
    local_data = local_data_of(11, padding=4)
    indices, mask = order_of(local_data, 4, 3, KEY)
    epochs = []
    for index, real in zip(np.split(np.asarray(indices), 3), np.split(np.asarray(mask), 3), strict=True):
        assert real.ravel().tolist() == [True] * 11 + [False] * 5  # padding last
        epochs.append(index.ravel()[:11].tolist())
        assert sorted(epochs[-1]) == sorted(np.asarray(local_data.indices)[:11].tolist())
    assert len({tuple(epoch) for epoch in epochs}) == 3
    other = order_of(local_data, 4, 3, jax.random.key(8))[0]
    assert not np.array_equal(other, indices)


def test_padding_does_not_change_the_order():
    alone = np.asarray(order_of(local_data_of(11), 4, 3, KEY)[0]).reshape(3, -1)[:, :11]
    padded = np.asarray(order_of(local_data_of(11, padding=4), 4, 3, KEY)[0]).reshape(3, -1)[:, :11]
    np.testing.assert_array_equal(alone, padded)


@pytest.mark.parametrize(("make", "epochs", "rate"), [(wage, 1, 1), (wage, 2, 1), (bfp, 2, 1), (float32, 2, 0.1)])
def test_padding_does_not_change_what_is_learnt(make, epochs, rate):
    """A client's data are padded to the largest of all clients': who they are must not matter, nor momentum."""
    train, start = trainer(make, epochs), from_codes(masters()) if make is float32 else masters()
    alone, padded = (
        train(start, bits_of(4, 6, 8), local_data, data_of(), learning_rate=jnp.float32(rate), key=KEY)
        for local_data in (local_data_of(6), local_data_of(6, padding=7))
    )
    equal(alone, padded)
    assert not np.array_equal(alone[0]["QuantDense_0"]["kernel"], start["QuantDense_0"]["kernel"])


def test_local_training_is_steps_of_the_integer_twin():
    """Six examples in batches of four, twice: the last batch of an epoch is half padding."""
    bits, eta, local_data, data = (4, 6, 8), 1, local_data_of(6), data_of()
    train = trainer(wage, 2)
    found, loss = train(masters(), bits_of(*bits), local_data, data, learning_rate=jnp.float32(eta), key=KEY)
    names = ("QuantDense_0", "QuantDense_1")
    codes, losses = [np.asarray(masters()[name]["kernel"]) for name in names], 0.0
    order = order_of(local_data, 4, 2, stream(KEY, Stream.SHUFFLE))
    for number, (indices, mask) in enumerate(zip(*map(np.asarray, order), strict=True)):
        draws = uniform_like(stream(KEY, Stream.UPDATE, number), from_codes(masters()))
        noise = [np.asarray(draws[name]["kernel"], np.float64) for name in names]
        images, labels = np.asarray(data.images)[indices], np.asarray(data.labels)[indices]
        codes, seen = wage_numpy.step([("dense",)] * 2, codes, images, labels, mask, bits, eta, noise)
        error = (seen["logits"] - np.eye(CLASSES)[labels]) * mask[:, None]
        losses += 0.5 * (error**2).sum()
    for name, code in zip(names, codes, strict=True):
        assert found[name]["kernel"].dtype == jnp.int8
        np.testing.assert_array_equal(found[name]["kernel"], code)
    np.testing.assert_allclose(loss, losses / 12, atol=CLASSES / 512)


@pytest.mark.parametrize("make", [wage, bfp])
def test_low_precision_learns_and_changed_bits_compile_nothing(make):
    train, model, losses = trainer(make, 1), masters(), []
    compiled = train._cache_size()
    for round in range(12):
        bits = bits_of(8, 8, 8) if round % 2 else bits_of(6, 8, 6)
        rate = jnp.float32(4 if round < 8 else 0.5)
        model, loss = train(model, bits, local_data_of(10), data_of(), learning_rate=rate, key=jax.random.key(round))
        losses.append(float(loss))
    assert losses[-1] < losses[0] / 2
    assert train._cache_size() == compiled + 1


def test_float32_learns_and_a_client_without_examples_changes_nothing():
    train = trainer(float32, 1)
    start = from_codes(masters())
    model, losses = start, []
    for round in range(12):
        arguments = {"learning_rate": jnp.float32(0.1), "key": jax.random.key(round)}
        model, loss = train(model, bits_of(2, 2, 2), local_data_of(10), data_of(), **arguments)
        losses.append(float(loss))
    assert losses[-1] < losses[0] / 2
    empty = local_data_of(10)._replace(mask=jnp.zeros(10, bool))
    unchanged, loss = train(model, bits_of(2, 2, 2), empty, data_of(), **arguments)
    equal(unchanged, model)
    assert float(loss) == 0


def test_a_view_of_the_weights_is_what_the_network_computes_with_and_gradients_go_straight_through():
    """Seen through a coarse grid, weights train as plain ones that lie on that grid, from where they are."""
    coarse = lambda params: jax.tree.map(lambda w: jnp.round(w * 4) / 4, params)  # noqa: E731
    recipe, params = float32(momentum=0.0), from_codes(masters())
    local_data, data, dead = local_data_of(4), data_of(), none_dead(params)

    def change(params, view):
        train = make_local_train(TwoDense(recipe.numerics), recipe, 4, 1, view)
        rate = jnp.float32(0.5)
        new, _, _ = train(params, bits_of(8, 8, 8), local_data, data, dead, learning_rate=rate, key=KEY)
        return jax.tree.map(jnp.subtract, new, params)

    seen, plain, on_grid = change(params, coarse), change(params, None), change(coarse(params), None)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), seen, on_grid)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(*map(jax.tree.leaves, (seen, plain)), strict=True))


def test_recorded_loss_has_no_order():
    rng = np.random.default_rng(0)
    terms, mask = rng.gamma(1, 1e5, (40, 3)).astype(np.float32), rng.random(40) < 0.8
    exact = sum(round(256 * float(term)) for term in terms[mask].ravel())
    assert exact > 2**31  # more than an int32 or a float32 could add
    for order in (np.arange(40), rng.permutation(40)):
        one = LossSum.of(jnp.asarray(terms[order]), jnp.asarray(mask[order]))
        halves = [LossSum.of(jnp.asarray(terms[half]), jnp.asarray(mask[half])) for half in np.split(order, 2)]
        both = jax.tree.map(lambda *leaves: jnp.stack(leaves), *halves).sum()
        for total in (one, both):
            assert int(total.steps.high) * 4096 + int(total.steps.low) == exact
            assert float(total.mean(3)) == np.float32(np.float32(exact / 256) / np.float32(3))


def test_recorded_loss_is_cut_before_it_overflows():
    terms = jnp.array([1e30, jnp.inf, 1.0, 3.0])
    assert float(LossSum.of(terms, jnp.ones(4, bool)).mean(1)) == pytest.approx(2 * 2**34 / 4)
    assert float(LossSum.of(terms, jnp.array([False, False, True, True])).mean(1)) == 4


def test_a_nan_in_the_loss_is_recorded_unless_it_is_masked():
    terms = jnp.array([jnp.nan, 1.0])
    assert np.isnan(LossSum.of(terms, jnp.ones(2, bool)).mean(2))
    assert float(LossSum.of(terms, jnp.array([False, True])).mean(1)) == 1
