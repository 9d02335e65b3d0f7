"""Runs that are there already, of any experiments, side by side: tables, figures and a page, without training."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_collections
from rich.console import Console

from halo_jax import comparison, figures, outcome, page, record, report
from halo_jax import config as schema
from halo_jax.config import FIELDS, Config, ConfigError, show, unknown_field
from halo_jax.record import RecordError, Run
from halo_jax.run_folder import FREE_FIELDS
from halo_jax.types import without_seed

RUNS = "runs.json"  # which runs were compared; marks the folder of a report
_OWN = ("table.csv", "comparison.csv", "report.html", "figures", RUNS)


def compare(folders: Sequence[str | Path], workdir: str | Path, *, console: Console | None = None) -> dict[str, Run]:
    """Compare all runs in and under `folders`; write `workdir`/table.csv, figures and report.html, and print the table.

    A folder may be a run, an experiment of several arms or seeds, or anything that holds such folders at any depth.
    Runs that have not ended say so; those without a round are left out. Where some differ in nothing but the seed, the
    finished ones also give means and spreads, comparison.csv. An earlier report in `workdir` is replaced.

    Returns:
      The runs by the shortest ends of their paths that tell them apart.

    Raises:
      ConfigError: a folder holds no run, none of the runs has a round, or `workdir` holds something else.
      RecordError: a run is damaged, or `workdir` cannot be written.
    """
    console, workdir = console or Console(), Path(workdir)
    paths = _find(folders)
    read = {_mark(name, run): run for name, run in zip(_names(paths), map(_read, paths), strict=True)}
    runs = {name: run for name, run in read.items() if run.rounds["round"].size}
    if not runs:
        raise ConfigError(f"none of {len(read)} runs has a finished round: {', '.join(read)}")
    _clear(workdir)
    record.write(workdir / RUNS, json.dumps(dict(zip(read, map(str, paths), strict=True)), indent=2) + "\n")
    rows, seeds = report.table(runs), _by_seed(runs)
    report.write_csv(rows, workdir / "table.csv")
    drawn, compared, caption = figures.save_all(runs, workdir), [], ""
    console.print(report.render_rich(rows))
    if seeds:
        compared, caption = comparison.rows(seeds), comparison.caption()
        drawn |= outcome.save_comparison(workdir, next(iter(seeds.values())).config, compared, seeds)
        console.print(comparison.render(compared, caption))
    captions = {path: caption for caption, path in drawn.items()}  # of seeds, where one is drawn of both
    pictures = {caption: path.read_bytes() for path, caption in captions.items()}
    record.write(
        workdir / "report.html", page.html(f"{len(runs)} runs", runs, pictures, comparison=compared, caption=caption)
    )
    for name in (name for name in read if name not in runs):
        console.print(f"left out, without a round: {name}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"open {workdir / 'report.html'}", highlight=False, markup=False, soft_wrap=True)
    return runs


def _names(paths: Sequence[Path]) -> list[str]:
    """What to call absolute paths: the last parts of each below the folder of all, as many as tell them apart."""
    above = os.path.commonpath([path.parent for path in paths])
    parts = [path.relative_to(above).parts for path in paths]
    longest = max(map(len, parts))
    count = next(n for n in range(1, longest + 1) if len({part[-n:] for part in parts}) == len(parts))
    return ["/".join(part[-count:]) for part in parts]


def _find(folders: Sequence[str | Path]) -> list[Path]:
    """The absolute paths of all run folders in and under `folders`, each once, in the order of an experiment's arms."""
    if not folders:
        raise ConfigError("no run folder; right: launch.py --report FOLDER ...")
    found: dict[Path, None] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise ConfigError(f"{folder} is no folder; right: a run folder, or one that holds some")
        inside = list(_runs_under(folder.resolve()))
        if not inside:
            raise ConfigError(f"{folder} holds no run; right: a folder with config.json and rounds.csv at any depth")
        found |= dict.fromkeys(inside)
    return list(found)


def _runs_under(folder: Path) -> list[Path]:
    if (folder / record.CONFIG).exists() and (folder / record.ROUNDS).exists():
        return [folder]
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
        config = record.read_json(folder / record.CONFIG) if (folder / record.CONFIG).exists() else {}
    except OSError as error:
        raise RecordError(f"{folder}: {error.strerror or error}") from error
    arms = config.get("arms")
    order = {arm: place for place, arm in enumerate(arms)} if isinstance(arms, list) else {}
    inside.sort(key=lambda path: order.get(path.name, len(order)))
    return [run for path in inside for run in _runs_under(path)]


def _read(folder: Path) -> Run:
    """A run with a whole and valid config: a field that is younger than the run has its default."""
    try:
        run = record.read(folder)
    except RecordError as error:
        wrong = str(error).partition("; ")[0]
        raise RecordError(f"{wrong}; put a good copy back, or leave this folder out") from error
    config: Config = schema.default()
    try:
        _fill(config, run.config)
        schema.validate(config)
    except (ConfigError, TypeError) as error:
        raise RecordError(f"{folder / record.CONFIG}: {' '.join(str(error).split())}") from error
    return run._replace(config=json.loads(json.dumps(config.to_dict())))


def _fill(config: Config, recorded: Mapping[str, Any]) -> None:
    for name, value in recorded.items():
        if name not in config:
            raise ConfigError(unknown_field(name))
        if isinstance(config[name], ml_collections.ConfigDict):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{name}={show(value)}; allowed: fields and their values")
            _fill(config[name], value)
        else:
            config[name] = tuple(value) if isinstance(value, list) else value


def _mark(name: str, run: Run) -> str:
    done = run.rounds["round"].size
    return name if run.summary.get("finished") else f"{name} (unfinished, {done} of {run.config['rounds']} rounds)"


def _by_seed(runs: Mapping[str, Run]) -> dict[str, Run]:
    """Finished runs as `comparison.rows` wants them, "seed_0/NAME"; empty unless some differ in nothing but the seed.

    Two runs of one config and one seed are no two seeds: the second is compared by itself.
    """
    groups: dict[tuple[str, int], dict[int, str]] = {}
    for name, run in runs.items():
        if run.summary.get("finished"):
            compared = [field for field in FIELDS if field not in ("name", "seed", *FREE_FIELDS)]
            key, repeat = json.dumps([schema.get(run.config, field) for field in compared]), 0
            while run.config["seed"] in groups.setdefault((key, repeat), {}):
                repeat += 1
            groups[key, repeat][run.config["seed"]] = name
    if all(len(seeds) < 2 for seeds in groups.values()):
        return {}
    titles = [_title(list(seeds.values()), runs) for seeds in groups.values()]
    found = {}
    for place, (title, seeds) in enumerate(zip(titles, groups.values(), strict=True)):
        alike = f" ({1 + titles[:place].count(title)})" if titles.count(title) > 1 else ""
        found |= {f"seed_{seed}/{title}{alike}": runs[name] for seed, name in seeds.items()}
    return found


def _title(names: Sequence[str], runs: Mapping[str, Run]) -> str:
    """What to call runs that differ in nothing but the seed; where no name is left, by their selector."""
    return _common([without_seed(name) for name in names]) or runs[names[0]].config["selector"]["name"]


def _common(names: Sequence[str]) -> str:
    """The parts that the names of a group share; without any, the first name."""
    parts = [name.split("/") for name in names]
    shared = [part for part in parts[0] if all(part in other for other in parts)]
    return "/".join(shared) if len(names) > 1 and shared else names[0]


def _clear(workdir: Path) -> None:
    """Delete an earlier report. ConfigError if the folder holds anything else; nothing is then deleted."""
    try:
        inside = {path.name for path in workdir.iterdir() if path.name[0] != "."} if workdir.exists() else set()
        if inside and (RUNS not in inside or not inside <= set(_OWN)):
            raise ConfigError(f"{workdir} is not empty and holds no report of runs; use another --workdir")
        for name in inside:
            path = workdir / name
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else os.unlink(path)
    except OSError as error:
        raise RecordError(f"{workdir}: {error.strerror or error}") from error
