"""What the kinds of fields allow."""

import pytest

from halo_jax.parameters import grid, is_grid


@pytest.mark.parametrize(
    ("text", "widths"),
    [
        ("6-4-4", ([6], [4], [4])),
        ("2..4-8-16", ([2, 3, 4], [8], [16])),
        ("2,4,8-1-5..5", ([2, 4, 8], [1], [5])),
        ("4,2..3,2-10-1..16", ([2, 3, 4], [10], list(range(1, 17)))),
    ],
)
def test_a_grid_names_widths_in_order_and_once(text, widths):
    assert is_grid(text)
    assert grid(text) == widths


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "8-8",
        "8-8-8-8",
        "0-8-8",
        "17-8-8",
        "08-8-8",
        "3..2-8-8",
        "1..2..3-8-8",
        "8,-8-8",
        " 8-8-8",
        "8-8-8\n",
        "²-8-8",
    ],
)
def test_what_is_no_grid_is_refused(text):
    assert not is_grid(text)
