import numpy as np
import pytest

from halo_jax import config
from halo_jax.hardware import PLATFORMS, halosim
from halo_jax.studies import STUDIES
from halo_jax.types import Cost, Precision
from tests.golden.vgg7_shapes import VGG7


def tables(precision, **changes):
    changed = config.default()
    changed.dataset, changed.precision = "cifar10", precision
    for name, value in changes.items():
        parent, _, leaf = name.rpartition("__")
        (changed[parent] if parent else changed)[leaf] = value
    config.validate(changed)
    return STUDIES["cost"](changed)


def test_one_precision_has_its_totals_beside_those_of_8_bits():
    found = tables("6-4-4")
    ours, eight = (halosim.evaluate(VGG7["cifar10"], bits) for bits in (Precision(6, 4, 4), Precision(8, 8, 8)))
    for row, value, before in zip(found["totals"].rows, ours, eight, strict=True):
        assert (row.value, row.at_8_bits) == (value, before)
        assert row.change_percent == pytest.approx(100 * (float(value) / float(before) - 1), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "device"), [("halosim", "calibrated"), ("halosim", "physical"), ("bit_serial", "stripes_45nm")]
)
def test_the_tables_by_layer_and_by_part_add_up_to_the_totals(name, device):
    found = tables("6-4-4", hardware__name=name, hardware__device=device)
    totals = dict(zip(Cost._fields, (row.value for row in found["totals"].rows), strict=True))
    for metric, total in totals.items():
        rows = found[f"{metric}_by_layer"].rows
        unit = metric.rpartition("_")[2]
        np.testing.assert_allclose(sum(getattr(row, f"total_{unit}") for row in rows), total, rtol=1e-6)
        np.testing.assert_allclose(sum(row.share_percent for row in rows), 100, rtol=1e-5)
        own = [row for row in found["parts"].rows if row.metric == metric.rpartition("_")[0]]
        np.testing.assert_allclose(sum(row.value for row in own if row.share_percent is not None), total, rtol=1e-6)
    assert ("occupation" in found) == (name == "halosim")


def test_crossbars_and_tiles_are_those_of_the_paper():
    rows = tables("8-8-8")["occupation"].rows
    assert [row.weight_tiles for row in rows] == [1, 5, 9, 18, 36, 72, 64, 1]
    assert [row.error_tiles for row in rows] == [4, 4, 2, 2, 1, 1, 1, 1]
    assert [row.weight_crossbars for row in rows] == [16, 288, 576, 1152, 2304, 4608, 4096, 8]
    assert rows[0].weight_used_percent == pytest.approx(100 * 27 * 128 * 8 / 64**3)


def test_layers_are_described_and_counted():
    rows = tables("8-8-8")["layers"].rows
    assert rows[1].shape == "3x3 128>128 at 32x32"
    assert sum(row.weights for row in rows) == 6_674_304
    assert rows[1].macs == 32 * 32 * 9 * 128 * 128


def test_a_grid_is_sorted_and_its_fronts_are_not_dominated():
    (rows,) = (table.rows for table in tables("2..8-4,6,8-4..5", sort_by="area_mm2").values())
    assert len(rows) == 7 * 3 * 2
    assert [row.area_mm2 for row in rows] == sorted(row.area_mm2 for row in rows)
    for name in ("energy_mj", "latency_s", "area_mm2"):
        for row in rows:
            better = [
                other
                for other in rows
                if (getattr(other, name), other.noise) != (getattr(row, name), row.noise)
                and getattr(other, name) <= getattr(row, name)
                and other.noise <= row.noise
            ]
            assert (name.split("_")[0] in row.fronts.split()) == (not better)


def test_any_size_of_image_and_any_number_of_classes():
    rows = tables("8-8-8", image_shape=(16, 24, 2), num_classes=7)["layers"].rows
    assert rows[0].shape == "3x3 2>128 at 16x24"
    assert rows[-1].shape == "1x1 256>7 at 1x1"


def test_an_unknown_data_set_needs_sizes():
    with pytest.raises(config.ConfigError, match=r"dataset='imagenet'; known: cifar10, .*image_shape and num_classes"):
        tables("8-8-8", dataset="imagenet")
    assert (
        tables("8-8-8", dataset="imagenet", image_shape=(64, 64, 3), num_classes=1000)["layers"].rows[-1].weights
        == 256_000
    )


@pytest.mark.parametrize("text", ["", "8", "8-8", "0-8-8", "17-8-8", "8..4-8-8", "8-8-8-8", "a-8-8", "8,-8-8", "8-8-٣"])
def test_a_wrong_grid_is_refused(text):
    with pytest.raises(config.ConfigError, match=r"precision=.*or a grid such as"):
        tables(text)


def test_every_platform_is_priced():
    assert {"halosim", "bit_serial"} <= PLATFORMS.keys()
