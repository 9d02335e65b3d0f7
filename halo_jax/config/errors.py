"""What is wrong with an experiment, as one line."""

import contextlib
from collections.abc import Iterator
from typing import Any


class ConfigError(ValueError):
    """A field has an impossible value; the message is one line."""


def show(value: Any) -> str:
    """A value for a message: its repr, as one printable line of at most 80 characters."""
    try:
        text = repr(value)
    except Exception:  # Python refuses whole numbers of 5,000 digits and tuples 1,000 deep
        text = f"<{type(value).__name__}>"
    return shorten(text, 80)


def shorten(text: str, length: int) -> str:
    """A text as one printable line, with a gap in it where it is longer than `length`."""
    text = "".join(char if char.isprintable() else " " for char in text)
    return text if len(text) <= length else f"{text[: length - 23]}...{text[-20:]}"


@contextlib.contextmanager
def naming(what: str, field: str = "arms") -> Iterator[None]:
    """Lines about what is wrong name the arm, or the entry of another field, unless it has no name."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{field}={show(what)}: {error}" if what else str(error)) from error
