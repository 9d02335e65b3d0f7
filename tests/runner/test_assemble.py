"""Names are asked of their tables and sizes held against the data, in one line, before anything runs."""

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from halo_jax.config import Config, ConfigError, default
from halo_jax.config.arms import expand_arms
from halo_jax.datasets import DATASETS, DatasetError
from halo_jax.models import MODELS
from halo_jax.numerics.layers import QuantDense
from halo_jax.numerics.wage import DEFAULT, Numerics
from halo_jax.parameters import whole
from halo_jax.recipes import RECIPES, wage
from halo_jax.runner.build import assemble, learning_rates
from halo_jax.runner.lookup import build, check_names, make_compressor, make_selector
from halo_jax.selectors import SELECTORS
from halo_jax.types import Constraint, Cost, Demand, Precision


def tiny_config(**values) -> Config:
    config = default()
    config.dataset, config.model, config.width, config.executor = "synthetic", "small_cnn", 0.1, "map"
    for name, value in values.items():
        *parents, leaf = name.split("__")
        node = config
        for parent in parents:
            node = node[parent]
        node[leaf] = value
    return config


NO_DEMANDS = {f"demand__{metric}_clients": 0 for metric in ("energy", "latency", "area")}


@pytest.fixture(scope="module")
def federation():
    return assemble(tiny_config())


@pytest.mark.parametrize(
    ("field", "known"),
    [
        ("dataset", ", ".join(DATASETS)),
        ("model", ", ".join(MODELS)),
        ("recipe.name", "wage, float32"),
        ("selector.name", ", ".join(SELECTORS)),
        ("hardware.name", "halosim"),
        ("compressor.name", "identity, uniform"),
        ("partition.name", "iid, dirichlet, shards"),
    ],
)
@pytest.mark.parametrize("name", ["", "nope", "é"])
def test_a_wrong_name_is_refused_with_the_known_ones(field, known, name):
    config = tiny_config(**{field.replace(".", "__"): name})
    with pytest.raises(ConfigError) as caught:
        check_names(config)
    assert str(caught.value).startswith(f"{field}={name!r}; known: {known}")


def test_a_wrong_arm_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"^arms='best': known: a precision such as '8-8-8', static, halo_ps, .*"):
        expand_arms(tiny_config(arms=("8-8-8", "halo_ps", "best")))


def test_a_wrong_device_is_refused_with_the_known_ones():
    with pytest.raises(
        ConfigError,
        match=r"^hardware.name=.* hardware.device='x' is no .yaml file, .*; known: calibrated, table_i, physical$",
    ):
        assemble(tiny_config(hardware__device="x"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_clients": 257}, r"num_clients=257; allowed: at most the 256 training images"),
        ({"num_clients": 20, "train_examples": 19}, r"num_clients=20; allowed: at most the 19 training images"),
        ({"partition__name": "dirichlet", "partition__min_examples": 13}, r"partition.name='dirichlet': 20 clients"),
        ({"partition__name": "shards", "partition__shards_per_client": 13}, r"partition.name='shards': 20 clients"),
        ({"partition__name": "writers"}, r"partition.name='writers': the data set does not say who wrote"),
        (
            {"local_epochs": 10**6, "dataset": "generated", "train_examples": 3000, "num_clients": 1, **NO_DEMANDS},
            r"local_epochs=1000000 for a client of 3000 images; allowed: at most 715827",
        ),
        (
            {"model": "vgg7", "width": 4.0, "recipe__name": "float32"},
            r"width=4 gives vgg7 \d+ weights of 32 bits; allowed: at most 67108863",
        ),
        ({"schedule__phases": (0.5, 0.5)}, r"schedule.phases=\(0.5, 0.5\) has 2 entries; allowed: 3, one per rate"),
    ],
)
def test_sizes_that_do_not_fit_the_data_are_refused(values, message):
    with pytest.raises(ConfigError, match=f"^{message}") as caught:
        assemble(tiny_config(**values))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"name": "uveqfed", "uveqfed__rate": 8},
            "compressor.name='uveqfed': uveqfed: rate=8; allowed: 1 to 4 at lattice=2",
        ),
        (
            {"error_feedback": True},
            "compressor.name='identity': error_feedback=True; allowed: where updates are sent, ",
        ),
        ({"name": "qsgd", "qsgd__levels": 3, "error_feedback": True}, None),
    ],
)
def test_a_compressor_takes_its_own_parameters_and_no_others(values, message):
    config = tiny_config(**{f"compressor__{name}": value for name, value in values.items()})
    if message is None:
        assert make_compressor(config, RECIPES["wage"]()).carries == "update"
        return
    with pytest.raises(ConfigError, match=f"^{message}"):
        make_compressor(config, RECIPES["wage"]())


class Fork(nn.Module):
    """Two layers beside each other; attributes as in `models.base.MakeModel`."""

    num_classes: int
    width: float = 1.0
    numerics: Numerics | None = DEFAULT

    @nn.compact
    def __call__(self, images, precision=None):
        flat = images.reshape(images.shape[0], -1)
        left = QuantDense(4, numerics=self.numerics)(flat, precision).sum(1, keepdims=True)
        return left + QuantDense(self.num_classes, head=True, numerics=self.numerics)(flat, precision)


def test_a_network_that_a_compressor_cannot_prune_is_refused_before_anything_is_written(monkeypatch):
    monkeypatch.setitem(MODELS, "fork", Fork)
    values = {"model": "fork", "recipe__name": "float32", "compressor__name": "fl_pqsu"}
    assemble(tiny_config(**values))
    message = r"compressor.name='fl_pqsu': fl_pqsu: keep=0.5; allowed: 1, since these tensors are no chain of layers: "
    with pytest.raises(ConfigError, match=message):
        assemble(tiny_config(**values, compressor__fl_pqsu__keep=0.5))


@pytest.mark.parametrize("folder", ["x" * 300, "~nobody-of-this-name/data"])
def test_a_folder_that_the_system_refuses_is_named(folder):
    with pytest.raises(DatasetError, match=folder) as caught:
        assemble(tiny_config(dataset="mnist", data_dir=folder))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("values", [{"train_examples": 257}, {"test_examples": 65}])
def test_more_images_than_there_are_is_refused(values):
    with pytest.raises(DatasetError, match="there are"):
        assemble(tiny_config(**values))


def test_learning_rates_are_8_1_and_an_eighth_for_60_20_and_20_of_100_rounds():
    rates = learning_rates(tiny_config(rounds=100), RECIPES["wage"]())
    assert rates.dtype == np.float32
    np.testing.assert_array_equal(rates, np.repeat(np.float32([8, 1, 0.125]), (60, 20, 20)))


@pytest.mark.parametrize(
    ("rounds", "phases", "counts"),
    [(1, (0.6, 0.2, 0.2), (1, 0, 0)), (5, (0.6, 0.2, 0.2), (3, 1, 1)), (7, (0.0, 1.0, 0.0), (0, 7, 0))],
)
def test_phases_share_out_any_number_of_rounds(rounds, phases, counts):
    rates = learning_rates(tiny_config(rounds=rounds, schedule__phases=phases), RECIPES["wage"]())
    np.testing.assert_array_equal(rates, np.repeat(np.float32([8, 1, 0.125]), counts))


def test_twenty_clients_are_7_for_energy_7_for_latency_and_6_for_area(federation):
    expected = [Constraint.ENERGY] * 7 + [Constraint.LATENCY] * 7 + [Constraint.AREA] * 6
    assert federation.data.demands.constraint.tolist() == expected
    assert np.isinf(jax.tree.leaves(federation.data.demands.budget)).all()


def test_clients_beyond_the_groups_want_nothing():
    config = tiny_config(num_clients=5, demand__latency_clients=0, demand__area_clients=1, demand__energy_clients=2)
    constraint = assemble(config).data.demands.constraint.tolist()
    assert constraint == [Constraint.ENERGY, Constraint.ENERGY, Constraint.AREA, Constraint.NONE, Constraint.NONE]


def test_a_network_is_priced_at_the_width_of_the_hardware_not_of_training(federation):
    def priced(federation):
        return jax.tree.map(float, federation.stages.cost_fn(Precision(*np.int32([8, 8, 8]))))

    def weights(federation):
        return sum(leaf.size for leaf in jax.tree.leaves(federation.first_model))

    wider = assemble(tiny_config(width=0.2))
    cheaper = assemble(tiny_config(hardware__width=0.1))
    assert priced(wider) == priced(federation)
    assert weights(wider) > weights(federation) == weights(cheaper)
    assert priced(cheaper).energy_mj < priced(federation).energy_mj
    assert priced(cheaper).latency_s < priced(federation).latency_s


def test_the_model_travels_in_the_dtype_of_its_recipe(federation):
    assert {leaf.dtype.name for leaf in jax.tree.leaves(federation.first_model)} == {"int8"}
    floats = assemble(tiny_config(recipe__name="float32"))
    assert {leaf.dtype.name for leaf in jax.tree.leaves(floats.first_model)} == {"float32"}
    np.testing.assert_array_equal(floats.learning_rates[:1], np.float32([0.05]))


def test_the_seed_decides_the_first_model_and_the_shards(federation):
    same, other = assemble(tiny_config()), assemble(tiny_config(seed=1))
    for field in ("first_model", "data"):
        leaves = [jax.tree.leaves(getattr(each, field)) for each in (federation, same, other)]
        assert all(np.array_equal(a, b) for a, b in zip(leaves[0], leaves[1], strict=True))
        assert not all(np.array_equal(a, b) for a, b in zip(leaves[0], leaves[2], strict=True))


def test_a_selector_reduces_in_the_rounds_that_the_config_names(federation):
    selector = make_selector(tiny_config(selector__name="halo_ps", selector__reduce_rounds=(2,)))
    demand = jax.tree.map(lambda leaf: leaf[0], federation.data.demands)
    start = Precision(*(jax.numpy.int32(8) for _ in range(3)))

    @jax.jit
    def select(round):
        cost_fn = federation.stages.cost_fn
        return selector.select((), start, demand, cost_fn, round=round, loss=np.inf, key=jax.random.key(0))[0]

    assert [sum(map(int, select(round))) for round in range(3)] == [24, 22, 24]


def test_an_entry_gets_its_own_parameters_and_what_it_asks_for(monkeypatch):
    def mine(*, b: Annotated[int, whole(1, 9)] = 2, c, d=3):
        return b, c, d

    monkeypatch.setitem(SELECTORS, "mine", mine)
    config = tiny_config(selector__name="mine", selector__mine__b=5)
    assert build("selector", config, b=7, c=1, e=4) == (5, 1, 3)
    with pytest.raises(ConfigError, match=r"^selector.name='mine': parameter c has no kind and default, and none of e"):
        build("selector", config, e=4)


@pytest.mark.parametrize(
    ("phases", "rounds", "first"),
    [((0.6, 0.2, 0.2), 40, {25, 33}), ((0.6, 0.2, 0.2), 3, {3}), ((0.5, 0, 0.5), 10, {6}), ((1, 0, 0), 10, set())],
)
def test_reductions_may_come_with_each_new_learning_rate(phases, rounds, first):
    """The rounds are read from the learning rates themselves; each begins a phase."""
    config = tiny_config(selector__reduce_when="learning_rate", schedule__phases=phases, rounds=rounds)
    rates = learning_rates(config, wage())
    assert {int(round) + 2 for round in np.flatnonzero(np.diff(rates))} == first
    selector, demand = make_selector(config), Demand(jnp.int32(1), Cost(*jnp.full(3, jnp.inf)), jnp.ones(3))
    start, price = Precision(*jnp.full(3, 8)), lambda bits: Cost(*(3 * [bits.errors + bits.weights * 1.0]))

    def moves(round):
        loss, key = jnp.float32(1), jax.random.key(0)
        return selector.select((), start, demand, price, round=round, loss=loss, key=key)[0].errors < 8

    assert set((np.flatnonzero(jax.vmap(moves)(jnp.arange(rounds))) + 1).tolist()) == first


def test_training_images_are_augmented_as_the_config_says(monkeypatch):
    given = []
    monkeypatch.setattr("halo_jax.runner.build.make_local_train", lambda *_, augment, **__: given.append(augment))
    for name in ("auto", "none", "crop"):
        assemble(tiny_config(augment=name))
    assert [augment is None for augment in given] == [True, True, False]


def test_a_network_of_ones_own_that_raises_is_one_line(monkeypatch):
    class Broken(nn.Module):
        @nn.compact
        def __call__(self, images, precision=None):
            return images[:, 99, 0].reshape(len(images), -1)[0, 0, 0, 0]

    monkeypatch.setitem(MODELS, "small_cnn", lambda *_, **__: Broken())
    with pytest.raises(ConfigError) as error:
        assemble(tiny_config(model="small_cnn"))
    assert str(error.value).startswith("model='small_cnn' cannot take images of 8x8x1: ")
    assert "\n" not in str(error.value)
