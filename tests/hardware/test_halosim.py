"""HaLoSim as the paper has it, against whole numbers counted slowly and by hand, and its public functions."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_jax.hardware import halosim
from halo_jax.types import LayerShape, Precision
from tests.golden.vgg7_shapes import VGG7
from tests.hardware.chips import BITS_3_LAYERS, ODD, SMALL, check_cost, check_tables, networks, tables
from tests.oracles import halosim_exact

HUGE = (
    LayerShape((3, 3), 4096, 4096, (14, 14)),  # 8e9 forward reads at 8 bits
    LayerShape((1, 1), 4096, 131_072, (1, 1)),
)


@settings(derandomize=True, max_examples=50, deadline=None)
@given(networks(600), BITS_3_LAYERS)
def test_matches_the_integer_oracle(layers, bits):
    check_cost(layers, bits, halosim.CALIBRATED)
    check_tables(layers, halosim.CALIBRATED)


@settings(derandomize=True, max_examples=20, deadline=None)
@given(
    networks(), BITS_3_LAYERS, st.sampled_from([7, 64, 200]), st.sampled_from([1, 5, 64]), st.sampled_from([1, 8, 9])
)
def test_matches_the_integer_oracle_on_other_chips(layers, bits, size, per_tile, bits_per_read):
    sizes = {"crossbar_size": size, "crossbars_per_tile": per_tile, "bits_per_read": bits_per_read}
    device = dataclasses.replace(halosim.TABLE_I, **sizes)
    check_cost(layers, bits, device)
    check_tables(layers, device)


@pytest.mark.parametrize("device", [halosim.CALIBRATED, halosim.TABLE_I], ids=["calibrated", "table_i"])
@pytest.mark.parametrize("data_set", VGG7)
def test_matches_the_integer_oracle_on_vgg7(data_set, device):
    layers = VGG7[data_set]
    check_tables(layers, device)
    for bits in [(1, 1, 1), (8, 8, 8), (16, 16, 16), (2, 4, 4), (7, 3, 11)]:
        check_cost(layers, np.tile(np.array(bits)[:, None], len(layers)), device)


@pytest.mark.parametrize("layers", [SMALL, ODD, HUGE], ids=["small", "odd", "huge"])
def test_matches_the_integer_oracle_at_extremes(layers):
    check_tables(layers, halosim.CALIBRATED, (1, 8, 15, 16))
    for bits in (1, 8, 16):
        check_cost(layers, np.full((3, len(layers)), bits), halosim.CALIBRATED)


def test_layer_by_hand():
    # 3x3, 10 -> 20 channels in 2 groups, output 9 x 5, stride 2 x 1, dilation 1 x 3, run twice, at 7-5-3:
    # touched input (8*2 + 2*1 + 1) x (4*1 + 2*3 + 1) = 19 x 11; rows ceil(45/64) = 1 and ceil(45/64) = 1;
    # columns ceil(10*7/64) = 2 for weights and ceil(10*3/64) = 1 for errors; each times 2 groups.
    layer = LayerShape((3, 3), 10, 20, (9, 5), stride=(2, 1), dilation=(1, 3), groups=2, repeats=2)
    found = {tuple(part[:3]): table[0].tolist() for part, table in tables((layer,), halosim.CALIBRATED).items()}
    assert found["forward+backward", "weight tiles", "crossbars"][7] == 4
    assert found["gradient", "error tiles", "crossbars"][3] == 2
    assert found["forward+backward", "weight tiles", "tiles"][7] == found["gradient", "error tiles", "tiles"][3] == 1
    assert found["forward", "reads", "energy_mj"][7] == 2 * 4 * 45
    assert found["backward", "reads", "energy_mj"][7] == 2 * 4 * 45
    assert found["gradient", "reads", "energy_mj"][3] == 2 * 2 * 19 * 11 * 5
    assert found["forward", "reads", "latency_s"] == found["backward", "reads", "latency_s"] == [2 * 45] * 17
    assert found["gradient", "reads", "latency_s"] == [2 * 9 * 5 * 20] * 17
    cost = halosim.evaluate([layer], Precision(7, 5, 3))
    reads = 2 * (4 * 45 * 5 + 4 * 45 * 3 + 2 * 19 * 11 * 5 * 5)
    assert float(cost.energy_mj) == pytest.approx((29.424 / 8 * reads + 13 * 2) * 1e-9, rel=1e-6)
    assert float(cost.latency_s) == pytest.approx(0.018928e-6 * 2 * (45 * 5 + 45 * 3 + 9 * 5 * 20 * 5), rel=1e-6)
    assert float(cost.area_mm2) == pytest.approx(64 * 0.075375 * 2, rel=1e-6)


def test_presets_are_the_specifications_numbers():
    printed = {"crossbar_area_mm2": 0.07, "read_energy_pj": 29, "write_energy_pj": 13, "read_delay_us": 0.018}
    calibrated = {"crossbar_area_mm2": 0.075375, "read_energy_pj": 29.424, "write_energy_pj": 13}
    calibrated |= {"read_delay_us": 0.018928}
    same = {"crossbar_size": 64, "crossbars_per_tile": 64, "bits_per_read": 8, "adcs_per_crossbar": 8}
    same |= {"write_delay_us": 0.018, "replicate": False, "pipelined": False, "samples_per_update": 32}
    assert dataclasses.asdict(halosim.TABLE_I) == {"mapping": "paper"} | printed | same
    assert dataclasses.asdict(halosim.CALIBRATED) == {"mapping": "paper"} | calibrated | same
    assert dataclasses.asdict(halosim.PHYSICAL) == {"mapping": "physical"} | calibrated | same
    for name, constants in (("table_i", halosim.TABLE_I), ("calibrated", halosim.CALIBRATED)):
        assert halosim.make(name).device == constants


def test_breakdown_shows_what_the_paper_says_of_fig_6():
    parts = halosim.breakdown(VGG7["cifar10"], Precision(8, 8, 8))
    total = lambda metric, *phases: sum(  # noqa: E731
        value.sum() for part, value in parts.items() if part.metric == metric and part.phase in phases and part.in_total
    )
    energy = total("energy_mj", "backward", "gradient") / total("energy_mj", "forward")
    latency = total("latency_s", "backward", "gradient") / total("latency_s", "forward")
    assert 50 < energy < 52
    assert latency > 1000
    (weights,) = {part for part in parts if part.metric in ("energy_mj", "latency_s") and not part.in_total}
    assert weights == ("update", "weight writes", "energy_mj", False)


def test_doubling_a_constant_doubles_its_metric_alone():
    base = halosim.evaluate(VGG7["cifar10"], Precision(8, 8, 8))
    for name, metric in {"crossbar_area_mm2": "area_mm2", "read_delay_us": "latency_s"}.items():
        chip = dataclasses.replace(halosim.CALIBRATED, **{name: 2 * getattr(halosim.CALIBRATED, name)})
        changed = halosim.evaluate(VGG7["cifar10"], Precision(8, 8, 8), chip)
        for field in base._fields:
            assert float(getattr(changed, field)) == (2 if field == metric else 1) * float(getattr(base, field))


def test_public_functions_default_to_the_calibrated_chip():
    layers, bits = VGG7["emnist"], Precision(*np.arange(1, 25).reshape(3, 8) % 16 + 1)
    chip = halosim.make("calibrated")
    price = lambda of, bits: (  # noqa: E731
        of.evaluate(layers, bits),
        of.evaluate_per_layer(layers, bits),
        of.evaluate_per_layer(layers, bits, relaxed=True),
    )
    found, same = (jax.tree.leaves(jax.jit(partial(price, of))(bits)) for of in (halosim, chip))
    np.testing.assert_array_equal(np.concatenate(found, axis=None), np.concatenate(same, axis=None))
    assert list(halosim.breakdown(layers, bits)) == list(chip.breakdown(layers, bits))
    exact = halosim_exact.evaluate(layers, [(8, 8, 8)] * 8, halosim.TABLE_I)
    found = halosim.evaluate(layers, Precision(8, 8, 8), halosim.TABLE_I)
    np.testing.assert_allclose(found, [float(value) for value in exact.values()], rtol=1e-6)
