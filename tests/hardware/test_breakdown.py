"""The breakdown: its parts add up to the cost, and say what the docs say."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings

from halo_jax.hardware.bill import Part
from halo_jax.types import Cost, Precision
from tests.golden.vgg7_shapes import VGG7
from tests.hardware.chips import BITS_3_LAYERS, CHIPS, networks

LAYERS = VGG7["cifar10"]
MIXED = np.random.default_rng(1).integers(1, 17, (3, 3, 8))
BITS = {
    "one": Precision(2, 4, 7),
    "per layer": Precision(*MIXED[:, 0]),
    "many": Precision(*MIXED),
}
chips = pytest.mark.parametrize("name", CHIPS)


def sums(parts: dict[Part, jax.Array]) -> Cost:
    """The parts in the total, over the layers."""
    of = lambda metric: [value for part, value in parts.items() if part.metric == metric and part.in_total]  # noqa: E731
    return Cost(*(np.sum(np.asarray(of(metric), np.float64), axis=(0, -1)) for metric in Cost._fields))


@chips
@pytest.mark.parametrize("bits", BITS)
def test_parts_in_the_total_add_up_to_it(name, bits):
    precision, chip = BITS[bits], CHIPS[name]
    price = chip.evaluate if bits == "one" else chip.evaluate_per_layer
    total, parts = price(LAYERS, precision), chip.breakdown(LAYERS, precision)  # the same in jit: see same_bits
    for metric, value in sums(parts)._asdict().items():
        assert value.shape == getattr(total, metric).shape
        if metric == "latency_s" and chip.bill(LAYERS).pipelined:
            assert (value > getattr(total, metric)).all()  # layers and stores work at the same time
        else:
            np.testing.assert_allclose(value, getattr(total, metric), rtol=1e-6)
    for part, value in parts.items():
        assert value.shape == (*np.shape(precision.weights)[:-1], len(LAYERS)), part
        assert value.dtype == np.float32
        assert (np.asarray(value) > 0).all(), part


@chips
def test_bits_of_one_are_those_of_every_layer(name):
    one = CHIPS[name].breakdown(LAYERS, BITS["one"])
    each = CHIPS[name].breakdown(LAYERS, Precision(*(np.full(8, bits) for bits in BITS["one"])))
    assert list(one) == list(each)
    for part, value in one.items():
        np.testing.assert_array_equal(value, each[part])


@chips
def test_breakdown_needs_one_entry_per_layer(name):
    with pytest.raises(ValueError, match="broadcast"):
        CHIPS[name].breakdown(LAYERS, Precision(*np.full((3, 5), 8)))


@settings(derandomize=True, max_examples=25, deadline=None)
@given(networks(), BITS_3_LAYERS)
def test_utilisation_is_the_used_share_of_the_cells(layers, bits):
    for name in ("calibrated", "both"):
        parts = CHIPS[name].breakdown(layers, Precision(*bits))
        shares = {part: value for part, value in parts.items() if part.metric == "utilisation"}
        assert {part.component for part in shares} == {"weight tiles", "error tiles"}
        for part, value in shares.items():
            assert not part.in_total
            assert ((np.asarray(value) > 0) & (np.asarray(value) <= 1)).all()
            used, cells = (parts[part._replace(metric=metric)] for metric in ("used cells", "cells"))
            np.testing.assert_allclose(value, used / cells, rtol=1e-6)
            np.testing.assert_array_equal(cells, parts[part._replace(metric="tiles")] * 64 * 64 * 64)


def test_utilisation_by_hand():
    # 2304 x 256 weights of 8 bits take 36 x 32 crossbars, 18 tiles; the last layer 256 x 10 of them one tile.
    for name in ("calibrated", "physical"):
        parts = CHIPS[name].breakdown(LAYERS, Precision(8, 8, 8))
        found = parts[Part("forward+backward", "weight tiles", "utilisation", False)]
        assert float(found[3]) == pytest.approx(2304 * 256 * 8 / (18 * 64**3), rel=1e-6)
        assert float(found[7]) == pytest.approx(256 * 80 / 64**3, rel=1e-6)
    copied = CHIPS["replicate"].breakdown(LAYERS[:1], Precision(8, 8, 8))
    share = copied[Part("forward+backward", "weight tiles", "utilisation", False)]
    assert float(share[0]) == pytest.approx(4 * 27 * 1024 / 64**3, rel=1e-6)  # 16 crossbars, four times


def priced_parts(name: str) -> set[tuple[str, str, str, bool]]:
    return {tuple(part) for part in CHIPS[name].breakdown(LAYERS, Precision(8, 8, 8)) if part.metric in Cost._fields}


def test_parts_are_the_documented_ones():
    both = {
        ("forward+backward", "weight tiles", "area_mm2", True),
        ("gradient", "error tiles", "area_mm2", True),
        ("gradient", "error writes", "energy_mj", True),
    }
    both |= {(phase, "reads", "energy_mj", True) for phase in ("forward", "backward", "gradient")}
    both |= {(phase, "reads", "latency_s", True) for phase in ("forward", "backward", "gradient")}
    assert priced_parts("calibrated") == both | {("update", "weight writes", "energy_mj", False)}
    written = {("update", "weight writes", metric, True) for metric in ("energy_mj", "latency_s")}
    assert priced_parts("physical") == both | written | {("gradient", "error writes", "latency_s", True)}
    components = {"additions", "reads of what waits", "reads of what streams"}
    passes = {(phase, x, "energy_mj", True) for phase in ("forward", "backward", "gradient") for x in components}
    passes |= {(phase, "cycles", "latency_s", True) for phase in ("forward", "backward", "gradient")}
    memory = {("forward+backward", "weight memory", "area_mm2", True), ("gradient", "error writes", "energy_mj", True)}
    memory |= {("gradient", f"{kind} memory", "area_mm2", True) for kind in ("error", "activation")}
    assert priced_parts("stripes_45nm") == passes | memory


@chips
def test_no_two_items_share_a_part(name):
    items = CHIPS[name].bill(LAYERS).items
    assert len({item.part for item in items}) == len(items)
