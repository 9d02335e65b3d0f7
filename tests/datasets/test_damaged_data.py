"""Damaged data in short: of a hundred damaged files each is one line or data; and what is not allowed is found."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from halo_jax.datasets import DatasetError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process knows its memory from /proc")
FOLDER = Path(__file__).parents[2] / "experiments" / "proofs"
sys.path.insert(0, str(FOLDER))  # as it is for a script in that folder
launches, confined, damaged_data, data_forms, highway_hash = (
    importlib.import_module(name) for name in ("launches", "confined", "damaged_data", "data_forms", "highway_hash")
)


@pytest.mark.slow
def test_a_hundred_damaged_files_are_one_line_or_data(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(launches, "RESULTS", tmp_path)
    assert damaged_data.main(["--count=124", "--seed=7"]) == 0, capsys.readouterr().out
    result = json.loads((tmp_path / "damaged_data.json").read_text())
    assert len(result["came"]) == 31
    kinds = [kind for counts in result["came"].values() for kind, count in counts.items() for _ in range(count)]
    assert len(kinds) == 124
    assert 10 < kinds.count("loaded") < 62
    assert kinds.count("refused") + kinds.count("loaded") == 124


@pytest.mark.slow
def test_a_case_is_always_the_same_file(tmp_path):
    made = []
    for place in (tmp_path / "a", tmp_path / "b"):
        forms = data_forms.make(place)
        good = {path: path.read_bytes() for form in forms.values() for path in form.files}
        made.append([damaged_data.try_case(forms, good, 5, case)[2] for case in range(31)])
    assert made[0] == made[1]
    assert len({*made[0]}) > 25


def test_the_record_is_of_two_thousand_files_of_all_forms(tmp_path):
    result = json.loads((FOLDER / "results" / "damaged_data.json").read_text())
    assert result["cases"] >= 2000
    assert sum(sum(counts.values()) for counts in result["came"].values()) == result["cases"]
    assert result["came"].keys() == data_forms.make(tmp_path).keys()
    assert result["faults"] == []
    assert result["longest_s"] < confined.SECONDS
    assert result["most_megabytes"] < confined.MEMORY / 2**20


def broken(error):
    def load():
        raise error

    return load


STRICT = {
    "no error of ours": (broken(ValueError("x")), "FAULT", "ValueError: x"),
    "two lines": (broken(DatasetError("a\nb")), "FAULT", r"no line: 'a\nb'"),
    "a long line": (broken(DatasetError("a" * 9999)), "FAULT", "no line: "),
    "one line": (broken(DatasetError("a")), "refused", "a"),
    "nothing": (lambda: None, "loaded", ""),
    "too much memory": (lambda: np.ones(2**31, np.uint8), "FAULT", "MemoryError"),
    "too much time": (lambda: time.sleep(5), "FAULT", "ended by SIGALRM"),
    "a crash": (lambda: os.kill(os.getpid(), signal.SIGKILL), "FAULT", "ended by SIGKILL"),
    "an exit": (lambda: os._exit(3), "FAULT", "ended with status 3"),
    "a program": (lambda: subprocess.run(["true"]), "FAULT", "ran ['true']"),
    "a shell": (lambda: os.system("true"), "FAULT", "os.system"),
    "a connection": (lambda: urllib.request.urlopen("http://127.0.0.1:9"), "FAULT", "socket.connect"),
    "a file that is read elsewhere": (lambda: os.open("old", os.O_RDONLY), "FAULT", "/old with "),
    "a file that is made": (lambda: os.open("new", os.O_WRONLY | os.O_CREAT), "FAULT", "/new with "),
    "a file that is deleted": (lambda: os.remove("old"), "FAULT", "os.remove"),
}


@pytest.mark.parametrize(("load", "kind", "line"), STRICT.values(), ids=STRICT)
def test_what_a_load_may_not_do_is_found(tmp_path, monkeypatch, load, kind, line):
    monkeypatch.setattr(confined, "SECONDS", 1)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").touch()
    (tmp_path / "data").mkdir()
    came = confined.confined(load, DatasetError, tmp_path / "data")
    assert came.kind == kind, came.line
    assert line in came.line
    assert came.seconds < 3


def test_memory_is_measured(tmp_path):
    came = confined.confined(lambda: np.ones(2**28, np.uint8), DatasetError, tmp_path)
    assert 250 < came.megabytes < 400


def test_hashes_of_records_are_those_of_the_library(tmp_path):
    place = data_forms.make(tmp_path)["prepared"].data_dir / "mnist" / "3.0.1"
    raw = (place / "mnist-train.array_record-00000-of-00001").read_bytes()
    size = int.from_bytes(raw[72:80], "little")
    for at, end, hashed in ((80, 88, raw[104 : 104 + size]), (64, 72, raw[72:104])):
        assert int.from_bytes(raw[at:end], "little") == highway_hash.highway_hash(hashed)
