"""The public face: what type checkers see is what there is, each name is loaded on first use, and data are packed."""

import ast
import fnmatch
import subprocess
import sys
import tomllib
from pathlib import Path

import halo_jax as hj

ROOT = Path(__file__).parents[1]


def imported_for_type_checkers() -> set[str]:
    blocks = [
        node
        for node in ast.parse(Path(hj.__file__).read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    return {alias.asname or alias.name for block in blocks for node in block.body for alias in node.names}


def test_the_lists_of_public_names_are_the_same_and_each_name_is_there():
    assert imported_for_type_checkers() == set(hj.__all__) == {*hj._NAMESPACES, *hj._NAMES}
    for name in hj.__all__:
        assert getattr(hj, name) is not None
    assert set(hj.__all__) <= set(dir(hj))


def test_nothing_heavy_is_loaded_before_it_is_used():
    code = "import sys, halo_jax; sys.exit(bool({'jax', 'flax', 'matplotlib'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_every_file_that_is_no_module_is_package_data():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["halo_jax"]
    package = ROOT / "halo_jax"
    files = [path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()]
    data = [name for name in files if not name.endswith((".py", ".pyc"))]
    assert any(name.endswith(".cc") for name in data)
    assert [name for name in data if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)] == []
