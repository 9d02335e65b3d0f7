"""The clock inside a round: who is dropped leaves no trace, on every executor, and a run is the same when resumed."""

import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from halo_jax.config import ConfigError
from halo_jax.federation.round import make_run_round
from halo_jax.federation.state import init_state
from halo_jax.federation.virtual_clock import make_clock
from halo_jax.models import MODELS
from halo_jax.records import run_folder
from halo_jax.runner.build import Federation, assemble
from halo_jax.types import Precision
from tests.records.test_run_fuzz import OneLayer
from tests.toy_run import launch, toy_config, without_seconds

CLIENTS, KEY, RATE = 4, jax.random.key(3), jnp.float32(1)
NEVER = 1e-9  # joule, for which nobody trains


@functools.cache
def federation_of(arm: str) -> Federation:
    """Of a compressor that keeps something between rounds, or pools something within one."""
    config = toy_config(arms=(), model="one_layer")
    config.compressor.name, _, config.recipe.name = arm.partition(" ")
    with mock.patch.dict(MODELS, one_layer=OneLayer):
        return assemble(config)


@functools.cache
def round_of(arm: str, cohort_size: int = CLIENTS, executor: str = "map"):
    return make_run_round(federation_of(arm).stages, cohort_size, executor, chunk_size=3)


def rounds(arm: str, *clocks: dict, cohort_size: int = CLIENTS, executor: str = "map"):
    """One round for each of some clocks, from the first state: the last (state, results) as NumPy arrays."""
    federation, run_round = federation_of(arm), round_of(arm, cohort_size, executor)
    state, results = init_state(federation.first_model, Precision(8, 8, 8), CLIENTS, federation.stages, executor), None
    for limits in clocks:
        data = federation.data._replace(clocks=make_clock(np.asarray(federation.data.num_examples), **limits))
        state, results = run_round(state, data, KEY, RATE)
    assert run_round._cache_size() == 1, "a clock is data"
    return jax.tree.map(np.asarray, (state, results))


def same(one, other) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, other)


def but(client: int, value: float, others: float) -> tuple[float, ...]:
    return tuple(value if i == client else others for i in range(CLIENTS))


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["uniform wage", "terngrad float32", "laq wage", "lfl float32"])
def test_a_dropped_client_leaves_no_trace(arm):
    expected, some = rounds(arm, {}, cohort_size=CLIENTS - 1)
    (absent,) = set(range(CLIENTS)) - set(some.client.tolist())
    flat, _ = rounds(arm, {"battery_joule": but(absent, NEVER, 1e9)})
    same(flat, expected)
    slow = {"up_mbps": but(absent, 1e-6, 1e6), "deadline_s": 1.0}
    late, results = rounds(arm, slow)
    assert late.spent[absent] > 0
    same(late._replace(spent=()), expected._replace(spent=()))
    assert results.lap.participated.tolist() == [client != absent for client in range(CLIENTS)]
    assert float(results.virtual_seconds) == 1
    left_out = jax.tree.map(lambda leaf: leaf[absent], (results.up_size, results.uploaded, results.update))
    assert not any(leaf.any() for leaf in jax.tree.leaves(left_out))


@pytest.mark.parametrize("limits", [{"deadline_s": 1e-6}, {"battery_joule": (NEVER,)}], ids=["late", "empty"])
@pytest.mark.parametrize("arm", ["uniform wage", "terngrad float32", "laq wage", "lfl float32"])
def test_where_everyone_is_dropped_the_model_stays_and_the_run_goes_on(arm, limits):
    (before, _), (after, results) = rounds(arm, {}), rounds(arm, {}, limits)
    same((after.model, after.own, after.losses, after.dead), (before.model, before.own, before.losses, before.dead))
    assert not results.uploaded.any()
    assert (after.spent > before.spent).all() == ("deadline_s" in limits)
    assert float(results.virtual_seconds) == pytest.approx(limits.get("deadline_s", 0))
    further, _ = rounds(arm, {}, limits, {})
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((further.model, further.server, further.own)))
    assert any(
        (new != old).any() for new, old in zip(*map(jax.tree.leaves, (further.model, before.model)), strict=True)
    )


def test_an_endless_deadline_and_battery_and_fast_links_change_nothing_but_the_time():
    free, _ = rounds("uniform wage", {})
    ample = {"deadline_s": 1e9, "battery_joule": (1e12,), "up_mbps": (1.0,), "down_mbps": (2.0,), "jitter": 0.5}
    state, results = rounds("uniform wage", ample)
    same(state, free)
    assert (results.lap.upload_s > 0).all()


@pytest.mark.parametrize("executor", ["vmap", "shard"])
def test_every_executor_drops_the_same_clients(executor):
    limits = {"up_mbps": (0.5,), "jitter": 0.5, "deadline_s": 0.005, "battery_joule": but(2, 2e-8, 1.0)}
    state, results = rounds("uniform wage", limits, limits, executor=executor)
    expected, by_map = rounds("uniform wage", limits, limits)
    same((state, results), (expected, by_map))
    assert 0 < by_map.lap.participated.sum() < by_map.lap.started.sum() < CLIENTS


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    """Three arms with links: without limits, with a deadline that only low precision meets, with a battery."""
    folder = tmp_path_factory.mktemp("clock") / "toy"
    arms = ("8-8-8", "8-8-8:clock.deadline_s=0.03", "8-8-8:clock.battery_joule=(9e-6,)")
    config = toy_config(arms=arms, local_epochs=2, rounds=3, checkpoint_every=1)
    config.clock.up_mbps, config.clock.down_mbps = (0.5,), (1.0, 2.0, 4.0, 8.0)
    return folder, config, launch(config, folder)


def test_times_and_energy_are_those_of_the_records(timed):
    folder, config, _ = timed
    free, late, empty = (run_folder.read(folder / arm) for arm in config.arms)
    for run in (free, late, empty):
        rows, deadline = run.clients, run.config["clock"]["deadline_s"] or np.inf
        start = rows["energy_joule"] > 0
        latency, energy = rows["latency_s"] * rows["examples"] * 2, rows["energy_mj"] * rows["examples"] * 2 / 1000
        down = rows["payload_down_bits"] / (1e6 * np.array(config.clock.down_mbps)[rows["client"]])
        share = np.clip((deadline - down) / latency, 0, 1)
        in_time = down + latency + rows["upload_seconds"] <= deadline
        np.testing.assert_allclose(rows["compute_seconds"], start * latency, rtol=1e-6)
        np.testing.assert_allclose(rows["download_seconds"], down, rtol=1e-6)
        np.testing.assert_allclose(rows["energy_joule"], start * energy * np.where(in_time, 1, share), rtol=1e-6)
        took_part = rows["participated"] == 1
        np.testing.assert_array_equal(took_part, start & in_time)
        np.testing.assert_array_equal(rows["uploads"], took_part)
        np.testing.assert_allclose(rows["upload_seconds"][took_part], rows["payload_up_bits"][took_part] / 0.5e6)
        assert not rows["payload_up_bits"][~took_part].any()
        assert np.isnan(rows["train_loss"][~took_part]).all()
        lap = (rows["download_seconds"] + rows["compute_seconds"] + rows["upload_seconds"]).reshape(3, CLIENTS)
        np.testing.assert_allclose(run.rounds["virtual_seconds"], np.minimum(lap, deadline).max(1), rtol=1e-6)
        np.testing.assert_allclose(run.rounds["energy_joule"], rows["energy_joule"].reshape(3, -1).sum(1))
        np.testing.assert_array_equal(run.rounds["examples"], (rows["examples"] * took_part).reshape(3, CLIENTS).sum(1))
        for number in np.unique(rows["round"][took_part]):
            mine = took_part & (rows["round"] == number)
            mean = np.average(rows["train_loss"][mine], weights=rows["examples"][mine])
            assert run.rounds["train_loss"][number - 1] == pytest.approx(mean)
    assert free.clients["participated"].all()
    assert not late.clients["participated"].any()
    assert empty.clients["participated"].reshape(3, CLIENTS).sum(1).tolist() == [4, 0, 0]
    assert empty.rounds["virtual_seconds"].tolist()[1:] == [0, 0]


def test_that_nobody_takes_part_is_said_once_and_is_no_divergence(timed):
    folder, config, text = timed
    lines = [line for line in text.splitlines() if "nobody took part" in line]
    assert [line.partition(";")[0] for line in lines] == [
        f"{config.arms[1]}: nobody took part in round 1 (4 missed the deadline, 0 have too little battery), "
        "and the model stayed",
        f"{config.arms[2]}: nobody took part in round 2 (0 missed the deadline, 4 have too little battery), "
        "and the model stayed",
    ]
    assert "diverged" not in text
    assert "loss        -" in text
    run = run_folder.read(folder / config.arms[1])
    assert len(set(run.rounds["accuracy"])) == 1
    assert np.isnan(run.rounds["train_loss"]).all()


@pytest.mark.slow
def test_a_run_that_was_stopped_has_the_same_clock_and_batteries(timed, tmp_path, monkeypatch):
    folder, config, _ = timed
    append = run_folder.append

    def stop(path, row, *others):
        if path.name.startswith("8-8-8:clock.b") and row.round == 2:
            raise KeyboardInterrupt
        append(path, row, *others)

    monkeypatch.setattr(run_folder, "append", stop)
    with pytest.raises(KeyboardInterrupt):
        launch(config, tmp_path / "toy")
    monkeypatch.undo()
    launch(config, tmp_path / "toy")
    for arm in config.arms:
        assert without_seconds(tmp_path / "toy" / arm / "rounds.csv") == without_seconds(folder / arm / "rounds.csv")
        for name in ("clients.csv", "fingerprints.csv"):
            assert (tmp_path / "toy" / arm / name).read_bytes() == (folder / arm / name).read_bytes()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "up_mbps",
            (1.0, 2.0),
            r"clock.up_mbps=\(1.0, 2.0\) has 2 entries; allowed: none, one, or one for each of num_c",
        ),
        ("down_mbps", (0.0,), "clock.down_mbps=.*; allowed: numbers from 1e-06 to 1e.06: .* empty: infinitely fast"),
        ("battery_joule", (-1,), "clock.battery_joule=.*; allowed: numbers from 1e-09"),
        ("jitter", 0.6, "clock.jitter=0.6; allowed: a number from 0 to 0.5"),
        ("deadline_s", -1.0, "clock.deadline_s=-1.0; allowed: a number from 0 to 1e.09"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, field, value, message):
    config = toy_config()
    config.clock[field] = value
    with pytest.raises(ConfigError, match=message):
        launch(config, tmp_path / "new")
    assert not (tmp_path / "new").exists()
