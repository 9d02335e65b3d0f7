"""Where the tests of data sets run: a place without data, and a Python without TensorFlow."""

import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

from halo_jax.datasets import fashion_mnist
from halo_jax.datasets.base import DatasetError

FIXTURES = Path(__file__).parent / "fixtures"  # made by make_fixtures.py


class _WithoutTensorFlow(PathFinder):
    """Finds what Python finds but TensorFlow, so that it is not installed where it is."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        hidden = fullname.partition(".")[0] == "tensorflow"
        return None if hidden else super().find_spec(fullname, path, target)


def go_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory and a home without data; the Debian package is out of sight too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fashion_mnist, "DEBIAN_DIR", str(tmp_path / "debian"))
    return tmp_path


def hide_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    finders = [_WithoutTensorFlow if finder is PathFinder else finder for finder in sys.meta_path]
    monkeypatch.setattr(sys, "meta_path", finders)


def message_of(load, *args) -> str:
    """The one line that `load` raises."""
    with pytest.raises(DatasetError) as caught:
        load(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)
