"""Damage run folders in every way, use them, and see that each is one line or a result, and nothing else is touched.

python experiments/proofs/damaged_runs.py [--count=2000] [--seed=0] [--case=N]

A case copies a run folder (one that has ended, one that was stopped, one of two seeds) beside a neighbour, changes its
config, summary, tables, checkpoints, links and names at random, and uses it in three ways: `--report`, going on, and
`--overwrite`, each on a copy of its own. Case N of a seed is always the same. Exit status 1 if anything but a line of
ours is raised, a case takes more than 30 seconds, or a byte of the neighbour differs; `--case` repeats one and shows
its traceback.
"""

import contextlib
import io
import json
import os
import random
import shutil
import signal
import stat
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import launches
from damage import Damage
from rich.console import Console

from halo_jax import figures
from halo_jax.config import Config, ConfigError, schema
from halo_jax.datasets import DatasetError
from halo_jax.records import run_folder
from halo_jax.records.checkpoint import CheckpointError
from halo_jax.records.files import RecordError
from halo_jax.records.rows import RoundRecord
from halo_jax.reporting import compare_runs
from halo_jax.runner import run_experiment
from halo_jax.runner.compiled_rounds import Programs
from halo_jax.runner.run_experiment import assemble_all, run

LONGEST_S = 30
DRAWN = 20  # each of so many cases draws its figures, which takes most of the time
OURS = (ConfigError, RecordError, CheckpointError, DatasetError)
Ways = dict[str, Callable[[Config, Path], Any]]


def toy(**fields: Any) -> Config:
    """Two rounds of four clients."""
    config = schema.default()
    config.dataset, config.train_examples, config.test_examples = "synthetic", 24, 8
    config.model, config.width, config.executor = "small_cnn", 0.1, "map"
    config.num_clients, config.batch_size, config.rounds, config.checkpoint_every = 4, 8, 2, 1
    config.demand.energy_clients = config.demand.latency_clients = config.demand.area_clients = 1
    config.update(fields)
    return config


CONFIGS = {"ended": toy(arms=("8-8-8", "halo_ps")), "stopped": toy(), "seeds": toy(seeds=(0, 1), arms=("halo_ps",))}


def _report(config: Config, folder: Path) -> None:
    compare_runs.compare([folder], folder.parent / "report", console=_quiet())


def _go_on(config: Config, folder: Path) -> None:
    run(config, folder, console=_quiet())


def _overwrite(config: Config, folder: Path) -> None:
    run(config, folder, overwrite=True, console=_quiet())


WAYS: Ways = {"report": _report, "go on": _go_on, "overwrite": _overwrite}


def _quiet() -> Console:
    return Console(file=io.StringIO(), width=100)


@contextlib.contextmanager
def compiled_once(drawn: bool = True):
    """What does not depend on the folder is made once, and figures are drawn only if asked for."""
    with contextlib.ExitStack() as patches:
        patches.enter_context(mock.patch.object(run_experiment, "assemble_all", _assemble))
        patches.enter_context(mock.patch.object(run_experiment, "Programs", return_value=_PROGRAMS))
        for name in () if drawn else ("save_all", "save_comparison"):
            patches.enter_context(mock.patch.object(figures, name, return_value={}))
        yield


_PROGRAMS, _ASSEMBLED, _ASSEMBLE_ALL = Programs(), {}, assemble_all


def _assemble(configs: dict[str, Config], *options: Any, **named: Any) -> Any:
    key = json.dumps({name: config.to_dict() for name, config in configs.items()})
    if key not in _ASSEMBLED:
        _ASSEMBLED[key] = _ASSEMBLE_ALL(configs, *options, **named)
    return _ASSEMBLED[key]


def make(place: Path) -> None:
    """The run folders that are damaged, and a neighbour of theirs."""
    append = run_folder.append

    def stop(folder: Path, row: RoundRecord, *others: Any) -> None:
        if row.round == 2:
            raise KeyboardInterrupt
        append(folder, row, *others)

    with compiled_once():
        for name, config in CONFIGS.items():
            patch = mock.patch.object(run_folder, "append", stop) if name == "stopped" else contextlib.nullcontext()
            with patch, contextlib.suppress(KeyboardInterrupt):
                run(config, place / name, console=_quiet())
    neighbour = place / "neighbour"
    shutil.copytree(place / "ended", neighbour)
    for name in (".bashrc", ".ssh/id", "3/sha256.json", "12/sha256.json", "thesis.txt"):
        (neighbour / name).parent.mkdir(exist_ok=True)
        (neighbour / name).write_text("precious")


def fingerprint(folder: Path) -> dict[str, tuple[int, str | bytes]]:
    """The mode and the content of everything below a folder; of a link where it leads."""
    found: dict[str, tuple[int, str | bytes]] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        holds = path.read_bytes() if stat.S_ISREG(mode) else os.readlink(path) if stat.S_ISLNK(mode) else ""
        found[str(path.relative_to(folder))] = mode, holds
    return found


def use(way: str, config: Config, folder: Path) -> str:
    """What came of it: "done", the kind of our error, or a line that begins with "FAULT"."""

    def too_long(*_: Any) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LONGEST_S)
    try:
        WAYS[way](config, folder)
    except OURS as error:
        text = str(error)
        return type(error).__name__ if text.isprintable() else f"FAULT: not one printable line: {text!r}"
    except BaseException as error:
        return f"FAULT: {''.join(traceback.format_exception(error))}"
    finally:
        signal.alarm(0)
    return "done"


def try_case(bases: Path, seed: int, case: int) -> dict[str, str]:
    """Damage a folder, and use a copy of it in each way: way -> what came of it."""
    came: dict[str, str] = {}
    for way in WAYS:
        draw = random.Random(f"{seed} {case}")
        name = draw.choice(list(CONFIGS))
        with tempfile.TemporaryDirectory() as scratch:
            folder, neighbour = Path(scratch) / "run", Path(scratch) / "neighbour"
            shutil.copytree(bases / name, folder)
            shutil.copytree(bases / "neighbour", neighbour)
            before = fingerprint(neighbour)
            damage = Damage(draw, folder, neighbour)
            for _ in range(draw.choice((1, 1, 1, 2, 3))):
                damage.once()
            with compiled_once(drawn=case % DRAWN == 0), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                came[way] = use(way, CONFIGS[name], folder)
            beside = set(os.listdir(scratch)) - {"run", "neighbour", "report"}
            if fingerprint(neighbour) != before or beside:
                came[way] = f"FAULT: the neighbour differs, or {beside} is new ({'; '.join(damage.done)})"
            elif came[way].startswith("FAULT"):
                came[way] += f" ({'; '.join(damage.done)})"
            _make_deletable(folder)
    return came


def _make_deletable(folder: Path) -> None:
    for path in folder.rglob("*"):
        if not path.is_symlink() and path.is_dir():
            path.chmod(0o700)


def main(arguments: Sequence[str] | None = None) -> int:
    """Damage, use, count."""
    options = launches.case_options(__doc__, arguments)
    came: dict[str, Counter[str]] = {way: Counter() for way in WAYS}
    faults = []
    with tempfile.TemporaryDirectory() as bases:
        make(Path(bases))
        for case in options.cases:
            for way, what in try_case(Path(bases), options.seed, case).items():
                came[way][what.partition(":")[0]] += 1
                if what.startswith("FAULT"):
                    faults.append(f"case {case}, {way}: {what}")
                    print(faults[-1], flush=True)
    result = {
        "seed": options.seed,
        "folders": len(options.cases),
        "came": {way: dict(sorted(n.items())) for way, n in came.items()},
    }
    print(json.dumps(result, indent=2))
    if options.case is None:
        launches.write("damaged_runs", result | {"faults": [fault.splitlines()[0] for fault in faults]})
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
