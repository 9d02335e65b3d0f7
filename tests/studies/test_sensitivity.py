import numpy as np
import pytest

from halo_jax import config
from halo_jax.hardware import halosim
from halo_jax.studies import STUDIES
from halo_jax.types import Precision
from tests.golden.vgg7_shapes import VGG7


@pytest.fixture(scope="module")
def tables():
    return STUDIES["sensitivity"](config.default())


def test_a_sweep_is_the_cost_with_one_dimension_changed(tables):
    rows = tables["sweep"].rows
    assert len(rows) == 3 * 3 * 7
    for row in rows[3::11]:
        bits = Precision(8, 8, 8)._replace(**{row.dimension: row.bits})
        np.testing.assert_array_equal(row[3:], halosim.evaluate(VGG7[row.dataset], bits))


def test_claims_compare_2_bits_with_8(tables):
    ours = {(row.dataset, row.dimension, row.metric): row.ours_percent for row in tables["claims"].rows}
    says = {(row.dimension, row.metric): row.paper for row in tables["claims"].rows}
    assert len(ours) == 27
    assert says["weights", "latency"] == "unchanged"
    assert says["weights", "area"] == "substantial"
    for dataset in VGG7:
        two, eight = (halosim.evaluate(VGG7[dataset], Precision(bits, 8, 8)) for bits in (2, 8))
        assert ours[dataset, "weights", "area"] == pytest.approx(100 * (float(two.area_mm2 / eight.area_mm2) - 1))
        assert ours[dataset, "weights", "latency"] == 0
        assert ours[dataset, "activations", "energy"] < -70
        assert ours[dataset, "weights", "area"] < -60
