"""Every field of an experiment for a terminal: default, what is allowed and the reason."""

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from halo_jax.config import ConfigError, all_fields, show, unknown_field
from halo_jax.config.plan import text as shortest


def print_fields(section: str, console: Console | None = None) -> None:
    """Print the fields of a section, such as "compressor.topk", or of "all" sections. Raises ConfigError."""
    fields, console = all_fields(), console or Console()
    chosen = [name for name in fields if section in ("all", name) or name.startswith(f"{section}.")]
    if not chosen:
        raise ConfigError(f"--fields={show(section)}: {unknown_field(section)}")
    for name in chosen:
        field = fields[name]
        default = shortest(field.default) if field.default != "" else "''"
        console.print(Text.assemble((name, "bold"), f" = {default}"))
        console.print(Padding(Text(f"{field.reason}\n{field.kind.allowed}"), (0, 0, 0, 4)))
