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
TABLES = faults_in_images.ROWS, faults_in_arrays.ROWS, faults_in_archives.ROWS, faults_in_descriptions.ROWS
ROWS = {name: row for table in TABLES for name, row in table.items()}


def test_rows_of_all_tables_are_in_one():
    assert len(ROWS) == sum(map(len, TABLES))


@pytest.mark.parametrize(("dataset", "make", "line"), ROWS.values(), ids=ROWS)
def test_each_fault_is_one_line_and_takes_little(tmp_path, dataset, make, line):
    make(tmp_path)
    data_dir = tmp_path / "own.npz" if dataset == "npz" else tmp_path
    came = confined.confined(partial(datasets.load, dataset, str(data_dir)), datasets.DatasetError, tmp_path)
    assert came.kind == "refused", came.line
    assert re.search(line, came.line), came.line
    assert came.megabytes < 500
