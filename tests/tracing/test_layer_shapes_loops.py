"""The same weights more than once, and stacked weights: calls, scans, loops, branches and slices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from jax import lax

from halo_jax.models import layer_shapes, trace_layers
from halo_jax.numerics.layers import QuantDense
from halo_jax.types import LayerShape

T, D = 7, 5
SQUARE = LayerShape((1, 1), D, D, (1, 1))


class Written(nn.Module):
    """A module of one function of weights and input."""

    run: object
    shapes: tuple = ((D, D),)

    @nn.compact
    def __call__(self, x):
        names = ("w", "v", "u")[: len(self.shapes)]
        weights = [self.param(name, nn.initializers.normal(), s) for name, s in zip(names, self.shapes, strict=True)]
        return self.run(x, *weights)


def trace(run, *shapes, input_shape=(D,)):
    return trace_layers(Written(run, shapes or ((D, D),)), input_shape)


class Twice(nn.Module):
    @nn.compact
    def __call__(self, x, precision=None):
        layer, other = QuantDense(D), nn.Dense(D)
        return layer(other(layer(other(x[..., :3, :]), precision)), precision), layer(x, precision)


def test_a_module_called_again_repeats_and_on_another_size_is_a_layer_more():
    traced = trace_layers(Twice(), (4, D))
    three = LayerShape((1, 1), D, D, (3, 1), repeats=2)
    assert traced.layers == (three, three, LayerShape((1, 1), D, D, (4, 1)))
    assert traced.names == ("Dense_0", "QuantDense_0", "QuantDense_0#2")


# A recurrent cell: state and input each have a product with weights, in each of T steps.


def step(state, inputs, w, v):
    state = jnp.tanh(state @ w + inputs @ v)
    return state, state


def test_scan_over_time_repeats_though_the_first_state_is_zeros():
    run = lambda x, w, v: lax.scan(lambda s, x: step(s, x, w, v), jnp.zeros((1, D)), x.swapaxes(0, 1))[1]  # noqa: E731
    traced = trace(run, (D, D), (3, D), input_shape=(T, 3))
    assert traced.layers == (SQUARE._replace(repeats=T), LayerShape((1, 1), 3, D, (1, 1), repeats=T))
    assert [(row.operation, row.times, row.elements) for row in traced.skipped] == [
        ("add", T, T * D),
        ("tanh", T, T * D),
    ]


def test_linen_and_nnx_recurrent_networks_repeat():
    assert set(layer_shapes(nn.RNN(nn.SimpleCell(D)), (T, 3))) == {
        SQUARE._replace(repeats=T),
        LayerShape((1, 1), 3, D, (1, 1), repeats=T),
    }
    gates = layer_shapes(nn.Bidirectional(nn.RNN(nn.GRUCell(D)), nn.RNN(nn.GRUCell(D))), (T, 3))
    assert len(gates) == 12
    assert {layer.repeats for layer in gates} == {T}
    module = nnx.RNN(nnx.GRUCell(3, D, rngs=nnx.Rngs(0)))
    assert set(layer_shapes(module, (T, 3))) == {
        LayerShape((1, 1), D, 3 * D, (1, 1), repeats=T),
        LayerShape((1, 1), 3, 3 * D, (1, 1), repeats=T),
    }


def test_nested_scans_multiply_and_remat_and_jit_are_looked_into():
    def run(x, w):
        inner = jax.checkpoint(jax.jit(lambda h: lax.scan(lambda h, _: (h @ w, None), h, None, length=3)[0]))
        return lax.scan(lambda h, _: (jnp.sin(inner(h)), None), x, None, length=4)[0]

    traced = trace(run)
    assert traced.layers == (SQUARE._replace(repeats=12),)
    assert [(row.operation, row.times) for row in traced.skipped] == [("sin", 4)]


def test_custom_derivatives_are_looked_into():
    plain = lambda h, w: h @ w  # noqa: E731
    by_vjp, by_jvp = jax.custom_vjp(plain), jax.custom_jvp(plain)
    by_vjp.defvjp(lambda h, w: (h @ w, None), lambda _, e: (e, None))
    by_jvp.defjvp(lambda primals, tangents: (plain(*primals), tangents[0]))
    assert trace(lambda x, w: by_jvp(by_vjp(x, w), w)).layers == (SQUARE._replace(repeats=2),)


def test_one_device_of_a_mesh_is_looked_into():
    mesh, whole = jax.make_mesh((1,), ("devices",)), jax.sharding.PartitionSpec()
    run = jax.shard_map(jnp.matmul, mesh=mesh, in_specs=(whole, whole), out_specs=whole)
    assert trace(run).layers == (SQUARE,)


# Stacked weights: each slice is a layer.


class Body(nn.Module):
    @nn.compact
    def __call__(self, x, _=None):
        x = nn.relu(nn.Dense(2 * D)(x))
        return nn.Dense(D)(x), None


class Stack(nn.Module):
    scan: bool

    @nn.compact
    def __call__(self, x):
        if not self.scan:
            for _ in range(3):
                x, _ = Body()(x)
            return x
        return nn.scan(Body, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)()(x, None)[0]


def test_scan_over_stacked_weights_is_the_unrolled_loop():
    scanned, unrolled = trace_layers(Stack(scan=True), (T, D)), trace_layers(Stack(scan=False), (T, D))
    assert (
        scanned.layers
        == unrolled.layers
        == (
            LayerShape((1, 1), D, 2 * D, (T, 1)),
            LayerShape((1, 1), 2 * D, D, (T, 1)),
        )
        * 3
    )
    assert set(scanned.skipped) == set(unrolled.skipped)
    assert scanned.names[:3] == ("ScanBody_0/Dense_0[0]", "ScanBody_0/Dense_1[0]", "ScanBody_0/Dense_0[1]")
    assert len(set(scanned.names)) == 6


class NnxStack(nnx.Module):
    def __init__(self, rngs):
        make = nnx.split_rngs(splits=3)(nnx.vmap(lambda rngs: nnx.Linear(D, D, rngs=rngs), in_axes=0, out_axes=0))
        self.layers = make(rngs)

    def __call__(self, x):
        forward = nnx.scan(lambda x, layer: layer(x), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        return forward(forward(x, self.layers), self.layers)


def test_nnx_scan_over_stacked_weights_that_run_twice():
    traced = trace_layers(nnx.eval_shape(lambda: NnxStack(nnx.Rngs(0))), (D,))
    assert traced.layers == (SQUARE._replace(repeats=2),) * 3
    assert traced.names == ("layers[0]", "layers[1]", "layers[2]")


STACKED = {
    "by name": lambda x, w: functools.reduce(lambda h, i: h @ w[i], range(3), x),
    "unpacked": lambda x, w: functools.reduce(jnp.matmul, w, x),
    "unstacked": lambda x, w: functools.reduce(jnp.matmul, jnp.unstack(w), x),
    "split": lambda x, w: functools.reduce(lambda h, part: h @ part[0], jnp.split(w, 3), x),
    "taken": lambda x, w: functools.reduce(lambda h, i: h @ jnp.take(w, i, axis=0), range(3), x),
    "by a dynamic index": lambda x, w: functools.reduce(
        lambda h, i: h @ lax.dynamic_index_in_dim(w, i, keepdims=False), range(3), x
    ),
    "scan": lambda x, w: lax.scan(lambda h, w: (h @ w, None), x, w)[0],
    "scan of an index": lambda x, w: lax.scan(lambda h, i: (h @ w[i], None), x, jnp.arange(3))[0],
    "scan of a constant index": lambda x, w: lax.scan(lambda h, i: (h @ w[i], None), x, np.arange(3))[0],
    "fori_loop": lambda x, w: lax.fori_loop(0, 3, lambda i, h: h @ w[i], x),
    "fori_loop of a traced length": lambda x, w: lax.fori_loop(0, jnp.int32(3), lambda i, h: h @ w[i], x),
    "fori_loop of parts": lambda x, w: lax.fori_loop(0, 6, lambda i, h: h @ w[i // 2], x),
}


@pytest.mark.parametrize("name", STACKED)
def test_slices_of_a_stacked_weight_are_layers(name):
    traced = trace(STACKED[name], (3, D, D))
    assert traced.layers == (SQUARE._replace(repeats=2 if name.endswith("parts") else 1),) * 3
    assert traced.names == ("w[0]", "w[1]", "w[2]")


def test_a_reversed_scan_runs_the_last_weights_first():
    run = lambda x, w: lax.scan(lambda h, w: (h @ w, None), x, w, reverse=True)[0]  # noqa: E731
    assert trace(run, (3, D, D)).names == ("w[2]", "w[1]", "w[0]")


def test_nested_stacks_are_layers_of_both_indices():
    row = lambda h, w: lax.scan(lambda h, w: (h @ w, None), h, w)  # noqa: E731
    traced = trace(lambda x, w: lax.scan(row, x, w)[0], (2, 3, D, D))
    assert traced.layers == (SQUARE,) * 6
    assert traced.names == ("w[0][0]", "w[0][1]", "w[0][2]", "w[1][0]", "w[1][1]", "w[1][2]")


def test_a_stack_around_shared_weights_and_shared_weights_around_a_stack():
    def over_time(x, w, v):
        return lax.scan(lambda h, w: (lax.scan(lambda h, _: (h @ w @ v, None), h, None, length=T)[0], None), x, w)[0]

    traced = trace(over_time, (3, D, D), (D, D))
    assert traced.layers == (
        SQUARE._replace(repeats=T),
        SQUARE._replace(repeats=3 * T),
        *[SQUARE._replace(repeats=T)] * 2,
    )
    assert traced.names == ("w[0]", "v", "w[1]", "w[2]")
    outer = lambda x, w: lax.scan(lambda h, _: (STACKED["scan"](h, w), None), x, None, length=T)[0]  # noqa: E731
    assert trace(outer, (3, D, D)).layers == (SQUARE._replace(repeats=T),) * 3


def test_parts_of_a_fused_weight_are_layers_and_noise_on_weights_is_not_a_part():
    def run(x, w):
        q, k, v = jnp.split(x @ w, 3, axis=-1)
        return q @ w[:, :D] + k @ w[:, D : 2 * D] + v @ w[:, 2 * D :]

    assert trace(run, (D, 3 * D)).names == ("w", "w[:,0:5]", "w[:,5:10]", "w[:,10:15]")

    def noisy(x, w):
        keys = jax.random.split(jax.random.key(0), T)
        return lax.scan(lambda h, key: (h @ (w + jax.random.normal(key, w.shape)), None), x, keys)[0]

    assert trace(noisy).layers == (SQUARE._replace(repeats=T),)


def test_weights_that_a_scan_carries_keep_their_name():
    def run(x, w):
        (x, _), _ = lax.scan(lambda c, _: ((c[0] @ c[1], jnp.roll(0.5 * c[1], 1, 0)), None), (x, w), None, length=3)
        return x

    traced = trace(run)
    assert (traced.layers, traced.names) == ((SQUARE._replace(repeats=3),), ("w",))


# Loops and branches whose course is not known.


def test_a_while_loop_of_unknown_length_may_hold_no_layer():
    forever = lambda body, x: lax.while_loop(lambda h: h.sum() < 1, body, x)  # noqa: E731
    with pytest.raises(ValueError, match="while loop of unknown length") as error:
        trace(lambda x, w: forever(lambda h: h @ w, x))
    assert "\n" not in str(error.value)
    assert trace(lambda x, w: forever(jnp.sin, x) @ w).layers == (SQUARE,)


def test_of_a_branch_the_side_of_most_macs_counts():
    few, many = lambda x, w: x * w[0], lambda x, w: x @ w @ w
    assert trace(lambda x, w: lax.cond(x.sum() > 0, few, many, x, w)).layers == (SQUARE._replace(repeats=2),)
    once = lambda x, w: lax.switch(lax.rem(jnp.int32(4), 3), [few, lambda x, w: x @ w, many], x, w)  # noqa: E731
    assert trace(once).layers == (SQUARE,)  # a known index


def test_an_empty_scan_runs_nothing():
    with pytest.raises(ValueError, match="no convolution or dense layer"):
        trace(lambda x, w: lax.scan(lambda h, _: (h @ w, None), x, None, length=0)[0])
