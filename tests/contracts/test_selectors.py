"""The contract of every entry of SELECTORS, with a made-up chip: selectors know hardware only as cost_fn."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax import config
from halo_jax.selectors import SELECTORS, Selector, on_plateau
from halo_jax.types import Constraint, Cost, Demand, Precision

OPTIONS = {
    "start": Precision(8, 8, 8),
    "floor": Precision(2, 4, 4),
    "step": 2,
    "min_gain": 0.01,
    "reduce_rounds": (1, 2, 3, 5),
}
CLIENTS = 12
PACED = [name for name, make in SELECTORS.items() if "reduce_rounds" in inspect.signature(make).parameters]
every = pytest.mark.parametrize("name", [*SELECTORS, *(f"{name} on a plateau" for name in PACED)])


def make(name: str) -> Selector:
    name, _, pace = name.partition(" ")
    options = OPTIONS | ({"reduce_rounds": on_plateau(1, 0.01)} if pace else {})
    return SELECTORS[name](**{key: options[key] for key in inspect.signature(SELECTORS[name]).parameters})


def cost_fn(precision: Precision) -> Cost:
    w, a, e = (bits.astype(jnp.float32) for bits in precision)
    return Cost(0.1 * w + 3 * a + 4 * e, 2 * a + 0.01 * e, 5 * w + 0.2 * e)


def clients(seed: int = 0):
    """Arguments of `select` for N clients of mixed precision, demand, loss and key; some have no limit or weight."""
    rng = np.random.default_rng(seed)
    bits = Precision(*jnp.asarray(rng.integers([[2], [4], [4]], 9, (3, CLIENTS)), jnp.int32))
    constraint = jnp.arange(CLIENTS, dtype=jnp.int32) % len(Constraint)
    limits = rng.uniform(0.3, 1.1, (CLIENTS, 3)) * np.stack(cost_fn(Precision(*jnp.full(3, 8))))
    limits[rng.random((CLIENTS, 3)) < 0.4] = np.inf
    weights = rng.integers(0, 3, (CLIENTS, 3))
    demand = Demand(constraint, Cost(*jnp.asarray(limits.T, jnp.float32)), jnp.asarray(weights, jnp.float32))
    loss = jnp.asarray(rng.random(CLIENTS), jnp.float32)
    return bits, demand, loss, jax.random.split(jax.random.key(seed), CLIENTS)


def select_one(selector, state, bits, demand, loss, key, round):
    return selector.select(state, bits, demand, cost_fn, round=round, loss=loss, key=key)


def lift(selector):
    one = lambda *args: select_one(selector, *args)  # noqa: E731
    return jax.vmap(one, in_axes=(0, 0, 0, 0, 0, None))


def states(selector):
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (CLIENTS, *jnp.shape(leaf))), selector.init())


def test_parameters_are_config_fields_of_the_selector_or_of_all():
    for name, make in SELECTORS.items():
        fields = {f"selector.{name}.{option}" for option in inspect.signature(make).parameters} & config.all_fields().keys()
        shared = {f"selector.{option}" for option in inspect.signature(make).parameters} & config.FIELDS.keys()
        assert len(fields) + len(shared) == len(inspect.signature(make).parameters)


@every
def test_one_client_gets_int32_scalars_in_range(name):
    selector = make(name)
    bits, demand, loss, key = jax.tree.map(lambda leaf: leaf[1], clients())
    precision, state = select_one(selector, selector.init(), bits, demand, loss, key, jnp.int32(0))
    assert isinstance(precision, Precision)
    for field in precision:
        assert (field.shape, field.dtype, field.weak_type) == ((), jnp.int32, False)
        assert 2 <= int(field) <= 8
    same = jax.tree.map(lambda a, b: jnp.shape(a) == jnp.shape(b), selector.init(), state)
    assert all(jax.tree.leaves(same))


@every
def test_jit_of_mixed_clients_is_eager_client_by_client(name):
    selector = make(name)
    bits, demand, loss, keys = clients()
    lifted, _ = jax.jit(lift(selector))(states(selector), bits, demand, loss, keys, jnp.int32(1))
    for n in range(CLIENTS):
        one = jax.tree.map(lambda leaf, n=n: leaf[n], (bits, demand, loss, keys))
        alone, _ = select_one(selector, selector.init(), *one, jnp.int32(1))
        assert tuple(map(int, alone)) == tuple(int(field[n]) for field in lifted)


@every
def test_new_bits_rounds_and_demands_compile_nothing(name):
    selector, traces = make(name), []

    @jax.jit
    def choose(*args):
        traces.append(None)
        return lift(selector)(*args)

    for seed in range(3):
        bits, demand, loss, keys = clients(seed)
        demand = demand._replace(constraint=(demand.constraint + seed) % len(Constraint))
        choose(states(selector), bits, demand, loss, keys, jnp.int32(seed))
    assert len(traces) == 1


@every
def test_rounds_scan_in_one_program_and_stay_in_range(name):
    selector = make(name)
    bits, demand, loss, keys = clients()

    def step(carry, round):
        state, bits = carry
        bits, state = lift(selector)(state, bits, demand, loss, keys, round)
        return (state, bits), bits

    _, history = jax.jit(lambda: jax.lax.scan(step, (states(selector), bits), jnp.arange(8)))()
    for field in history:
        assert field.shape == (8, CLIENTS)
        assert field.dtype == jnp.int32
        assert int(field.min()) >= 2
        assert int(field.max()) <= 8


@every
def test_nobody_without_a_constraint_moves_under_the_papers_selectors_and_their_control(name):
    if name.partition(" ")[0] not in ("static", "halo_ps", "random"):
        pytest.skip("only Algorithm 1, line 17, says so")
    selector = make(name)
    bits, demand, loss, keys = clients()
    demand = demand._replace(constraint=jnp.full(CLIENTS, Constraint.NONE, jnp.int32))
    kept, _ = jax.jit(lift(selector))(states(selector), bits, demand, loss, keys, jnp.int32(0))
    jax.tree.map(np.testing.assert_array_equal, kept, bits)
