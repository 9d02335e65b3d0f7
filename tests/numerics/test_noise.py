"""Noise: its law, what crossbars hold, the contractions with it against whole numbers, and where it acts in a run."""

import functools
import hashlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.config import ConfigError
from halo_jax.config.arms import expand_arms
from halo_jax.models import MODELS
from halo_jax.numerics import native
from halo_jax.numerics.contraction import conv, dense
from halo_jax.numerics.exact_sums import Operand, Window
from halo_jax.numerics.layers import QuantConv
from halo_jax.numerics.noise import gaussian, normal_quantiles, perturb_images, program_errors, program_weights
from halo_jax.numerics.quantize import fit_errors, step_size
from halo_jax.numerics.wage import Numerics
from halo_jax.records import run_folder
from halo_jax.runner.build import assemble
from halo_jax.runner.build_network import noise_of
from halo_jax.runner.run_experiment import run
from halo_jax.types import CLEAN, Noise, Precision
from tests.oracles import contractions_numpy
from tests.records.test_run_fuzz import OneLayer
from tests.toy_run import launch, toy_config

KEY = jax.random.key(3)
NOISY = Noise(weights=0.1, errors=0.2)
SAME = Window(padding=((1, 1), (1, 1)))
BITS = [(8, 8, 8), (2, 4, 6)]


def bits_of(bits):
    return Precision(*map(jnp.int32, bits))


def distance_from_normal(values, sd):
    """Largest difference between the distribution of `values` and N(0, sd^2): the statistic of Kolmogorov, Smirnov."""
    values = np.sort(values)
    normal = np.array([0.5 * math.erfc(-value / sd / 2**0.5) for value in values])
    ranks = np.arange(len(values) + 1) / len(values)
    return max(np.abs(normal - ranks[1:]).max(), np.abs(normal - ranks[:-1]).max())


def test_all_draws_together_are_a_standard_normal_number():
    table = normal_quantiles().astype(np.float64)
    np.testing.assert_array_equal(table, -table[::-1])
    assert (np.diff(table) >= 0).all()
    z = table / 1024
    assert abs((z**2).mean() - 1) < 5e-4  # what lies beyond the last of 2^16 quantiles is missing
    assert abs((z**4).mean() - 3) < 2e-2
    assert 4.3 < z[-1] < 4.33
    assert distance_from_normal(z, 1) < 0.4 / 1024 / 2 + 2**-16  # half a unit times the density, and half a quantile


def test_noise_has_the_same_bits_on_every_machine():
    codes = gaussian(KEY, jnp.arange(2000, dtype=jnp.int32), 0.05)
    assert codes.dtype == jnp.int32
    assert hashlib.sha256(np.asarray(codes).tobytes()).hexdigest()[:16] == "4330450da0847e17"


@pytest.mark.parametrize("fraction", [0.05, 0.1, 1.0])
def test_noise_has_mean_zero_and_a_deviation_in_proportion(fraction):
    count = 20_000
    scales = np.array([0, 16, 500, 2032], np.int32)
    noise = np.asarray(gaussian(KEY, jnp.broadcast_to(scales[:, None], (4, count)), fraction))
    assert not noise[0].any()
    for scale, drawn in zip(scales[1:], noise[1:], strict=True):
        sd = fraction * scale
        assert abs(drawn.mean()) < 4 * sd / count**0.5
        assert drawn.var() == pytest.approx(sd**2 + 1 / 12, rel=4 * (2 / count) ** 0.5)  # 1/12: rounding
        assert np.abs(drawn).max() <= np.ceil(4.33 * sd)
        assert distance_from_normal(drawn, sd) < 1.63 / count**0.5 + 0.2 / sd  # at 1 %, and half a step of rounding


def codes_of(rng, shape, bits):
    largest = 2 ** (bits - 1) - 1
    return rng.integers(-largest, largest + 1, shape)


def held_by_crossbars(codes, bits, fraction, relative_to, key):
    """What crossbars hold of grid codes, in whole 1/2048 of the range, int64: drawn and added without our code."""
    if fraction == 0:
        return codes * 2 ** (12 - bits)
    draws = np.asarray(jax.random.bits(key, codes.shape, jnp.uint16))
    z, fine = normal_quantiles()[draws].astype(np.int64), codes * 2 ** (12 - bits)
    scale = np.abs(fine) if relative_to == "value" else np.int64(2048 - 2 ** (12 - bits))
    return fine + np.round((scale * z).astype(np.float32) * np.float32(fraction / 1024)).astype(np.int64)


@functools.partial(jax.jit, static_argnums=(5, 6))
def conv_and_gradients(x, w, error, precision, key, noise, window):
    y, back = jax.vjp(lambda x, w: conv(x, w, precision, window, True, noise, key), x, w)
    return y, *back(error)


@pytest.fixture(params=["native", "xla", "bf16", "int8"])
def kernels(request, monkeypatch):
    """Every way to multiply."""
    if request.param == "native" and native.why_not():
        pytest.skip(native.why_not())
    if request.param == "xla":
        monkeypatch.setattr(native, "why_not", lambda: "these tests ask for XLA's forms")
    elif request.param != "native":
        monkeypatch.setenv("HALO_JAX_KERNELS", request.param)
    jax.clear_caches()
    yield request.param
    jax.clear_caches()


def test_contractions_see_what_crossbars_hold(kernels):
    """y and dx by noisy weights, dW by noisy errors, activations and entering errors clean: Eq. 2, 3 and 4."""
    rng = np.random.default_rng(0)
    cases = [(Noise(0.1, 0.2), 0), (Noise(0.1, 0.2, 0.0, "range", "read"), 1), (Noise(0.0, 1.0, 0.0, "range"), 0)]
    for noise, backward_read in cases:
        for bw, ba, be in BITS:
            x, w, e = codes_of(rng, (2, 4, 5, 3), ba), codes_of(rng, (3, 3, 3, 4), bw), codes_of(rng, (2, 4, 5, 4), be)
            e[0, 0, 0, 0] = 2 ** (be - 1) - 1  # so that errors fill their grid
            values = (jnp.asarray(n * 2.0 ** (1 - k), jnp.float32) for n, k in ((x, ba), (w, bw), (e, be)))
            found = conv_and_gradients(*values, bits_of((bw, ba, be)), KEY, noise, SAME)
            reads = [
                held_by_crossbars(w, bw, noise.weights, noise.relative_to, jax.random.fold_in(KEY, read))
                for read in (0, backward_read)
            ]
            errors = held_by_crossbars(e, be, noise.errors, noise.relative_to, jax.random.fold_in(KEY, 2))
            assert (errors != e * 2 ** (12 - be)).any()
            exact = (
                contractions_numpy.conv2d(x, reads[0]) * 2.0 ** (1 - ba),
                contractions_numpy.conv2d_error(e, reads[1]) * 2.0 ** (1 - be),
                contractions_numpy.conv2d_gradient(x, errors, (3, 3)) * 2.0 ** (1 - ba),
            )
            for ours, sums in zip(found, exact, strict=True):
                np.testing.assert_array_equal(np.asarray(ours, np.float64) * 2048, sums)


def test_clients_side_by_side_have_their_own_noise():
    rng, bits = np.random.default_rng(0), bits_of((8, 8, 8))
    x, w, e = (
        jnp.asarray(codes_of(rng, (3, *shape), 8) / 128.0, jnp.float32)
        for shape in ((2, 4, 4, 2), (3, 3, 2, 3), (2, 4, 4, 3))
    )
    keys = jax.random.split(KEY, 3)
    one = lambda x, w, e, key: conv_and_gradients(x, w, e, bits, key, NOISY, SAME)  # noqa: E731
    together, apart = jax.vmap(one)(x, w, e, keys), jax.lax.map(lambda each: one(*each), (x, w, e, keys))
    jax.tree.map(np.testing.assert_array_equal, together, apart)


def crossbars(noise, size=12):
    """A dense layer's weights as the forward and as the backward pass see them, and its errors as dW sees them."""
    rng, precision = np.random.default_rng(0), bits_of((8, 8, 8))
    w = jnp.asarray(codes_of(rng, (size, size), 8) / 128, jnp.float32)
    unit = jnp.eye(size) / 2

    @jax.jit
    def passes(x, w, error, key):
        y, back = jax.vjp(lambda x, w: dense(x, w, precision, True, noise, key), x, w)
        return y, *back(error)

    forward, backward, _ = passes(unit, w, unit, KEY)
    return w, 2 * forward, 2 * backward.T, 2 * passes(unit, w, w, KEY)[2]


@pytest.mark.parametrize("relative_to", ["value", "range"])
def test_a_programming_serves_both_passes_and_a_read_one(relative_to):
    noise = Noise(0.1, 0.1, 0.0, relative_to)
    w, forward, backward, errors = crossbars(noise)
    np.testing.assert_array_equal(forward, backward)
    assert not np.array_equal(forward, w)
    assert not np.array_equal(forward - w, errors - w)  # errors have a draw of their own
    np.testing.assert_array_equal(forward * 2048, jnp.round(forward * 2048))
    _, forward, backward, again = crossbars(noise._replace(per="read"))
    assert not np.array_equal(forward, backward)
    np.testing.assert_array_equal(errors, again)  # programmed once in either case


def test_zero_holds_no_noise_in_proportion_and_what_is_not_programmed_none_at_all():
    errors = jnp.zeros((3, 4, 4, 2)).at[1, 0, 0, 0].set(0.5)
    fitted, bits = Operand(*fit_errors(errors, 8)), jnp.int32(8)
    held = lambda parts: np.asarray(sum(part.values for part in parts))  # noqa: E731
    by_value = held(program_errors(fitted, bits, NOISY, KEY))
    np.testing.assert_array_equal(by_value != 0, errors != 0)
    by_range = held(program_errors(fitted, bits, NOISY._replace(relative_to="range"), KEY))
    assert not by_range[[0, 2]].any()
    assert (by_range[1] != 0).mean() > 0.9


def test_the_largest_noise_fits():
    for bits in (2, 8):
        w = jnp.full((256, 256), 1 - 2.0 ** (1 - bits))
        noise = Noise(1.0, 1.0)
        parts = program_weights(Operand(w, step_size(bits)), jnp.int32(bits), noise, KEY, 0)
        for part in parts:
            codes = np.asarray(part.values / part.unit)
            np.testing.assert_array_equal(codes, np.round(codes))
            assert np.abs(codes).max() <= 127
        deviation = np.asarray(sum(part.values for part in parts) - w).std()
        assert deviation == pytest.approx(float(w[0, 0]), rel=0.02)


def test_no_noise_is_the_program_without_it():
    x = jnp.zeros((2, 4, 4, 3))

    def program(noise):
        layer = QuantConv(4, numerics=Numerics(noise=noise))
        loss = lambda w, bits: layer.apply({"params": {"kernel": w}}, x, bits).sum()  # noqa: E731
        return jax.jit(jax.grad(loss)).lower(jnp.zeros((3, 3, 3, 4)), bits_of((8, 8, 8))).as_text()

    assert program(CLEAN) == program(Noise(inputs=0.5, relative_to="range", per="read"))
    with pytest.raises(Exception, match="noise"):
        program(NOISY)  # it needs random numbers


@pytest.mark.parametrize("relative_to", ["value", "range"])
def test_images_have_noise_in_whole_sixteenths_of_a_grey_level(relative_to):
    images = jnp.asarray(np.repeat([0, 100, 255], 5000).reshape(3, 50, 50, 2), jnp.uint8)
    noise = np.asarray(perturb_images(images, Noise(inputs=0.1, relative_to=relative_to), KEY) - images)
    np.testing.assert_array_equal(noise * 16, np.round(noise * 16))
    expected = [0, 10, 25.5] if relative_to == "value" else [25.5] * 3
    np.testing.assert_allclose(noise.std((1, 2, 3)), expected, rtol=0.05)
    np.testing.assert_allclose(noise.mean((1, 2, 3)), 0, atol=4 * 25.5 / 5000**0.5)


ARMS = {
    "clean": "8-8-8",
    "hardware": "8-8-8:noise.weights=0.2,noise.errors=0.2",
    "all": "8-8-8:noise.weights=0.2,noise.errors=0.2,noise.inputs=0.2,noise.relative_to=range,noise.per=read",
    "inference": "8-8-8:noise.weights=0.2,noise.inputs=0.2,noise.during=inference",
}


def toy_arms(arms, executor="map", test_batch=5):
    config = toy_config(arms=arms, executor=executor, model="one_layer", rounds=2)
    config.evaluation.batch_size = test_batch
    return config


@pytest.fixture(scope="module")
def toy_folder(tmp_path_factory):
    """The run folder of all arms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "one_layer", OneLayer)
        run(toy_arms(tuple(ARMS.values())), tmp_path_factory.getbasetemp() / "noise")
        yield tmp_path_factory.getbasetemp() / "noise"


def outcome(folder):
    """What an arm has learnt and how it tests."""
    summary = run_folder.read(folder).summary
    return summary["model_sha256"], summary["test_loss"]


@pytest.mark.slow
def test_arms_differ_in_noise_where_it_acts(toy_folder):
    found = {name: outcome(toy_folder / arm) for name, arm in ARMS.items()}
    assert len({found[arm][0] for arm in ("clean", "hardware", "all")}) == 3
    assert found["inference"][0] == found["clean"][0]
    assert found["inference"][1] != found["clean"][1]


@pytest.mark.slow
@pytest.mark.parametrize(("executor", "test_batch"), [("vmap", 16), ("shard", 3)])
def test_noise_does_not_depend_on_the_executor_or_on_batches_of_the_test(toy_folder, tmp_path, executor, test_batch):
    run(toy_arms((ARMS["all"],), executor, test_batch), tmp_path)
    assert outcome(tmp_path / ARMS["all"]) == outcome(toy_folder / ARMS["all"])


def test_a_finished_folder_of_noisy_arms_is_reported_again(toy_folder):
    assert "noise.inputs=0.2" in launch(toy_arms(tuple(ARMS.values())), toy_folder)


def test_noise_acts_where_the_config_says():
    config = toy_config(noise={"weights": 0.1, "during": "inference"})
    assert noise_of(config, "training") == CLEAN
    assert noise_of(config, "inference") == Noise(weights=0.1)
    config.noise.during = "both"
    assert noise_of(config, "training") == noise_of(config, "inference") == Noise(weights=0.1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"noise": {"weights": 0.1}, "recipe": {"name": "float32"}}, r"noise.weights=0.1 is noise of .*'float32'.*"),
        ({"noise": {"errors": 0.1}, "recipe": {"name": "float32"}}, r"noise.errors=0.1 is noise of .*'float32'.*"),
        ({"noise": {"inputs": 1.5}}, "noise.inputs=1.5; allowed: a number from 0 to 1"),
        ({"noise": {"per": "step"}}, "noise.per='step'; allowed: one of programming, read"),
    ],
)
def test_impossible_noise_is_one_line(values, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        assemble(expand_arms(toy_config(arms=(), **values))["halo_ps"])


def test_float32_takes_noise_of_inputs():
    federation = assemble(toy_config(arms=(), noise={"inputs": 0.1}, recipe={"name": "float32"}))
    scores = federation.evaluate(federation.first_model, Precision(8, 8, 8), federation.test_images, KEY, 1)
    other = federation.evaluate(federation.first_model, Precision(8, 8, 8), federation.test_images, KEY, 2)
    assert float(scores.loss) != float(other.loss)
