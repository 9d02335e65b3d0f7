"""Evaluation: ranks with ties, and scores that do not depend on how the split falls into batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from halo_jax.federation.evaluation import make_evaluate, rank_of_label
from halo_jax.federation.local_data import Images, normalise
from halo_jax.numerics.layers import QuantDense
from halo_jax.recipes import float32, wage
from halo_jax.types import Precision

CLASSES, SIZE = 7, 11


class Linear(nn.Module):
    numerics: object

    @nn.compact
    def __call__(self, images, precision=None):
        flat = images.reshape(images.shape[0], -1)
        return QuantDense(CLASSES, head=True, numerics=self.numerics)(flat, precision)


def bits_of(*bits):
    return Precision(*map(jnp.int32, bits))


def split():
    rng = np.random.default_rng(1)
    images = jnp.asarray(rng.integers(0, 256, (SIZE, 3, 2, 1)), jnp.uint8)
    return Images(images, jnp.asarray(rng.integers(0, CLASSES, SIZE), jnp.int32))


def params():
    rng = np.random.default_rng(1)
    return {"QuantDense_0": {"kernel": jnp.asarray(rng.uniform(-0.75, 0.75, (6, CLASSES)), jnp.float32)}}


def test_rank_counts_larger_logits_and_equal_ones_before():
    logits = jnp.array([[1.0, 3, 3, 0, 3]] * 5)
    assert rank_of_label(logits, jnp.arange(5)).tolist() == [3, 0, 1, 4, 2]
    ranks = rank_of_label(jnp.zeros((4, 4)), jnp.arange(4))
    assert ranks.tolist() == [0, 1, 2, 3]  # all equal: one right answer of four, as argmax


def test_a_model_that_has_diverged_gets_nothing_right():
    logits = jnp.array([[jnp.nan, 0, 1], [0, jnp.nan, 1], [jnp.nan] * 3, [0, 2, jnp.inf]])
    assert rank_of_label(logits, jnp.array([0, 2, 1, 2])).tolist() == [3, 3, 3, 0]


@pytest.mark.parametrize("make", [float32, wage])
def test_scores_are_those_of_the_whole_split(make):
    recipe, data = make(), split()
    module, model, bits = Linear(recipe.numerics), recipe.encode(params()), bits_of(8, 4, 8)
    logits = np.asarray(module.apply({"params": recipe.decode(model)}, normalise(data.images), bits))
    order = np.argsort(-logits, axis=1, kind="stable")
    hits = order == np.asarray(data.labels)[:, None]
    loss = np.asarray(recipe.loss(jnp.asarray(logits), data.labels)).reshape(SIZE, -1)
    cases = ((4, "map"), (20, "map"), (4, "shard"))  # 4 + 4 + 3; 11 of 20; the batches of 4 shared by two devices
    found = [make_evaluate(module, recipe, size, executor)(model, bits, data) for size, executor in cases]
    for scores in found:
        assert (int(scores.top1), int(scores.top5)) == (hits[:, :1].sum(), hits[:, :5].sum())
        classes = np.asarray(data.labels)[hits[:, 0]]
        assert scores.right.tolist() == np.bincount(classes, minlength=CLASSES).tolist()
        np.testing.assert_allclose(scores.loss, loss.sum() / SIZE, atol=loss.shape[1] / 512)
    assert 0 < int(found[0].top1) < int(found[0].top5) < SIZE
    assert len({float(scores.loss) for scores in found}) == 1  # the same bits


def test_bits_are_traced():
    recipe, data, model = wage(), split(), wage().encode(params())
    evaluate = make_evaluate(Linear(recipe.numerics), recipe, 4)
    losses = {float(evaluate(model, bits_of(*bits), data).loss) for bits in ((8, 8, 8), (2, 8, 8), (2, 4, 8))}
    assert len(losses) == 3
    assert evaluate._cache_size() == 1


def test_stochastic_error_rounding_does_not_matter_without_errors():
    recipe, data, model = wage(error_rounding="stochastic"), split(), wage().encode(params())
    scores = make_evaluate(Linear(recipe.numerics), recipe, 4)(model, bits_of(8, 8, 8), data)
    expected = make_evaluate(Linear(wage().numerics), wage(), 4)(model, bits_of(8, 8, 8), data)
    jax.tree.map(np.testing.assert_array_equal, scores, expected)
