"""Taking a run folder: for one config, by one launch at a time, and never one that holds something else.

A run owns the files of `_OWN` in its folder, and in folders of its arms, seeds and points. What it owns is never a
link: a launch that finds one says so and touches nothing, since a link may lead to what somebody else owns. The run
folder itself may be one, as its name is what the user typed. Names in a `config.json` that lies there are believed no
more than what a user types.
"""

import contextlib
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from halo_jax.config import Config, ConfigError, plan, schema
from halo_jax.config.entries import changes_result, is_of_arm
from halo_jax.records import checkpoint, model_record, run_folder
from halo_jax.records.files import RecordError
from halo_jax.records.folder_lock import lock
from halo_jax.records.tensorboard import EVENT_FILES
from halo_jax.records.tensorboard import FOLDER as TENSORBOARD
from halo_jax.runtime import safe_files
from halo_jax.runtime.visible import visible

TABLES, DEVICE, FIGURES = "tables", "device.yaml", "figures"  # the first two are what a study writes
_RECORDS = (run_folder.ROUNDS, run_folder.CLIENTS, run_folder.FINGERPRINTS, run_folder.LABELS, run_folder.SUMMARY)
_FILES = (*_RECORDS, model_record.FILE, "table.csv", "comparison.csv", "claims.csv", "report.html", DEVICE)
_FOLDERS = (FIGURES, TABLES, TENSORBOARD, checkpoint.FOLDER)
_OWN = (*_FILES, *_FOLDERS, run_folder.CONFIG)
_NO_LINKS = "right: a file or folder that is none, or a link in place of the whole run folder"


@contextlib.contextmanager
def claim(workdir: Path, config: Config, overwrite: bool, figure_files: Collection[str] = ()) -> Iterator[None]:
    """Hold `workdir` for a run of `config` while the `with` block lasts; `overwrite` first deletes the run in it.

    Args:
      workdir: the run folder; it is made if it is not there.
      config: the experiment that is going to write there.
      overwrite: delete what an earlier run made; what somebody else has put beside it stays.
      figure_files: the names of all files that a run may have drawn into its folder `figures`.

    Raises:
      ConfigError: the folder holds another run, a link or something else; nothing is written or deleted.
      RecordError: it cannot be written, its config cannot be read, or another launch is running in it.
    """
    with contextlib.ExitStack() as until_the_end:
        with _errors_of(workdir):
            _read(workdir)  # in what is no run folder nothing is made, not even a lock
            workdir.mkdir(parents=True, exist_ok=True)
            until_the_end.enter_context(lock(workdir))
            _make_ready(workdir, _read(workdir), config, overwrite, figure_files)
        yield


def require_same(workdir: Path, config: Config) -> None:
    """Raise ConfigError if another run than that of `config` lies there; nothing is written. Else raises as `claim`."""
    with _errors_of(workdir):
        if theirs := _read(workdir):
            _compare_all(workdir, theirs, config)


def holds_study(workdir: Path, study: str) -> bool:
    """Whether an answer to this study lies there. Raises as `claim`."""
    with _errors_of(workdir):
        theirs = _read(workdir)
        return study != "" and theirs is not None and theirs.study == study


def require_no_links(folder: Path, names: Collection[str]) -> None:
    """Raise ConfigError if one of these names, in a folder of ours, is a link."""
    for entry in os.scandir(folder) if folder.is_dir() else ():
        if entry.name in names and entry.is_symlink():
            raise ConfigError(f"{visible(entry.path)} is a link; {_NO_LINKS}")


@contextlib.contextmanager
def _errors_of(workdir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RecordError(f"{visible(error.filename or workdir)}: {error.strerror or error}") from error


def _read(workdir: Path) -> Config | None:
    """The config of the run that lies there, valid; None if there is none. ConfigError if it is somebody else's."""
    path = workdir / run_folder.CONFIG
    if path.is_symlink() or path.exists():
        recorded = run_folder.recorded_config(workdir)
        not_ours = f"{visible(path)} is not the config of a run of this version"
        try:
            theirs = schema.of_record(recorded)
            plan.require_few(theirs)
        except ConfigError as error:
            raise ConfigError(f"{not_ours} ({error}); use another --workdir") from error
        return theirs
    # What a launch leaves that is killed before it writes its config is not somebody else's.
    if workdir.exists() and any(p.name[0] != "." and not run_folder.is_empty_table(p) for p in workdir.iterdir()):
        raise ConfigError(f"{visible(workdir)} is not empty and not a run folder; use another --workdir")
    return None


def _make_ready(
    workdir: Path, theirs: Config | None, config: Config, overwrite: bool, figure_files: Collection[str]
) -> None:
    """Compare with the run that lies there, or delete it; clear away what launches that were killed have left."""
    folders, old = _folders(workdir, config), _folders(workdir, theirs) if theirs else []
    for folder in dict.fromkeys([*folders, *old]):
        if folder != workdir and (folder.is_symlink() or folder.resolve().parent != folder.parent.resolve()):
            raise ConfigError(f"{visible(folder)} is a link; {_NO_LINKS}")
        require_no_links(folder, _OWN)
        _require_kinds(folder)
    for folder in folders[:-1]:
        _read(folder)  # nobody else's
    if theirs and overwrite:
        _delete(old, theirs, figure_files)
    elif theirs:
        _compare_all(workdir, theirs, config)
    for folder in folders:
        for place in (folder, folder / FIGURES, folder / TABLES):
            safe_files.delete_drafts(place)


def _folders(workdir: Path, config: Config) -> list[Path]:
    """Every folder that a run of this config has, itself last; a study has one."""
    return [workdir] if config.study else plan.folders(config, workdir)


def _require_kinds(folder: Path) -> None:
    """Raise RecordError for a file in place of a folder or the other way round, and for what cannot be written."""
    for path in (folder, *(folder / name for name in _OWN)):
        is_folders = path == folder or path.name in _FOLDERS
        if path.exists() and path.is_dir() != is_folders:
            kind, right = ("a file", "a folder") if is_folders else ("a folder", "a file")
            raise RecordError(f"{visible(path)} is {kind}, where a run has {right}; move it away")
        if path.is_dir() and not os.access(path, os.W_OK | os.X_OK):
            raise RecordError(f"{visible(path)}: Permission denied")


def _compare_all(workdir: Path, theirs: Config, config: Config) -> None:
    """Raise ConfigError unless it is the same run, or one that has grown, and so are the arms in it."""
    _compare(workdir, theirs, config)
    for arm in dict.fromkeys((*theirs.arms, *config.arms)):
        if of_arm := _read(workdir / arm):
            _compare(workdir / arm, of_arm, config, but=("arms",), arms_differ=True)


def _compare(
    workdir: Path,
    theirs: Config,
    config: Config,
    *,
    but: tuple[str, ...] = (),
    arms_differ: bool = False,
    advice: str = "use another --workdir or --overwrite",
) -> None:
    names = dict.fromkeys((*schema.leaf_names(theirs), *schema.leaf_names(config)))
    old, new = ({name: schema.get(side, name) for name in names} for side in (theirs, config))
    points = set(plan.points(old["sweep"])) <= set(plan.points(new["sweep"]))
    for field in ("arms", "seeds", "sweep"):  # an experiment may grow
        if old[field] and (points if field == "sweep" else set(old[field]) <= set(new[field])):
            old[field] = new[field]
    skipped = {*but, *(name for name in names if not changes_result(name) or (arms_differ and is_of_arm(name)))}
    different = [name for name in names if name not in skipped and old[name] != new[name]]
    if different:
        show = schema.show
        changes = ", ".join(f"{field}={show(old[field])} there, {show(new[field])} here" for field in different[:5])
        more = f" and {len(different) - 5} more" if len(different) > 5 else ""
        there = f"{visible(workdir)} holds another run ({changes}{more})"
        raise ConfigError(f"{there}; {advice}")


def _delete(folders: Sequence[Path], theirs: Config, figure_files: Collection[str]) -> None:
    """Delete what a run made in its folders, and nothing else; the last of them is the one that is locked.

    Where anything is wrong, nothing is deleted. The config goes last, so that a cut-off deletion can be repeated.
    """
    *inside, workdir = [folder for folder in folders if (folder / run_folder.CONFIG).exists()]
    swept = {field for point in plan.points(theirs.sweep).values() for field in point}
    for folder in inside:
        if config := _read(folder):
            differing = ("arms", "seed", "seeds", "sweep", *swept)
            _compare(
                folder, config, theirs, but=differing, arms_differ=True, advice=f"move it out of {visible(workdir)}"
            )
        with lock(folder):  # nobody trains there
            pass
    for folder in inside:
        with lock(folder):
            _delete_from(folder, figure_files)
        if not any(folder.iterdir()):  # else somebody else's files lie there, too
            folder.rmdir()
    _delete_from(workdir, figure_files)


def _delete_from(folder: Path, figure_files: Collection[str]) -> None:
    checkpoint.delete(folder)
    safe_files.delete_files(folder / FIGURES, figure_files)
    safe_files.delete_files(folder / TENSORBOARD, [path.name for path in (folder / TENSORBOARD).glob(EVENT_FILES)])
    of_tables = {kind: {path.stem for path in (folder / TABLES).glob(f"*.{kind}")} for kind in ("csv", "json")}
    twins = of_tables["csv"] & of_tables["json"]  # a study writes each table as both
    safe_files.delete_files(folder / TABLES, [f"{name}.{kind}" for name in twins for kind in of_tables])
    for name in (*_FILES, run_folder.CONFIG):
        (folder / name).unlink(missing_ok=True)
