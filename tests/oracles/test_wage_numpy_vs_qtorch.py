"""The NumPy twin gives, to the last bit, what qtorch and torch gave (keys: tests/golden/README.md)."""

from pathlib import Path

import numpy as np
import pytest

from tests.oracles import wage_numpy as wage

ETAS = {"eta8": 8, "eta1": 1, "eta0125": 0.125}


@pytest.fixture(scope="module")
def golden():
    with np.load(Path(__file__).parents[1] / "golden" / "qtorch_vectors.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("k", range(2, 9))
def test_nearest(golden, k):
    np.testing.assert_array_equal(wage.grid_codes(golden[f"nearest_{k}_x"], k), golden[f"nearest_{k}_code"])


def test_stochastic(golden):
    num = golden["stochastic_x"].astype(np.float64) * 2**24
    found = wage.stochastic_round(num.astype(np.int64), 2**17, golden["stochastic_u"])
    np.testing.assert_array_equal(found, golden["stochastic_n"])


@pytest.mark.parametrize("ba", [8, 6, 4])
@pytest.mark.parametrize("be", [8, 6, 4])
def test_activation_and_its_error(golden, ba, be):
    z, d, a, e = (golden[f"layer_{ba}{be}_{name}"] for name in "zdae")
    found, passed = wage.activation(z.astype(np.int64), int(golden["layer_divisor"]), 1, ba)  # S_1 = 1
    np.testing.assert_array_equal(found, a)
    np.testing.assert_array_equal(wage.error_codes(passed * d.astype(np.int64), be), e)
    assert 0 < passed.sum() < passed.size


@pytest.mark.parametrize("bits", [(8, 8, 8), (6, 4, 6), (2, 4, 4)])
@pytest.mark.parametrize("eta", ETAS)
def test_step(golden, bits, eta):
    layers = [("dense",) if name == "dense" else ("conv", "pool" in name) for name in golden["step_layers"]]
    given = [golden[f"step_{name}"] for name in ("images", "labels", "mask")]
    masters, noise = ([golden[f"step_{name}{i}"] for i in range(len(layers))] for name in "mu")
    new, seen = wage.step(layers, masters, *given, bits, ETAS[eta], noise)
    tag = "step_{}{}{}".format(*bits)
    np.testing.assert_array_equal(seen["logits"], golden[f"{tag}_logits"])
    for i in range(len(layers)):
        for name in "waeg":
            np.testing.assert_array_equal(seen[name][i], golden[f"{tag}_{name}{i}"], f"{name}{i}")
        np.testing.assert_array_equal(new[i], golden[f"{tag}_m{i}_{eta}"], f"m{i}")
