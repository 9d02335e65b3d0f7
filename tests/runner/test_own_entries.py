"""Entries of a user's own, in a file outside of the package, with parameters of their own: from the command line on."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = '''
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

import halo_jax as hj
from halo_jax.parameters import real, whole


class Dense(nn.Module):
    """One layer on images that are made smaller.

    Args:
      stride: of the pixels that it sees.
    """

    num_classes: int
    width: float = 1.0
    numerics: hj.Arithmetic | None = hj.Numerics()
    stride: Annotated[int, whole(1, 4)] = 2

    @nn.compact
    def __call__(self, images, precision=None):
        bits = hj.models.layer_precisions(precision, 1, self.numerics)
        seen = images[:, :: self.stride, :: self.stride]
        return hj.QuantDense(self.num_classes, True, self.numerics)(seen.reshape(len(seen), -1), bits[0])


def fixed(*, errors: Annotated[int, whole(2, 8)] = 8) -> hj.selectors.Selector:
    """Everybody has the same bits of errors.

    Args:
      errors: be.
    """

    def select(state, precision, demand, cost_fn, *, round, loss, key):
        return precision._replace(errors=jnp.int32(errors)), state

    return hj.selectors.Selector(init=lambda: (), select=select)


def shrunk(*, factor: Annotated[float, real(0, 1)] = 1.0) -> hj.compressors.Compressor:
    """The update, times a factor.

    Args:
      factor: of the update.
    """

    def compress(x, state, context, key):
        message = jax.tree.map(lambda leaf: leaf * jnp.float32(factor), x)
        return hj.compressors.Upload(message, state, jnp.int32(32 * sum(leaf.size for leaf in jax.tree.leaves(x))))

    return hj.compressors.Compressor(compress, lambda message, like, context: message)


def lossy(*, loss: Literal["sse", "cross_entropy"] = "sse", exact: bool = True) -> hj.recipes.Recipe:
    """The paper's recipe under another name.

    Args:
      loss: of training.
    """
    return hj.RECIPES["wage"](loss=loss, exact=exact)


def priced(device: str, *, price: Annotated[float, real(0, 100, above=True)] = 1.0) -> hj.hardware.Chip:
    """HaLoSim at other prices.

    Args:
      price: factor of all of them.
    """
    chip = hj.PLATFORMS["halosim"](device)

    def bill(layers):
        made = chip.bill(layers)
        return made._replace(prices={name: price * of_each for name, of_each in made.prices.items()})

    return chip._replace(bill=bill)


hj.MODELS["own_dense"], hj.SELECTORS["own_fixed"], hj.COMPRESSORS["own_shrunk"] = Dense, fixed, shrunk
hj.RECIPES["own_lossy"], hj.PLATFORMS["own_priced"] = lossy, priced
'''
CONFIG = """

def get_config():
    config = hj.default_config()
    config.name, config.arms, config.executor = "own", (), "map"
    config.dataset, config.train_examples, config.test_examples = "synthetic", 37, 16
    config.num_clients, config.batch_size, config.rounds, config.local_epochs = 4, 8, 2, 1
    config.demand.energy_clients = config.demand.latency_clients = config.demand.area_clients = 1
    config.model, config.width, config.selector.name, config.checkpoint_every = "small_cnn", 0.1, "static", 1
    {}
    return config
"""
OWN = """config.model, config.selector.name, config.compressor.name = "own_dense", "own_fixed", "own_shrunk"
    config.recipe.name, config.hardware.name = "own_lossy", "own_priced" """
PARAMETERS = {
    "models.own_dense.stride": 4,
    "selector.own_fixed.errors": 3,
    "compressor.own_shrunk.factor": 0.25,
    "recipe.own_lossy.loss": "cross_entropy",
    "hardware.own_priced.price": 3.0,
}


def start(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "launch.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=300)


def rounds_of(run: Path) -> list[list[str]]:
    """The rows of `rounds.csv`, without the wall time that ends each."""
    with (run / "rounds.csv").open() as file:
        return [row[:-1] for row in csv.reader(file)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def own(folder):
    """The file of an experiment in which everything is the user's own."""
    path = folder / "own.py"
    path.write_text(SOURCE + CONFIG.format(OWN))
    return path


@pytest.fixture(scope="module")
def run(folder, own):
    """A run of it with the defaults."""
    done = start(f"--config={own}", f"--workdir={folder / 'run'}")
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_of_an_own_entry_is_a_flag_that_changes_the_result(folder, own, run, name):
    other = folder / name
    done = start(f"--config={own}", f"--config.{name}={PARAMETERS[name]}", f"--workdir={other}")
    assert done.returncode == 0, done.stderr
    section, entry, parameter = name.split(".")
    assert json.loads((other / "config.json").read_text())[section][entry] == {parameter: PARAMETERS[name]}
    assert rounds_of(other) != rounds_of(run)
    again = start(f"--config={own}", f"--workdir={other}")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert name in again.stderr


@pytest.mark.slow
def test_an_own_entry_is_listed_checked_and_recorded_as_one_of_ours(own, run):
    listed = start(f"--config={own}", "--fields=compressor.own_shrunk")
    assert "of the update" in listed.stdout
    assert "compressor.own_shrunk.factor" in listed.stdout
    for flag, words in (
        ("compressor.own_shrunk.factor=2", "a number from 0 to 1"),
        ("compressor.own_shrunk.facto=1", "did you mean compressor.own_shrunk.factor"),
    ):
        refused = start(f"--config={own}", f"--config.{flag}")
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert words in refused.stderr


@pytest.mark.slow
def test_a_run_of_own_entries_is_reported_without_their_file(folder, run):
    shutil.copytree(run, folder / "copy")
    reported = start("--report", f"--workdir={folder / 'report'}", str(run), str(folder / "copy"))
    assert reported.returncode == 0, reported.stderr
    assert (folder / "report" / "table.csv").exists()


@pytest.mark.slow
def test_registering_own_entries_changes_no_other_run(folder):
    with_own, without = folder / "with_own.py", folder / "without.py"
    with_own.write_text(SOURCE + CONFIG.format(""))
    without.write_text("import halo_jax as hj\n" + CONFIG.format(""))
    for number, path in enumerate((with_own, without)):
        done = start(f"--config={path}", f"--workdir={folder / str(number)}")
        assert done.returncode == 0, done.stderr
    assert (folder / "0" / "config.json").read_text() == (folder / "1" / "config.json").read_text()
    assert rounds_of(folder / "0") == rounds_of(folder / "1")
    shutil.rmtree(folder / "0" / "checkpoints" / "2")  # as if it had been stopped after a round
    (folder / "0" / "summary.json").unlink()
    resumed = start(f"--config={without}", f"--workdir={folder / '0'}")
    assert resumed.returncode == 0, resumed.stderr
    assert rounds_of(folder / "0") == rounds_of(folder / "1")
