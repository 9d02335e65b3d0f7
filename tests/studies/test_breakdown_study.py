import numpy as np
import pytest

from halo_jax import config
from halo_jax.hardware import halosim
from halo_jax.studies import STUDIES
from halo_jax.types import Precision
from tests.golden.vgg7_shapes import VGG7


def tables(**changes):
    changed = config.default()
    changed.dataset = "cifar10"
    changed.hardware.update(changes)
    return STUDIES["breakdown"](changed)


@pytest.mark.parametrize("device", ["calibrated", "physical"])
def test_parts_in_the_total_add_up_to_the_cost(device):
    rows = tables(device=device)["breakdown"].rows
    constants = {"calibrated": halosim.CALIBRATED, "physical": halosim.PHYSICAL}[device]
    for metric, value in halosim.evaluate(VGG7["cifar10"], Precision(8, 8, 8), constants)._asdict().items():
        parts = [row.value for row in rows if row.metric == metric and row.in_total]
        np.testing.assert_allclose(sum(parts), value, rtol=1e-6)


def test_the_papers_sentences_in_numbers():
    energy, latency, area = (row.ours for row in tables()["claims"].rows)
    assert 50 < energy < 52  # "nearly two orders of magnitude"
    assert latency > 1000  # "more than two"
    assert area > 10


def test_backward_is_little_more_than_forward_on_physical_crossbars():
    energy, *_ = (row.ours for row in tables(device="physical")["claims"].rows)
    assert 2.2 <= energy <= 2.4


def test_layers_have_the_names_of_the_model():
    names = dict.fromkeys(row.name for row in tables()["breakdown"].rows)
    assert next(iter(names)) == "QuantConv_0"
    assert len(names) == 8
