"""The physical mapping: against matrices placed crossbar by crossbar, by hand, and what replication changes."""

import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_jax.types import LayerShape, Precision
from tests.golden.vgg7_shapes import VGG7
from tests.hardware.chips import (
    ALL_BITS,
    BITS_3_LAYERS,
    CHIPS,
    ODD,
    SMALL,
    check_cost,
    check_tables,
    chip_of,
    networks,
    physical,
    tables,
)

MODES = [{"replicate": copies, "pipelined": piped} for copies in (False, True) for piped in (False, True)]
modes = pytest.mark.parametrize("mode", MODES, ids=str)
WEIGHTS, ERRORS = ("forward+backward", "weight tiles"), ("gradient", "error tiles")


def named(layers, device):
    return {tuple(part[:3]): table for part, table in tables(layers, device).items()}


@modes
@settings(derandomize=True, max_examples=20, deadline=None)
@given(networks(), BITS_3_LAYERS, st.sampled_from([1, 7, 32]))
def test_matches_the_placed_crossbars(mode, layers, bits, samples):
    device = physical(samples_per_update=samples, **mode)
    check_cost(layers, bits, device)
    check_tables(layers, device)


@settings(derandomize=True, max_examples=15, deadline=None)
@given(networks(), BITS_3_LAYERS, st.data())
def test_matches_the_placed_crossbars_on_other_chips(layers, bits, data):
    sizes = {"crossbar_size": [16, 64, 200], "crossbars_per_tile": [1, 6, 64], "adcs_per_crossbar": [1, 8, 300]}
    sizes |= {"bits_per_read": [1, 8, 9]}
    mode = data.draw(st.sampled_from(MODES))
    device = physical(**mode, **{name: data.draw(st.sampled_from(values), name) for name, values in sizes.items()})
    check_cost(layers, bits, device)
    check_tables(layers, device)


@modes
@pytest.mark.parametrize("layers", [SMALL, ODD, *VGG7.values()], ids=["small", "odd", *VGG7])
def test_matches_the_placed_crossbars_on_networks(layers, mode):
    device = physical(**mode)
    check_tables(layers, device)
    for bits in ((1, 1, 1), (16, 16, 16), (7, 3, 11)):
        check_cost(layers, np.tile(np.array(bits)[:, None], len(layers)), device)


def test_layer_by_hand():
    # 3x3, 16 -> 12 channels, output 10 x 10, at 5-4-6: 144 rows in ceil(144/64) = 3 blocks, 60 columns in 1, so
    # 3 crossbars, and room for 100 // 3 -> floor(64/3) = 21 copies; errors: 100 rows in 2 blocks, 72 columns in 2.
    layer, device = LayerShape((3, 3), 16, 12, (10, 10)), physical(replicate=True)
    found = named((layer,), device)
    at = lambda phase, component, metric: found[phase, component, metric][0].tolist()  # noqa: E731
    assert (at(*WEIGHTS, "crossbars")[5], at(*WEIGHTS, "tiles")[5], at(*WEIGHTS, "area_mm2")[5]) == (63, 1, 1)
    assert (at(*ERRORS, "crossbars")[6], at(*ERRORS, "tiles")[6]) == (4, 1)
    assert at(*WEIGHTS, "used cells")[5] == 21 * 144 * 60
    assert at(*WEIGHTS, "cells")[5] == 64 * 64 * 64
    assert at("forward", "reads", "energy_mj")[5] == at("backward", "reads", "energy_mj")[5] == 3 * 100
    assert at("gradient", "reads", "energy_mj")[6] == 4 * 144
    assert at("gradient", "error writes", "energy_mj")[6] == 100 * 2
    assert at("update", "weight writes", "energy_mj")[5] == 21 * 144 * 1
    assert at("forward", "reads", "latency_s")[5] == 5 * 8  # ceil(100/21) positions in turn, ceil(60/8) conversions
    assert at("backward", "reads", "latency_s")[5] == 5 * 8  # 64 of 144 columns on a crossbar
    assert at("gradient", "reads", "latency_s")[6] == 144 * 8
    assert at("gradient", "error writes", "latency_s")[6] == at("update", "weight writes", "latency_s")[5] == 64
    cost = chip_of(device).evaluate((layer,), Precision(5, 4, 6))
    bit_reads = 300 * 4 + 300 * 6 + 576 * 4
    assert float(cost.energy_mj) == pytest.approx(
        1e-9 * (29.424 / 8 * bit_reads + 13 / 64 * 200 + 13 / 64 / 32 * 3024), rel=1e-6
    )
    weights_us = 0.018928 * 40 * (4 + 6) + 0.018 * 64 / 32
    errors_us = 0.018928 * 144 * 8 * 4 + 0.018 * 64
    assert float(cost.latency_s) == pytest.approx(1e-6 * (weights_us + errors_us), rel=1e-6)
    piped = chip_of(dataclasses.replace(device, pipelined=True)).evaluate((layer,), Precision(5, 4, 6))
    assert float(piped.latency_s) == pytest.approx(1e-6 * errors_us, rel=1e-6)


@pytest.mark.parametrize("data_set", VGG7)
def test_copies_read_faster_in_the_same_tiles(data_set):
    layers, bits = VGG7[data_set], Precision(*ALL_BITS)
    one, copied = (jax.jit(CHIPS[name].evaluate, static_argnums=0)(layers, bits) for name in ("physical", "replicate"))
    np.testing.assert_array_equal(one.area_mm2, copied.area_mm2)
    assert (copied.latency_s < one.latency_s).all()
    assert (copied.energy_mj >= one.energy_mj).all()  # more weights to write
    plain, more = (named(layers, CHIPS[name].device) for name in ("physical", "replicate"))
    assert (more[*WEIGHTS, "crossbars"] >= plain[*WEIGHTS, "crossbars"]).all()
    assert (more[*WEIGHTS, "crossbars"] <= 64 * plain[*WEIGHTS, "tiles"])[:, 1:].all()


@pytest.mark.parametrize("data_set", VGG7)
def test_a_pipeline_is_never_slower_and_costs_the_same(data_set):
    layers, bits = VGG7[data_set], Precision(*ALL_BITS)
    plain, piped = (jax.jit(CHIPS[name].evaluate, static_argnums=0)(layers, bits) for name in ("physical", "pipelined"))
    assert (piped.latency_s < plain.latency_s).all()
    assert (piped.latency_s * 2 * len(layers) >= plain.latency_s).all()
    np.testing.assert_array_equal(piped.energy_mj, plain.energy_mj)
    np.testing.assert_array_equal(piped.area_mm2, plain.area_mm2)


def test_more_samples_an_update_share_the_weight_writes_alone():
    cost = lambda samples: chip_of(physical(samples_per_update=samples)).breakdown(SMALL, Precision(8, 8, 8))  # noqa: E731
    one, many = cost(1), cost(64)
    for part, value in one.items():
        share = 64 if part.phase == "update" else 1
        np.testing.assert_allclose(value, many[part] * share, rtol=1e-6, err_msg=str(part))


def test_copies_may_save_energy_where_a_bit_is_added():
    # 32 crossbars of 64 are copied, 33 are not: at 8 bits twice as many rows are written as at 9.
    layer = (LayerShape((1, 1), 256, 64, (2, 1)),)
    table = named(layer, CHIPS["both"].device)["update", "weight writes", "energy_mj"][0]
    assert (table[8], table[9]) == (2 * 256 * 8, 256 * 9)
    energy = [float(CHIPS["both"].evaluate(layer, Precision(bits, 1, 1)).energy_mj) for bits in (8, 9)]
    assert energy[1] < energy[0]
