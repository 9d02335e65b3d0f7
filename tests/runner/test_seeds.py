"""An experiment over several seeds: a run folder each, and one comparison of all."""

import pytest

from halo_jax.config import ConfigError
from halo_jax.records import run_folder
from halo_jax.records.files import read_columns
from tests.toy_run import launch, toy_config, without_seconds

ARMS = ("terngrad:recipe.name=float32", "laq")


def config_of(**values):
    return toy_config(arms=ARMS, rounds=2, num_clients=3, cohort_size=2, **values)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Two seeds, two rivals, two of three clients a round: the folder and what was printed."""
    folder = tmp_path_factory.mktemp("seeds") / "toy"
    config = config_of(seeds=(3, 0))
    config.evaluation.target_percent = 0.5
    return folder, launch(config, folder), config


@pytest.mark.slow
def test_each_seed_has_the_folder_of_a_run_and_the_comparison_has_every_arm(both):
    folder, text, _ = both
    assert {path.name for path in folder.iterdir()} == {
        *("seed_3", "seed_0"),
        *("comparison.csv", "config.json", "figures", "report.html"),
    }
    for seed in ("seed_3", "seed_0"):
        assert (folder / seed / "report.html").exists()
        for arm in ARMS:
            assert run_folder.read(folder / seed / arm).summary["finished"] is True
    rows = read_columns(folder / "comparison.csv")
    assert rows["arm"].tolist() == ["terngrad (recipe.name=float32)", "laq"]
    assert rows["quantised_training"].tolist() == ["", "yes"]
    assert rows["seeds"].tolist() == [2, 2]
    assert {path.name for path in (folder / "figures").iterdir()} == {
        "accuracy_by_payload.png",
        "accuracy_by_energy.png",
        "accuracy_by_time.png",
        "accuracy_by_energy_used.png",
    }
    assert "terngrad" in text.rpartition("QT")[0]
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert all(f"<th>{arm}</th>" in page for arm in rows["arm"])


@pytest.mark.slow
def test_payloads_in_the_records_are_those_of_the_formulas(both):
    folder, _, _ = both
    arm = run_folder.read(folder / "seed_0" / ARMS[0])
    weights, tensors = arm.clients["payload_down_nominal_bits"][0] // 32, 3
    weights -= tensors  # the cohort's scalers come back beside the model of 32 bits a weight
    assert set(arm.clients["payload_up_nominal_bits"]) == {2 * weights + 32 * tensors}
    assert (arm.clients["payload_up_bits"] < 2 * weights + 32 * tensors).all()  # 27 bits hold 17 ternary digits
    assert (arm.clients["payload_up_bits"] % 8 == 0).all()
    assert (arm.rounds["payload_up_bits"] == arm.clients["payload_up_bits"].reshape(-1, 2).sum(1)).all()
    lazy = run_folder.read(folder / "seed_0" / ARMS[1])
    assert set(lazy.clients["payload_up_nominal_bits"]) == {4 * weights + 32}
    assert set(lazy.clients["payload_down_bits"]) == {8 * weights + 32}  # and the threshold
    assert set(lazy.rounds["uploads"]) == {2}


@pytest.mark.slow
def test_a_seed_alone_stopped_and_launched_again_is_the_same_run_and_a_second_launch_trains_nothing(
    both, tmp_path, monkeypatch
):
    folder, _, config = both
    alone, append = config_of(seed=3, checkpoint_every=1, evaluation=config.evaluation), run_folder.append

    def stop(path, row, *others):
        if path.name == "laq" and row.round == 2:
            raise KeyboardInterrupt
        append(path, row, *others)

    monkeypatch.setattr(run_folder, "append", stop)
    with pytest.raises(KeyboardInterrupt):
        launch(alone, tmp_path / "alone")
    monkeypatch.undo()
    assert (tmp_path / "alone" / "laq" / "checkpoints" / "1").exists()
    launch(alone, tmp_path / "alone")
    for arm in ARMS:
        for name in ("clients.csv", "fingerprints.csv"):
            assert (tmp_path / "alone" / arm / name).read_bytes() == (folder / "seed_3" / arm / name).read_bytes()
        alone, among = (path / arm / "rounds.csv" for path in (tmp_path / "alone", folder / "seed_3"))
        assert without_seconds(alone) == without_seconds(among)
    (folder / "comparison.csv").unlink()
    assert "  round " not in launch(config, folder)
    assert (folder / "comparison.csv").exists()


@pytest.mark.slow
def test_a_finished_experiment_grows_by_seeds_and_arms_without_training_anything_again(both):
    folder, _, config = both
    grown = config_of(seeds=(3, 0, 5), evaluation=config.evaluation)
    grown.arms = (*ARMS, "qsgd")
    heard = []
    text = launch(grown, folder, on_round=lambda arm, row: heard.append((arm, row.round)))
    assert [arm for arm, number in heard if number == 1] == ["seed_3/qsgd", "seed_0/qsgd"] + [
        f"seed_5/{arm}" for arm in grown.arms
    ]
    assert text.count("  round ") == 2 + 2 + 6  # the new arm of two seeds, and a new seed
    assert read_columns(folder / "comparison.csv")["seeds"].tolist() == [3, 3, 3]
    with pytest.raises(ConfigError, match=r"holds another run \(arms=.* there, .* here, seeds=\(3, 0, 5\) there"):
        launch(config, folder)


@pytest.mark.slow
def test_other_seeds_are_another_run_and_overwrite_leaves_nothing_of_the_old(both):
    folder, _, config = both
    other = config_of(seeds=(0,), evaluation=config.evaluation)
    with pytest.raises(ConfigError, match=r"holds another run \(.*seeds=\(3, 0, 5\) there, \(0,\) here\)"):
        launch(other, folder)
    (folder / "notes.txt").write_text("mine")
    launch(other, folder, overwrite=True)
    assert not (folder / "seed_3" / "config.json").exists()
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("values", "message"), [({"seeds": (1, 1)}, "each seed once"), ({"model": "x"}, "known: vgg7")]
)
def test_what_is_wrong_is_said_before_anything_is_written(tmp_path, values, message):
    with pytest.raises(ConfigError, match=message):
        launch(toy_config(**{"seeds": (0, 1), **values}), tmp_path / "new")
    assert not (tmp_path / "new").exists()
