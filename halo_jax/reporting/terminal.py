"""Lines for a person at a terminal: names in them are data, whatever they are made of."""

from rich.console import Console
from rich.text import Text

from halo_jax.runtime.visible import visible


def say(console: Console, line: str) -> None:
    """Print one line as it is, however long: no markup, no colours for numbers, no control characters."""
    console.print(Text(visible(line)), soft_wrap=True)
