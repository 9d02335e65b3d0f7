"""Whatever is damaged, missing or full, a launch goes on with the bits of a run without faults or ends in one line."""

import contextlib
import errno
import json
import os
import re
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from halo_jax import figures
from halo_jax.config import Config, ConfigError
from halo_jax.config.arms import expand_arms
from halo_jax.datasets import DatasetError
from halo_jax.records import run_folder as record
from halo_jax.records.checkpoint import CheckpointError, Checkpoints
from halo_jax.records.files import RecordError
from halo_jax.reporting import arm_table, html_page
from halo_jax.runner import run_experiment
from halo_jax.runner.build import assemble_all
from halo_jax.runner.compiled_rounds import Programs
from halo_jax.runtime import safe_files
from halo_jax.runtime.safe_files import draft_of
from tests.datasets.idx_files import idx_bytes, write_mnist
from tests.toy_run import launch, toy_config, without_seconds

TABLES = ("clients.csv", "rounds.csv", "fingerprints.csv")
NEWEST, OLDER = "checkpoints/3", "checkpoints/2"  # of the stopped run
ADVICE = "put a good copy back, or start anew with --overwrite$"

Damage = Callable[[Path], object]


def config_of_the_run() -> Config:
    config = toy_config(arms=(), checkpoint_every=1)
    config.selector.name = "static"
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a run without faults."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    launch(config_of_the_run(), folder)
    return folder


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The folder of the same run, stopped before round 4 is recorded; it has checkpoints 2 and 3."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    append = record.append

    def stop(path, row, *others):
        if row.round == 4:
            raise KeyboardInterrupt
        append(path, row, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record, "append", stop)
        with pytest.raises(KeyboardInterrupt):
            launch(config_of_the_run(), folder)
    assert sorted(os.listdir(folder / "checkpoints")) == ["2", "3"]
    return folder


@pytest.fixture(scope="module")
def federations_and_programs():
    federations = assemble_all(expand_arms(config_of_the_run()))
    return federations, Programs()


@pytest.fixture
def run_folder(tmp_path, request, federations_and_programs, monkeypatch) -> Path:
    """A copy of the folder that a fixture makes. What does not depend on it is made once, for speed."""
    federations, programs = federations_and_programs
    monkeypatch.setattr(run_experiment, "assemble_all", lambda *_: federations)
    monkeypatch.setattr(run_experiment, "Programs", lambda: programs)
    if "figures" not in request.node.name:
        monkeypatch.setattr(figures, "save_all", lambda *_: {})
    return Path(shutil.copytree(request.getfixturevalue(request.param), tmp_path / "run"))


def assert_equal_to(finished: Path, folder: Path) -> None:
    for name in ("clients.csv", "fingerprints.csv"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes(), name
    assert without_seconds(folder / "rounds.csv") == without_seconds(finished / "rounds.csv")
    hashes = [json.loads((path / "summary.json").read_bytes())["model_sha256"] for path in (folder, finished)]
    assert hashes[0] == hashes[1]
    assert len(hashes[0]) == 64
    assert {"report.html", "table.csv"} <= set(os.listdir(folder))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fault_of(config: Config, folder: Path, kind: type[Exception], line: str) -> None:
    """Launch, and see that it ends in one line of that kind."""
    with pytest.raises(kind) as caught:
        launch(config, folder)
    assert type(caught.value) is kind
    text = str(caught.value)
    assert text.isprintable(), text  # which no text of two lines is
    assert re.search(line, text), text


def remove(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def put(name: str, data: bytes) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.write_bytes(data)

    return damage


def put_folder(name: str) -> Damage:
    return both(remove(name), lambda folder: (folder / name).mkdir())


def edit(name: str, pattern: bytes, replacement: bytes) -> Damage:
    """Replace the first match."""

    def damage(folder: Path) -> None:
        text, count = re.subn(pattern, lambda _: replacement, (folder / name).read_bytes(), count=1)
        assert count == 1
        (folder / name).write_bytes(text)

    return damage


def add(name: str, data: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes() + data)


def change_largest(name: str, change: Callable[[bytes], bytes]) -> Damage:
    """Change the file of a checkpoint that holds most of its arrays."""

    def damage(folder: Path) -> None:
        path = max(
            (path for path in (folder / name).rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
        )
        path.write_bytes(change(path.read_bytes()))

    return damage


def both(*damages: Damage) -> Damage:
    return lambda folder: [damage(folder) for damage in damages]


def noise(data: bytes) -> bytes:
    return np.random.default_rng(0).bytes(len(data))


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


ROW_1 = rb"(?<=\n)1,"  # the first row of a table begins
LAST_ROUNDS = rb"(?s)(?<=\n)2,.*"
GOES_ON = r"/checkpoints: checkpoint 3 is damaged \(.*%s\); going on after round 2$"

# What is done to the stopped run; the line that says so, if any. The launch goes on.
TOLERATED: dict[str, tuple[Damage, str]] = {
    "nothing": (lambda folder: None, ""),
    "checkpoint without digests": (remove(f"{NEWEST}/sha256.json"), GOES_ON % "sha256.json is missing.*"),
    "checkpoint without its metadata": (remove(f"{NEWEST}/state/_METADATA"), GOES_ON % "_METADATA is missing"),
    "checkpoint cut off": (change_largest(NEWEST, half), GOES_ON % "is not what was written"),
    "checkpoint of noise": (change_largest(NEWEST, noise), GOES_ON % "is not what was written"),
    "checkpoint is a file": (put(NEWEST, b"x"), GOES_ON % "sha256.json is missing.*"),
    "checkpoint half written": (lambda folder: (folder / NEWEST).rename(draft_of(folder / NEWEST)), ""),
    "drafts of files": (lambda folder: [draft_of(folder / name).write_text("") for name in TABLES], ""),
    "checkpoint of a terabyte": (
        lambda folder: os.truncate(folder / NEWEST / "state/_METADATA", 2**40),
        GOES_ON % "its files have .* bytes, more than .*",
    ),
    **{f"half a row in {name}": (add(name, b"4,1"), "") for name in TABLES},
    "summary.json of a run without an end": (lambda folder: (folder / "summary.json").write_text("{}"), ""),
}

# fault: (what is done, to which run; the kind and the line). Nothing is deleted, and nothing is trained.
FATAL: dict[str, tuple[Damage, str, type[Exception], str]] = {
    "all checkpoints damaged": (
        both(change_largest(NEWEST, noise), remove(f"{OLDER}/sha256.json")),
        "stopped",
        CheckpointError,
        r"checkpoint 3 is damaged \(.*\), checkpoint 2 is damaged \(.*\); none is whole: " + ADVICE,
    ),
    "checkpoints is a file": (
        put("checkpoints", b"x"),
        "stopped",
        RecordError,
        r"/checkpoints is a file, where a run has a folder; move it away$",
    ),
    "config.json is cut off": (
        put("config.json", b"{"),
        "stopped",
        RecordError,
        r"/config\.json: .*line 1.*--workdir$",
    ),
    "config.json is not text": (
        put("config.json", b"\xff\x00"),
        "stopped",
        RecordError,
        r"/config\.json: .*--workdir$",
    ),
    "config.json is a list": (put("config.json", b"[1]"), "stopped", RecordError, r"/config\.json: not a JSON object;"),
    "config.json of something else": (
        put("config.json", b'{"arms": []}'),
        "stopped",
        ConfigError,
        r"/config\.json is not the config of a run of this version \(name is missing\); use another --workdir$",
    ),
    "config.json of another run": (
        edit("config.json", rb'"rounds": 4', b'"rounds": 5'),
        "stopped",
        ConfigError,
        r"holds another run \(rounds=5 there, 4 here\); use another --workdir or --overwrite$",
    ),
    "config.json is missing": (
        remove("config.json"),
        "stopped",
        ConfigError,
        r" is not empty and not a run folder; use another --workdir$",
    ),
    "summary.json is cut off": (
        put("summary.json", b'{"finished": tr'),
        "finished",
        RecordError,
        r"/summary\.json: .*line 1 .*" + ADVICE,
    ),
    "summary.json is not text": (
        put("summary.json", b"\xff\x00"),
        "finished",
        RecordError,
        r"/summary\.json: .*" + ADVICE,
    ),
    "summary.json is a number": (
        put("summary.json", b"1"),
        "finished",
        RecordError,
        r"/summary\.json: not a JSON object; " + ADVICE,
    ),
    "summary.json without the model": (
        put("summary.json", b'{"finished": true}'),
        "finished",
        RecordError,
        r"/summary\.json: the run is finished, but model_sha256 is missing; " + ADVICE,
    ),
}
for table in TABLES:
    for base, what, damage, line in (
        ("stopped", "is missing", remove(table), "No such file or directory; "),
        ("stopped", "is empty", put(table, b""), "the first line is not round,"),
        ("stopped", "has another header", edit(table, b"^round", b"rounds"), "the first line is not round,"),
        ("stopped", "has a wrong cell", edit(table, ROW_1, b"one,"), "line 2: round is 'one'; right: a whole number"),
        ("stopped", "has too few cells", edit(table, ROW_1, b"1,2\n1,"), r"line 2 has 2 cells, not \d+"),
        ("stopped", "has too many cells", edit(table, ROW_1, b"1,1,1,"), r"line 2 has \d+ cells, not \d+"),
        ("stopped", "is not UTF-8", edit(table, ROW_1, b"\xff,"), "'utf-8' codec can't decode byte 0xff"),
        ("stopped", "begins with NUL bytes", edit(table, ROW_1, b"\0\0"), "line 2 has "),
        ("stopped", "ends in NUL bytes", edit(table, rb"\n$", b"\0\n"), r"line \d+.*x00.*; right: "),
        (
            "stopped",
            "has lost a round",
            edit(table, LAST_ROUNDS, b""),
            "(round 2 is missing; cannot resume after round 3|not all of rounds 1 to 3, which rounds.csv has)",
        ),
        ("finished", "is missing", remove(table), "No such file or directory; "),
        ("finished", "has a wrong cell", edit(table, ROW_1, b"one,"), "line 2: round is 'one'; right: a whole number"),
        ("finished", "has lost a round", edit(table, LAST_ROUNDS, b""), "this is not all of rounds 1 to 4; "),
    ):
        FATAL[f"{table} of a {base} run {what}"] = (damage, base, RecordError, f"/{table}: .*{line}.*{ADVICE}")

    wrong = rf"/{table} is a folder, where a run has a file; move it away$"
    FATAL[f"{table} of a stopped run is a folder"] = (put_folder(table), "stopped", RecordError, wrong)

IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
INFO = "mnist/3.0.1/dataset_info.json"
BROKEN_GZIP = r"\.gz: found broken gzip data \(.+\); right: a whole gzip file; fetch it again$"
UNREADABLE = r"/mnist/3\.0\.1: tensorflow_datasets cannot read it \(.+\); right: a whole data set"

# fault: (what is done to a data folder, the folder, the line). The kind is DatasetError.
DATA: dict[str, tuple[Damage, str, str]] = {
    "no folder": (shutil.rmtree, "idx", r"mnist: neither IDX files nor a tensorflow_datasets build in .*; to get it: "),
    "a file is missing": (remove(IMAGES), "idx", rf"/{IMAGES[:-3]}: found neither this nor {IMAGES}; right: all four"),
    "wrong magic number": (
        put(IMAGES, b"\0\0\x0d\x03" + idx_bytes(np.zeros((2, 28, 28)))[4:]),
        "idx",
        r"found magic number 0x00000d03; right: 0x00000803",
    ),
    "gzip file cut off": (change_largest(".", half), "idx", BROKEN_GZIP),
    "gzip file of noise": (put(IMAGES, b"\x1f\x8b" + noise(b"x" * 99)), "idx", BROKEN_GZIP),
    "images of another size": (
        lambda folder: write_mnist(folder, gz=True, side=14),
        "idx",
        r"found images of \(14, 14, 1\) in 10 classes; right: \(28, 28, 1\) in 10 classes$",
    ),
    "a label out of range": (
        put(LABELS, idx_bytes(np.arange(20))),
        "idx",
        r"mnist train: found labels from 0 to 19; right: 0 to 9$",
    ),
    "fewer labels than images": (
        put(LABELS, idx_bytes(np.zeros(19))),
        "idx",
        rf"/{LABELS}: found 19 labels; right: 20, one per image in {IMAGES}$",
    ),
    "no images": (
        both(put(LABELS, idx_bytes(np.zeros(0))), put(IMAGES, idx_bytes(np.zeros((0, 28, 28))))),
        "idx",
        r"mnist train: found images uint8 \(0, 28, 28, 1\); right: ",
    ),
    "fewer images than asked for": (
        lambda folder: write_mnist(folder, gz=True, train=12),
        "idx",
        r"mnist train: 16 examples asked for; right: 0 to the 12 there are$",
    ),
    "a broken dataset_info.json": (put(INFO, b'{"name": '), "prepared", UNREADABLE),
    "a dataset_info.json that is not text": (put(INFO, b"\xff\0\n"), "prepared", UNREADABLE),
    "an unknown version": (edit(INFO, rb'"3\.0\.1"', b'"new\\n\\u0007"'), "prepared", UNREADABLE),
    "no features.json": (remove("mnist/3.0.1/features.json"), "prepared", UNREADABLE),
    "a broken features.json": (put("mnist/3.0.1/features.json", b"{"), "prepared", UNREADABLE),
}


@pytest.mark.slow
@pytest.mark.parametrize("run_folder", ["stopped"], indirect=True)
@pytest.mark.parametrize(("damage", "line"), TOLERATED.values(), ids=TOLERATED)
def test_a_launch_after_a_fault_goes_on_with_the_bits_of_a_run_without_faults(finished, run_folder, damage, line):
    damage(run_folder)
    said = launch(config_of_the_run(), run_folder).splitlines()
    assert [text for text in said if "damaged" in text] == [text for text in said if line and re.search(line, text)]
    assert sum("damaged" in text for text in said) == bool(line)
    assert_equal_to(finished, run_folder)


@pytest.mark.parametrize(
    ("run_folder", "damage", "kind", "line"),
    [pytest.param(base, damage, kind, line, id=name) for name, (damage, base, kind, line) in FATAL.items()],
    indirect=["run_folder"],
)
def test_what_no_launch_can_go_on_from_is_one_line_and_stays_as_it_is(run_folder, damage, kind, line, monkeypatch):
    damage(run_folder)
    before = content(run_folder)
    monkeypatch.setattr(record, "append", lambda *_: pytest.fail("trained"))
    fault_of(config_of_the_run(), run_folder, kind, line)
    assert content(run_folder) == before


def limit_files(size: int) -> None:
    """Files cannot grow beyond `size` bytes, as on a full disk; -1 for no limit."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@pytest.mark.parametrize("run_folder", ["stopped"], indirect=True)
@pytest.mark.parametrize(
    ("owner", "before", "size", "kind", "line"),
    [
        (record, "resume", 0, RecordError, r"/clients\.csv: File too large$"),
        (record, "append", 1300, RecordError, r"/clients\.csv: File too large$"),
        (
            Checkpoints,
            "save",
            0,
            CheckpointError,
            r"/checkpoints: cannot write checkpoint 4 \(.+\); older ones are kept: ",
        ),
        (record, "finish", 0, RecordError, r"/summary\.json: File too large$"),
        (arm_table, "table", 0, RecordError, r"/table\.csv: File too large$"),
        (figures, "save_all", 400, RecordError, r"/figures/\w+\.png: File too large$"),
        (html_page, "html", 400, RecordError, r"/report\.html: File too large$"),
    ],
    ids=["resume", "append", "save", "finish", "table", "figures", "page"],
)
def test_a_full_disk_is_one_line_and_the_same_command_goes_on_once_there_is_room(
    finished, run_folder, monkeypatch, owner, before, size, kind, line
):
    real = getattr(owner, before)

    def full(*args, **options):
        limit_files(size)
        return real(*args, **options)

    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    with monkeypatch.context() as patch, contextlib.ExitStack() as stack:
        stack.callback(limit_files, unlimited)
        patch.setattr(owner, before, full)
        fault_of(config_of_the_run(), run_folder, kind, line)
    assert not list(run_folder.rglob("*draft"))
    launch(config_of_the_run(), run_folder)
    assert_equal_to(finished, run_folder)


@pytest.mark.parametrize("run_folder", ["stopped"], indirect=True)
@pytest.mark.parametrize("table", TABLES)
def test_a_round_that_finds_the_disk_full_is_one_line_and_is_trained_again(finished, run_folder, monkeypatch, table):
    append = safe_files.append

    def full(path, data):
        append(path, data[: len(data) // 2] if path.name == table else data)
        if path.name == table:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(safe_files, "append", full)
        fault_of(config_of_the_run(), run_folder, RecordError, rf"/{table}: No space left on device$")
    launch(config_of_the_run(), run_folder)
    assert_equal_to(finished, run_folder)


@pytest.mark.parametrize(("damage", "source", "line"), DATA.values(), ids=DATA)
def test_data_that_are_missing_or_wrong_are_one_line_and_no_folder_is_made(tmp_path, damage, source, line):
    data = tmp_path / "data"
    if source == "idx":
        write_mnist(data, gz=True)
    else:
        shutil.unpack_archive(Path(__file__).parents[1] / "datasets" / "fixtures" / "tfds_mnist.zip", data)
    config = config_of_the_run()
    config.dataset, config.data_dir, config.train_examples, config.test_examples = "mnist", str(data), 16, 8
    damage(data)
    fault_of(config, tmp_path / "run", DatasetError, line)
    assert not (tmp_path / "run").exists()
