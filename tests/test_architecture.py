"""The house holds: who imports whom, where a table's entries live, and how long a function may be."""

import ast
import functools
import graphlib
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "halo_jax"
FILES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = {name.removesuffix(".__init__"): path for name, path in FILES.items() if name != "__init__"}
OUTSIDE = [ROOT / "launch.py", *sorted((ROOT / "experiments").rglob("*.py"))]
TABLES = {
    "datasets": "DATASETS",
    "models": "MODELS",
    "recipes": "RECIPES",
    "hardware": "PLATFORMS",
    "selectors": "SELECTORS",
    "compressors": "COMPRESSORS",
    "figures": "FIGURES",
    "studies": "STUDIES",
}

# Each room may import what stands above it, and an entry of one of ENTRIES never another of these.
LAW = (
    *("types", "paper", "parameters", "runtime", "numerics", "tracing"),
    *(ENTRIES := ("hardware", "selectors", "compressors", "recipes", "models", "datasets")),
    *("federation", "config", "records", "figures", "reporting", "runner", "studies"),
)
# What maps over an axis outside clients.py, with the reason.
MAPS = {
    "numerics.contraction": {"sequential_vmap"},  # a lifted contraction runs client by client
    "federation.local_data": {"vmap"},  # over the epochs of one client
    "federation.evaluation": {"vmap"},  # over the images of a batch: each has its own noise
    "datasets.generated": {"vmap"},  # over the images of a batch
}


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Every (module, name) that a file imports, wherever it stands; the name is "" for a plain `import`."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)


def ours(path: Path) -> set[str]:
    """The modules of the package that a file imports, without the package's name."""
    found = set()
    for module, name in imports(path):
        if module.split(".")[0] == "halo_jax":
            inner = module.removeprefix("halo_jax").removeprefix(".")
            deeper = f"{inner}.{name}".removeprefix(".")
            found.add(deeper if deeper in MODULES else inner)
    return found


def theirs(path: Path) -> set[str]:
    """The top-level names of other packages that a file imports."""
    return {module.split(".")[0] for module, _ in imports(path)} - {"halo_jax"}


def room_of(module: str) -> str:
    return module.partition(".")[0]


def allowed(room: str) -> set[str]:
    """The rooms that a module of `room` may import: its own and those above it."""
    if room == "runtime":
        return {room}
    above = set(LAW[: LAW.index(room)])
    return {room} | (above - set(ENTRIES) if room in ENTRIES else above)


each_module = pytest.mark.parametrize("module", MODULES)


def test_the_rooms_are_those_of_the_law_and_few_modules_stand_outside_of_them():
    assert {room_of(module) for module in MODULES} - {"__main__"} == set(LAW)
    assert len(list(PACKAGE.glob("*.py"))) <= 5


@each_module
def test_a_module_imports_its_own_room_and_those_above_it(module):
    if module != "__main__":  # the roof
        assert {room_of(name) for name in ours(MODULES[module])} <= allowed(room_of(module))


def test_the_modules_of_a_room_do_not_import_each_other_in_a_circle():
    graph = {name: ours(path) & MODULES.keys() - {name, room_of(name)} for name, path in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()


@each_module
def test_other_packages_are_imported_where_they_belong(module):
    packages = theirs(MODULES[module])
    folder = module.split(".")[0]
    assert module == "runner.command_line" or not packages & {"absl", "argparse", "optparse", "getopt", "click"}
    assert folder == "datasets" or "tensorflow_datasets" not in packages
    assert folder == "figures" or "matplotlib" not in packages
    if module in ("parameters", "config.schema", "config.fields"):
        assert packages <= {"ml_collections", *sys.stdlib_module_names}
    if module == "types":
        assert packages <= {"jax", "numpy", *sys.stdlib_module_names}


@pytest.mark.parametrize("path", [*FILES.values(), *OUTSIDE], ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_uses_the_internals_of_another_module(path):
    names = {name for module, name in imports(path) if module.startswith("halo_jax")}
    assert not [name for name in names if name.startswith("_")]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names:
            public = node.attr in ("_fields", "_replace", "_asdict")  # of every NamedTuple
            assert public or not re.match("_[a-z]", node.attr), f"{node.value.id}.{node.attr}"


@each_module
def test_only_clients_maps_over_clients(module):
    maps = {"vmap", "sequential_vmap", "custom_vmap", "pmap", "shard_map", "xmap"}
    found = set()
    for node in ast.walk(tree_of(MODULES[module])):
        name = getattr(node, "attr", getattr(node, "id", None))
        is_lax_map = isinstance(node, ast.Attribute) and ast.unparse(node) in ("lax.map", "jax.lax.map")
        if name in maps or is_lax_map:
            found.add(name)
    assert module == "federation.clients" or found <= MAPS.get(module, set())


@pytest.mark.parametrize("path", [*FILES.values(), *OUTSIDE], ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_pickled(path):
    assert not theirs(path) & {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    assert "allow_pickle=True" not in path.read_text().replace(" ", "")


@pytest.mark.parametrize("path", [*FILES.values(), *OUTSIDE], ids=lambda path: str(path.relative_to(ROOT)))
def test_yaml_is_read_as_data_only(path):
    used = {name for module, name in imports(path) if module.split(".")[0] in ("yaml", "ruamel")}
    used |= {
        node.attr
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "yaml"
    }
    assert used <= {"", "safe_load", "safe_dump", "YAMLError"}


@pytest.mark.parametrize("path", [*FILES.values(), *OUTSIDE], ids=lambda path: str(path.relative_to(ROOT)))
def test_public_things_have_a_docstring(path):
    tree = tree_of(path)
    assert ast.get_docstring(tree)
    for node in [
        *tree.body,
        *(inner for outer in tree.body if isinstance(outer, ast.ClassDef) for inner in outer.body),
    ]:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name


@pytest.mark.parametrize("path", [*FILES.values(), *OUTSIDE], ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 300
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef):
            assert code_lines(node, lines) <= 60, node.name


def code_lines(function: ast.FunctionDef, lines: list[str]) -> int:
    """Lines of a function that are neither its docstring nor blank nor a comment."""
    start = function.body[0].end_lineno + 1 if ast.get_docstring(function) else function.body[0].lineno
    signature = function.body[0].lineno - function.lineno
    body = [line.strip() for line in lines[start - 1 : function.end_lineno]]
    return signature + sum(bool(line) and not line.startswith("#") for line in body)


@each_module
def test_names_say_what_things_are(module):
    vague = re.compile("utils?|manager|handler|helper", re.IGNORECASE)
    classes = [node.name for node in ast.walk(tree_of(MODULES[module])) if isinstance(node, ast.ClassDef)]
    assert not [name for name in [*module.split("."), *classes] if vague.search(name)]


@each_module
def test_a_function_with_a_name_is_no_lambda(module):
    named = [node for node in ast.walk(tree_of(MODULES[module])) if isinstance(node, ast.Assign | ast.NamedExpr)]
    assert [ast.unparse(node) for node in named if isinstance(node.value, ast.Lambda)] == []


@each_module
def test_no_type_error_is_silenced(module):
    assert not re.search(r"#\s*(type|pyright):\s*ignore", MODULES[module].read_text())


@pytest.mark.parametrize(("folder", "table"), TABLES.items())
def test_every_table_entry_is_a_file_of_its_name(folder, table):
    package = importlib.import_module(f"halo_jax.{folder}")
    assert package.__doc__
    for name, entry in getattr(package, table).items():
        assert entry.__module__ == f"halo_jax.{folder}.{name}"
        assert sys.modules[entry.__module__].__doc__


def test_launch_is_short_and_tests_have_unique_names():
    assert len((ROOT / "launch.py").read_text().splitlines()) < 60
    tests = [path.name for path in (ROOT / "tests").rglob("*.py")]
    assert len(tests) == len(set(tests))
    assert "__init__.py" not in tests
