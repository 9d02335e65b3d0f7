"""The contract of every entry of MODELS: logits and gradients of any precision from one program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.models import MODELS, layer_shapes
from halo_jax.numerics.wage import Numerics
from halo_jax.types import Precision

IMAGE, CLASSES, BATCH = (9, 8, 1), 5, 2  # odd sizes included
WIDTH = 1 / 32
every = pytest.mark.parametrize("name", MODELS)


def bits_of(*bits):
    return Precision(*map(jnp.int32, bits))


def random_params(module):
    """Parameters of the module's shapes in +-0.75, without running it."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, *IMAGE)), bits_of(8, 8, 8))
    rng = np.random.default_rng(0)
    fill = lambda leaf: jnp.asarray(rng.uniform(-0.75, 0.75, leaf.shape), jnp.float32)  # noqa: E731
    return jax.tree.map(fill, shapes["params"])


def images():
    return jax.random.uniform(jax.random.key(1), (BATCH, *IMAGE), minval=-1)


@every
def test_one_program_gives_finite_logits_and_gradients_and_reads_the_bits_of_every_layer(name):
    module, traces = MODELS[name](CLASSES, width=WIDTH), []
    params, layers = random_params(module), len(layer_shapes(module, IMAGE))

    @jax.jit
    def step(params, precision):
        traces.append(None)

        def loss(params):
            logits = module.apply({"params": params}, images(), precision)
            return jnp.sum((logits - 1) ** 2), logits

        return jax.grad(loss, has_aux=True)(params)

    def run(bits):
        gradients, logits = step(params, Precision(*jnp.asarray(bits, jnp.int32)))
        assert (logits.shape, logits.dtype) == ((BATCH, CLASSES), jnp.float32)
        assert jax.tree.map(jnp.shape, gradients) == jax.tree.map(jnp.shape, params)
        found = np.concatenate([np.ravel(leaf) for leaf in (logits, *jax.tree.leaves(gradients))])
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
        return found

    full = run(np.full((3, layers), 8))
    assert np.any(full)
    for dimension, layer in np.ndindex(3, layers):
        bits = np.full((3, layers), 8)
        bits[dimension, layer] = (2, 4, 4)[dimension]
        assert not np.array_equal(run(bits), full), (Precision._fields[dimension], layer)
    assert len(traces) == 1


@every
def test_parameters_do_not_depend_on_the_arithmetic(name):
    """Clients of all precisions and recipes share one model."""
    shapes = [
        jax.eval_shape(MODELS[name](CLASSES, width=WIDTH, numerics=numerics).init, jax.random.key(0), images(), bits)
        for numerics, bits in (
            (Numerics(), bits_of(8, 8, 8)),
            (Numerics(order="neurosim", input_bits=8), bits_of(2, 4, 4)),
            (None, None),
        )
    ]
    assert shapes[0] == shapes[1] == shapes[2]
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(shapes[0]))


@every
def test_without_numerics_precision_is_not_read(name):
    module = MODELS[name](CLASSES, width=WIDTH, numerics=None)
    program = jax.make_jaxpr(lambda params, bits: module.apply({"params": params}, images(), bits))
    traced = program(random_params(module), bits_of(8, 8, 8)).jaxpr
    used = {id(var) for eqn in traced.eqns for var in eqn.invars}
    assert not any(id(var) in used for var in traced.invars[-3:])


@every
def test_one_precision_for_all_layers_is_accepted(name):
    module = MODELS[name](CLASSES, width=WIDTH)
    logits = jax.eval_shape(module.apply, {"params": random_params(module)}, images(), bits_of(8, 8, 8))
    assert logits.shape == (BATCH, CLASSES)


@every
def test_missing_precision_is_named(name):
    module = MODELS[name](CLASSES, width=WIDTH)
    with pytest.raises(ValueError, match="precision is None"):
        jax.eval_shape(module.init, jax.random.key(0), images())
