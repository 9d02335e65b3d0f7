"""Taking a run folder: for one config, by one launch at a time, and never one that holds something else."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from halo_jax import record, sweep
from halo_jax.arms import SECTIONS
from halo_jax.checkpoint import FOLDER as CHECKPOINTS
from halo_jax.config import FIELDS, Config, ConfigError
from halo_jax.tensorboard import FOLDER as TENSORBOARD

FREE_FIELDS = (  # change no result
    "executor",
    "chunk_size",
    "checkpoint_every",
    "keep_checkpoints",
    "dead_after",
    "fingerprint",
    "tensorboard",
    "paper",
    "stack",
    "data_dir",
    "evaluation.batch_size",
)
ARMS_OWN = tuple(f"{section}." for section in SECTIONS)  # fields in which an arm may differ
_TABLES = (record.ROUNDS, record.CLIENTS, record.FINGERPRINTS)
TABLES, DEVICE = "tables", "device.yaml"  # what a study writes
_RESULTS = (record.LABELS, record.SUMMARY, "table.csv", "comparison.csv", "claims.csv", "report.html", "figures")
_RUN = (*_TABLES, *_RESULTS, CHECKPOINTS, TENSORBOARD)
_OWN = (*_RUN, TABLES, DEVICE, record.CONFIG)


@contextlib.contextmanager
def claim(workdir: Path, config: Config, overwrite: bool) -> Iterator[None]:
    """Hold `workdir` for a run of `config` while the `with` block lasts; `overwrite` first deletes the run in it.

    Raises:
      ConfigError: the folder holds another run or something else; nothing is written or deleted.
      RecordError: it cannot be written, its config cannot be read, or another launch is running in it.
    """
    try:
        theirs = _read(workdir)
        if theirs and not overwrite:
            _compare(workdir, theirs, config)
            for arm in filter(lambda arm: (workdir / arm / record.CONFIG).exists(), theirs["arms"]):
                _compare(workdir / arm, _read(workdir / arm), config, but=("arms", *ARMS_OWN))
        workdir.mkdir(parents=True, exist_ok=True)
        folder = os.open(workdir, os.O_RDONLY)
    except OSError as error:
        raise record.RecordError(f"{workdir}: {error.strerror or error}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if theirs and overwrite:
            _delete(workdir, theirs)
        yield
    except BlockingIOError:
        raise record.RecordError(f"{workdir}: another launch is running in this folder") from None
    finally:
        os.close(folder)


def holds_study(workdir: Path, study: str) -> bool:
    """Whether an answer to this study lies there. Raises as `claim`."""
    try:
        return study != "" and _read(workdir).get("study") == study
    except OSError as error:
        raise record.RecordError(f"{workdir}: {error.strerror or error}") from error


def _read(workdir: Path) -> dict[str, Any]:
    """The config of the run that lies there; empty if there is none. ConfigError if the folder is somebody else's."""
    path = workdir / record.CONFIG
    if path.exists():
        theirs = record.read_json(path)
        arms = theirs.get("arms")
        names = isinstance(arms, list) and all(isinstance(arm, str) and Path(arm).name == arm for arm in arms)
        if not names or _flatten(theirs).keys() != FIELDS.keys():
            raise ConfigError(f"{path} is not the config of a run of this version; use another --workdir")
        sweep.points(theirs["sweep"])
        return theirs
    if workdir.exists() and any(p.name not in _TABLES and p.name[0] != "." for p in workdir.iterdir()):
        raise ConfigError(f"{workdir} is not empty and not a run folder; use another --workdir")
    return {}


def _compare(workdir: Path, theirs: Mapping[str, Any], config: Config, but: tuple[str, ...] = ()) -> None:
    old, new = _flatten(theirs), _flatten(json.loads(json.dumps(config.to_dict())))
    points = set(sweep.points(old["sweep"])) <= set(sweep.points(new["sweep"]))
    for field in ("arms", "seeds", "sweep"):  # an experiment may grow
        if old[field] and (points if field == "sweep" else set(old[field]) <= set(new[field])):
            old[field] = new[field]
    compared = [field for field in FIELDS if field not in FREE_FIELDS and not field.startswith(but)]
    different = [field for field in compared if old[field] != new[field]]
    if different:
        changes = ", ".join(f"{field}={old[field]!r} there, {new[field]!r} here" for field in different[:5])
        more = f" and {len(different) - 5} more" if len(different) > 5 else ""
        raise ConfigError(f"{workdir} holds another run ({changes}{more}); use another --workdir or --overwrite")


def _delete(workdir: Path, theirs: Mapping[str, Any]) -> None:
    """Delete what a run made, and nothing else; the config last, so that a cut-off deletion can be repeated."""
    inside = {arm: {"arms": (), "seeds": (), "sweep": ()} for arm in theirs["arms"]}
    within = {"sweep": ()} if theirs["sweep"] else {"seeds": ()}
    inside |= {name: {**theirs, **within} for name in sweep.folders(theirs)}
    for name, config in inside.items():
        if (workdir / name / record.CONFIG).exists():
            _delete(workdir / name, config)
            with contextlib.suppress(OSError):  # somebody else's files lie there, too
                (workdir / name).rmdir()
    for path in (workdir / name for name in _OWN):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _flatten(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in node.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat
