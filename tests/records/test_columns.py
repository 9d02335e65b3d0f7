"""Cells as typed columns: what reads back, and the line about what does not."""

import numpy as np
import pytest

from halo_jax.records.columns import Layout, guessed, typed
from halo_jax.records.files import complete_rows


def test_cells_become_columns_of_their_type():
    assert typed("client", int, ["3", "0"]).tolist() == [3, 0]
    assert typed("constraint", str, ["energy", "none"]).tolist() == ["energy", "none"]
    assert typed("layer", str, ["Dense_0"]).tolist() == ["Dense_0"]
    np.testing.assert_array_equal(typed("loss", float | None, ["0.1", ""]), [0.1, np.nan])


@pytest.mark.parametrize(
    ("name", "kind", "cell", "right"),
    [
        ("client", int, "1.5", "a whole number"),
        ("client", int, "-1", "a whole number from 0"),
        ("client", int, "9" * 5000, "a whole number from 0"),
        ("loss", float | None, "much", "a number, or nothing"),
        ("energy_mj", float, "", "a number from 0"),
        ("energy_mj", float, "inf", "a number from 0"),
        ("energy_mj", float, "nan", "a number from 0"),
        ("accuracy", float | None, "1.5", "a number from 0 to 1, or nothing"),
        ("constraint", str, "speed", "none, energy, latency or area"),
        ("fingerprint", str, "123", "16 hexadecimal digits"),
        ("layer", str, "a\x00", "a printable text"),
    ],
)
def test_a_wrong_cell_is_named_with_its_line_and_what_is_right(name, kind, cell, right):
    with pytest.raises(ValueError, match=f"line 2: {name} is .*; right: {right}"):
        typed(name, kind, [cell])


ABC = Layout(dict.fromkeys("abc", int), ["a"])


def test_a_line_that_was_cut_off_is_left_out():
    assert complete_rows("a,b\n1,2\n3,", ABC) == (["a", "b"], [["1", "2"]])


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("a,d\n", "the first line is not a,b,c: 'd' is unknown"),
        ("a,a,b\n", "a is there twice"),
        ("b,a\n", "a comes after b"),
        ("b,c\n1,2\n", "a is missing"),
        ("", "the first line is not a,b,c: a is missing"),
        ("a,b\n1\n", "line 2 has 1 cells, not 2"),
    ],
)
def test_a_table_of_another_form_is_refused(text, wrong):
    with pytest.raises(ValueError, match=wrong):
        complete_rows(text, ABC)


def test_a_column_that_is_not_required_may_be_missing():
    assert complete_rows("a,c\n1,3\n", ABC) == (["a", "c"], [["1", "3"]])


def test_columns_of_any_table_are_numbers_where_every_cell_is_one():
    numbers, texts = guessed(["1", "", "2.5"]), guessed(["1", "8-8-8"])
    np.testing.assert_array_equal(numbers, [1, np.nan, 2.5])
    assert texts.tolist() == ["1", "8-8-8"]
