"""The virtual clock: what a lap takes, who is in time, and what a battery pays; against a twin in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.federation import clients
from halo_jax.federation.virtual_clock import Clock, Lap, lap, make_clock, round_s
from halo_jax.types import Cost, Stream, stream

CLIENTS = 64
KEY = jax.random.key(1)
rng = np.random.default_rng(0)
SAMPLES = rng.integers(1, 4000, CLIENTS)
COST = Cost(*(rng.uniform(low, high, CLIENTS).astype("f4") for low, high in ((0.1, 1.3), (0.2, 0.9), (100, 900))))
DOWN, UP = rng.integers(1, 2**31 - 1, (2, CLIENTS)).astype(np.int32)
SPENT = rng.uniform(0, 3, CLIENTS).astype("f4")


@jax.jit
def timed(clock: Clock, spent, round=0) -> Lap:
    ids = jnp.arange(CLIENTS)
    return clients.lift(lap, "vmap")((ids, clock, spent, COST, DOWN, UP), (KEY, jnp.int32(round)))


def laps(spent=SPENT, round=0, **limits) -> Lap:
    return jax.tree.map(np.asarray, timed(make_clock(SAMPLES, **limits), spent, round))


def test_a_lap_is_the_formula_and_a_deadline_and_a_battery_are_held():
    rates = rng.uniform(0.5, 20, (2, CLIENTS))
    limits = {"deadline_s": 2000.0, "battery_joule": tuple(rng.uniform(0.5, 8, CLIENTS).tolist())}
    found = laps(up_mbps=tuple(rates[0].tolist()), down_mbps=tuple(rates[1].tolist()), **limits)
    energy, latency = (np.float64(part) * SAMPLES for part in (COST.energy_mj, COST.latency_s))
    download, upload = DOWN / (1e6 * rates[1]), UP / (1e6 * rates[0])
    started = SPENT + energy / 1000 <= limits["battery_joule"]
    in_time = download + latency + upload <= 2000
    share = np.where(in_time, 1, np.clip((2000 - download) / latency, 0, 1))
    assert 0 < started.sum() < CLIENTS
    assert 0 < (started & in_time).sum() < started.sum()
    assert len(np.unique(share)) > 3
    np.testing.assert_array_equal(found.started, started)
    np.testing.assert_array_equal(found.participated, started & in_time)
    for value, expected in (
        (found.download_s, download),
        (found.compute_s, latency),
        (found.upload_s, upload),
        (found.energy_joule, energy / 1000 * share),
    ):
        np.testing.assert_allclose(value, np.where(started, expected, 0), rtol=1e-6)
    slowest = np.minimum(download + latency + upload, 2000)[started].max()
    assert float(round_s(found, jnp.full(CLIENTS, 2000.0))) == pytest.approx(slowest)


def test_without_limits_everyone_takes_part_at_once_and_the_slowest_decides():
    found = laps()
    assert found.participated.all()
    assert not np.any([found.download_s, found.upload_s])
    assert float(round_s(found, make_clock(SAMPLES).deadline_s)) == found.compute_s.max()
    late = laps(deadline_s=float(found.compute_s.max()))
    assert late.participated.all(), "the deadline itself is in time"
    before = laps(deadline_s=float(np.nextafter(found.compute_s.max(), np.float32(0))))
    assert before.participated.sum() == CLIENTS - 1


def test_an_eager_lap_has_the_same_bits():
    limits = {"up_mbps": (1.0,), "down_mbps": (3.0,), "jitter": 0.3, "deadline_s": 1500.0, "battery_joule": (4.0,)}
    found, clock = laps(**limits), make_clock(SAMPLES, **limits)
    for i in range(8):
        one = lambda tree, i=i: jax.tree.map(lambda leaf: leaf[i], tree)  # noqa: E731
        alone = lap(jnp.int32(i), one(clock), SPENT[i], one(COST), DOWN[i], UP[i], KEY, jnp.int32(0))
        jax.tree.map(np.testing.assert_array_equal, alone, one(found))


def test_jitter_has_the_deviation_that_was_asked_for_is_bounded_and_new_in_every_round():
    clock = {"up_mbps": (1.0,), "down_mbps": (1.0,), "jitter": 0.3}
    rounds = [laps(round=round, **clock) for round in range(40)]
    rates = np.array(
        [[bits / getattr(one, way) / 1e6 for one in rounds] for bits, way in ((UP, "upload_s"), (DOWN, "download_s"))]
    )
    assert rates.mean() == pytest.approx(1, abs=0.02)
    assert rates.std() == pytest.approx(0.3, abs=0.02)
    assert 1 - 0.3 * 3**0.5 <= rates.min() < rates.max() <= 1 + 0.3 * 3**0.5 + 1e-6
    assert abs(np.corrcoef(rates.reshape(2, -1))[0, 1]) < 0.1, "up and down are drawn apart"
    assert abs(np.corrcoef(rates[0, 0], rates[0, 1])[0, 1]) < 0.5
    again = laps(round=1, **clock)
    jax.tree.map(np.testing.assert_array_equal, again, rounds[1])


def test_a_battery_is_never_below_zero_and_what_remains_stays():
    capacity = tuple(rng.uniform(0.2, 20, CLIENTS).tolist())
    spent, rounds = np.zeros(CLIENTS, "f4"), 0
    while True:
        found = laps(spent, battery_joule=capacity)
        assert (found.energy_joule[~found.started] == 0).all()
        spent, rounds = spent + found.energy_joule, rounds + 1
        assert (spent <= np.array(capacity, "f4")).all()
        if not found.started.any():
            break
    assert rounds > 3
    assert (np.array(capacity, "f4") - spent > 0).any()


def test_a_link_draws_from_a_stream_of_its_own():
    """The seconds are those of rates that are drawn again by hand, from that stream alone."""
    found = laps(up_mbps=(1.0,), jitter=0.5, round=3)
    keys = [stream(KEY, Stream.LINK, 3, client) for client in range(CLIENTS)]
    draws = np.array([jax.random.bits(key, (2,), np.uint32)[1] >> 16 for key in keys], np.float64)
    rates = 1e6 * (1 + np.sqrt(3) * 0.5 * ((2 * draws + 1) / 2**16 - 1))
    np.testing.assert_allclose(found.upload_s, np.where(found.started, UP / rates, 0), rtol=1e-5)
