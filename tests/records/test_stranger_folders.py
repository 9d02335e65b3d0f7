"""Run folders that a stranger made, or the owner has linked to other places: one line, and nothing else is touched."""

import io
import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from halo_jax import figures
from halo_jax.config import Config, ConfigError, plan, schema
from halo_jax.records import files, run_folder
from halo_jax.records.checkpoint import Checkpoints
from halo_jax.records.claim import claim
from halo_jax.records.files import RecordError
from halo_jax.records.folder_lock import LOCK, lock
from halo_jax.reporting import compare_runs
from halo_jax.runtime import safe_files
from tests.record_fixture import write_run
from tests.runner.test_launch import start

ARMS, ROUNDS = ("8-8-8", "halo_ps"), 3
Change = Callable[[Path, Path], object]  # of a run folder, with a victim beside it


def config_of_the_run(**values) -> Config:
    config = schema.default()
    config.rounds, config.dataset, config.arms = ROUNDS, "emnist", ARMS
    config.update(values)
    return config


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """An experiment of two arms that has ended, with a checkpoint and a figure."""
    folder = tmp_path_factory.mktemp("made") / "run"
    for arm in ARMS:
        write_run(folder / arm, arm, rounds=ROUNDS)
        (folder / arm / "checkpoints" / "3").mkdir(parents=True)
        (folder / arm / "checkpoints" / "3" / "sha256.json").write_text("{}")
    (folder / "figures").mkdir()
    (folder / "figures" / "cost_by_round.png").write_bytes(b"png")
    (folder / "report.html").write_text("page")
    files.write(folder / "config.json", json.dumps(config_of_the_run().to_dict()))
    return folder


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A copy of it, which lies beside a victim."""
    victim = tmp_path / "victim"
    for name in ("config.json", "table.csv", "report.html", "figures/a.png", "checkpoints/7/sha256.json", ".bashrc"):
        (victim / name).parent.mkdir(parents=True, exist_ok=True)
        (victim / name).write_bytes((made / "config.json").read_bytes() if name == "config.json" else b"precious")
    configure(victim, rounds=7)
    return Path(shutil.copytree(made, tmp_path / "run"))


def content(folder: Path) -> dict[str, bytes | str]:
    """Every file, link and folder below one, and what it holds."""
    found: dict[str, bytes | str] = {}
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        holds = os.readlink(path) if stat.S_ISLNK(mode) else ""
        if stat.S_ISREG(mode):
            holds = path.read_bytes() if path.stat().st_size < 2**20 else "large"
        found[str(path.relative_to(folder))] = holds
    return found


def configure(folder: Path, **values) -> None:
    recorded = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(recorded | values))


def set_config(**values) -> Change:
    return lambda run, victim: configure(run, **values)


def link(name: str, to: str = "") -> Change:
    """A link in place of what a run owns, to the victim or to a file of its."""

    def change(run: Path, victim: Path) -> None:
        path = run / name
        if path.exists():
            safe_files.delete_tree(path)
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(victim / to)

    return change


def overwrite(folder: Path) -> None:
    with claim(folder, config_of_the_run(), True, figures.FILES):
        pass


def go_on(folder: Path) -> None:
    with claim(folder, config_of_the_run(), False):
        for arm in ARMS:
            run_folder.read(folder / arm)


def report(folder: Path) -> None:
    compare_runs.compare([folder], folder.parent / "report", console=Console(file=io.StringIO()))


def say_in_table(name: str, column: str, cell: str) -> Change:
    def change(run: Path, victim: Path) -> None:
        header, first, *rest = (run / "halo_ps" / name).read_text().split("\n")
        cells = first.split(",")
        cells[header.split(",").index(column)] = cell
        (run / "halo_ps" / name).write_text("\n".join([header, ",".join(cells), *rest]))

    return change


def say_in_summary(**values) -> Change:
    def change(run: Path, victim: Path) -> None:
        path = run / "halo_ps" / "summary.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


NOT_OURS = r"run/config\.json is not the config of a run of this version \(%s.*\); use another --workdir$"
LINK = r"run/%s is a link; right: a file or folder that is none, or a link in place of the whole run folder$"
BOTH = (overwrite, go_on)

# fault: (what is done to the folder; how it is used; the kind and the line).
FAULTS: dict[str, tuple[Change, tuple[Callable[[Path], None], ...], type[Exception], str]] = {
    "a seed is a path": (set_config(arms=[], seeds=["x/../../victim"]), BOTH, ConfigError, NOT_OURS % "seeds="),
    "an arm is the folder above": (set_config(arms=[".."]), BOTH, ConfigError, NOT_OURS % "arms="),
    "an arm is a path": (set_config(arms=["../victim"]), BOTH, ConfigError, NOT_OURS % "arms="),
    "an arm obeys the terminal": (set_config(arms=["a\x1b[2J"]), BOTH, ConfigError, NOT_OURS % r"arms=.*\\x1b"),
    "arms are no list": (set_config(arms=5), BOTH, ConfigError, NOT_OURS % "arms=5"),
    "seeds are no list": (set_config(seeds=5), BOTH, ConfigError, NOT_OURS % "seeds=5"),
    "a sweep of numbers": (set_config(sweep=[5]), BOTH, ConfigError, NOT_OURS % "sweep="),
    "a sweep of nothing": (set_config(sweep=["rounds="]), BOTH, ConfigError, NOT_OURS % "sweep="),
    "a sweep of a million points": (
        set_config(
            sweep=[f"{field}={'|'.join(map(str, range(1, 101)))}" for field in ("rounds", "seed", "batch_size")]
        ),
        BOTH,
        ConfigError,
        NOT_OURS % "sweep has 1000000 points; allowed: at most 1000",
    ),
    "a hundred thousand seeds": (
        set_config(seeds=[*range(100_000)]),
        BOTH,
        ConfigError,
        NOT_OURS % r"seeds=.*; allowed: at most 1000 ",
    ),
    "a number of 400 digits": (set_config(width=10**400), BOTH, ConfigError, NOT_OURS % "width="),
    "a config as deep as it gets": (
        lambda run, victim: (run / "config.json").write_text('{"a":' * 5000 + "1" + "}" * 5000),
        BOTH,
        RecordError,
        r"run/config\.json: maximum recursion depth.*--workdir$",
    ),
    "a config of a terabyte": (
        lambda run, victim: os.truncate(run / "config.json", 2**40),
        BOTH,
        RecordError,
        r"run/config\.json: larger than the \d+ bytes that are read of it; .*--workdir$",
    ),
    "a pipe in place of the config": (
        lambda run, victim: ((run / "config.json").unlink(), os.mkfifo(run / "config.json")),
        BOTH,
        RecordError,
        r"run/config\.json: not a regular file; ",
    ),
    **{
        f"{name} is a link": (link(name, to), BOTH, ConfigError, LINK % name)
        for name, to in {
            "checkpoints": "checkpoints",
            "halo_ps/checkpoints": "checkpoints",
            "halo_ps": "",
            "figures": "figures",
            "tables": "figures",
            "tensorboard": "figures",
            "halo_ps/tensorboard": "figures",
            "config.json": "config.json",
            "table.csv": "table.csv",
            "report.html": "table.csv",
            "halo_ps/rounds.csv": ".bashrc",
            "halo_ps/labels.csv": "nothing",
        }.items()
    },
    "the lock is a link": (
        link(LOCK, ".bashrc"),
        BOTH,
        RecordError,
        r"run: cannot take its lock \.halo_jax\.lock \(it is no file of its own\)$",
    ),
    "the lock is another name of a file": (
        lambda run, victim: (run / LOCK).hardlink_to(victim / ".bashrc"),
        BOTH,
        RecordError,
        r"run: cannot take its lock \.halo_jax\.lock \(it is no file of its own\)$",
    ),
    "the lock is a pipe": (
        lambda run, victim: os.mkfifo(run / LOCK),
        BOTH,
        RecordError,
        r"run: cannot take its lock \.halo_jax\.lock \(it is no file of its own\)$",
    ),
    "an arm names somebody else's run": (
        lambda run, victim: (shutil.copytree(victim, run / "thesis"), configure(run, arms=[*ARMS, "thesis"])),
        (overwrite,),
        ConfigError,
        r"run/thesis holds another run \(rounds=7 there, 3 here\); move it out of .*run$",
    ),
    "more runs than can be planned": (
        set_config(arms=[f"a{number}" for number in range(1000)], seeds=[*range(1000)]),
        BOTH,
        ConfigError,
        NOT_OURS % "1000 of seeds, 1000 of arms make 1000000 runs",
    ),
    "a file in place of an arm": (
        lambda run, victim: (shutil.rmtree(run / "halo_ps"), (run / "halo_ps").write_text("precious")),
        BOTH,
        RecordError,
        r"run/halo_ps is a file, where a run has a folder; move it away$",
    ),
    "notes in place of an arm": (
        lambda run, victim: (shutil.rmtree(run / "halo_ps"), shutil.copytree(victim / "figures", run / "halo_ps")),
        BOTH,
        ConfigError,
        r"run/halo_ps is not empty and not a run folder; use another --workdir$",
    ),
    "a table with a long wrong cell": (
        say_in_table("clients.csv", "energy_mj", "x" * 100_000),
        (go_on, report),
        RecordError,
        r"line 2: energy_mj is 'x{80}'; right: a number",
    ),
    "nothing but line feeds": (
        lambda run, victim: (run / "halo_ps" / "rounds.csv").write_text(
            (run / "halo_ps" / "rounds.csv").read_text().split("\n")[0] + "\n" * 2**24
        ),
        (report,),
        RecordError,
        r"/halo_ps/rounds\.csv: line 2 has 0 cells, not ",
    ),
    "an arm's config is somebody else's": (
        lambda run, victim: (run / "halo_ps" / "config.json").write_text("{}"),
        BOTH,
        ConfigError,
        NOT_OURS.replace("run/", "run/halo_ps/") % "name is missing",
    ),
    "a folder in place of a table": (
        lambda run, victim: (run / "halo_ps" / "table.csv").mkdir(),
        (overwrite,),
        RecordError,
        r"run/halo_ps/table\.csv is a folder, where a run has a file; move it away$",
    ),
    "a file in place of the checkpoints": (
        lambda run, victim: (run / "checkpoints").write_text("precious"),
        (overwrite,),
        RecordError,
        r"run/checkpoints is a file, where a run has a folder; move it away$",
    ),
    "an infinite cost": (
        say_in_table("clients.csv", "energy_mj", "inf"),
        (go_on, report),
        RecordError,
        r"/halo_ps/clients\.csv: line 2: energy_mj is 'inf'; right: a number from 0 to 1e\+30; ",
    ),
    "a client beyond all": (
        say_in_table("clients.csv", "client", str(2**40)),
        (go_on, report),
        RecordError,
        r"/halo_ps/clients\.csv: client 1099511627776 of num_clients=20, which count from 0; ",
    ),
    "a layer that obeys the terminal": (
        say_in_table("clients.csv", "dead_layer", "\x1b[2J"),
        (go_on, report),
        RecordError,
        r"line 2: dead_layer is '\\x1b\[2J'; right: a printable text; ",
    ),
    "labels of clients that are not in order": (
        say_in_table("labels.csv", "client", "1"),
        (go_on, report),
        RecordError,
        r"/halo_ps/labels\.csv: not a row for each client, from client 0 on, and a column for each class; ",
    ),
    "accuracies of clients that are a number": (
        say_in_summary(client_accuracy=0.5),
        (go_on, report),
        RecordError,
        r"/halo_ps/summary\.json: client_accuracy is 0\.5; right: a list of numbers from 0 to 1",
    ),
    "accuracies of clients that are texts": (
        say_in_summary(client_accuracy=["much"]),
        (go_on, report),
        RecordError,
        r"/halo_ps/summary\.json: client_accuracy is \['much'\]; right: a list of numbers from 0 to 1",
    ),
    "a model whose digest is markup": (
        say_in_summary(model_sha256="[/x]"),
        (go_on, report),
        RecordError,
        r"/halo_ps/summary\.json: model_sha256 is '\[/x\]'; right: 64 hexadecimal digits; ",
    ),
}


@pytest.mark.parametrize(
    ("change", "use", "kind", "line"),
    [
        pytest.param(change, use, kind, line, id=f"{use.__name__}: {name}")
        for name, (change, ways, kind, line) in FAULTS.items()
        for use in ways
    ],
)
def test_what_a_stranger_made_is_one_line_and_stays_as_it_is(folder, change, use, kind, line):
    change(folder, folder.parent / "victim")
    before = content(folder.parent)
    with pytest.raises(kind, match=line) as caught:
        use(folder)
    assert type(caught.value) is kind
    assert str(caught.value).isprintable()
    assert content(folder.parent) == before


def test_overwrite_leaves_what_the_owner_has_put_beside(folder):
    for name in ("notes.txt", "figures/mine.svg", "halo_ps/checkpoints/9", "halo_ps/checkpoints/.git"):
        (folder / name).write_text("precious")
    for name in ("halo_ps/checkpoints/8", "8-8-8/checkpoints/.ssh"):
        (folder / name).mkdir()
    overwrite(folder)
    assert {re.sub("set_aside_.*", "set_aside", name) for name in content(folder)} == {
        *("notes.txt", "figures", "figures/mine.svg", "halo_ps", "8-8-8"),
        *("halo_ps/checkpoints", "halo_ps/checkpoints/9.set_aside", "halo_ps/checkpoints/8.set_aside"),
        *("halo_ps/checkpoints/.git", "8-8-8/checkpoints", "8-8-8/checkpoints/.ssh"),
    }
    with Checkpoints(folder / "halo_ps") as checkpoints:  # which what is set aside does not disturb
        assert checkpoints.restore(()) == (0, ())


def test_the_run_folder_itself_may_be_a_link(folder):
    elsewhere = folder.rename(folder.parent / "larger disk")
    folder.symlink_to(elsewhere)
    go_on(folder)
    overwrite(folder)
    assert content(elsewhere) == {}


def test_a_draft_of_a_known_name_is_not_followed(folder):
    victim = folder.parent / "victim" / ".bashrc"
    for name in (".config.json.tmp", ".rounds.csv.tmp", ".summary.json.tmp"):
        (folder / "halo_ps" / name).symlink_to(victim)
        (folder / name).symlink_to(victim)
    overwrite(folder)
    run_folder.create(folder, config_of_the_run().to_dict())
    assert victim.read_bytes() == b"precious"


def test_drafts_of_launches_that_were_killed_are_cleared_away_and_nothing_else(folder):
    for name in ("config.json", "halo_ps/rounds.csv", "figures/a.png"):
        safe_files.draft_of(folder / name).write_text("half")
    (folder / ".hidden").write_text("precious")
    before = content(folder)
    go_on(folder)
    after = content(folder)
    assert sorted(before.keys() - after.keys()) == sorted(name for name in before if name.endswith("halo_jax-draft"))
    assert len(before.keys() - after.keys()) == 3


def test_an_experiment_is_not_deleted_while_a_launch_is_running_inside(folder):
    configure(folder, arms=["8-8-8"], seeds=[1, 2])
    for seed in (1, 2):
        shutil.copytree(folder / "halo_ps", folder / f"seed_{seed}")
    before = content(folder)
    with lock(folder / "seed_2"), pytest.raises(RecordError, match=r"seed_2: another launch is running"):
        overwrite(folder)
    assert content(folder) == before
    overwrite(folder)
    assert not (folder / "seed_1").exists()


def test_a_report_replaces_no_link(folder):
    (folder.parent / "report").mkdir()
    (folder.parent / "report" / "runs.json").write_text("{}")
    (folder.parent / "report" / "figures").symlink_to(folder.parent / "victim" / "figures")
    before = content(folder.parent)
    with pytest.raises(ConfigError, match=r"report/figures is a link; "):
        report(folder)
    assert content(folder.parent) == before


def test_folders_nested_1500_deep_hold_no_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")
    with pytest.raises(
        ConfigError, match=r"holds no run; right: a folder with config\.json and rounds\.csv at any depth"
    ):
        compare_runs.compare([tmp_path], tmp_path / "report")
    os.chdir(tmp_path)
    subprocess.run(["rm", "-r", "d"], check=True)  # which pytest could not


@pytest.mark.slow
def test_deletion_follows_no_name_from_the_command_line_either(folder):
    configure(folder, arms=[], seeds=["x/../../victim"])
    (folder / "seed_x").mkdir()
    before = content(folder.parent)
    done = start(f"--workdir={folder}", "--overwrite")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {folder}/config.json is not the config of a run")
    assert done.stderr.count("\n") == 1
    assert content(folder.parent) == before


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"seeds": tuple(range(1001))}, r"^seeds=.*; allowed: at most 1000 whole numbers from 0"),
        (
            {"arms": tuple(f"qsgd:levels={n}" for n in range(1001))},
            r"^arms=.*; allowed: at most 1000 selectors, precisions",
        ),
        (
            {"seeds": tuple(range(200)), "arms": tuple(f"qsgd:levels={n + 1}" for n in range(51))},
            r"^200 of seeds, 51 of arms make 10200 runs; allowed: at most 10000$",
        ),
    ],
)
def test_more_than_can_be_planned_is_one_line(tmp_path, fields, words):
    config = config_of_the_run(**fields)
    with pytest.raises(ConfigError, match=words):
        plan.plan(config, tmp_path)
