"""Data of strangers do no harm: each kind is one line, takes little memory and time, and nothing else is touched."""

import importlib
import re
import sys
from functools import partial
from pathlib import Path

import pytest

from halo_jax import datasets
from tests.datasets import faults_in_archives, faults_in_arrays, faults_in_descriptions, faults_in_images

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments" / "proofs"))
confined = importlib.import_module("confined")
DATASETS = Path(datasets.__file__).parent
TABLES = faults_in_images.ROWS, faults_in_arrays.ROWS, faults_in_archives.ROWS, faults_in_descriptions.ROWS
ROWS = {name: row for table in TABLES for name, row in table.items()}


def test_rows_of_all_tables_are_in_one():
    assert len(ROWS) == sum(map(len, TABLES))


READERS = [path for path in DATASETS.glob("*.py") if path.stem not in ("prepare", "tiny_imagenet_builder")]
# What reads more than it is told, starts programs, imports what a file names, or opens what is no regular file
UNBOUNDED = re.compile(
    r"\bimport (tarfile|gzip|bz2|lzma|scipy|pickle)|\b(np\.load|builder_from_directory)\b"
    r"|(read_bytes|read_text)\(\)|(?<![\w.])open\(|path\.open\(|Image\.open\((?!.*\bformats=)|extractall"
)


@pytest.mark.parametrize("path", READERS, ids=lambda path: path.stem)
def test_readers_use_nothing_that_reads_more_than_it_is_told(path):
    lines = [line.partition("#")[0] for line in path.read_text().splitlines()]
    code = re.sub(r'"""(?s:.*?)"""', "", "\n".join(lines))
    assert not UNBOUNDED.findall(code)


@pytest.mark.skipif(sys.platform != "linux", reason="a process knows its memory from /proc")
@pytest.mark.parametrize(("dataset", "make", "line"), ROWS.values(), ids=ROWS)
def test_each_fault_is_one_line_and_takes_little(tmp_path, dataset, make, line):
    make(tmp_path)
    data_dir = tmp_path / "own.npz" if dataset == "npz" else tmp_path
    came = confined.confined(partial(datasets.load, dataset, str(data_dir)), datasets.DatasetError, tmp_path)
    assert came.kind == "refused", came.line
    assert re.search(line, came.line), came.line
    assert came.megabytes < 500
