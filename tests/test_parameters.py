"""What kinds of parameters allow, and what an entry declares with them."""

import dataclasses
import inspect
from typing import Annotated, Literal

import pytest

from halo_jax.parameters import declared, grid, is_grid, real, whole


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


def entry(
    *,
    share: Annotated[float, real(0, 1, above=True)] = 0.5,
    way: Literal["up", "down"] = "up",
    given: int,
    plain: int = 3,
) -> None:
    """An entry.

    Args:
      share: of the numbers
        that travel.
      way: where to.
      given: by who calls it.
    """


def test_an_entry_declares_what_is_annotated_with_a_kind_or_a_literal():
    fields = declared(entry)
    assert list(fields) == ["share", "way"]
    assert (fields["share"].default, fields["share"].reason) == (0.5, "of the numbers that travel.")
    assert fields["share"].kind.allowed == "a number above 0 to 1"
    assert (fields["way"].kind.allowed, fields["way"].reason) == ("one of up, down", "where to.")
    assert not fields["share"].kind.fits(0)
    assert all(field.of_arm for field in fields.values())


def test_a_class_declares_as_a_function_does():
    @dataclasses.dataclass
    class Network:
        """A network.

        Args:
          depth: of it.
        """

        classes: int
        depth: Annotated[int, whole(1, 9)] = 2

    (field,) = declared(Network).values()
    assert (field.default, field.reason) == (2, "of it.")


@pytest.mark.parametrize(
    ("default", "words"),
    [(inspect.Parameter.empty, "none; allowed: a whole"), (0, "0; allowed: a whole"), (None, "None; allowed: a whole")],
)
def test_a_default_that_is_missing_or_not_allowed_is_one_line(default, words):
    def entry(*, depth): ...

    kind = inspect.Parameter("depth", inspect.Parameter.KEYWORD_ONLY, default=default)
    entry.__signature__ = inspect.Signature([kind])
    entry.__annotations__ = {"depth": Annotated[int, whole(1, 9)]}
    with pytest.raises(ValueError, match=f"^default of parameter depth: {words}"):
        declared(entry)
