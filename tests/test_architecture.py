"""The house holds: who imports whom, where a table's entries live, and how long a function may be."""

import ast
import functools
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

# The import table. A layer may import the layers named beside it; what else a module may import is in ALSO.
LAYERS = {
    0: {"types", "config", "fields", "field_kinds", "paper", "columns", "cache", "whole", "stopping", "digest"}
    | {"files", "visible", "record_checks"},
    1: {"quantize", "contraction", "native", "canonical", "batched", "grid_sums", "noise", "health", "fingerprint"}
    | {"native.library"}
    | {"tracing", "tracing.layer_shapes", "tracing.dataflow", "tracing.products", "tracing.parts"}
    | {"compressors.wire", "compressors.huffman"}
    | {f"{folder}.base" for folder in TABLES if folder not in ("figures", "studies")},
    2: {"layers"},  # and the files in the folders, which have a rule of their own
    3: {
        "devices",
        "distributed",
        "partition",
        "training",
        "clients",
        "server",
        "evaluation",
        "clock",
        "checkpoint",
        "record",
        "tensorboard",
        "progress",
        "labels",
        "augment",
        "folder_lock",
        "terminal",
    },
    4: {"federation", "exchange", "entries", "assemble"},
    5: {"report", "page", "comparison", "claims"},  # and figures
    6: {"run", "arm", "arms", "results", "run_folder", "study", "past_runs", "sweep", "outcome", "programs"}
    | {"reproduction"},  # and studies: tables and stages
}
ALSO = {
    "config": {"fields", "field_kinds"},
    "cache": {"files"},
    "columns": {"types"},
    "fields": {"field_kinds", "paper"},
    "comparison": {"paper"},
    "hardware.base": {"hardware.bill"},  # a chip is what makes out a bill
    "hardware.bill": {"hardware.sizes", "hardware.smooth"},
    "hardware.crossbars": {"hardware.bill", "hardware.sizes"},
    "hardware.halosim": {"hardware.bill", "hardware.crossbars", "hardware.device_file"},
    "hardware.bit_serial": {"hardware.bill", "hardware.sizes", "hardware.device_file"},
    "compressors.wire": {"compressors.huffman"},
    "compressors.base": {"compressors.wire"},  # a message is made of its codes
    **{f"compressors.{name}": {"compressors.qsgd"} for name in ("fedhq", "adaquantfl")},
    "compressors.fedhq_plus": {"compressors.fedhq"},
    **{f"compressors.{name}": {"compressors.error_feedback"} for name in ("ef_signsgd", "powersgd", "topk")},
    **{f"compressors.{name}": {"compressors.rotation"} for name in ("drive", "eden")},
    "federation": {"exchange"},
    "study": {"run_folder", "hardware.device_file"},
    **{f"selectors.{name}": {"selectors.grid"} for name in ("exhaustive", "gradient_search")},
    **{f"selectors.{name}": {"selectors.reduction", "selectors.pacing"} for name in ("halo_ps", "weighted", "random")},
    "selectors.per_layer": {"selectors.grid", "selectors.knapsack"},
    "selectors.regret": {"selectors.grid", "selectors.reduction"},
    "selectors.reduction": {"selectors.grid", "selectors.pacing"},  # what counts as a tie; when a reduction is due
    "tracing": {"tracing.layer_shapes"},
    "models": {"tracing", "tracing.layer_shapes"},
    "tracing.layer_shapes": {"tracing.dataflow"},  # what a traced program does with input and weights
    "tracing.dataflow": {"tracing.parts", "tracing.products"},  # what one of its operations is
    "tracing.products": {"contraction"},  # names of our own layers
    "contraction": {"native", "canonical", "batched", "grid_sums", "noise"},  # what users call, made of what runs
    "noise": {"grid_sums"},  # the operands that it changes
    "canonical": {"grid_sums"},  # the operands and exact sums of both platforms
    "batched": {"grid_sums"},
    "native": {"grid_sums", "native.library"},
    "quantize": {"native"},  # random draws
    "evaluation": {"clients", "training"},  # devices share batches as clients; one normalisation, one sum of losses
    "tensorboard": {"record"},  # it shows the same rows
    "assemble": {"federation", "entries"},  # it fills in the federation's stages
    "page": {"visible", "report", "comparison", "claims"},
    "claims": {"paper", "report"},
    "reproduction": {"run_folder", "sweep"},  # the page holds their tables
    "results": {"assemble", ""},  # turns what the stages return into rows; "" is the package's own version
    "past_runs": {"outcome", "run_folder"},
    "run": {"arm", "arms", "results", "run_folder", "sweep", "outcome", "programs"},
    "outcome": {"results", "sweep"},
    "sweep": {"arms"},  # whether a point reaches one
    "arm": {"results", "programs"},
    "folder_lock": {"record"},  # its error
    "progress": {"record", "terminal"},  # it shows a row of rounds.csv
    "run_folder": {"arms", "checkpoint", "record", "sweep", "tensorboard"},  # sweep: names of the folders inside
    "datasets.places": {"datasets.tfds", "datasets.shapes"},  # what is looked for everywhere, and its size
    "datasets.idx": {"datasets.unfolded"},  # gzip
    "datasets.matlab": {"datasets.mat_file"},
    "datasets.mat_file": {"datasets.unfolded"},  # zlib
    "datasets.tar": {"datasets.unfolded"},
    "datasets.archives": {"datasets.tar", "datasets.zips"},
    "datasets.tfds": {"datasets.array_records", "datasets.images"},
    "datasets.mnist": {"datasets.places", "datasets.idx"},  # file formats that several data sets share
    "datasets.fashion_mnist": {"datasets.places", "datasets.mnist"},  # the same four files
    "datasets.cifar10": {"datasets.places", "datasets.archives", "datasets.tar", "datasets.restricted_pickle"},
    "datasets.emnist": {"datasets.places", "datasets.shapes", "datasets.idx", "datasets.matlab"},
    "datasets.tiny_imagenet": {"datasets.places", "datasets.archives", "datasets.tiny_imagenet_files"},
    "datasets.tiny_imagenet_files": {"datasets.archives", "datasets.images", "datasets.shapes"},
    "datasets.tiny_imagenet_builder": {"datasets.archives", "datasets.tiny_imagenet_files"},  # the same layout
    "datasets.image_folder": {"datasets.places", "datasets.images"},
    "datasets.npz": {"datasets.places", "datasets.zips"},
    "datasets.prepare": {"datasets.tfds", "datasets.emnist", "datasets.tiny_imagenet_builder"},
}
# What maps over an axis outside clients.py, with the reason.
MAPS = {
    "contraction": {"sequential_vmap"},  # a lifted contraction runs client by client
    "training": {"vmap"},  # over the epochs of one client
    "evaluation": {"vmap"},  # over the images of a batch: each has its own noise
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


def allowed(module: str) -> set[str]:
    """The modules that `module` may import."""
    folder = module.split(".")[0]
    base = LAYERS[0] | LAYERS[1]
    if module in LAYERS[0]:
        return ALSO.get(module, set())
    if folder == "figures":
        return (
            {"types", "record", "figures.base"}
            if "." in module
            else {n for n in MODULES if in_folder(n, folder)} | base | {"record"}
        )
    if module in LAYERS[1]:
        return LAYERS[0] | {"quantize"} | ALSO.get(module, set())
    if folder in TABLES and folder != "studies":
        own = {f"{folder}.base"} if "." in module else {n for n in MODULES if in_folder(n, folder)}
        own |= {"compressors.wire"} if folder == "compressors" else set()  # messages are made of its codes
        no_folder = {name for name in base if "." not in name}
        layers = {"layers"} if folder in ("models", "recipes") else set()
        return no_folder | own | layers | ALSO.get(module, set())
    layer = 6 if folder == "studies" else next(number for number, names in LAYERS.items() if module in names)
    if layer <= 3:
        return base | ALSO.get(module, set())
    if layer == 5:
        return {"types", "record"} | ALSO.get(module, set())
    tables = {name for name in MODULES if name.split(".")[0] in TABLES and (layer == 6 or "figures" not in name)}
    above = set().union(*(names for number, names in LAYERS.items() if number < layer))
    return tables | above | ALSO.get(module, set())


def in_folder(module: str, folder: str) -> bool:
    return module.startswith(folder + ".")


each_module = pytest.mark.parametrize("module", MODULES)


def test_every_module_has_a_place_in_the_layers():
    stages = {name for name in MODULES if name.split(".")[0] not in TABLES}
    assert stages <= set().union(*LAYERS.values())


@each_module
def test_a_module_imports_only_what_its_layer_may(module):
    assert ours(MODULES[module]) <= allowed(module)


@each_module
def test_other_packages_are_imported_where_they_belong(module):
    packages = theirs(MODULES[module])
    folder = module.split(".")[0]
    assert not packages & {"absl", "argparse", "optparse", "getopt", "click"}
    assert folder == "datasets" or "tensorflow_datasets" not in packages
    assert folder == "figures" or "matplotlib" not in packages
    if module in ("config", "fields", "field_kinds"):
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
    assert module == "clients" or found <= MAPS.get(module, set())


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


@pytest.mark.parametrize(("folder", "table"), TABLES.items())
def test_every_table_entry_is_a_file_of_its_name(folder, table):
    package = importlib.import_module(f"halo_jax.{folder}")
    assert package.__doc__
    for name, entry in getattr(package, table).items():
        assert entry.__module__ == f"halo_jax.{folder}.{name}"
        assert sys.modules[entry.__module__].__doc__


def test_launch_is_short_and_tests_have_unique_names():
    assert len((ROOT / "launch.py").read_text().splitlines()) <= 90
    tests = [path.name for path in (ROOT / "tests").rglob("*.py")]
    assert len(tests) == len(set(tests))
    assert "__init__.py" not in tests
