"""One experiment, from a config to a run folder: arms, rounds, checkpoints, records, report."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from rich.console import Console

from halo_jax import comparison, distributed, figures, page, record, report, results
from halo_jax import config as schema
from halo_jax.arm import Arm, Programs, run_arm
from halo_jax.arms import expand_arms
from halo_jax.assemble import Parts, assemble_all
from halo_jax.config import Config
from halo_jax.distributed import on_leader
from halo_jax.progress import Display
from halo_jax.run_folder import claim, seed_folder
from halo_jax.stopping import stop_between_rounds


def run(
    config: Config,
    workdir: str | Path,
    *,
    overwrite: bool = False,
    console: Console | None = None,
) -> dict[str, record.Run]:
    """Run every arm of `config` into `workdir` and write its table, figures and report.

    The same call on the same folder goes on where it stopped; a finished folder is reported again without training.

    Args:
      config: an experiment, as `halo_jax.config.default()` with changes.
      workdir: the run folder; each arm is a sub-folder when there are several.
      overwrite: delete what an earlier run left in `workdir`.
      console: where progress and the table go; standard output by default.

    Returns:
      The records of each arm; where several processes are joined, in process 0, which alone writes.

    Raises:
      ConfigError: a field, name or size is impossible, or the folder belongs to another config; nothing is written.
      DatasetError: the data are missing or wrong; nothing is written.
      RecordError: the run folder cannot be written or read.
      CheckpointError: a checkpoint cannot be written or read.
      DistributedError: another process has raised one of these, or its config or data differ.
      Stopped: SIGINT or SIGTERM came; the round was finished and saved.
    """
    console = console or Console(quiet=not distributed.is_leader())
    return (_run_seeds if config.seeds else _run)(config, Path(workdir), overwrite, console)


def _run(config: Config, workdir: Path, overwrite: bool, console: Console) -> dict[str, record.Run]:
    return _train(config, workdir, overwrite, console, _prepare(config, workdir))


def _run_seeds(config: Config, workdir: Path, overwrite: bool, console: Console) -> dict[str, record.Run]:
    """The whole experiment once for each seed, each in a run folder of its own, and what they say together."""
    distributed.everywhere(lambda: schema.validate(config))
    runs = {}
    with contextlib.ExitStack() as held:
        for seed in config.seeds:
            one: Config = ml_collections.ConfigDict(config.to_dict())
            one.seeds, one.seed = (), seed
            arms = _prepare(one, workdir / seed_folder(seed))
            if not runs:  # the first seed has been prepared: nothing is wrong with the experiment
                on_leader(lambda: held.enter_context(claim(workdir, config, overwrite)))
                on_leader(lambda: record.write(workdir / record.CONFIG, _json(config)))
            found = _train(one, workdir / seed_folder(seed), overwrite, console, arms)
            runs |= {f"{seed_folder(seed)}/{arm}": run for arm, run in found.items()}
        on_leader(lambda: _compare(workdir, config, runs, console))
    return runs


def _prepare(config: Config, workdir: Path) -> list[Arm]:
    """The arms with all that they run on; nothing is written. Raises in every process what one of them raises."""

    def prepare() -> list[Arm]:
        schema.validate(config)
        configs = expand_arms(config)
        parts = assemble_all(configs if config.arms else {"": config}).values()
        folders = [workdir / name if config.arms else workdir for name in configs]
        return [Arm(*fields) for fields in zip(configs, configs.values(), parts, folders, strict=True)]

    arms = distributed.everywhere(prepare)
    data = arms[0].parts.data, arms[0].parts.test
    distributed.require_same("the config", lambda: json.dumps(config.to_dict(), sort_keys=True).encode())
    distributed.require_same("the data set", lambda: _content(data))
    return arms


def _train(config: Config, workdir: Path, overwrite: bool, console: Console, arms: list[Arm]) -> dict[str, record.Run]:
    with contextlib.ExitStack() as held:
        on_leader(lambda: held.enter_context(claim(workdir, config, overwrite)))
        on_leader(lambda: _create(workdir, config, arms))
        _describe(console, config, arms[0].parts)
        programs = Programs()
        display = held.enter_context(Display(console, config.rounds * len(arms)))
        stop = held.enter_context(stop_between_rounds(display.say))
        for arm in arms:
            run_arm(arm, programs, display, stop)
        return on_leader(lambda: _report(workdir, config, arms, console)) or {}


def _compare(workdir: Path, config: Config, runs: Mapping[str, record.Run], console: Console) -> None:
    rows = comparison.rows(runs, config.evaluation.target_percent)
    record.write(workdir / "comparison.csv", record.csv_text([comparison.Row._fields, *rows]))
    tables = {"comparison": record.read_columns(workdir / "comparison.csv")}
    drawn = figures.save_comparison(record.read_json(workdir / record.CONFIG), tables, workdir)
    pictures = {caption: path.read_bytes() for caption, path in drawn.items()}
    record.write(workdir / "report.html", page.comparison_html(config.name, rows, runs, pictures))
    console.print(comparison.render(rows, config.evaluation.target_percent))
    where = f"run folder {workdir}; open {workdir / 'report.html'}"
    console.print(where, highlight=False, markup=False, soft_wrap=True)


def _json(config: Config) -> str:
    return json.dumps(config.to_dict(), indent=2) + "\n"


def _content(tree: Any) -> bytes:
    """The bytes of all arrays."""
    keys = lambda leaf: jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf  # noqa: E731
    return b"".join(np.asarray(keys(leaf)).tobytes() for leaf in jax.tree.leaves(tree))


def _create(workdir: Path, config: Config, arms: Sequence[Arm]) -> None:
    if config.arms:
        record.write(workdir / record.CONFIG, _json(config))
    for arm in arms:
        if not (arm.folder / record.CONFIG).exists():
            record.create(arm.folder, arm.config.to_dict())


def _describe(console: Console, config: Config, parts: Parts) -> None:
    examples = np.asarray(parts.data.num_examples)
    weights = sum(leaf.size for leaf in jax.tree.leaves(parts.model))
    console.print(
        f"{config.name}: {config.dataset}, {examples.sum()} training images over {config.num_clients} clients "
        f"({examples.min()} to {examples.max()} each), {config.model} at width {config.width:g} ({weights} weights), "
        f"priced at width {config.hardware.width:g}; executor {parts.executor} on {jax.default_backend()} "
        f"({parts.executor_reason}), kernels {results.kernels(parts)}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _report(workdir: Path, config: Config, arms: Sequence[Arm], console: Console) -> dict[str, record.Run]:
    runs = {arm.name: record.read(arm.folder) for arm in arms}
    rows = report.table(runs)
    report.write_csv(rows, workdir / "table.csv")
    drawn = figures.save_all(runs, workdir)
    pictures = {caption: path.read_bytes() for caption, path in drawn.items()}
    record.write(workdir / "report.html", page.html(config.name, runs, pictures))
    console.print(report.render_rich(rows))
    for arm, one in runs.items():
        console.print(f"model of {arm}: sha256 {one.summary['model_sha256']}", highlight=False, soft_wrap=True)
    console.print(
        f"run folder {workdir}; open {workdir / 'report.html'}", highlight=False, markup=False, soft_wrap=True
    )
    return runs
