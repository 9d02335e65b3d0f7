"""The second platform: against products counted one by one, by hand, and under the paper's selector."""

import ast
import dataclasses
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import halo_jax.selectors
from halo_jax.hardware import PLATFORMS
from halo_jax.selectors import halo_ps
from halo_jax.types import Constraint, Cost, Demand, LayerShape, Precision
from tests.golden.vgg7_shapes import VGG7
from tests.hardware.chips import (
    BITS_3_LAYERS,
    ODD,
    SMALL,
    STRIPES,
    check_cost,
    check_tables,
    chip_of,
    networks,
    tables,
)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(networks(250), BITS_3_LAYERS)
def test_matches_products_counted_one_by_one(layers, bits):
    check_cost(layers, bits, STRIPES)
    check_tables(layers, STRIPES)


@settings(derandomize=True, max_examples=15, deadline=None)
@given(networks(64), BITS_3_LAYERS, st.sampled_from([1, 16, 100]), st.sampled_from([3, 500]), st.sampled_from([7, 64]))
def test_matches_the_count_on_other_arrays(layers, bits, lanes, windows, filters):
    device = dataclasses.replace(STRIPES, lanes=lanes, windows=windows, filters=filters)
    check_cost(layers, bits, device)
    check_tables(layers, device)


@pytest.mark.parametrize("layers", [SMALL, ODD, *VGG7.values()], ids=["small", "odd", *VGG7])
def test_matches_the_count_on_networks(layers):
    check_tables(layers, STRIPES)
    for bits in ((1, 1, 1), (16, 16, 16), (7, 3, 11)):
        check_cost(layers, np.tile(np.array(bits)[:, None], len(layers)), STRIPES)


def test_layer_by_hand():
    # 3x3, 4 -> 6 channels in 2 groups, output 5 x 4, run three times, at 5-3-7: in each of 6 runs of a group there are
    # 18 rows, 3 columns and 20 positions; 16 lanes, 16 windows, 256 filters.
    layer, runs = LayerShape((3, 3), 4, 6, (5, 4), groups=2, repeats=3), 6
    found = {tuple(part[:3]): table[0].tolist() for part, table in tables((layer,), STRIPES).items()}
    products = 20 * 18 * 3
    for phase, held in {"forward": 5, "backward": 5, "gradient": 7}.items():
        assert found[phase, "additions", "energy_mj"][held] == runs * products * held
    assert found["forward", "cycles", "latency_s"] == [runs * 2 * 2 * 1] * 17  # of 18 rows, 20 positions, 3 columns
    assert found["backward", "cycles", "latency_s"] == [runs * 1 * 2 * 1] * 17
    assert found["gradient", "cycles", "latency_s"] == [runs * 2 * 2 * 1] * 17
    assert found["forward", "reads of what waits", "energy_mj"][5] == runs * 54 * 2 * 5
    assert found["backward", "reads of what streams", "energy_mj"][5] == runs * 60
    assert found["gradient", "activation memory", "area_mm2"][7] == runs * 7 * 6 * 2
    cost = PLATFORMS["bit_serial"]("stripes_45nm").evaluate((layer,), Precision(5, 3, 7))
    additions = runs * products * (5 * 3 + 5 * 7 + 7 * 3)
    waits = runs * (2 * 54 * 5 + 2 * 54 * 5 + 2 * 60 * 7)
    streams = runs * (360 * 3 + 60 * 7 + 360 * 3)
    accesses = waits + streams + runs * 60 * 7
    memory = 2 * 54 * 5 + runs * 60 * 7 + runs * 7 * 6 * 2 * 3
    assert float(cost.energy_mj) == pytest.approx(1e-9 * (0.00375 * additions + 1.5625 * accesses), rel=1e-6)
    assert float(cost.latency_s) == pytest.approx(runs * (4 * 3 + 2 * 7 + 4 * 3) / 980e6, rel=1e-6)
    assert float(cost.area_mm2) == pytest.approx(0.346e-6 * memory, rel=1e-6)


def test_fewer_streamed_bits_are_faster_in_proportion():
    """Stripes' claim: time falls with the bits of one operand, here of activations and errors alone."""
    latency = partial(PLATFORMS["bit_serial"]("stripes_45nm").evaluate, VGG7["cifar10"])
    full = float(latency(Precision(16, 16, 16)).latency_s)
    for bits in (1, 2, 4, 8):
        assert float(latency(Precision(16, bits, bits)).latency_s) == pytest.approx(full * bits / 16, rel=1e-6)
    assert float(latency(Precision(1, 16, 16)).latency_s) == full


def test_a_faster_clock_changes_only_the_time():
    fast = dataclasses.replace(STRIPES, clock_mhz=2 * STRIPES.clock_mhz)
    one, two = (chip_of(device).evaluate(SMALL, Precision(8, 4, 6)) for device in (STRIPES, fast))
    assert float(one.latency_s) == 2 * float(two.latency_s)
    assert (float(one.energy_mj), float(one.area_mm2)) == (float(two.energy_mj), float(two.area_mm2))


CONSTRAINTS = (Constraint.ENERGY, Constraint.LATENCY, Constraint.AREA)


def path(cost_fn, constraint, rounds=6):
    """The precisions that a client of the paper's selector goes through, given its prices alone."""
    selector = halo_ps(floor=Precision(2, 2, 2), step=2, min_gain=0.01, reduce_rounds=range(1, rounds + 1))
    demand = Demand(jnp.int32(constraint), Cost(*(jnp.float32(jnp.inf),) * 3), jnp.ones(3))

    @jax.jit
    def step(precision, state, index):
        given = {"round": index, "loss": jnp.float32(1), "key": jax.random.key(0)}
        return selector.select(state, precision, demand, cost_fn, **given)

    precision, state, found = Precision(*(jnp.int32(8) for _ in range(3))), selector.init(), []
    for index in range(rounds):
        precision, state = step(precision, state, jnp.int32(index))
        found.append(tuple(int(bits) for bits in precision))
    return found


def greedy(cost_fn, metric, rounds=6):
    """Algorithm 1 by hand: of the three reductions the cheapest, ties to errors, then activations."""
    now, found = (8, 8, 8), []
    for _ in range(rounds):
        moves = [tuple(b - 2 * (i == j) for j, b in enumerate(now)) for i in (2, 1, 0) if now[i] >= 4]
        prices = [float(cost_fn(Precision(*move))[metric]) for move in moves]
        before = float(cost_fn(Precision(*now))[metric])
        best = next((move for move, price in zip(moves, prices, strict=True) if price <= min(prices) * (1 + 1e-5)), now)
        if float(cost_fn(Precision(*best))[metric]) <= before * 0.99:
            now = best
        found.append(now)
    return found


def test_the_papers_selector_works_through_prices_alone():
    chips = {"halosim": "calibrated", "bit_serial": "stripes_45nm"}
    paths = {}
    for name, device in chips.items():
        cost_fn = jax.jit(partial(PLATFORMS[name](device).evaluate, VGG7["cifar10"]))
        for metric, constraint in enumerate(CONSTRAINTS):
            paths[name, constraint.name] = path(cost_fn, constraint)
            assert paths[name, constraint.name] == greedy(cost_fn, metric)
        assert path(cost_fn, Constraint.NONE, 2) == [(8, 8, 8)] * 2
    # Crossbars save energy by errors, first; what moves weights about, by weights.
    assert (paths["halosim", "ENERGY"][0], paths["bit_serial", "ENERGY"][0]) == ((8, 8, 6), (6, 8, 8))
    # Both save time by activations; then errors are too little of it on crossbars, and not where they stream.
    assert paths["halosim", "LATENCY"][:3] == paths["bit_serial", "LATENCY"][:3] == [(8, 6, 8), (8, 4, 8), (8, 2, 8)]
    assert (paths["halosim", "LATENCY"][3], paths["bit_serial", "LATENCY"][3]) == ((8, 2, 8), (8, 2, 6))


def test_selectors_import_nothing_of_hardware():
    files = list(Path(halo_jax.selectors.__file__).parent.glob("*.py"))
    assert len(files) > 3
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                assert "hardware" not in ast.unparse(node), file
