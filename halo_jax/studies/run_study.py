"""One study, from a config to a folder: tables as CSV and JSON, figures drawn from them, and what a person reads."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

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
from halo_jax.records.units import unit_of
from halo_jax.reporting.numbers import shown
from halo_jax.reporting.terminal import Column, draw_table, say
from halo_jax.runner.lookup import require_known
from halo_jax.selectors import SELECTORS
from halo_jax.studies import STUDIES, Table
from halo_jax.studies.base import chip_of

MOST_ROWS = 60  # that are printed; all are in the files


def run_study(config: Config, workdir: str | Path, *, overwrite: bool = False, console: Console | None = None) -> None:
    """Answer `config.study` into `workdir`: `tables/*.csv` and `.json`, `figures/*.png`, the chip as `device.yaml`.

    An earlier answer to the same question is replaced, whatever its fields were, and so is one that was cut off: the
    same command makes either again.

    Args:
      config: a complete config whose `study` is set, and that sweeps nothing.
      workdir: the folder to write.
      overwrite: replace what else the folder holds of runs and studies.
      console: where tables are shown; the terminal if not given.

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


def render(table: Table) -> Any:
    """The table for a terminal: at most 60 rows, numbers of four digits."""
    first = table.rows[0]
    columns = [Column(_heading(name), _is_number(value)) for name, value in zip(first._fields, first, strict=True)]
    cells = [[shown(value) for value in row] for row in table.rows[:MOST_ROWS]]
    more = f"{len(table.rows) - MOST_ROWS} more rows in the files" if len(table.rows) > MOST_ROWS else ""
    return draw_table(columns, cells, title=table.title, caption=more)


def _heading(name: str) -> str:
    *words, last = name.split("_")
    return "\n".join([*words, unit_of(name) or last])


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value.lstrip("-").replace(".", "", 1).isdecimal()
    return isinstance(value, int | float | np.floating)


def _write(folder: Path, name: str, table: Table) -> None:
    rows: Sequence[Any] = table.rows
    files.write(folder / f"{name}.csv", csv_text([rows[0]._fields, *rows]))
    plain: Mapping[str, Any] = {"title": table.title, "rows": [files.plain(row._asdict()) for row in rows]}
    files.write(folder / f"{name}.json", json.dumps(plain, indent=1) + "\n")
