import numpy as np
import pytest

from halo_jax import config
from halo_jax.studies import STUDIES
from tests.golden import test_table2 as golden


def tables(**selector):
    changed = config.default()
    changed.dataset, changed.rounds = "cifar10", 20
    changed.selector.update(selector)
    return STUDIES["selection"](changed)


def test_each_group_takes_the_papers_first_step_and_its_cost_is_priced():
    found = tables()
    paths = {row.group: row for row in found["paths"].rows}
    assert [paths[group].clients for group in ("energy", "latency", "area")] == [7, 7, 6]
    assert paths["energy"].path == "8-8-8 from round 1, 8-8-6 from round 8, 8-8-4 from round 15"
    assert paths["latency"].path == "8-8-8 from round 1, 8-6-8 from round 8, 8-4-8 from round 15"
    assert paths["area"].path == "8-8-8 from round 1, 6-8-8 from round 8, 4-8-8 from round 15"
    rows = found["clients"].rows
    assert len(rows) == 20 * 20
    for row in rows[::37]:
        text = f"{row.weights_bits}-{row.activations_bits}-{row.errors_bits}"
        np.testing.assert_allclose(row[6:], golden.cost("cifar10", text), rtol=1e-6)


def test_reducing_every_round_ends_at_the_floor_or_where_nothing_is_gained():
    last = [row for row in tables(reduce_every=1)["clients"].rows if row.round == 20]
    bits = {row.constraint: (row.weights_bits, row.activations_bits, row.errors_bits) for row in last}
    assert bits == {"energy": (2, 4, 4), "latency": (8, 4, 8), "area": (2, 8, 4)}


def test_clients_that_nothing_fits_are_counted():
    changed = config.default()
    changed.dataset, changed.rounds, changed.selector.name = "cifar10", 2, "exhaustive"
    changed.demand.energy_mj = (0.01,) * 3 + (0.9,) * 16 + (0.0,)
    paths = {row.group: row for row in STUDIES["selection"](changed)["paths"].rows}
    assert [paths[group].over_budget for group in ("energy", "latency", "area")] == [3, 0, 0]
    assert [paths[group].others for group in ("energy", "latency", "area")] == [4, 0, 1]
    assert paths["energy"].path == "2-4-4 from round 1"


@pytest.mark.parametrize("name", ["static", "random", "weighted", "exhaustive"])
def test_any_selector_can_be_asked(name):
    found = tables(name=name)
    assert name in found["paths"].title
    if name == "static":
        assert all(row.path == "8-8-8 from round 1" for row in found["paths"].rows)
