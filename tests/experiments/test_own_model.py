"""The experiment of a user's own network, images, chip and selector runs without a change to the package."""

import importlib.util
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from halo_jax.datasets import DATASETS, DatasetError, synthetic
from halo_jax.hardware import halosim
from halo_jax.models import MODELS, layer_shapes
from halo_jax.records import run_folder
from halo_jax.selectors import SELECTORS
from halo_jax.types import Precision
from tests.toy_run import launch

PATH = Path(__file__).parents[2] / "experiments" / "own_model" / "own_model.py"


@pytest.fixture
def config(tmp_path):
    """The experiment at the size of a toy, with the user's images."""
    spec = importlib.util.spec_from_file_location("own_model", PATH)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    arrays = synthetic.make(train_examples=20, test_examples=8)._asdict()
    known = {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}
    np.savez(tmp_path / "mine.npz", **known)
    with mock.patch.dict(MODELS), mock.patch.dict(DATASETS), mock.patch.dict(SELECTORS):
        config = module.get_config()
        config.data_dir, config.arms, config.width = str(tmp_path / "mine.npz"), ("own_selector",), 1 / 64
        config.rounds, config.local_epochs, config.num_clients, config.executor = 2, 1, 3, "map"
        config.demand.energy_clients = config.demand.latency_clients = config.demand.area_clients = 1
        yield config


@pytest.mark.slow
def test_it_trains_what_is_its_own(config, tmp_path):
    assert len(PATH.read_text().splitlines()) <= 65
    launch(config, tmp_path / "run")
    run = run_folder.read(tmp_path / "run" / "own_selector")
    assert run.clients["errors_bits"].reshape(2, 3).tolist() == [[8] * 3, [6] * 3]  # its loss has become finite
    assert (run.clients["weights_bits"] == 8).all()
    layers = layer_shapes(MODELS["own_model"](4), (8, 8, 1))
    chip = halosim.make(str(PATH.with_suffix(".yaml")))
    assert chip.device != halosim.CALIBRATED
    expected = chip.evaluate(layers, Precision(*np.array([[8, 8], [8, 8], [8, 6]])))
    assert run.rounds["energy_mj"] == pytest.approx(np.asarray(expected.energy_mj))


def test_a_file_that_is_not_there_is_one_line(config, tmp_path):
    config.data_dir = "nope.npz"
    with pytest.raises(DatasetError, match=r"nope\.npz: found no such file"):
        launch(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
