"""The client axis: cohorts, their entries, and the lift."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.federation.clients import EXECUTORS, lift, placement, put, resolve_executor, sample_cohort, take


def test_a_cohort_is_distinct_ascending_and_known():
    cohorts = jax.vmap(lambda key: sample_cohort(key, 10, 4))(jax.random.split(jax.random.key(0), 200))
    assert cohorts.shape == (200, 4)
    assert (jnp.diff(cohorts, axis=1) > 0).all()
    assert cohorts.min() >= 0
    assert cohorts.max() < 10


def test_every_client_is_drawn_about_equally_often():
    cohorts = jax.vmap(lambda key: sample_cohort(key, 10, 4))(jax.random.split(jax.random.key(0), 2000))
    counts = np.bincount(np.asarray(cohorts).ravel(), minlength=10)
    assert abs(counts - 800).max() < 5 * np.sqrt(2000 * 0.4 * 0.6)  # five standard deviations


def test_a_whole_cohort_is_everyone():
    np.testing.assert_array_equal(sample_cohort(jax.random.key(0), 7, 7), np.arange(7))


def test_take_and_put_are_inverse():
    tree = {"a": jnp.arange(12).reshape(6, 2), "b": jnp.arange(6.0)}
    cohort = jnp.array([1, 4])
    some = take(tree, cohort)
    np.testing.assert_array_equal(some["a"], [[2, 3], [8, 9]])
    changed = put(tree, cohort, jax.tree.map(lambda leaf: leaf + 100, some))
    np.testing.assert_array_equal(changed["b"], [0, 101, 2, 3, 104, 5])
    restored = put(changed, cohort, some)
    jax.tree.map(np.testing.assert_array_equal, restored, tree)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("clients", [1, 3, 4])  # 3 and 1 are not shared evenly by two devices, 4 not by chunks of 3
def test_the_lift_is_a_loop_over_clients(executor, clients):
    def one_client(client, values, shared):
        return {"sum": values.sum() + shared, "client": client}

    values = jnp.arange(clients * 2).reshape(clients, 2)
    lifted = jax.jit(lift(one_client, executor, chunk_size=3))((jnp.arange(clients), values), (jnp.int32(10),))
    np.testing.assert_array_equal(lifted["sum"], [10 + 4 * client + 1 for client in range(clients)])
    np.testing.assert_array_equal(lifted["client"], np.arange(clients))


def test_an_unknown_executor_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"executor 'fast'; known: vmap, map, chunk, shard$"):
        lift(lambda client: client, "fast")


@pytest.mark.parametrize(
    ("name", "backend", "devices", "clients", "expected"),
    [
        ("auto", "cpu", 1, 20, ("map", "one core: client by client stays in cache")),
        ("auto", "cpu", 2, 20, ("shard", "20 clients shared by 2 cores")),
        ("auto", "gpu", 1, 20, ("vmap", "all 20 clients in each kernel")),
        ("auto", "gpu", 1, 1000, ("chunk", "at most 20 of 1000 clients in each kernel")),
        ("auto", "gpu", 4, 20, ("shard", "20 clients shared by 4 devices")),
        ("map", "gpu", 4, 20, ("map", "as configured")),
    ],
)
def test_auto_is_what_is_fastest_on_the_devices_there_are_and_says_why(name, backend, devices, clients, expected):
    assert resolve_executor(name, backend, devices, clients) == expected


def test_auto_keeps_to_the_chunk_size_that_was_asked_for():
    assert resolve_executor("auto", "gpu", 1, 20, chunk_size=5)[0] == "chunk"
    assert resolve_executor("auto", "gpu", 1, 50, chunk_size=100)[0] == "vmap"


def test_only_shard_places_state_on_every_device():
    assert placement("map") is None
    assert placement("vmap") is None
    assert jax.device_put(jnp.zeros(3), placement("shard")).sharding.device_set == set(jax.devices())
