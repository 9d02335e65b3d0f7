"""Runs that go through one program together are the runs that each would be alone, to the bit."""

from pathlib import Path

import pytest

from halo_jax.config.arms import expand_arms
from halo_jax.records import run_folder
from halo_jax.runner import compiled_rounds
from halo_jax.runner.build import assemble_all
from halo_jax.runner.compiled_rounds import Arm, program_key, stacks
from tests.toy_run import launch, toy_config, without_seconds

ARMS = ("8-8-8", "3-5-4", "halo_ps", "terngrad:recipe.name=float32")


def config_of(**values):
    return toy_config(**{"arms": ARMS, "seeds": (0, 3), "rounds": 2, "num_clients": 3, "cohort_size": 2, **values})


def same_files(one, other):
    arms = sorted(path.parent.relative_to(one) for path in one.glob("**/summary.json"))
    assert arms == sorted(path.parent.relative_to(other) for path in other.glob("**/summary.json"))
    for arm in arms:
        for table in ("clients.csv", "fingerprints.csv"):
            assert (one / arm / table).read_bytes() == (other / arm / table).read_bytes(), (arm, table)
        assert without_seconds(one / arm / "rounds.csv") == without_seconds(other / arm / "rounds.csv")
        runs = [run_folder.read(folder / arm) for folder in (one, other)]
        assert runs[0].summary["model_sha256"] == runs[1].summary["model_sha256"]
    return arms


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "toy"
    launch(config_of(), folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["map", "shard"])
def test_stacked_runs_have_the_files_of_runs_alone(alone, tmp_path, executor, monkeypatch):
    sizes, of = [], compiled_rounds.Programs.of
    monkeypatch.setattr(compiled_rounds.Programs, "of", lambda self, arms: sizes.append(len(arms)) or of(self, arms))
    text = launch(config_of(stack=0, executor=executor), tmp_path / "toy")
    assert sizes == [4, 2, 2]  # two precisions of two seeds, a selector of two, a recipe of two
    assert len(same_files(alone, tmp_path / "toy")) == 8
    lines = [line.split("  loss")[0] for line in text.splitlines() if "  round " in line]
    assert lines[:4] == [f"seed_{seed}/{arm}  round   1/2" for seed in (0, 3) for arm in ARMS[:2]]


@pytest.mark.slow
def test_a_stopped_stack_goes_on_and_a_run_that_lags_behind_goes_by_itself(alone, tmp_path, monkeypatch):
    config, append, stop = config_of(stack=4, checkpoint_every=1), run_folder.append, [True]

    def interrupted(path, row, *others):
        if row.round == 2 and stop.pop():
            raise KeyboardInterrupt
        append(path, row, *others)

    monkeypatch.setattr(run_folder, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        launch(config, tmp_path / "toy")
    monkeypatch.undo()
    checkpoints = tmp_path / "toy" / "seed_0" / "8-8-8" / "checkpoints"
    assert [path.name for path in checkpoints.iterdir()] == ["1"]
    for path in (checkpoints / "1").rglob("*"):
        if path.is_file():
            path.unlink()
    for path in sorted(checkpoints.rglob("*"), reverse=True):
        path.rmdir()
    sizes, of = [], compiled_rounds.Programs.of
    monkeypatch.setattr(compiled_rounds.Programs, "of", lambda self, arms: sizes.append(len(arms)) or of(self, arms))
    launch(config, tmp_path / "toy")
    assert sorted(sizes[:2]) == [1, 3]
    same_files(alone, tmp_path / "toy")


def arms_of(**values) -> list[Arm]:
    config = config_of(seeds=(), **values)
    configs = expand_arms(config)
    federations = assemble_all(configs, first_models=False)
    return [Arm(name, configs[name], federations[name], Path(), name, name) for name in configs]


def test_runs_share_a_program_if_they_differ_in_data_alone():
    names = ("8-8-8", "2-2-2", "halo_ps", "halo_ps:step=1", "exhaustive", "exhaustive:start=6-6-6")
    base, low, ours, step, exhaustive, bounded = (program_key(arm) for arm in arms_of(arms=names))
    assert base == low
    assert len({base, ours, step, exhaustive, bounded}) == 5  # the start bounds what `exhaustive` may pick
    (other,) = arms_of(arms=("8-8-8",), seed=5, partition={"name": "shards"}, schedule={"phases": (0.5, 0.3, 0.2)})
    (wider,) = arms_of(arms=("8-8-8",), width=0.2)
    (fewer,) = arms_of(arms=("8-8-8",), train_examples=36)
    assert program_key(wider) != base != program_key(fewer)
    pace = "halo_ps:reduce_when=learning_rate"
    early, late = (arms_of(arms=(pace,), schedule={"phases": p})[0] for p in ((0.5, 0.3, 0.2), (0.5, 0.2, 0.3)))
    assert program_key(early) != program_key(late)  # the rounds that reduce are in the program
    paces = ("halo_ps:reduce_when=plateau", "halo_ps:reduce_when=plateau,clock.deadline_s=9")
    free, limited = arms_of(arms=paces, cohort_size=0)
    assert program_key(free) != program_key(limited)
    assert ours == program_key(arms_of(arms=("halo_ps:clock.deadline_s=9",))[0])
    (plain,) = arms_of(arms=("8-8-8",))
    same_sizes = other.federation.data.local_data.mask.shape == plain.federation.data.local_data.mask.shape
    assert (program_key(other) == base) == same_sizes


def test_a_stack_holds_at_most_so_many_and_keeps_all_devices_busy(monkeypatch):
    arms = arms_of(arms=("8-8-8", "halo_ps", "6-6-6", "4-4-4"))
    names = lambda most: [[arm.name for arm in group] for group in stacks(arms, most)]  # noqa: E731
    assert names(1) == [["8-8-8"], ["halo_ps"], ["6-6-6"], ["4-4-4"]]
    assert names(2) == [["8-8-8", "6-6-6"], ["4-4-4"], ["halo_ps"]]
    assert names(9) == [["8-8-8", "6-6-6", "4-4-4"], ["halo_ps"]]
    arms = arms_of(arms=("8-8-8", "6-6-6"), executor="shard")
    monkeypatch.setattr(compiled_rounds.jax, "device_count", lambda: 4)
    assert names(9) == [["8-8-8"], ["6-6-6"]]
