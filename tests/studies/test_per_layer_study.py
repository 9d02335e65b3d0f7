import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax import config
from halo_jax.hardware import halosim
from halo_jax.studies import STUDIES
from halo_jax.types import Cost, Precision
from tests.golden.vgg7_shapes import VGG7


def tables(**demand):
    changed = config.default()
    changed.dataset = "cifar10"
    changed.demand.update(demand)
    config.validate(changed)
    return STUDIES["per_layer"](changed)


@pytest.mark.slow
@pytest.mark.parametrize("demand", [{}, {"energy_mj": (0.7,), "area_mm2": (900.0,)}, {"latency_s": (0.6,)}])
def test_the_choice_is_within_its_budget_and_has_less_noise_than_one_precision_for_all(demand):
    found = tables(**demand)
    bits = Precision(*(jnp.array(column) for column in zip(*(row[3:] for row in found["per_layer"].rows), strict=True)))
    cost = halosim.evaluate_per_layer(VGG7["cifar10"], bits)
    rows = {row.quantity: row for row in found["comparison"].rows}
    for name, value in cost._asdict().items():
        assert rows[name].per_layer == value
        assert rows[name].budget is None or float(value) <= rows[name].budget * (1 + 1e-6)
    noise = rows["quantisation noise"]
    assert noise.per_layer == pytest.approx(sum((4.0 ** -np.asarray(field)).sum() for field in bits), rel=1e-6)
    assert noise.per_layer <= noise.uniform
    assert rows["no choice has less than"].per_layer <= noise.per_layer * (1 + 1e-6)
    limited = demand or {"energy_mj": "half of the energy at 8-8-8"}
    assert {name for name in Cost._fields if rows[name].budget is not None} == limited.keys()


def test_a_budget_that_nothing_fits_is_one_line():
    with pytest.raises(config.ConfigError, match=r"demand.energy_mj=0.01: nothing from 2-4-4 to 8-8-8 fits"):
        tables(energy_mj=(0.01,))
