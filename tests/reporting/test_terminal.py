"""One way to draw a table and to show a value: nothing is cut, nothing is markup, nothing obeys."""

import io

import numpy as np
import pytest
from rich.console import Console

from halo_jax.reporting.numbers import shown
from halo_jax.reporting.terminal import Column, draw_table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (np.float32("nan"), "-"),
        (True, "yes"),
        (np.bool_(False), ""),
        (0.123456, "0.1235"),
        (np.float32(0.1), "0.1"),
        (9999.4, "9999"),
        (9999.7, "10000"),
        (123456.7, "123457"),
        (-123456.7, "-123457"),
        (1234567, "1234567"),
        ("a\x1b[2J", "a\\x1b[2J"),
    ],
)
def test_a_value_is_shown_in_one_way(value, text):
    assert shown(value) == text


def test_a_number_may_have_a_form_of_its_own_and_what_is_unknown_has_none():
    assert (shown(1.239, ".2f"), shown(2.0, "+.1f"), shown(None, ".2f")) == ("1.24", "+2.0", "-")


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("spaced", [False, True])
def test_long_texts_are_broken_and_numbers_never(narrow, spaced):
    columns = [Column("What", is_number=False), *(Column(f"number\n{i}") for i in range(6))]
    text = io.StringIO()
    name = "[red]a/very/long/name/without/any/space/in/it[/red]"
    drawn = draw_table(columns, [[name, *["1234567.8"] * 6]], title="[b]", caption="[i]", spaced=spaced, narrow=narrow)
    Console(file=text, width=80).print(drawn)
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert text.getvalue().count("1234567.8") == 6
    assert "…" not in text.getvalue()
    assert lines[0].startswith("[b]")
    assert lines[-1].startswith("[i]")
    below = lines.index(next(line for line in lines if "─" in line)) + 1
    assert "".join(line.partition("1234567.8")[0].strip() for line in lines[below:-1]) == name
