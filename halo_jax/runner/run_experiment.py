"""One experiment, from a config to a run folder: points, seeds, arms, rounds, checkpoints, records, report."""

import contextlib
import functools
import itertools
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from halo_jax import datasets, figures
from halo_jax.config import Config, ConfigError, naming, plan, schema
from halo_jax.config.arms import expand_arms, recorded
from halo_jax.config.plan import Experiment
from halo_jax.records import files, label_counts, model_record, run_folder
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
    dataset: datasets.Dataset | None = None,
    overwrite: bool = False,
    console: Console | None = None,
    on_round: OnRound | None = None,
) -> dict[str, run_folder.Run]:
    """Run every arm of `config` into `workdir` and write its table, figures and report.

    The same call on the same folder goes on where it stopped; a finished folder is reported again without training.

    Args:
      config: an experiment, as `halo_jax.config.default()` with changes; it is not changed here.
      workdir: the run folder; each arm is a sub-folder when there are several, and so is each seed, and each point.
      dataset: arrays in memory to train and test on, in place of the data set that the config names: the records call
        it `memory`. Its sizes are cut by `train_examples` and the like as those of any other. To go on where a run
        stopped takes the same arrays, which is for the caller to see to.
      overwrite: delete what an earlier run left in `workdir`.
      console: where progress and the table go; standard output by default.
      on_round: called in process 0 as `on_round(arm, row)` after each round that has been recorded, `row` a
        `RoundRecord`: see `records.tensorboard`. What it raises ends the run; the same call goes on.

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
    root = processes.everywhere(lambda: _plan(config, Path(workdir), dataset is not None))
    load = functools.lru_cache(maxsize=1)(datasets.load if dataset is None else _in_memory(dataset))
    unfinished = _unfinished(root, overwrite)
    at_once = config.stack or max(1, len(unfinished))
    groups = [unfinished[i : i + at_once] for i in range(0, len(unfinished), at_once)]
    prepared = ([_prepare(leaf, root, load) for leaf in group] for group in groups)
    first = list(itertools.islice(prepared, 1))
    processes.everywhere(lambda: _check_sizes(unfinished, load))
    # From here on nothing is wrong with the experiment.
    training = _Training(root, overwrite, console, on_round)
    with contextlib.ExitStack() as until_the_end:
        on_leader(lambda: _claim_branches(root, overwrite, until_the_end))
        for leaves in itertools.chain(first, prepared):
            training.run(leaves)
        changed = {leaf.folder for leaf in unfinished}
        return on_leader(lambda: gather(root, changed, console)) or {}


def _plan(config: Config, folder: Path, in_memory: bool) -> Experiment:
    """The tree of the experiment, whose data set is called MEMORY where its arrays were given. Raises ConfigError."""
    schema.validate(config)
    if in_memory:
        config = config.copy_and_resolve_references()
        config.dataset = datasets.MEMORY
    root = plan.plan(config, folder)
    for leaf in root.leaves():
        if in_memory and leaf.config.dataset != datasets.MEMORY:
            found = f"sweep varies dataset={leaf.config.dataset!r}"
            raise ConfigError(f"{found}; allowed where the arrays are given: any other field")
    return root


def _in_memory(dataset: datasets.Dataset) -> Load:
    """What `datasets.load` is for named ones: checks the arrays, and keeps as many as the config says."""
    return lambda name, data_dir, *sizes: datasets.keep(name, datasets.of_arrays(dataset), *sizes)


class _Leaf(NamedTuple):
    """A leaf of the experiment, ready to be trained."""

    experiment: Experiment
    arms: list[Arm]


def _unfinished(root: Experiment, overwrite: bool) -> list[Experiment]:
    """The leaves that are to be trained or, where the root is one itself, at least reported."""

    def is_finished(leaf: Experiment) -> bool:
        return leaf is not root and not overwrite and has_ended(leaf)

    leaves = list(root.leaves())
    finished = on_leader(lambda: [is_finished(leaf) for leaf in leaves])
    are_finished = processes.from_leader(np.array(finished or [False] * len(leaves)))
    return [leaf for leaf, done in zip(leaves, are_finished, strict=True) if not done]


def _check_sizes(unfinished: Sequence[Experiment], load: Load) -> None:
    """Raise now what the points after the first would raise in their turn; of a point's seeds one is enough."""
    points = {plan.label(leaf.point): leaf for leaf in reversed(unfinished)}
    for label, leaf in [*reversed(points.items())][1:]:
        with naming(label, "sweep"):
            assemble_all(_configs(leaf.config), load, first_models=False)


def _configs(config: Config) -> dict[str, Config]:
    """The config of every arm; an experiment of one names none in what it says."""
    return expand_arms(config) if config.arms else {"": next(iter(expand_arms(config).values()))}


def _prepare(leaf: Experiment, root: Experiment, load: Load) -> _Leaf:
    """The arms with all that they run on; nothing is written. Raises in every process what one of them raises."""

    def prepare() -> list[Arm]:
        if leaf.config.tensorboard:
            check_installed()
        with naming(plan.label(leaf.point), "sweep"):
            federations = list(assemble_all(_configs(leaf.config), load).values())
        configs, folders = expand_arms(leaf.config), leaf.arms()
        arms = []
        for (name, config), federation in zip(configs.items(), federations, strict=True):
            full_name = name if leaf is root else f"{_name_within(root, leaf)}/{name}"
            arms.append(
                Arm(
                    name=name,
                    config=config,
                    federation=federation,
                    folder=folders[name],
                    full_name=full_name,
                    label=name if root.config.stack == 1 else full_name,
                )
            )
        return arms

    arms = processes.everywhere(prepare)
    data = arms[0].federation.data, arms[0].federation.test_images
    processes.require_same("the config", lambda: json.dumps(recorded(leaf.config), sort_keys=True).encode())
    processes.require_same("the data set", lambda: _content(data))
    return _Leaf(leaf, arms)


def _claim_branches(root: Experiment, overwrite: bool, until_the_end: contextlib.ExitStack) -> None:
    """Take the folder of every branch, and write its config; that of the root stays taken."""
    for branch in root.branches():
        with contextlib.ExitStack() as briefly:
            taken = until_the_end if branch is root else briefly
            taken.enter_context(claim(branch.folder, branch.config, overwrite, figures.FILES))
            for leaf in root.leaves() if branch is root and not overwrite else ():
                require_same(leaf.folder, leaf.config)
            files.write(branch.folder / run_folder.CONFIG, _json(branch.config))


class _Training:
    """Trains groups of leaves, with what is the same for all of them."""

    def __init__(self, root: Experiment, overwrite: bool, console: Console, on_round: OnRound | None):
        self._root, self._overwrite, self._console, self._on_round = root, overwrite, console, on_round
        self._programs = Programs()

    def run(self, leaves: Sequence[_Leaf]) -> None:
        """Train the arms of the leaves, stacked where that is asked for and they can be, and report each leaf."""
        with contextlib.ExitStack() as taken:
            for leaf in leaves:
                self._begin(leaf, taken)
            arms = [arm for leaf in leaves for arm in leaf.arms]
            display = taken.enter_context(Display(self._console, sum(arm.config.rounds for arm in arms)))
            stop = taken.enter_context(stop_between_rounds(display.say))
            locked = {leaf.experiment.folder for leaf in leaves}
            for stack in stacks(arms, self._root.config.stack or len(arms)):
                with contextlib.ExitStack() as locks:
                    on_leader(lambda stack=stack, locks=locks: _lock(stack, locked, locks))
                    run_arms(stack, self._programs, display, stop, self._on_round)
            for leaf in leaves:
                on_leader(lambda leaf=leaf: report(leaf.experiment, self._console))

    def _begin(self, leaf: _Leaf, taken: contextlib.ExitStack) -> None:
        """Take the folder of a leaf, make those of its arms, and say what is going to be trained."""
        experiment = leaf.experiment

        def take() -> None:
            taken.enter_context(claim(experiment.folder, experiment.config, self._overwrite, figures.FILES))

        on_leader(take)
        on_leader(lambda: _create(leaf))
        if experiment is not self._root:
            say(self._console, _name_within(self._root, experiment))
        describe(self._console, experiment.config, leaf.arms[0].federation)


def _lock(arms: Sequence[Arm], locked: Collection[Path], locks: contextlib.ExitStack) -> None:
    """Lock the folders of arms, of which some may be locked already as that of their leaf."""
    for arm in arms:
        if arm.folder not in locked:
            locks.enter_context(lock(arm.folder))


def _name_within(root: Experiment, leaf: Experiment) -> str:
    return str(leaf.folder.relative_to(root.folder))


def _create(leaf: _Leaf) -> None:
    """Make the folders of the arms, and write what is known before they are trained."""
    experiment = leaf.experiment
    models = {arm.folder: to_records.model_record_of(arm) for arm in leaf.arms}
    for folder, record in models.items():
        model_record.require_same(folder, record)
    if experiment.config.arms:
        files.write(experiment.folder / run_folder.CONFIG, _json(experiment.config))
    rows = label_counts.rows(to_records.label_counts(leaf.arms[0].federation))
    table = csv_text([rows[0]._fields, *rows])
    for arm in leaf.arms:
        if not (arm.folder / run_folder.CONFIG).exists():
            run_folder.create(arm.folder, recorded(arm.config))
        files.write(arm.folder / run_folder.LABELS, table)
        model_record.write(arm.folder, models[arm.folder])


def _json(config: Config) -> str:
    return json.dumps(recorded(config), indent=2) + "\n"


def _content(tree: Any) -> bytes:
    """The bytes of all arrays."""

    def plain(leaf: Any) -> Any:
        return jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf

    return b"".join(np.asarray(plain(leaf)).tobytes() for leaf in jax.tree.leaves(tree))
