"""The layers: what a gradient through them sees, their options, and the pool."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from halo_jax.models import VGG7, SmallCNN, layer_shapes
from halo_jax.numerics.arithmetic import FLOAT32
from halo_jax.numerics.layers import QuantConv, QuantDense, max_pool
from halo_jax.numerics.quantize import fit_errors
from halo_jax.numerics.wage import Numerics
from halo_jax.types import Precision
from tests.oracles import contractions_numpy, wage_numpy

BITS = [(8, 8, 8), (4, 6, 4), (2, 4, 4)]


def bits_of(bits):
    return Precision(*map(jnp.int32, bits))


def random_variables(module, x):
    """Variables of the module's shapes, without running it: parameters in +-0.75, taps zero."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), x, bits_of((8, 8, 8)))
    rng = np.random.default_rng(0)
    fill = lambda leaf: jnp.asarray(rng.uniform(-0.75, 0.75, leaf.shape), jnp.float32)  # noqa: E731
    taps = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes.get("perturbations", {}))
    return {"params": jax.tree.map(fill, shapes["params"]), "perturbations": taps}


class Branches(nn.Module):
    """A network as a user might write it: an average pool and a residual sum, whose errors leave the grid."""

    @nn.compact
    def __call__(self, x, precision):
        self.sow("intermediates", "input", x)
        x = self.perturb("conv0", QuantConv(5)(x, precision))
        x = nn.relu(nn.avg_pool(x, (3, 3), (2, 2)))
        self.sow("intermediates", "input", x)
        y = self.perturb("conv1", QuantConv(5)(x, precision))
        x = nn.relu(x + y)
        x = x.mean((1, 2))
        self.sow("intermediates", "input", x)
        return self.perturb("dense", QuantDense(3, head=True)(x, precision))


IMAGES = jax.random.uniform(jax.random.key(1), (4, 9, 9, 2), minval=-1)


@pytest.fixture(scope="module")
def branches():
    """Variables of `Branches`, and its jitted gradients at any bits: weights, taps, and the inputs of its layers."""
    module = Branches()
    variables = random_variables(module, IMAGES)
    target = jax.random.normal(jax.random.key(2), (4, 3))

    @jax.jit
    def gradients(params, taps, precision):
        def loss(params, taps):
            variables = {"params": params, "perturbations": taps}
            logits, seen = module.apply(variables, IMAGES, precision, mutable="intermediates")
            return jnp.sum((logits - target) ** 2), seen["intermediates"]["input"]

        return jax.grad(loss, (0, 1), has_aux=True)(params, taps)

    return variables, gradients


def whole(x, step):
    """x in units of step, which must be whole numbers."""
    codes = np.asarray(x, np.float64) / float(step)
    np.testing.assert_array_equal(codes, np.round(codes))
    return codes.astype(np.int64)


@pytest.mark.parametrize("bits", BITS)
def test_gradients_of_any_model_are_products_of_grid_values(branches, bits):
    variables, gradients = branches
    params, (_, ba, be) = variables["params"], bits
    (dw, errors), inputs = gradients(params, variables["perturbations"], bits_of(bits))
    for index, name in enumerate(("conv0", "conv1")):
        kernel = params[f"QuantConv_{index}"]["kernel"]
        fitted, unit = fit_errors(errors[name], be)
        codes = whole(fitted, unit)
        assert np.unique(codes).size <= 2**be - 1
        assert np.abs(codes).max() <= 2 ** (be - 1) - 1
        activations = wage_numpy.grid_codes(np.asarray(inputs[index]), ba)
        exact = contractions_numpy.conv2d_gradient(activations, codes, (3, 3)) * float(unit) * 2.0 ** (1 - ba)
        np.testing.assert_array_equal(
            np.asarray(dw[f"QuantConv_{index}"]["kernel"], np.float64) * Numerics().output_scale(kernel[..., 0].size),
            exact,
        )
    assert np.unique(np.asarray(errors["conv0"])).size > 2**be  # the average pool left the grid: fitting was needed


def test_input_errors_are_fitted_too():
    """dx of a layer in the middle: Q_E of the masked sum of weights times fitted errors."""
    layer, rng = QuantConv(4), np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(-0.2, 1.1, (2, 4, 4, 5)), jnp.float32)
    variables = random_variables(layer, x)
    error = jnp.asarray(rng.normal(size=(2, 4, 4, 4)), jnp.float32)

    @jax.jit
    def dx(precision):
        return jax.vjp(lambda x: layer.apply(variables, x, precision), x)[1](error)[0]

    for bw, ba, be in BITS:
        fitted, unit = fit_errors(error, be)
        w = wage_numpy.grid_codes(np.asarray(variables["params"]["kernel"]), bw)
        masked = contractions_numpy.conv2d_error(whole(fitted, unit), w) * (
            np.abs(np.asarray(x)) <= 1 - 2.0 ** (1 - ba)
        )
        np.testing.assert_array_equal(dx(bits_of((bw, ba, be))) * 2.0 ** (be - 1), wage_numpy.error_codes(masked, be))


def test_forward_is_the_sum_of_codes():
    layer = QuantConv(4)
    x = jax.random.uniform(jax.random.key(1), (2, 5, 4, 3), minval=-1.2, maxval=1.2)
    variables = random_variables(layer, x)
    apply = jax.jit(layer.apply)
    for bw, ba, be in BITS:
        w, a = (
            wage_numpy.grid_codes(np.asarray(variables["params"]["kernel"]), bw),
            wage_numpy.grid_codes(np.asarray(x), ba),
        )
        scale = 2.0 ** (2 - ba - bw) / wage_numpy.alpha(27)
        np.testing.assert_array_equal(
            apply(variables, x, bits_of((bw, ba, be))), contractions_numpy.conv2d(a, w) * scale
        )


def test_scales_of_vgg7_on_cifar10():
    fan_in = [shape.kernel[0] * shape.kernel[1] * shape.c_in for shape in layer_shapes(VGG7(10), (32, 32, 3))]
    assert [Numerics().output_scale(n) for n in fan_in] == [2, 16, 16, 16, 16, 32, 32, 8]


def test_initial_weights_fill_their_limits():
    assert Numerics().weight_limit(4) == 3**0.5 / 2
    assert Numerics().weight_limit(1000) == 0.75
    assert Numerics(min_limit=0.5).weight_limit(1000) == 0.5
    assert FLOAT32.weight_limit(600) == 0.1
    assert FLOAT32.scale_sums(3.0, 1000) == 3
    kernel = QuantDense(40).init(jax.random.key(0), jnp.zeros((1, 50)), bits_of((8, 8, 8)))["params"]["kernel"]
    assert kernel.shape == (50, 40)
    assert 0.74 < kernel.max() < 0.75
    assert -0.75 <= kernel.min() < -0.74
    assert abs(kernel.mean()) < 5 * 0.75 / 3**0.5 / 2000**0.5


def test_neurosim_order_quantises_outputs():
    """Errors: Q_E at the output, then its clip mask; activations at the output, the last layer's excepted."""
    rng = np.random.default_rng(0)
    x, error, kernel = rng.uniform(-1, 1, (5, 8)), rng.normal(size=(5, 6)), rng.uniform(-1, 1, (8, 6))
    x, error, kernel = (jnp.asarray(a, jnp.float32) for a in (x, error, kernel))
    bits = (8, 4, 6)
    found = {}
    for head in (False, True):
        layer = QuantDense(6, head=head, numerics=Numerics(order="neurosim"))

        @jax.jit
        def both(kernel, precision, layer=layer):
            y, back = jax.vjp(lambda k: layer.apply({"params": {"kernel": k}}, x, precision), kernel)
            return y, back(error)[0]

        found[head] = both(kernel, bits_of(bits))
    a, w = wage_numpy.grid_codes(np.asarray(x), 4), wage_numpy.grid_codes(np.asarray(kernel), 8)
    raw = (a @ w) / (8 * 128 * wage_numpy.alpha(8))
    np.testing.assert_array_equal(found[True][0], raw)
    np.testing.assert_array_equal(found[False][0] * 8, wage_numpy.grid_codes(raw, 4))
    passes = np.abs(raw) <= 1 - 1 / 8
    assert passes.any()
    assert not passes.all()
    e = wage_numpy.grid_codes(np.asarray(error) / float(wage_numpy.shift(float(np.abs(error).max()))), 6)
    scale = 8 * 32 * wage_numpy.alpha(8)
    np.testing.assert_array_equal(found[True][1] * scale, a.T @ e)
    np.testing.assert_array_equal(found[False][1] * scale, a.T @ (e * passes))


def small_cnn(numerics):
    module = SmallCNN(3, width=0.1, numerics=numerics)
    return module, jax.jit(module.apply)


def test_per_layer_bits_and_input_bits():
    module, apply = small_cnn(Numerics())
    images = jax.random.uniform(jax.random.key(5), (2, 8, 8, 1), minval=-1)
    variables = random_variables(module, images)
    for bits in BITS:
        repeated = Precision(*(jnp.full(3, k, jnp.int32) for k in bits))
        np.testing.assert_array_equal(apply(variables, images, repeated), apply(variables, images, bits_of(bits)))
    mixed = Precision(*jnp.array([[8, 8, 8], [2, 4, 4], [8, 8, 8]], jnp.int32))
    _, apply_input = small_cnn(Numerics(input_bits=2))
    other = apply_input(variables, images, Precision(jnp.int32(8), jnp.int32(4), jnp.int32(8)))
    np.testing.assert_array_equal(other, apply(variables, images, mixed))
    assert not np.array_equal(other, apply(variables, images, bits_of((8, 4, 8))))


def test_without_numerics_precision_is_ignored_and_the_layer_is_plain():
    dense, conv = QuantDense(4, numerics=None), QuantConv(4, strides=(2, 2), numerics=None)
    x = jax.random.normal(jax.random.key(0), (2, 6, 5, 3))
    kernel, filters = jax.random.normal(jax.random.key(1), (3, 4)), jax.random.normal(jax.random.key(2), (3, 3, 3, 4))
    variables = {"params": {"kernel": kernel}}
    np.testing.assert_allclose(dense.apply(variables, x), x @ kernel, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(dense.apply(variables, x, bits_of((2, 4, 4))), dense.apply(variables, x))
    ours = conv.apply({"params": {"kernel": filters}}, x)
    plain = nn.Conv(4, (3, 3), (2, 2), use_bias=False).apply({"params": {"kernel": filters}}, x)
    np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("head", "codes"), [(True, [7, 4]), (False, [6, 2])])
def test_head_quantises_the_errors_of_the_loss(head, codes):
    """Q_E of (1.4, 0.55) at 4 bits is (7, 4) / 8, saturated; only fitted, it is (6, 2) / 4."""
    layer, x, error = QuantDense(2, head=head), jnp.ones((1, 3)) / 2, jnp.array([[1.4, 0.55]])
    apply = lambda kernel: layer.apply({"params": {"kernel": kernel}}, x, bits_of((8, 8, 4)))  # noqa: E731
    gradient = jax.jit(lambda kernel: jax.vjp(apply, kernel)[1](error)[0])(jnp.zeros((3, 2)))
    np.testing.assert_array_equal(gradient * (2 * 8 if head else 2 * 4), [codes] * 3)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"strides": (2, 2)}, (1, 4, 4, 3)),
        ({"padding": "VALID", "dilation": (2, 3)}, (1, 3, 2, 3)),
        ({"padding": ((0, 1), (2, 2)), "kernel_size": (2, 4)}, (1, 7, 9, 3)),
    ],
)
def test_padding_is_a_name_or_pairs(options, shape):
    build = lambda x: QuantConv(3, **options).init_with_output(jax.random.key(0), x, bits_of((8, 8, 8)))[0]  # noqa: E731
    assert jax.eval_shape(build, jnp.zeros((1, 7, 8, 2))).shape == shape


def test_dense_keeps_leading_axes():
    build = lambda x: QuantDense(4).init_with_output(jax.random.key(0), x, bits_of((8, 8, 8)))[0]  # noqa: E731
    assert jax.eval_shape(build, jnp.ones((2, 3, 5))).shape == (2, 3, 4)


@pytest.mark.parametrize(("layer", "x"), [(QuantDense(2), jnp.ones((1, 3))), (QuantConv(2), jnp.ones((1, 3, 3, 1)))])
def test_missing_precision_is_named(layer, x):
    with pytest.raises(ValueError, match=r"precision is None.*numerics=None"):
        layer.init(jax.random.key(0), x)


def test_stochastic_errors_draw_from_the_error_stream():
    layer = QuantDense(2, head=True, numerics=Numerics(error_rounding="stochastic"))
    x, kernel, error = jnp.ones((1, 3)) / 2, jnp.ones((3, 2)) / 2, jnp.array([[1.0, 0.3]])

    @jax.jit
    def gradient(seed):
        rngs = {"error": jax.random.key(seed)}
        return jax.grad(
            lambda k: jnp.sum(layer.apply({"params": {"kernel": k}}, x, bits_of((8, 8, 4)), rngs=rngs) * error)
        )(kernel)

    found = np.array([gradient(seed)[0, 1] for seed in range(12)])
    assert np.unique(found).size == 2
    with pytest.raises(Exception, match="error"):
        layer.apply({"params": {"kernel": kernel}}, x, bits_of((8, 8, 4)))


@pytest.mark.parametrize("shape", [(2, 6, 4, 3), (2, 5, 7, 2)])
def test_max_pool_routes_to_the_first_maximum(shape):
    rng = np.random.default_rng(0)
    z = rng.integers(-2, 3, shape)  # ties in most windows
    e = rng.integers(1, 100, (shape[0], shape[1] // 2, shape[2] // 2, shape[3]))

    @jax.jit
    def both(z, e):
        y, back = jax.vjp(max_pool, z)
        return y, back(e)[0]

    y, error = both(jnp.asarray(z, jnp.float32), jnp.asarray(e, jnp.float32))
    np.testing.assert_array_equal(y, contractions_numpy.max_pool(z))
    np.testing.assert_array_equal(error, contractions_numpy.route_pool(e, z))


def test_max_pool_of_equal_values_does_not_split_the_error():
    error = jax.grad(lambda x: max_pool(x).sum())(jnp.zeros((1, 2, 2, 1)))
    assert error.ravel().tolist() == [1, 0, 0, 0]
