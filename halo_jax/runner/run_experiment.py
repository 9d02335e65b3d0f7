"""One experiment, from a config to a run folder: points, seeds, arms, rounds, checkpoints, records, report."""

import contextlib
import functools
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from halo_jax import datasets, figures
from halo_jax.config import Config, naming, plan
from halo_jax.config.arms import expand_arms, recorded
from halo_jax.config.plan import Experiment
from halo_jax.records import files, label_counts, run_folder
from halo_jax.records.claim import claim, require_same
from halo_jax.records.columns import csv_text
from halo_jax.records.folder_lock import lock
from halo_jax.records.tensorboard import OnRound, check_installed
from halo_jax.reporting.progress import Display
from halo_jax.reporting.terminal import say
from halo_jax.reporting.write_reports import gather, has_ended, report
from halo_jax.runner import to_records
from halo_jax.runner.build import assemble_all
from halo_jax.runner.compiled_rounds import Arm, Programs, stacks
from halo_jax.runner.describe import describe
from halo_jax.runner.train_arms import run_arms
from halo_jax.runtime import processes
from halo_jax.runtime.processes import on_leader
from halo_jax.runtime.signals import stop_between_rounds

Load = Callable[..., datasets.Dataset]


def run(
    config: Config,
    workdir: str | Path,
    *,
    overwrite: bool = False,
    console: Console | None = None,
    on_round: OnRound | None = None,
) -> dict[str, run_folder.Run]:
    """Run every arm of `config` into `workdir` and write its table, figures and report.

    The same call on the same folder goes on where it stopped; a finished folder is reported again without training.

    Args:
      config: an experiment, as `halo_jax.config.default()` with changes.
      workdir: the run folder; each arm is a sub-folder when there are several, and so is each seed, and each point.
      overwrite: delete what an earlier run left in `workdir`.
      console: where progress and the table go; standard output by default.
      on_round: called in process 0 as `on_round(arm, row)` after each round that has been recorded, `row` a
        `record.RoundRecord`: see `tensorboard`. What it raises ends the run; the same call goes on.

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
    console = console or Console(quiet=not processes.is_leader())
    whole = processes.everywhere(lambda: plan.plan(config, Path(workdir)))
    load = functools.lru_cache(maxsize=1)(datasets.load)
    programs = Programs()
    left = _unfinished(whole, overwrite)
    at_once = config.stack or max(1, len(left))
    groups = [left[i : i + at_once] for i in range(0, len(left), at_once)]
    prepared = ([_prepare(one, whole, load) for one in group] for group in groups)
    first = list(itertools.islice(prepared, 1))
    processes.everywhere(lambda: _check_sizes(left, load))
    with contextlib.ExitStack() as held:  # nothing is wrong with the experiment
        on_leader(lambda: _open(whole, overwrite, held))
        for group, arms in zip(groups, itertools.chain(first, prepared), strict=True):
            _train(group, arms, whole, programs, overwrite, console, on_round)
        changed = {one.folder for one in left}
        return on_leader(lambda: gather(whole, changed, console)) or {}


def _unfinished(whole: Experiment, overwrite: bool) -> list[Experiment]:
    """What is left to train; what is not made of others is reported again in any case."""
    leaves = list(whole.leaves())
    ended = on_leader(lambda: [one is not whole and not overwrite and has_ended(one) for one in leaves])
    known = processes.from_leader(np.array(ended or [False] * len(leaves)))
    return [one for one, done in zip(leaves, known, strict=True) if not done]


def _check_sizes(left: Sequence[Experiment], load: Load) -> None:
    """Raise now what the points after the first would raise in their turn; of a point's seeds one is enough."""
    points = {plan.label(one.point): one for one in reversed(left)}
    for label, one in [*reversed(points.items())][1:]:
        with naming(label, "sweep"):
            assemble_all(_configs(one.config), load, first_models=False)


def _configs(config: Config) -> dict[str, Config]:
    """The config of every arm; an experiment of one names none in what it says."""
    return expand_arms(config) if config.arms else {"": next(iter(expand_arms(config).values()))}


def _prepare(one: Experiment, whole: Experiment, load: Load) -> list[Arm]:
    """The arms with all that they run on; nothing is written. Raises in every process what one of them raises."""

    def prepare() -> list[Arm]:
        if one.config.tensorboard:
            check_installed()
        with naming(plan.label(one.point), "sweep"):
            parts = assemble_all(_configs(one.config), load).values()
        configs, folders = expand_arms(one.config), one.arms().values()
        keys = [name if one is whole else f"{_place(one, whole)}/{name}" for name in configs]
        shown = configs if whole.config.stack == 1 else keys
        return [Arm(*fields) for fields in zip(configs, configs.values(), parts, folders, keys, shown, strict=True)]

    arms = processes.everywhere(prepare)
    data = arms[0].parts.data, arms[0].parts.test
    processes.require_same("the config", lambda: json.dumps(recorded(one.config), sort_keys=True).encode())
    processes.require_same("the data set", lambda: _content(data))
    return arms


def _open(whole: Experiment, overwrite: bool, held: contextlib.ExitStack) -> None:
    """Take the folders of all that is made of others, and write its config; the outermost stays taken."""
    for one in whole.branches():
        with contextlib.ExitStack() as briefly:
            (held if one is whole else briefly).enter_context(claim(one.folder, one.config, overwrite, figures.FILES))
            for leaf in whole.leaves() if one is whole and not overwrite else ():
                require_same(leaf.folder, leaf.config)
            files.write(one.folder / run_folder.CONFIG, _json(one.config))


def _train(
    group: Sequence[Experiment],
    arms: Sequence[Sequence[Arm]],
    whole: Experiment,
    programs: Programs,
    overwrite: bool,
    console: Console,
    on_round: OnRound | None,
) -> None:
    """Train the arms of experiments, stacked where that is asked for and they can be, and report each."""
    with contextlib.ExitStack() as held:
        for one, own in zip(group, arms, strict=True):
            on_leader(lambda one=one: held.enter_context(claim(one.folder, one.config, overwrite, figures.FILES)))
            on_leader(lambda one=one, own=own: _create(one, own))
            if one is not whole:
                say(console, _place(one, whole))
            describe(console, one.config, own[0].parts)
        everyone = [arm for own in arms for arm in own]
        display = held.enter_context(Display(console, sum(arm.config.rounds for arm in everyone)))
        stop = held.enter_context(stop_between_rounds(display.say))
        claimed = {one.folder for one in group}
        for stack in stacks(everyone, whole.config.stack or len(everyone)):
            with contextlib.ExitStack() as locks:
                inside = [arm.folder for arm in stack if arm.folder not in claimed]
                on_leader(lambda inside=inside, locks=locks: [locks.enter_context(lock(folder)) for folder in inside])
                run_arms(stack, programs, display, stop, on_round)
        for one in group:
            on_leader(lambda one=one: report(one, console))


def _place(one: Experiment, whole: Experiment) -> str:
    return str(one.folder.relative_to(whole.folder))


def _create(one: Experiment, arms: Sequence[Arm]) -> None:
    if one.config.arms:
        files.write(one.folder / run_folder.CONFIG, _json(one.config))
    held = label_counts.rows(to_records.label_counts(arms[0].parts))
    table = csv_text([held[0]._fields, *held])
    for arm in arms:
        if not (arm.folder / run_folder.CONFIG).exists():
            run_folder.create(arm.folder, recorded(arm.config))
        files.write(arm.folder / run_folder.LABELS, table)


def _json(config: Config) -> str:
    return json.dumps(recorded(config), indent=2) + "\n"


def _content(tree: Any) -> bytes:
    """The bytes of all arrays."""
    keys = lambda leaf: jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf  # noqa: E731
    return b"".join(np.asarray(keys(leaf)).tobytes() for leaf in jax.tree.leaves(tree))
