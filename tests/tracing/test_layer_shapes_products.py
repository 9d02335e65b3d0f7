"""Geometry: every kind of convolution and product, ours and others', against shapes worked out by hand."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from halo_jax.models import layer_shapes, trace_layers
from halo_jax.numerics.layers import QuantConv, QuantDense
from halo_jax.types import LayerShape, Precision


class Written(nn.Module):
    """A module of one function of a weight and the input."""

    run: object
    shape: tuple

    @nn.compact
    def __call__(self, x):
        return self.run(x, self.param("w", nn.initializers.normal(), self.shape))


def trace(run, shape, input_shape):
    return trace_layers(Written(run, shape), input_shape)


CONVOLUTIONS = {
    "1-D": (nn.Conv(6, 5, strides=2), (11, 3), LayerShape((5, 1), 3, 6, (6, 1), (2, 1))),
    "1-D, few dimensions given": (nn.Conv(6, (5,)), (11, 3), LayerShape((5, 1), 3, 6, (11, 1))),
    "same": (nn.Conv(6, (5, 3), strides=(2, 3)), (9, 8, 2), LayerShape((5, 3), 2, 6, (5, 3), (2, 3))),
    "valid": (nn.Conv(6, (5, 3), strides=(2, 3), padding="VALID"), (9, 8, 2), LayerShape((5, 3), 2, 6, (3, 2), (2, 3))),
    "explicit padding": (nn.Conv(6, (3, 3), padding=((2, 1), (0, 0))), (9, 8, 2), LayerShape((3, 3), 2, 6, (10, 6))),
    "circular padding": (nn.Conv(6, (3, 3), padding="CIRCULAR"), (9, 8, 2), LayerShape((3, 3), 2, 6, (9, 8))),
    "dilation": (
        nn.Conv(6, (3, 2), kernel_dilation=(2, 3), padding="VALID"),
        (9, 8, 2),
        LayerShape((3, 2), 2, 6, (5, 5), (1, 1), (2, 3)),
    ),
    "depthwise, two outputs a channel": (
        nn.Conv(8, (3, 3), feature_group_count=4),
        (5, 5, 4),
        LayerShape((3, 3), 4, 8, (5, 5), groups=4),
    ),
    # Over its input of 5x4 pixels, spread to 9x7 and padded, with stride 1.
    "transposed": (nn.ConvTranspose(6, (3, 3), strides=(2, 2)), (5, 4, 2), LayerShape((3, 3), 2, 6, (10, 8))),
    "one of everything": (nn.Conv(1, (1, 1)), (1, 1, 1), LayerShape((1, 1), 1, 1, (1, 1))),
    "one row": (nn.Conv(4, (1, 7)), (1, 20, 1), LayerShape((1, 7), 1, 4, (1, 20))),
    "kernel of the image's size": (nn.Conv(4, (6, 5), padding="VALID"), (6, 5, 3), LayerShape((6, 5), 3, 4, (1, 1))),
    "ours": (
        QuantConv(6, (3, 2), (2, 1), "VALID", (1, 3)),
        (9, 8, 2),
        LayerShape((3, 2), 2, 6, (4, 5), (2, 1), (1, 3)),
    ),
    "ours, odd padding": (QuantConv(6, padding=((2, 1), (0, 0))), (9, 8, 2), LayerShape((3, 3), 2, 6, (10, 6))),
    "over several images": (nn.Conv(6, (3, 3)), (4, 9, 8, 2), LayerShape((3, 3), 2, 6, (9, 8), repeats=4)),
    "local": (  # weights of their own at each of 7*6 positions
        nn.ConvLocal(4, (3, 3), padding="VALID"),
        (9, 8, 2),
        LayerShape((1, 1), 18 * 42, 4 * 42, (1, 1), groups=42),
    ),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name):
    module, input_shape, layer = CONVOLUTIONS[name]
    assert layer_shapes(module, input_shape) == (layer,)


PRODUCTS = {
    "dense": (nn.Dense(5), (3,), LayerShape((1, 1), 3, 5, (1, 1))),
    "dense over positions": (nn.Dense(5), (4, 6, 3), LayerShape((1, 1), 3, 5, (24, 1))),
    "ours": (QuantDense(5), (4, 6, 3), LayerShape((1, 1), 3, 5, (24, 1))),
    "one number": (nn.Dense(1), (1,), LayerShape((1, 1), 1, 1, (1, 1))),
    "dense of two axes": (nn.DenseGeneral((5, 2), axis=(-2, -1)), (7, 4, 3), LayerShape((1, 1), 12, 10, (7, 1))),
    "dense of each of 7 positions": (
        nn.DenseGeneral(5, batch_dims=(0, 1)),
        (7, 3),
        LayerShape((1, 1), 21, 35, (1, 1), groups=7),
    ),
    "weight left": (Written(lambda x, w: w @ x[0], (5, 3)), (3, 4), LayerShape((1, 1), 3, 5, (4, 1))),
    "vector": (Written(lambda x, w: x @ w, (3,)), (4, 3), LayerShape((1, 1), 3, 1, (4, 1))),
    "experts that see the same": (
        Written(lambda x, w: jnp.einsum("btd,edf->ebtf", x, w), (6, 3, 5)),
        (4, 3),
        LayerShape((1, 1), 3, 30, (4, 1)),
    ),
    "experts that see parts": (
        Written(lambda x, w: jnp.einsum("betd,edf->betf", x, w), (6, 3, 5)),
        (6, 4, 3),
        LayerShape((1, 1), 18, 30, (4, 1), groups=6),
    ),
    "experts by vmap": (
        Written(lambda x, w: jax.vmap(jnp.matmul, (1, 0))(x, w), (6, 3, 5)),
        (6, 4, 3),
        LayerShape((1, 1), 18, 30, (4, 1), groups=6),
    ),
    "one-hot lookup": (
        Written(lambda x, w: jax.nn.one_hot(jnp.argmax(x), 9)[None] @ w, (9, 5)),
        (9,),
        LayerShape((1, 1), 9, 5, (1, 1)),
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_product(name):
    module, input_shape, layer = PRODUCTS[name]
    assert layer_shapes(module, input_shape) == (layer,)


class Lifted(nn.Module):
    """A layer under `vmap` over three sets of weights, three inputs, or both."""

    kind: type
    weights: bool
    inputs: bool
    options: dict

    @nn.compact
    def __call__(self, x):
        extra = (Precision(8, 8, 8),) if self.kind in (QuantConv, QuantDense) else ()
        in_axes = (1 if self.inputs else None, *[None] * len(extra))
        variables = {"params": 0 if self.weights else None}
        lift = nn.vmap(self.kind, variables, {"params": self.weights}, in_axes=in_axes, out_axes=1, axis_size=3)
        return lift(4, **self.options)(x, *extra)


@pytest.mark.parametrize(
    ("weights", "inputs", "conv", "dense"),
    [
        (True, True, LayerShape((3, 3), 15, 12, (8, 7), groups=3), LayerShape((1, 1), 15, 12, (6, 1), groups=3)),
        (True, False, LayerShape((3, 3), 5, 12, (8, 7)), LayerShape((1, 1), 5, 12, (6, 1))),
        (False, True, LayerShape((3, 3), 5, 4, (8, 7), repeats=3), LayerShape((1, 1), 5, 4, (18, 1))),
    ],
)
@pytest.mark.parametrize("ours", [True, False])
def test_vmap_of_our_layers_is_what_it_is_of_others(ours, weights, inputs, conv, dense):
    """Inside, ours have one axis more; the others have become other products."""
    stack = (3,) if inputs else ()
    of_conv = Lifted(QuantConv if ours else nn.Conv, weights, inputs, {"kernel_size": (3, 3)})
    assert layer_shapes(of_conv, (*stack, 8, 7, 5)) == (conv,)
    of_dense = Lifted(QuantDense if ours else nn.Dense, weights, inputs, {})
    assert layer_shapes(of_dense, (*stack, 6, 5)) == (dense,)


ACTIVATIONS = "product of two activations"
SKIPPED = {
    "of two activations": (lambda x, w: jnp.einsum("btd,bsd->bts", x, x), (ACTIVATIONS, 1, 4 * 4 * 3)),
    "with a fixed matrix": (lambda x, w: x @ jnp.ones((3, 7)), ("fixed matrix, nothing to train", 1, 4 * 3 * 7)),
    "with a mean of pixels": (lambda x, w: x @ (x.mean((0, 1)) * w), (ACTIVATIONS, 1, 4 * 3)),
    "of two weights": (lambda x, w: x * (w @ w), None),
    "convolution with its own patches": (
        lambda x, w: lax.conv_general_dilated(x, x, (1,), "VALID", dimension_numbers=("NWC", "OWI", "NWC")),
        (ACTIVATIONS, 1, 4 * 3),
    ),
    "convolution of weights": (
        lambda x, w: lax.conv_general_dilated(
            w[None, None], x[..., :1], (1,), "SAME", dimension_numbers=("NCW", "OWI", "NWC")
        ),
        ("convolution of weights with a kernel computed from the input", 1, 3 * 4),
    ),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_what_is_no_layer_is_listed_with_its_macs(name):
    run, row = SKIPPED[name]
    traced = trace(lambda x, w: (run(x, w), x @ w), (3,), (4, 3))
    assert traced.layers == (LayerShape((1, 1), 3, 1, (4, 1)),)
    assert [(s.reason, s.times, s.macs) for s in traced.skipped if s.macs] == ([row] if row else [])


def test_programs_of_their_own_are_listed():
    def run(x, w):
        jax.debug.print("{}", x)
        outside = jax.pure_callback(jnp.matmul, jax.ShapeDtypeStruct((1, 5), x.dtype), x, w)
        return jnp.linalg.solve(w @ w.T, (outside + x @ w)[0])

    traced = trace(run, (5, 5), (5,))
    assert traced.layers == (LayerShape((1, 1), 5, 5, (1, 1)),)
    unread = "program of its own, not looked into"
    assert [row.operation for row in traced.skipped if row.reason == unread] == ["pure_callback", "custom_linear_solve"]


def batch_groups(x, w):
    names = ("NWC", "WIO", "NWC")
    return lax.conv_general_dilated(
        jnp.tile(x, (2, 1, 1)), w, (1,), "SAME", dimension_numbers=names, batch_group_count=2
    )


REFUSED = {
    "a convolution of 3 dimensions": (nn.Conv(4, (3, 3, 3)), (5, 5, 5, 1)),
    "batch_group_count": (Written(batch_groups, (3, 2, 4)), (5, 2)),
}


@pytest.mark.parametrize("line", REFUSED)
def test_convolutions_that_cannot_be_priced_are_refused(line):
    with pytest.raises(ValueError, match=line) as error:
        layer_shapes(*REFUSED[line])
    assert "\n" not in str(error.value)


WEIGHTS = {
    "weight normalisation": nn.WeightNorm(nn.Dense(5)),
    "half precision": nn.Dense(5, dtype=jnp.bfloat16),
    "transposed": Written(lambda x, w: x @ w.T, (5, 3)),
    "a sum of low rank": Written(lambda x, w: x @ (w + w[:, :1] @ w[:1]), (3, 5)),
    "spectral normalisation": nn.SpectralNorm(nn.Dense(5)),
    "partitioned": nn.Dense(5, kernel_init=nn.with_partitioning(nn.initializers.normal(), (None, "model"))),
    "sequential": nn.Sequential([nn.Dense(5), nn.relu]),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_may_be_computed_from_parameters(name):
    kwargs = {"update_stats": True} if name.startswith("spectral") else {}
    traced = trace_layers(WEIGHTS[name], (4, 3), **kwargs)
    assert traced.layers == (LayerShape((1, 1), 3, 5, (4, 1)),)
    assert not any(row.macs for row in traced.skipped)


pairs = lambda least, most: st.tuples(st.integers(least, most), st.integers(least, most))  # noqa: E731


@settings(max_examples=30, derandomize=True, deadline=None)
@given(
    kernel=pairs(1, 4), strides=pairs(1, 3), dilation=pairs(1, 3), groups=st.integers(1, 3), channels=pairs(1, 4),
    room=pairs(0, 8), padding=st.sampled_from(["SAME", "VALID", ((1, 2), (0, 3))]),
)  # fmt: skip
def test_any_convolution_has_the_shape_of_its_result(kernel, strides, dilation, groups, channels, room, padding):
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    image = tuple(r + more for r, more in zip(reach, room, strict=True))
    pads = (0, 0) if isinstance(padding, str) else tuple(map(sum, padding))
    out = tuple((n + p - r) // s + 1 for n, p, r, s in zip(image, pads, reach, strides, strict=True))
    if padding == "SAME":
        out = tuple(-(-size // s) for size, s in zip(image, strides, strict=True))
    c_in, c_out = (groups * count for count in channels)
    module = nn.Conv(c_out, kernel, strides, padding, kernel_dilation=dilation, feature_group_count=groups)
    result, _ = jax.eval_shape(module.init_with_output, jax.random.key(0), jnp.zeros((1, *image, c_in)))
    assert result.shape == (1, *out, c_out)
    (found,) = layer_shapes(module, (*image, c_in))
    assert found == LayerShape(kernel, c_in, c_out, out, strides, dilation, groups)
    if groups == 1:
        assert layer_shapes(QuantConv(c_out, kernel, strides, padding, dilation), (*image, c_in)) == (found,)
