"""What the documentation says is there, runs, and stands in a file of results."""

import argparse
import contextlib
import inspect
import os
import re
import runpy
import subprocess
import sys
import tomllib
import types
from pathlib import Path
from unittest import mock

import pytest
import yaml
from absl import flags

import halo_jax as hj
from halo_jax.config import plan
from halo_jax.config.arms import expand_arms
from halo_jax.records.run_folder import RoundRecord
from halo_jax.runner import command_line, lookup
from tests import documents
from tests.documents import PAGES, ROOT

QUICKSTART = str(ROOT / "experiments" / "quickstart.py")
COMMANDS = {command: page for page in PAGES for command in documents.commands(page) if "NAME.py" not in command}
LAUNCHES = [command for command in COMMANDS if re.search(r"\b(launch\.py|-m halo_jax)\b", command)]
SCRIPTS = [command for command in COMMANDS if re.match(r"python experiments/", command)]
FOR_YOU_TO_FILL_IN = re.compile(r"\b(FILE|MINE|NAME)\b")


def test_the_first_page_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 160


def test_every_page_stands_in_the_navigation():
    named = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = {documents.name_of(page).removeprefix("docs/") for page in PAGES} - {"README.md"}
    assert {*named} - {"CHANGELOG.md"} == pages | {"index.md"}
    assert len(named) == len(set(named))
    assert yaml.safe_load((ROOT / "mkdocs.yml").read_text())["theme"]["font"] is False


def test_every_page_is_linked_from_another():
    links = {(page, (page.parent / link).resolve()) for page in PAGES for link in documents.links(page)}
    linked = {to for page, to in links if to != page}
    assert [documents.name_of(page) for page in PAGES[1:] if page not in linked] == []


def test_every_folder_of_experiments_has_a_page():
    for folder in {path.parent for path in ROOT.glob("experiments/*/*") if path.suffix in (".py", ".ipynb")}:
        page = (folder / "README.md").read_text()
        scripts = [path.name for path in folder.glob("*.py") if "__main__" in path.read_text()]
        scripts += [path.name for path in folder.glob("*.py") if "def get_config" in path.read_text()]
        if folder.name != "benchmarks":  # most of whose scripts are workers
            assert [name for name in scripts if name not in page] == [], folder


@pytest.mark.parametrize("page", PAGES, ids=documents.name_of)
def test_every_link_leads_to_a_file(page):
    assert [link for link in documents.links(page) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=documents.name_of)
def test_no_page_names_a_place_on_somebodys_machine(page):
    assert re.findall(r"\.\./shared|(?<![\w.])/(?:work|root|home|opt|tmp|mnt)/\S*", page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=documents.name_of)
def test_every_field_that_is_named_is_one(page):
    known = hj.config.all_fields()
    sections = {name.partition(".")[0] for name in known if "." in name}
    spans = re.findall(r"(?<!`)`(?:--config\.)?(\w+(?:\.\w+)+)(?:=[^`]*)?`(?!`)", page.read_text())
    fields = [name for name in spans if name.partition(".")[0] in sections and not name.endswith(".py")]
    assert {*fields} - known.keys() <= {"recipe.order"}  # as an arm says it


# --- commands


def test_every_command_is_of_a_program_that_is_known():
    assert len(COMMANDS) > 60
    assert [words for words in map(documents.words, COMMANDS) if Path(words[0]).name not in documents.PROGRAMS] == []


def test_every_extra_that_is_installed_is_there():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {extra for command in COMMANDS for extra in re.findall(r"pip install -e '\.\[(\w+)\]'", command)}
    assert {"docs", "test"} <= named <= extras.keys()


@pytest.fixture
def tables():
    """The tables of entries, as they were before."""
    with contextlib.ExitStack() as restored:
        for table in (hj.MODELS, hj.DATASETS, hj.SELECTORS, hj.COMPRESSORS, hj.RECIPES, hj.PLATFORMS):
            restored.enter_context(mock.patch.dict(table))
        yield


@pytest.fixture
def parse(monkeypatch, tables):
    """`parse(argv)` as the command line does it, with all that it leaves behind taken back."""
    before = set(flags.FLAGS)
    monkeypatch.chdir(ROOT)

    def parse(argv: list[str]) -> None:
        monkeypatch.setattr(sys, "argv", argv)  # where config_flags looks for fields
        command_line._parse(argv, QUICKSTART)

    yield parse
    sys.modules.pop("config_config", None)  # the experiment's file, which the next one would be merged into
    for name in set(flags.FLAGS) - before:
        delattr(flags.FLAGS, name)
    flags.FLAGS.unparse_flags()


@pytest.mark.parametrize("command", LAUNCHES)
def test_every_launch_is_a_valid_experiment(command, parse):
    words = documents.words(FOR_YOU_TO_FILL_IN.sub("experiments/quickstart", command))
    parse(words[next(i for i, word in enumerate(words) if word.endswith(("launch.py", "halo_jax"))) :])
    config = flags.FLAGS.config
    if flags.FLAGS.report or flags.FLAGS.fields or config.study:
        return
    for leaf in plan.plan(config, Path("runs")).leaves():
        for of_arm in expand_arms(leaf.config).values():
            lookup.check_names(of_arm)
            recipe = lookup.make_recipe(of_arm)
            assert lookup.make_selector(of_arm)
            assert lookup.make_compressor(of_arm, recipe)


@pytest.mark.parametrize("command", SCRIPTS)
def test_every_script_takes_its_arguments(command, monkeypatch):
    class Parsed(Exception):
        """The script has begun, and nothing is wrong with its arguments."""

    def parse_and_stop(self, *arguments):
        options, rest = self.parse_known_args(*arguments)
        assert rest == []
        raise Parsed(options)

    _, script, *arguments = documents.words(command)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    monkeypatch.setattr(sys, "path", [str((ROOT / script).parent), *sys.path])
    with pytest.raises(Parsed):
        runpy.run_path(str(ROOT / script), run_name="__main__")


def test_every_path_of_a_command_is_there():
    named = {
        word.partition(":")[0] for command in COMMANDS for word in re.findall(r"(?:experiments|tests)/[\w/.]*", command)
    }
    assert [word for word in named if not (ROOT / word).exists()] == []


QUICK = [command for command in LAUNCHES if re.search(r"questions/|fields=|paper/(fig|table2_h|table4_p)", command)]


@pytest.mark.slow
@pytest.mark.parametrize("command", QUICK)
def test_what_takes_seconds_runs(command, tmp_path):
    _, *arguments = documents.words(command)
    ended = subprocess.run(
        [sys.executable, *arguments, f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout


# --- Python


BLOCKS = [(page, code) for page in PAGES for code in documents.python_blocks(page)]
TRAINS = "models_in_and_out.md"  # whose code trains a model


@pytest.mark.parametrize(
    ("page", "code"),
    [
        pytest.param(
            *(page, code),
            id=f"{documents.name_of(page)}-{i}",
            marks=[pytest.mark.slow] if page.name == TRAINS else [],
        )
        for i, (page, code) in enumerate(BLOCKS)
    ],
)
def test_every_block_of_python_runs(page, code, monkeypatch, tables, tmp_path):
    logged = {}
    wandb = types.SimpleNamespace(init=lambda **_: None, log=logged.update)
    row = RoundRecord(*(0 for _ in RoundRecord._fields))
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.chdir(tmp_path)
    if "on_round" in code:
        monkeypatch.setattr(hj, "run", lambda config, workdir, on_round: on_round("halo_ps", row))
    namespace = {}
    exec(compile(code, str(page), "exec"), namespace)
    assert "on_round" not in code or any(tag.startswith("halo_ps/") for tag in logged)
    if "config" in namespace:
        plan.plan(namespace["config"], Path("runs"))


def test_published_code_uses_the_face():
    inside = re.compile(r"^\s*(?:from halo_jax[. ]|import halo_jax\.)", re.MULTILINE)
    allowed = {"docs/recipes.md"}  # the WAGE step as an optax transformation
    assert {documents.name_of(page) for page, code in BLOCKS if inside.search(code)} <= allowed


# --- numbers


def test_tables_of_results_name_their_files():
    assert len(documents.quotes()) >= 10


@pytest.mark.parametrize(
    "quote", documents.quotes(), ids=lambda quote: f"{documents.name_of(quote.page)}-{quote.files[0].stem}"
)
def test_every_number_stands_in_the_file_that_is_named(quote):
    assert any(documents.numbers_in(row) for row in quote.rows)
    assert [row for row in quote.rows if not documents.is_quoted(row, quote.files)] == []


def test_a_number_that_is_not_in_the_file_is_found_out():
    (quote,) = (
        quote for quote in documents.quotes() if quote.page.name == "README.md" and "quickstart" in quote.files[0].stem
    )
    arm, accuracy, *others = quote.rows[0]
    assert documents.is_quoted([arm, accuracy, *others], quote.files)
    assert not documents.is_quoted([arm, f"{float(accuracy) + 0.01:.2f}", *others], quote.files)
    assert not documents.is_quoted([arm, quote.rows[1][1], *others], quote.files)  # of another row


# --- the site


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_fetches_nothing(tmp_path):
    pytest.importorskip("mkdocs")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    ended = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    pages = {path: path.read_text() for path in tmp_path.rglob("*.html")}
    fetched = r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//"
    assert [path for path, text in pages.items() if re.search(fetched, text)] == []
    assert [path for path, text in pages.items() if "generated:" in text] == []
    fields, face, clients = (pages[tmp_path / name / "index.html"] for name in ("fields", "api", "run_folder"))
    assert [name for name in hj.config.all_fields() if f"<code>{name}</code>" not in fields] == []
    functions = [name for name in hj.__all__ if inspect.isroutine(getattr(hj, name))]
    assert [name for name in functions if f'id="halo_jax.{name}"' not in face] == []
    assert [name for name in RoundRecord._fields if f"<code>{name}</code>" not in clients] == []
