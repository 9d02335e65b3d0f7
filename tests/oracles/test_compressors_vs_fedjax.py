"""Given the numbers that fedjax drew, our TernGrad, DRIVE and LFL's quantiser give what fedjax gave."""

import importlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.compressors.context import CONTEXT

drive, lfl, rotation, terngrad = (
    importlib.import_module(f"halo_jax.compressors.{name}") for name in ("drive", "lfl", "rotation", "terngrad")
)


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parents[1] / "golden" / "fedjax_vectors.npz", allow_pickle=False) as file:
        return dict(file)


def test_terngrad_with_its_scaler_of_the_largest_element(golden, monkeypatch):
    monkeypatch.setattr(terngrad, "draws", lambda key, parts: [jnp.asarray(golden["draws"])])
    compressor, x = terngrad.terngrad(scaler="max", share_scaler=False), [jnp.asarray(golden["x"])]
    sent = compressor.compress(x, (), CONTEXT, jax.random.key(0))
    (found,) = compressor.decompress(sent.message, x, CONTEXT)
    np.testing.assert_allclose(found, golden["terngrad"], rtol=1e-5)
    assert len(np.unique(np.sign(found))) == 3


def test_lfl_is_stochastic_uniform_quantisation_where_nothing_is_negative(golden, monkeypatch):
    # fedjax takes the upper level where its draw is at most the rest, ours where rest + draw reaches 1.
    monkeypatch.setattr(lfl, "draws", lambda key, parts: [jnp.asarray(1 - golden["draws"])])
    levels = int(golden["levels"]) - 1
    (found,) = lfl.decode(lfl.encode([jnp.abs(golden["x"])], levels, jax.random.key(0)), levels)
    np.testing.assert_allclose(found, golden["uniform"], rtol=1e-4, atol=1e-5)
    assert len(np.unique(np.round(found, 4))) == levels + 1


@pytest.mark.parametrize("name", ["drive", "drive_small"])
def test_drive_with_one_chunk_of_the_whole_vector(golden, monkeypatch, name):
    signs = golden[f"{name}_signs"]
    monkeypatch.setattr(rotation, "_signs", lambda key, number, side: jnp.asarray(signs).reshape(number, side))
    x = [jnp.asarray(golden["x"][: golden[name].size])]
    sent = drive.drive().compress(x, (), CONTEXT, jax.random.key(0))
    (found,) = drive.drive().decompress(sent.message, x, CONTEXT)
    np.testing.assert_allclose(found, golden[name], atol=2e-5)
    assert np.abs(golden[name]).max() > 0.1
