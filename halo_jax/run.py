"""One experiment, from a config to a run folder: arms, rounds, checkpoints, records, report."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from rich.console import Console

from halo_jax import config as schema
from halo_jax import distributed, figures, page, record, report, results
from halo_jax.arm import Arm, Programs, run_arm
from halo_jax.assemble import Parts, assemble, is_precision
from halo_jax.config import Config
from halo_jax.distributed import on_leader
from halo_jax.progress import Display
from halo_jax.run_folder import claim
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
    workdir = Path(workdir)
    arms, parts = distributed.everywhere(lambda: _prepare(config, workdir))
    distributed.require_same("the config", lambda: json.dumps(config.to_dict(), sort_keys=True).encode())
    distributed.require_same("the data set", lambda: _content((parts.data, parts.test)))
    with contextlib.ExitStack() as held:
        on_leader(lambda: held.enter_context(claim(workdir, config, overwrite)))
        on_leader(lambda: _create(workdir, config, arms))
        _describe(console, config, parts)
        programs = Programs(parts)
        display = held.enter_context(Display(console, config.rounds * len(arms)))
        stop = held.enter_context(stop_between_rounds(display.say))
        for arm in arms:
            run_arm(arm, parts, programs, display, stop)
        return on_leader(lambda: _report(workdir, config, arms, console)) or {}


def _prepare(config: Config, workdir: Path) -> tuple[list[Arm], Parts]:
    schema.validate(config)
    arms = expand_arms(config).items()
    return [Arm(name, one, workdir / name if config.arms else workdir) for name, one in arms], assemble(config)


def _content(tree: Any) -> bytes:
    """The bytes of all arrays."""
    keys = lambda leaf: jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf  # noqa: E731
    return b"".join(np.asarray(keys(leaf)).tobytes() for leaf in jax.tree.leaves(tree))


def _create(workdir: Path, config: Config, arms: Sequence[Arm]) -> None:
    if config.arms and not (workdir / record.CONFIG).exists():
        record.write(workdir / record.CONFIG, json.dumps(config.to_dict(), indent=2) + "\n")
    for arm in arms:
        if not (arm.folder / record.CONFIG).exists():
            record.create(arm.folder, arm.config.to_dict())


def expand_arms(config: Config) -> dict[str, Config]:
    """The config of every arm: a precision is a static selector that starts there; other names are selectors."""
    arms = {}
    for arm in config.arms or (config.selector.name,):
        one: Config = ml_collections.ConfigDict(config.to_dict())
        one.arms = ()
        if is_precision(arm):
            one.selector.name, one.selector.start = "static", arm
            one.selector.floor = "2-2-2"  # binds nothing, so that static arms share a program
        else:
            one.selector.name = arm
        try:
            schema.validate(one)
        except schema.ConfigError as error:
            raise schema.ConfigError(f"arms={schema.show(arm)}: {error}" if config.arms else str(error)) from error
        arms[arm] = one
    return arms


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
