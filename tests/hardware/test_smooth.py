"""The relaxed cost: smooth through the exact one at whole bits, with the gradient of its own curve."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator

from halo_jax.hardware.smooth import interpolate
from halo_jax.types import Precision
from tests.golden.vgg7_shapes import VGG7
from tests.hardware.chips import CHIPS, KINDS, SMALL

LAYERS = SMALL + VGG7["cifar10"]
chips = pytest.mark.parametrize("name", KINDS)
POINTS = 512  # every call has as many: one program a chip
TABLES = np.array(
    [
        [0, *range(3, 51, 3)],
        [0, *(bits**2 for bits in range(1, 17))],
        [0, 1, 1, 1, 2, 2, 2, 5, 5, 9, 9, 9, 9, 9, 30, 31, 400],
        [0, 9, 7, 8, 8, 20, 19, 18, 10, 11, 12, 3, 3, 4, 5, 4, 6],  # copies of weights come and go
        [0] + [7] * 16,
    ]
)
KNOTS = np.arange(1, 17)


def test_curve_is_the_monotone_cubic_of_scipy():
    bits = np.linspace(1, 16, 601, dtype=np.float32)
    curve = jax.jit(partial(interpolate, TABLES))
    found = np.asarray(curve(jnp.repeat(bits[:, None], len(TABLES), axis=1)))
    slope = jax.jit(jax.vmap(jax.jacfwd(lambda bit: curve(jnp.full(len(TABLES), bit)))))(bits)
    inner = np.modf(bits)[0] != 0
    for row, values, slopes in zip(TABLES, found.T, np.asarray(slope).T, strict=True):
        pchip, rise = PchipInterpolator(KNOTS, row[1:]), np.diff(row[1:])
        ends = np.concatenate([rise[:1], pchip(KNOTS[1:-1], 1), rise[-1:]])  # scipy's own differ at the two ends
        right = CubicHermiteSpline(KNOTS, row[1:], ends)
        np.testing.assert_allclose(values, right(bits), rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(slopes[inner], right(bits[inner], 1), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("row", range(len(TABLES)))
def test_curve_stays_between_the_counts_beside_it(row):
    t = np.linspace(0, 1, 41, dtype=np.float32)
    for left in range(1, 16):
        values = np.asarray(interpolate(TABLES[row : row + 1], (left + t)[:, None]))[:, 0]
        low, high = TABLES[row, left], TABLES[row, left + 1]
        np.testing.assert_allclose((values[0], values[-1]), (low, high), rtol=1e-6)
        steps = np.diff(values) * np.sign(high - low)
        assert (steps >= -1e-6 * max(low, high)).all()
        assert (values == low).all() or low != high


@cache
def programs(name):
    price = partial(CHIPS[name].evaluate, LAYERS, relaxed=True)
    return jax.jit(price), jax.jit(jax.vmap(jax.jacrev(price)))


def run(program, bits) -> list[np.ndarray]:
    """The leaves of what a program makes of bits [3, points], float64."""
    padded = np.pad(np.float32(bits), ((0, 0), (0, POINTS - len(bits[0]))), mode="edge")
    return [np.asarray(value, np.float64)[: len(bits[0])] for value in jax.tree.leaves(program(Precision(*padded)))]


def costs(name, bits) -> np.ndarray:
    """[3 metrics, points]"""
    return np.array(run(programs(name)[0], bits))


def gradients(name, bits) -> np.ndarray:
    """[3 metrics, 3 bit widths, points]"""
    return np.array(run(programs(name)[1], bits)).reshape(3, 3, -1)


@chips
def test_gradient_is_that_of_finite_differences(name):
    # The step is a compromise: float32 costs are known to 1e-7, so their difference to 1e-7 / step of themselves.
    points = np.array([1.7, 2.2, 3.7, 5.25, 7.8, 8.25, 9.3, 11.72, 14.2, 15.4])
    step, centre = 0.05, np.stack([points, points + 0.4, points - 0.6])
    found, values = gradients(name, centre), costs(name, centre)
    for field, move in enumerate(step * np.eye(3)[:, :, None]):
        difference = (costs(name, centre + move) - costs(name, centre - move)) / (2 * step)
        for metric in range(3):
            close = {"rtol": 1e-2, "atol": 5e-6 * values[metric].max()}
            np.testing.assert_allclose(found[metric, field], difference[metric], **close, err_msg=f"{field} {metric}")
    assert (found[0, 1:] > 0).all()
    assert (found[1, 1] > 0).all()


@chips
def test_gradient_at_the_bounds_is_that_beside_them(name):
    found, beside = (gradients(name, np.array([bits] * 3)) for bits in ([1, 16], [1.0005, 15.9995]))
    np.testing.assert_allclose(found, beside, rtol=1e-2, atol=1e-9)
    assert (gradients(name, np.array([[0.5, 17]] * 3)) == 0).all()


@chips
def test_gradient_is_finite_everywhere(name):
    bits = np.concatenate([np.linspace(1, 16, 121), [np.nextafter(np.float32(8), 0), 1 + 1e-6, 16 - 1e-6]])
    found = gradients(name, np.array([bits] * 3))
    assert np.isfinite(found).all()
    assert (found[0, 1] > 0).all()


@chips
def test_whole_and_half_bits_are_met_from_both_sides(name):
    """Where the nearest whole bits change, and where the smooth path is left for the exact cost, nothing jumps."""
    near = np.array([[x - 1e-5, x, x + 1e-5] for x in np.arange(1.5, 16, 0.5)]).ravel()
    for field in range(3):
        bits = np.array([6.5, 6.5, 7])[:, None] + 0 * near
        bits[field] = near
        before, at, after = costs(name, bits).reshape(3, -1, 3).transpose(2, 0, 1)
        assert (np.abs(after - before) < 3e-5 * at).all(), field
        assert (np.abs(after + before - 2 * at) < 1.5e-6 * at).all(), field


@chips
def test_cost_rises_between_whole_bits(name):
    line = np.linspace(1, 16, 481)
    for field in range(3):
        bits = np.array([4.3, 8, 5.5])[:, None] + 0 * line
        bits[field] = line
        for metric, value in enumerate(costs(name, bits)):
            if (name, metric, field) != ("replicate", 0, 0):  # fewer copies are fewer weights to write
                assert (np.diff(value) >= -5e-7 * value[1:]).all(), (metric, field)


@pytest.mark.parametrize("name", ["calibrated", "pipelined"])
def test_bits_of_layers_have_their_own_gradient(name):
    chip = CHIPS[name]
    per_layer = jax.jit(jax.jacrev(partial(chip.evaluate_per_layer, LAYERS, relaxed=True)))
    for bits in (3.3, 8.0):
        apart = jax.tree.leaves(per_layer(Precision(*np.full((3, len(LAYERS)), bits, np.float32))))
        together = gradients(name, np.full((3, 1), bits)).ravel()
        np.testing.assert_allclose([value.sum() for value in apart], together, rtol=1e-5, atol=1e-9)
    mixed = np.random.default_rng(2).uniform(1, 16, (3, len(LAYERS))).astype(np.float32)
    found = per_layer(Precision(*mixed))
    assert (np.asarray(found.energy_mj.activations) > 0).all()
    if not chip.bill(LAYERS).pipelined:  # no layer's cost depends on another's bits
        other = per_layer(Precision(*np.where(np.arange(len(LAYERS)) == 2, mixed, 11.1).astype(np.float32)))
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(other), strict=True):
            np.testing.assert_allclose(a[2], b[2], rtol=1e-5, atol=1e-9)


def test_a_descent_finds_bits_of_a_given_cost():
    """What the gradient is for: bits, one per layer, that halve the energy."""
    layers = VGG7["cifar10"]
    price = jax.jit(lambda bits: CHIPS["physical"].evaluate_per_layer(layers, Precision(*bits), relaxed=True).energy_mj)
    descend = jax.jit(lambda bits: jnp.clip(bits - 0.4 * jnp.sign(jax.grad(price)(bits)), 1, 16))
    bits = np.full((3, len(layers)), 8, np.float32)
    start = float(price(bits))
    steps = 0
    while float(price(bits)) > start / 2:
        bits, steps = descend(bits), steps + 1
        assert steps < 12
    assert steps > 2
