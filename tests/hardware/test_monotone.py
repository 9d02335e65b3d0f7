"""Costs rise with every bit, add up over layers, and areas jump where a tile is full."""

from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given, settings

from halo_jax.hardware.bill import Part
from halo_jax.types import LayerShape, Precision
from tests.golden.vgg7_shapes import VGG7
from tests.hardware.chips import ALL_BITS, CHIPS, KINDS, SMALL, networks, tables

CUBE = Precision(*ALL_BITS.reshape(3, 16, 16, 16))
IN_TURN = [name for name, chip in CHIPS.items() if not chip.bill(SMALL).pipelined]
TILES = {
    "weights": (Part("forward+backward", "weight tiles", "crossbars", False), "weight tiles"),
    "errors": (Part("gradient", "error tiles", "crossbars", False), "error tiles"),
}


def rises(values, axis):
    """The least rise along an axis of the cube of bits."""
    return np.diff(np.asarray(values, np.float64), axis=axis).min()


@pytest.mark.parametrize("layers", [SMALL, VGG7["cifar10"]], ids=["small", "vgg7"])
@pytest.mark.parametrize("name", KINDS)
def test_cost_never_falls_when_a_bit_is_added(name, layers):
    # Copies do not break this for latency: a layer has fewer of them the more crossbars one takes, so each bit of bw
    # leaves as many or more positions to each copy. Nor for area: they lie in tiles that are there anyway. They do
    # for energy, as fewer copies are fewer weights to write: small against what is read in these networks, not in
    # all (see test_crossbars).
    cost = jax.jit(partial(CHIPS[name].evaluate, layers))(CUBE)
    for value in cost:
        assert min(rises(value, axis) for axis in range(3)) >= 0
    assert min(rises(cost.energy_mj, axis) for axis in (1, 2)) > 0
    assert rises(cost.latency_s, 1) > 0
    assert not np.array_equal(cost.area_mm2[0], cost.area_mm2[-1])


@settings(derandomize=True, max_examples=40, deadline=None)
@given(networks())
def test_tables_never_fall_when_a_bit_is_held(layers):
    written = {Part("update", "weight writes", "energy_mj")}
    copied = {Part("forward+backward", "weight tiles", metric, False) for metric in ("crossbars", "used cells")}
    for name, chip in CHIPS.items():
        for part, table in tables(layers, chip.device).items():
            if name not in ("replicate", "both") or part not in written | copied:
                assert (np.diff(table[:, 1:], axis=1) >= 0).all(), (name, part)


@pytest.mark.parametrize("name", KINDS)
def test_costs_add_up_over_layers(name):
    some, others = VGG7["emnist"][:3], SMALL
    together = tables(some + others, CHIPS[name].device)
    for part, table in tables(some, CHIPS[name].device).items():
        np.testing.assert_array_equal(together[part][:3], table)
        np.testing.assert_array_equal(together[part][3:], tables(others, CHIPS[name].device)[part])
    bits = Precision(*ALL_BITS[:, ::97])
    one, two, both = (jax.jit(partial(CHIPS[name].evaluate, x))(bits) for x in (some, others, some + others))
    np.testing.assert_allclose(np.add(one.energy_mj, two.energy_mj), both.energy_mj, rtol=1e-6)
    np.testing.assert_allclose(np.add(one.area_mm2, two.area_mm2), both.area_mm2, rtol=1e-6)
    if name in IN_TURN:
        np.testing.assert_allclose(np.add(one.latency_s, two.latency_s), both.latency_s, rtol=1e-6)
    else:  # in a pipeline, the slowest layer decides
        np.testing.assert_array_equal(np.maximum(one.latency_s, two.latency_s), both.latency_s)


def test_pipelines_are_left_out_of_nothing_else():
    assert set(CHIPS) - set(IN_TURN) == {"pipelined", "both"}


@settings(derandomize=True, max_examples=40, deadline=None)
@given(networks())
def test_a_tile_is_added_only_where_64_crossbars_are_full(layers):
    for name in ("calibrated", "physical"):
        found = tables(layers, CHIPS[name].device)
        for crossbars, component in TILES.values():
            phase = crossbars.phase
            before, after = found[crossbars][:, :-1], found[crossbars][:, 1:]
            full = np.vectorize(lambda a, b: len([m for m in range(0, b, 64) if m >= a]))(before, after)
            np.testing.assert_array_equal(np.diff(found[Part(phase, component, "tiles", False)], axis=1), full)
            np.testing.assert_array_equal(found[Part(phase, component, "area_mm2")][:, 0], 0)


def test_tiles_by_hand():
    area = lambda inputs: tables((LayerShape((1, 1), inputs, 64, (1, 1)),), CHIPS["physical"].device)[  # noqa: E731
        Part("forward+backward", "weight tiles", "area_mm2")
    ][0]
    assert area(64 * 64).tolist() == list(range(17))  # 64 crossbars a bit fill a tile each
    assert area(64 * 64 + 1).tolist() == [0, *range(2, 18)]  # 65 a bit, and one more tile at once
    assert area(64 * 8).tolist() == [0] + [1] * 8 + [2] * 8
