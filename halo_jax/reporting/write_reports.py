"""What an experiment has found, written beside its records and told to a person: tables, figures, pages."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from halo_jax import figures
from halo_jax.config import Config, plan
from halo_jax.config.plan import Experiment
from halo_jax.records import files, run_folder
from halo_jax.records.columns import csv_text
from halo_jax.records.run_folder import Run
from halo_jax.reporting import arm_table as tables
from halo_jax.reporting import html_page, paper_claims, seed_rows, seed_table
from halo_jax.reporting.terminal import say

_PAGE = "report.html"
_NAMED = 4  # runs in a line; more are counted


def has_ended(experiment: Experiment) -> bool:
    """Whether every arm of an experiment of arms is finished, and its report stands. Raises RecordError."""
    summaries = [folder / run_folder.SUMMARY for folder in experiment.arms().values()]
    there = all(path.exists() for path in [*summaries, experiment.folder / _PAGE])
    return there and all(files.read_json(path).get("finished") for path in summaries)


def report(experiment: Experiment, console: Console) -> None:
    """Table, figures and page of an experiment of arms. Raises RecordError."""
    runs, folder = _read(experiment), experiment.folder
    rows = tables.table(runs)
    tables.write_csv(rows, folder / "table.csv")
    drawn = figures.save_all(runs, folder)
    found = _claims(experiment, [runs])
    notes = older_than_columns(runs)
    files.write(folder / _PAGE, html_page.html(experiment.config.name, runs, _pictures(drawn), notes, claims=found))
    console.print(tables.render_rich(rows))
    for line in notes:
        say(console, line)
    if found:
        console.print(paper_claims.render(found, experiment.config.dataset))
    for arm, run in runs.items():
        say(console, f"model of {arm}: sha256 {run.summary['model_sha256']}")
    _say_where(folder, console)


def gather(experiment: Experiment, changed: Collection[Path], console: Console | None) -> dict[str, Run]:
    """The records of all arms by their folders, once all comparisons stand that are missing or about what has changed.

    The outermost is written in any case, and shown on the console. Raises RecordError.
    """
    if not experiment.children:
        return _read(experiment)
    inside = {child.folder.name: gather(child, changed, None) for child in experiment.children}
    runs = {f"{name}/{arm}": run for name, found in inside.items() for arm, run in found.items()}
    if (
        console
        or not (experiment.folder / _PAGE).exists()
        or any(leaf.folder in changed for leaf in experiment.leaves())
    ):
        _compare(experiment, runs, console)
    return runs


def _compare(experiment: Experiment, runs: Mapping[str, Run], console: Console | None) -> None:
    folder, lines = experiment.folder, list(_lines(experiment, runs))
    fields = lines[0][0]
    cells = [(*point.values(), *row) for point, row in lines]
    drawn = save_comparison(folder, run_folder.recorded_config(folder), cells, runs, fields)
    rows = [row._replace(arm=": ".join(filter(None, (plan.label(point), row.arm)))) for point, row in lines]
    caption = seed_table.caption(experiment.config.evaluation.target_percent, experiment.config.paper)
    found = [] if experiment.config.sweep else _claims(experiment, _by_seed(runs))
    files.write(
        folder / _PAGE, html_page.comparison_html(experiment.config.name, rows, runs, _pictures(drawn), caption, found)
    )
    if console:
        console.print(seed_table.render(rows, caption))
        if found:
            console.print(paper_claims.render(found, experiment.config.dataset))
        for line in older_than_columns(runs):
            say(console, line)
        _say_where(folder, console)


def older_than_columns(runs: Mapping[str, Run]) -> list[str]:
    """A line for each group of runs that lack the same columns, as they were recorded before there were these."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, run in runs.items():
        if run.lacks:
            groups.setdefault(run.lacks, []).append(name)
    return [
        f"{_few(names)} recorded no {', '.join(lacks)}: what needs it is left empty" for lacks, names in groups.items()
    ]


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def save_comparison(
    folder: Path,
    config: Mapping[str, Any],
    rows: Sequence[Sequence[Any]],
    runs: Mapping[str, Run],
    fields: Iterable[str] = (),
) -> dict[str, Path]:
    """Write comparison.csv and draw it.

    Args:
      folder: where the table and its figures are written.
      config: the recorded config that the figures name.
      rows: the values of the swept fields, if there are any, and then those of a `SeedRow`.
      runs: the records that the figures over time and energy are drawn from, by "SEED/ARM".
      fields: the names of the swept fields.

    Returns:
      caption -> path, of every figure that applies.

    Raises:
      RecordError: a file cannot be written.
    """
    files.write(folder / "comparison.csv", csv_text([[*fields, *seed_rows.SeedRow._fields], *rows]))
    tables = {"comparison": files.read_columns(folder / "comparison.csv", texts=("arm",))}
    return figures.save_comparison(config, tables, runs, folder)


def _lines(experiment: Experiment, runs: Mapping[str, Run]) -> Iterator[tuple[dict[str, str], seed_rows.SeedRow]]:
    """The rows of the comparison, each with the values of the swept fields; a point has the rows of its own."""
    if not experiment.config.sweep:
        yield from (({}, row) for row in _rows(experiment.config, runs))
        return
    for child in experiment.children:
        prefix = f"{child.folder.name}/"
        within = {name.removeprefix(prefix): run for name, run in runs.items() if name.startswith(prefix)}
        values = {field: plan.text(value) for field, value in child.point.items()}
        yield from ((values, row) for row in _rows(child.config, within))


def _rows(config: Config, runs: Mapping[str, Run]) -> list[seed_rows.SeedRow]:
    return seed_rows.rows(runs, config.evaluation.target_percent, config.paper)


def _claims(experiment: Experiment, seeds: Sequence[Mapping[str, Run]]) -> list[paper_claims.Claim]:
    """What the paper's Table II claims beside what was found, also as a file; nothing where nobody asked for it."""
    if experiment.config.paper != "table2":
        (experiment.folder / "claims.csv").unlink(missing_ok=True)  # of a launch that asked for them
        return []
    found = paper_claims.claims(seeds, experiment.config.dataset)
    files.write(experiment.folder / "claims.csv", csv_text([paper_claims.Claim._fields, *found]))
    return found


def _by_seed(runs: Mapping[str, Run]) -> list[dict[str, Run]]:
    seeds: dict[str, dict[str, Run]] = {}
    for name, run in runs.items():
        folder, _, arm = name.rpartition("/")
        seeds.setdefault(folder, {})[arm] = run
    return list(seeds.values())


def _read(experiment: Experiment) -> dict[str, Run]:
    return {arm: run_folder.read(folder) for arm, folder in experiment.arms().items()}


def _pictures(drawn: Mapping[str, Path]) -> dict[str, bytes]:
    return {caption: path.read_bytes() for caption, path in drawn.items()}


def _say_where(folder: Path, console: Console) -> None:
    say(console, f"run folder {folder}; open {folder / _PAGE}")
