"""Runs that are there already, of any experiments, side by side: tables, figures and a page, without training."""

import contextlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from halo_jax import figures
from halo_jax.config import ConfigError, schema
from halo_jax.config.entries import changes_result
from halo_jax.records import files, run_folder
from halo_jax.records.claim import FIGURES, require_no_links
from halo_jax.records.files import RecordError
from halo_jax.records.folder_lock import lock
from halo_jax.records.names import without_seed
from halo_jax.records.run_folder import Run
from halo_jax.reporting import arm_table, html_page, seed_rows, seed_table
from halo_jax.reporting.terminal import say
from halo_jax.reporting.write_reports import older_than_columns, save_comparison
from halo_jax.runtime import safe_files
from halo_jax.runtime.visible import visible

RUNS = "runs.json"  # which runs were compared; marks the folder of a report
_FILES = ("table.csv", "comparison.csv", "report.html", RUNS)  # and figures


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
    found = [_read(path) for path in paths]
    names = _told_apart([_mark(name, run) for name, run in zip(_names(paths), found, strict=True)])
    read = dict(zip(names, found, strict=True))
    runs = {name: run for name, run in read.items() if run.rounds["round"].size}
    if not runs:
        raise ConfigError(f"none of {len(read)} runs has a finished round: {', '.join(read)}")
    with _replacing(workdir):
        files.write_json(workdir / RUNS, dict(zip(read, map(str, paths), strict=True)))
        _write(runs, workdir, console)
    for name in (name for name in read if name not in runs):
        say(console, f"left out, without a round: {name}")
    say(console, f"open {workdir / 'report.html'}")
    return runs


def _write(runs: Mapping[str, Run], workdir: Path, console: Console) -> None:
    """Tables, figures and page, and the table once more on the console."""
    rows, seeds = arm_table.table(runs), _by_seed(runs)
    arm_table.write_csv(rows, workdir / "table.csv")
    drawn, compared, caption = figures.save_all(runs, workdir), [], ""
    console.print(arm_table.render_rich(rows))
    if seeds:
        compared, caption = seed_rows.rows(seeds), seed_table.caption()
        drawn |= save_comparison(workdir, next(iter(seeds.values())).config, compared, seeds)
        console.print(seed_table.render(compared, caption))
    captions = {path: caption for caption, path in drawn.items()}  # of seeds, where one is drawn of both
    pictures = {caption: path.read_bytes() for path, caption in captions.items()}
    notes = older_than_columns(runs)
    for line in notes:
        say(console, line)
    text = html_page.html(f"{len(runs)} runs", runs, pictures, notes, compared, caption)
    files.write(workdir / "report.html", text)


def _names(paths: Sequence[Path]) -> list[str]:
    """What to call absolute paths: the last folders of each, as many as tell them apart."""
    above = os.path.commonpath([path.parent for path in paths])
    below = [[visible(folder) for folder in path.relative_to(above).parts] for path in paths]
    longest = max(map(len, below))
    counts = (n for n in range(1, longest + 1) if len({tuple(folders[-n:]) for folders in below}) == len(below))
    count = next(counts, longest)
    return [_as_text("/".join(folders[-count:])) for folders in below]


def _told_apart(names: Sequence[str]) -> list[str]:
    """The names, with a number where two are written alike: a character "\x1b" is written as the text is."""
    found: dict[str, None] = {}
    for name in names:
        numbered = (f"{name} ({number})" for number in itertools.count(2))
        found[next(new for new in itertools.chain([name], numbered) if new not in found)] = None
    return list(found)


def _as_text(name: str) -> str:
    """The same path in a form that a spreadsheet takes for no formula, and a legend for no line to be left out."""
    return f"./{name}" if name[:1] in tuple("=+-@_") else name


def _find(folders: Sequence[str | Path]) -> list[Path]:
    """The absolute paths of all run folders in and under `folders`, each once, in the order of an experiment's arms."""
    if not folders:
        raise ConfigError("no run folder; right: launch.py --report FOLDER ...")
    found: dict[Path, None] = {}
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise ConfigError(f"{visible(folder)} is no folder; right: a run folder, or one that holds some")
        inside = list(_runs_under(folder.resolve()))
        if not inside:
            right = "a folder with config.json and rounds.csv at any depth"
            raise ConfigError(f"{visible(folder)} holds no run; right: {right}")
        found |= dict.fromkeys(inside)
    return list(found)


def _runs_under(folder: Path) -> Iterator[Path]:
    """Run folders, however deep; a folder that is a link is not entered."""
    ahead = [folder]
    while ahead:
        place = ahead.pop()
        try:
            if (place / run_folder.CONFIG).exists() and (place / run_folder.ROUNDS).exists():
                yield place
            else:
                ahead += reversed(_inside(place))
        except OSError as error:
            raise RecordError(f"{visible(place)}: {error.strerror or error}") from error


def _inside(folder: Path) -> list[Path]:
    """The folders in one, in the order of an experiment's arms."""
    inside = sorted(filter(safe_files.is_real_folder, folder.iterdir()))
    try:
        arms = run_folder.recorded_config(folder).get("arms")
    except RecordError:  # no config, or of something else
        arms = None
    order = {arm: place for place, arm in enumerate(arms) if isinstance(arm, str)} if isinstance(arms, list) else {}
    return sorted(inside, key=lambda path: order.get(path.name, len(order)))


def _read(folder: Path) -> Run:
    try:
        return run_folder.read(folder)
    except RecordError as error:
        wrong = str(error).partition("; put a good copy back")[0]
        raise RecordError(f"{wrong}; put a good copy back, or leave this folder out") from error


def _mark(name: str, run: Run) -> str:
    done = run.rounds["round"].size
    return name if run.summary.get("finished") else f"{name} (unfinished, {done} of {run.config['rounds']} rounds)"


def _by_seed(runs: Mapping[str, Run]) -> dict[str, Run]:
    """Finished runs as `seed_rows.rows` wants them, "seed_0/NAME"; empty unless some differ in nothing but the seed.

    Two runs of one config and one seed are no two seeds: the second is compared by itself.
    """
    groups: dict[tuple[str, int], dict[int, str]] = {}
    for name, run in runs.items():
        if run.summary.get("finished"):
            decides = {name: value for name, value in schema.leaves(run.config) if changes_result(name)}
            key, repeat = json.dumps(decides | {"name": "", "seed": 0}, sort_keys=True), 0
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
    return _as_text(_common([without_seed(name) for name in names]) or runs[names[0]].config["selector"]["name"])


def _common(names: Sequence[str]) -> str:
    """The folders that the names of a group share; without any, the first name."""
    folders = [name.split("/") for name in names]
    shared = [folder for folder in folders[0] if all(folder in others for others in folders)]
    return "/".join(shared) if len(names) > 1 and shared else names[0]


@contextlib.contextmanager
def _replacing(workdir: Path) -> Iterator[None]:
    """Hold the folder of a report while the `with` block lasts, and first delete an earlier report in it.

    ConfigError if it holds anything else, or links; nothing is then deleted.
    """
    with contextlib.ExitStack() as until_the_end:
        try:
            _require_report(workdir)
            workdir.mkdir(parents=True, exist_ok=True)
            until_the_end.enter_context(lock(workdir))
            _require_report(workdir)
            safe_files.delete_files(workdir / FIGURES, figures.FILES)
            for name in _FILES:
                (workdir / name).unlink(missing_ok=True)
            for folder in (workdir, workdir / FIGURES):
                safe_files.delete_drafts(folder)
        except OSError as error:
            raise RecordError(f"{visible(workdir)}: {error.strerror or error}") from error
        yield


def _require_report(workdir: Path) -> None:
    """Raise ConfigError unless the folder is empty, or holds a report as `compare` writes it."""
    inside = {path.name for path in workdir.iterdir() if path.name[0] != "."} if workdir.exists() else set()
    require_no_links(workdir, inside)
    report_alone = inside <= {*_FILES, FIGURES} and all(
        (workdir / name).is_dir() == (name == FIGURES) for name in inside
    )
    if inside and not (report_alone and RUNS in inside and _are_runs(workdir / RUNS)):
        raise ConfigError(f"{visible(workdir)} is not empty and holds no report of runs; use another --workdir")


def _are_runs(path: Path) -> bool:
    try:
        return all(isinstance(place, str) for place in files.read_json(path).values())
    except RecordError:
        return False
