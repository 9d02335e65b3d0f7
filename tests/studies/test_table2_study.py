from collections import Counter

import pytest

from halo_jax import config
from halo_jax.studies import STUDIES
from tests.golden import test_table2 as golden


@pytest.fixture(scope="module")
def tables():
    return STUDIES["table2"](config.default())


def test_the_values_are_those_of_the_golden_table(tables):
    printed = {(row.dataset, row.row, row.metric): row.paper for row in tables["table2"].rows}
    for dataset, rows in golden.GROUP_ROWS.items():
        for name, text in zip(("HaLo-FL", "HaLo-FL-E", "HaLo-FL-L", "HaLo-FL-A"), rows, strict=True):
            for metric, value in zip(("energy_mj", "latency_s", "area_mm2"), text.split(), strict=True):
                assert printed.pop((dataset, name, metric)) == value
    for (dataset, name), values in golden.STATIC_ROWS.items():
        for metric, value in zip(("energy_mj", "latency_s", "area_mm2"), values[:3], strict=True):
            assert printed.pop((dataset, name, metric)) == value
    assert not printed


def test_52_of_54_are_equal_and_the_other_two_differ_in_the_last_digit(tables):
    rows = tables["table2"].rows
    assert tables["table2"].title.startswith("Table II: 52 of 54 values equal")
    off = {(row.dataset, row.row, row.metric): row.difference for row in rows if row.paper != row.ours}
    assert off == {
        ("cifar10", "HaLo-FL-E", "energy_mj"): "0.01",
        ("tiny_imagenet", "HaLo-FL-L", "energy_mj"): "-0.01",
    }
    assert all(float(row.difference) == round(float(row.ours) - float(row.paper), 2) for row in rows)


def test_the_traces_are_ours_and_of_100_rounds_each(tables):
    assert "our reconstruction" in tables["traces"].title
    rounds = Counter()
    for row in tables["traces"].rows:
        rounds[row.row] += row.rounds
    assert dict(rounds) == {"HaLo-FL-E": 100, "HaLo-FL-L": 100, "HaLo-FL-A": 100}


def test_the_constants_of_table_1_give_another_table():
    changed = config.default()
    changed.hardware.device = "table_i"
    assert "Table II: 0 of 54" in STUDIES["table2"](changed)["table2"].title
