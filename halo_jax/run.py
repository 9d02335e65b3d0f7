"""One experiment, from a config to a run folder: arms, rounds, checkpoints, records, report."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from rich.console import Console

from halo_jax import config as schema
from halo_jax import federation, figures, page, record, report, results
from halo_jax.assemble import Parts, assemble, is_precision, make_selector
from halo_jax.checkpoint import Checkpoints
from halo_jax.clients import placement
from halo_jax.config import Config
from halo_jax.progress import Display
from halo_jax.run_folder import claim
from halo_jax.types import Precision


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
      The records of each arm.

    Raises:
      ConfigError: a field, name or size is impossible, or the folder belongs to another config; nothing is written.
      DatasetError: the data are missing or wrong; nothing is written.
      RecordError: the run folder cannot be written or read.
      CheckpointError: a checkpoint cannot be written or read.
    """
    console = console or Console()
    workdir = Path(workdir)
    schema.validate(config)
    arms = expand_arms(config)
    parts = assemble(config)
    folders = {arm: workdir / arm if config.arms else workdir for arm in arms}
    with claim(workdir, config, overwrite):
        _create(workdir, config, arms, folders)
        _describe(console, config, parts)
        programs: dict[str, federation.RunRound] = {}
        with Display(console, config.rounds * len(arms)) as display:
            for arm, folder in folders.items():
                _run_arm(arm, arms[arm], folder, parts, programs, display)
        runs = {arm: record.read(folder) for arm, folder in folders.items()}
        _report(workdir, config, runs, console)
    return runs


def _create(workdir: Path, config: Config, arms: Mapping[str, Config], folders: Mapping[str, Path]) -> None:
    if config.arms and not (workdir / record.CONFIG).exists():
        record.write(workdir / record.CONFIG, json.dumps(config.to_dict(), indent=2) + "\n")
    for arm, folder in folders.items():
        if not (folder / record.CONFIG).exists():
            record.create(folder, arms[arm].to_dict())


def expand_arms(config: Config) -> dict[str, Config]:
    """The config of every arm: a precision is a static selector that starts there; other names are selectors."""
    if len(set(config.arms)) < len(config.arms):
        raise schema.ConfigError(f"arms={config.arms!r}; allowed: each arm once")
    arms = {}
    for arm in config.arms or (config.selector.name,):
        one: Config = ml_collections.ConfigDict(config.to_dict())
        one.arms = ()
        if is_precision(arm):
            one.selector.name, one.selector.start = "static", arm
            one.selector.floor = "2-2-2"  # binds nothing, so that static arms share a program
        else:
            one.selector.name = arm
        schema.validate(one)
        arms[arm] = one
    return arms


def evaluation_precision(config: Config) -> Precision:
    """Bits at which the server's model is tested: the config's, a static arm's own, or 8-8-8 (Choice A8)."""
    own = config.selector.start if config.selector.name == "static" else "8-8-8"
    return Precision.parse(config.evaluation.precision or own)


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


def _run_arm(
    arm: str,
    config: Config,
    folder: Path,
    parts: Parts,
    programs: dict[str, federation.RunRound],
    display: Display,
) -> None:
    if record.read(folder).summary.get("finished"):
        display.begin_arm(arm, config.rounds, config.rounds)
        return
    stages = parts.stages._replace(selector=make_selector(config))
    start = Precision.parse(config.selector.start)
    state = federation.init_state(parts.model, start, config.num_clients, stages, parts.executor)
    with Checkpoints(folder) as checkpoints:
        done, state = checkpoints.restore(state)
        state = jax.device_put(state, placement(parts.executor))
        record.resume(folder, done)
        display.begin_arm(arm, config.rounds, done)
        same_program = json.dumps({**config.selector.to_dict(), "start": ""})  # the start is data
        if same_program not in programs:
            cohort = schema.cohort_size(config)
            programs[same_program] = federation.make_run_round(
                stages, parts.recipe, cohort, parts.executor, config.chunk_size
            )
        for index in range(done, config.rounds):
            started = time.perf_counter()
            rate = jnp.float32(parts.learning_rates[index])
            state, answers = programs[same_program](state, parts.data, jax.random.key(config.seed), rate)
            last = index + 1 == config.rounds
            due = last or (index + 1) % config.eval_every == 0
            scores = parts.evaluate(state.model, evaluation_precision(config), parts.test) if due else None
            rows = results.client_rows(index + 1, answers, parts)
            row = results.round_row(index, rows, scores, parts, time.perf_counter() - started)
            record.append(folder, row, rows)
            if last or (index + 1) % config.checkpoint_every == 0:
                checkpoints.save(index + 1, state)
            display.end_round(row)
        record.finish(folder, results.summary(arm, config, record.read(folder), state.model, parts))


def _report(workdir: Path, config: Config, runs: Mapping[str, record.Run], console: Console) -> None:
    rows = report.table(runs)
    report.write_csv(rows, workdir / "table.csv")
    drawn = figures.save_all(runs, workdir)
    pictures = {caption: path.read_bytes() for caption, path in drawn.items()}
    record.write(workdir / "report.html", page.html(config.name, runs, pictures))
    console.print(report.render_rich(rows))
    console.print(
        f"run folder {workdir}; open {workdir / 'report.html'}", highlight=False, markup=False, soft_wrap=True
    )
