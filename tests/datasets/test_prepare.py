import importlib.util
import sys
from pathlib import Path

import pytest

from halo_jax.datasets import DATASETS, VARIANTS, prepare
from halo_jax.datasets.base import DatasetError

PROGRAM = Path(__file__).parents[2] / "experiments" / "prepare.py"


@pytest.fixture
def program():
    spec = importlib.util.spec_from_file_location("prepare_program", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_can_be_prepared_is_what_can_be_loaded():
    assert {name.partition("/")[0] for name in prepare.NAMES} <= DATASETS.keys()
    assert {name for name in prepare.NAMES if "/" in name} == {f"emnist/{variant}" for variant in VARIANTS["emnist"]}


def test_it_says_where_data_are_and_what_to_run_next(program, monkeypatch, capsys):
    asked = []

    def made(*arguments):
        asked.append(arguments)
        return prepare.Prepared(Path("there/1.0.0"), 50_000, 10_000)

    monkeypatch.setattr(program, "prepare", made)
    assert program.main(["cifar10", "emnist/letters", "--data_dir=there", "--manual_dir=here"]) == 0
    assert asked == [("cifar10", "there", "here"), ("emnist/letters", "there", "here")]
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == [
        "cifar10: 50000 training and 10000 test images in there/1.0.0",
        "next: python launch.py --config.dataset=cifar10 --config.data_dir=there",
    ]


@pytest.mark.parametrize("module", ["tensorflow", "importlib_resources"])
def test_without_tensorflow_it_is_one_line(program, monkeypatch, capsys, module):
    real = importlib.util.find_spec
    there = sys.modules[__name__].__spec__
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == module else real(name, *rest) or there
    )
    assert program.main(["cifar10"]) == 2
    line = f"preparing needs {module}, which is missing; to get it: pip install -e '.[prepare]'"
    assert capsys.readouterr().err == f"error: {line}\n"


def test_an_unknown_name_is_one_line():
    with pytest.raises(DatasetError, match="'imagenet' cannot be prepared; known: cifar10, emnist, emnist/balanced, "):
        prepare.prepare("imagenet")


def test_a_failed_download_is_one_line(monkeypatch):
    def fail(name, data_dir):
        raise ConnectionError(f"no way to {name}\nmore lines")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: sys.modules[__name__].__spec__)
    monkeypatch.setattr(prepare, "_builder", fail)
    with pytest.raises(DatasetError) as caught:
        prepare.prepare("cifar10")
    assert str(caught.value) == (
        "cifar10: tensorflow_datasets cannot prepare it (no way to cifar10); "
        "an archive that is at hand is taken from --manual_dir"
    )
