"""One study, from a config to a folder: tables as CSV and JSON, figures drawn from them, and what a person reads."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table as Drawn
from rich.text import Text

from halo_jax import figures
from halo_jax.config import Config, ConfigError, schema
from halo_jax.config.arms import recorded
from halo_jax.datasets import DatasetError
from halo_jax.hardware import PLATFORMS
from halo_jax.hardware.device_file import text_of
from halo_jax.models import MODELS
from halo_jax.records import files, run_folder
from halo_jax.records.claim import DEVICE, TABLES, claim, holds_study
from halo_jax.records.columns import csv_text
from halo_jax.reporting.terminal import say
from halo_jax.runner.lookup import require_known
from halo_jax.runtime.visible import visible
from halo_jax.selectors import SELECTORS
from halo_jax.studies import STUDIES, Table
from halo_jax.studies.base import chip_of

MOST_ROWS = 60  # that are printed; all are in the files
_UNITS = {"mj": "mJ", "s": "s", "mm2": "mm²", "percent": "%", "bits": "bits"}


def run_study(config: Config, workdir: str | Path, *, overwrite: bool = False, console: Console | None = None) -> None:
    """Answer `config.study` into `workdir`: `tables/*.csv` and `.json`, `figures/*.png`, the chip as `device.yaml`.

    An earlier answer to the same question is replaced, whatever its fields were, and so is one that was cut off: the
    same command makes either again.

    Raises:
      ConfigError: a field or name is impossible, or the folder holds something else; nothing is written.
      DatasetError: a study that reads data finds them missing or wrong; nothing is written.
      RecordError: the folder cannot be written.
    """
    console, workdir = console or Console(), Path(workdir)
    schema.validate(config)
    if config.sweep:
        raise ConfigError(f"sweep={schema.show(config.sweep)}; allowed with a study: (), as studies train nothing")
    require_known(
        [
            ("study", config.study, STUDIES),
            ("model", config.model, MODELS),
            ("hardware.name", config.hardware.name, PLATFORMS),
            ("selector.name", config.selector.name, SELECTORS),
        ]
    )
    chip, tables = chip_of(config), _answer(config)
    with claim(workdir, config, overwrite or holds_study(workdir, config.study), figures.FILES):
        files.write_json(workdir / run_folder.CONFIG, recorded(config))
        files.write(workdir / DEVICE, text_of(chip.device, config.hardware.name))
        for name, table in tables.items():
            _write(workdir / TABLES, name, table)
        columns = {name: files.read_columns(workdir / TABLES / f"{name}.csv") for name in tables}
        drawn = figures.save_study(run_folder.recorded_config(workdir), columns, workdir)
    for table in tables.values():
        if table.shown:
            console.print(table.drawn or render(table))
    for path in drawn.values():
        say(console, f"figure {path}")
    say(console, f"tables {workdir / TABLES}; chip {workdir / DEVICE}")


def _answer(config: Config) -> dict[str, Table]:
    try:
        return STUDIES[config.study](config)
    except (ConfigError, DatasetError):
        raise
    except ValueError as error:  # a network that the chip cannot price
        raise ConfigError(f"{config.model} for {config.dataset}: {error}") from error


def render(table: Table) -> Drawn:
    """The table for a terminal: at most 60 rows, numbers of four digits."""
    drawn = Drawn(title=Text(table.title, "bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    numeric = [isinstance(value, int | float | np.floating) or _is_number(value) for value in table.rows[0]]
    for name, right in zip(table.rows[0]._fields, numeric, strict=True):
        drawn.add_column(_heading(name), justify="right" if right else "left", no_wrap=right)
    for row in table.rows[:MOST_ROWS]:
        drawn.add_row(*(Text(_cell(value)) for value in row))
    if len(table.rows) > MOST_ROWS:
        drawn.caption = f"{len(table.rows) - MOST_ROWS} more rows in the files"
    return drawn


def _heading(name: str) -> str:
    *words, last = name.split("_")
    return "\n".join([*words, _UNITS.get(last, last) if words else last])


def _cell(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else ""
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return visible(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip("-").replace(".", "", 1).isdecimal()


def _write(folder: Path, name: str, table: Table) -> None:
    rows: Sequence[Any] = table.rows
    files.write(folder / f"{name}.csv", csv_text([rows[0]._fields, *rows]))
    plain: Mapping[str, Any] = {"title": table.title, "rows": [files.plain(row._asdict()) for row in rows]}
    files.write(folder / f"{name}.json", json.dumps(plain, indent=1) + "\n")
