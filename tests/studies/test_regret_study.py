import jax.numpy as jnp
import pytest

from halo_jax import config
from halo_jax.hardware import PLATFORMS
from halo_jax.studies import STUDIES
from halo_jax.types import Precision
from tests.golden.vgg7_shapes import VGG7


@pytest.fixture(scope="module", params=["calibrated", "physical"])
def found(request):
    changed = config.default()
    changed.hardware.device = request.param
    return request.param, STUDIES["regret"](changed)


def cost(device, data_set, texts, metric):
    bits = Precision(*(jnp.array(column) for column in zip(*map(Precision.parse, texts), strict=True)))
    costs = PLATFORMS["halosim"](device).evaluate(VGG7[data_set], bits)
    return {"energy": costs.energy_mj, "latency": costs.latency_s, "area": costs.area_mm2}[metric].tolist()


@pytest.mark.slow
def test_regret_is_what_the_two_precisions_cost(found):
    device, tables = found
    rows = tables["regret"].rows
    assert len(rows) == 3 * 3 * 7
    for row in rows[::5]:
        greedy, best = cost(device, row.dataset, (row.greedy, row.best), row.metric)
        assert row.regret_percent == pytest.approx(100 * (greedy / best - 1), abs=1e-3)
        assert sum(Precision.parse(row.greedy)) == sum(Precision.parse(row.best)) == 24 - 2 * row.reductions
    worst = max(row.regret_percent for row in rows)
    assert worst < 1e-3 if device == "calibrated" else 2 < worst < 8


@pytest.mark.slow
def test_within_a_budget_the_exhaustive_choice_is_never_noisier(found):
    device, tables = found
    for row in tables["budgets"].rows:
        assert row.noise_ratio >= 1
        start, greedy, best = cost(device, row.dataset, ("8-8-8", row.greedy, row.exhaustive), row.metric)
        assert max(greedy, best) <= start * row.budget_percent / 100 * (1 + 1e-6)
