"""Every column says what it is: its kind, its unit and what it means, from the class of the rows alone."""

import re

import pytest

from halo_jax.records.column_docs import ColumnDoc, columns_of
from halo_jax.records.rows import ClientRecord, FingerprintRecord, RoundRecord
from halo_jax.records.units import head_of, label_of, quantity_of, unit_of


@pytest.mark.parametrize("row", [RoundRecord, ClientRecord, FingerprintRecord])
def test_every_column_has_a_comment_of_its_own(row):
    found = columns_of(row)
    assert tuple(column.name for column in found) == row._fields
    assert all(column.kind and column.meaning for column in found)
    ends = [column.name for column in found if re.search("_(mj|joule|s|seconds|mm2|bits)$", column.name)]
    assert [column.name for column in found if column.unit] == ends


def test_a_column_is_read_as_it_stands_there():
    rounds = {column.name: column for column in columns_of(RoundRecord)}
    assert rounds["energy_mj"] == ColumnDoc("energy_mj", "number", "mJ", "of a training sample")
    assert rounds["train_loss"].kind == "number or nothing"
    assert (rounds["round"].kind, rounds["round"].unit) == ("whole number", "")


def test_a_unit_ends_the_name_of_its_field():
    assert [unit_of(name) for name in ("latency_s", "s", "area_mm2", "energy_change_percent", "round")] == [
        *("s", "", "mm²", "%", ""),
    ]
    assert [quantity_of(name) for name in ("payload_up_bits", "uploads", "dead_steps", "accuracy_points")] == [
        *("up", "uploads", "dead steps", "top-1"),
    ]
    assert (label_of("area_mm2"), head_of("energy_mj")) == ("area (mm²)", "Energy\nmJ")
