"""A run on arrays in memory is that on the same images by name, goes on with them, and says where they are missing."""

import numpy as np
import pytest

import halo_jax as hj
from halo_jax.config import ConfigError
from halo_jax.datasets import DatasetError
from halo_jax.records import files, run_folder
from halo_jax.records.files import RecordError
from halo_jax.reporting import compare_runs
from tests.toy_run import launch, toy_config

FULL = hj.DATASETS["synthetic"]()
LISTS = FULL._replace(train_images=FULL.train_images.tolist(), train_labels=FULL.train_labels.tolist())
OTHER_SHAPE = FULL._replace(train_images=FULL.train_images[:, :6], test_images=FULL.test_images[:, :6])


def small(**values):
    return toy_config(arms=(), rounds=2, checkpoint_every=1, num_clients=3, **values)


@pytest.fixture(scope="module")
def stopped_and_gone_on(tmp_path_factory):
    """The folder of a run that was stopped after its first round and went on, and what was seen the second time."""
    folder = tmp_path_factory.mktemp("memory") / "run"

    def stop(arm, row):
        raise KeyboardInterrupt

    config = small()
    with pytest.raises(KeyboardInterrupt):
        launch(config, folder, dataset=FULL, on_round=stop)
    assert config.dataset == "synthetic"  # the caller's own is as it was
    rounds = []
    said = launch(config, folder, dataset=LISTS, on_round=lambda arm, row: rounds.append(row.round))
    assert rounds in ([1, 2], [2])
    return folder, said


@pytest.mark.slow
def test_the_model_is_that_of_the_same_images_by_name(stopped_and_gone_on, tmp_path):
    folder, said = stopped_and_gone_on
    launch(small(), tmp_path / "named")
    records = [files.read_json(place / run_folder.SUMMARY) for place in (folder, tmp_path / "named")]
    assert records[0]["model_sha256"] == records[1]["model_sha256"]
    assert [record["dataset"] for record in records] == ["memory", "synthetic"]
    assert said.startswith("toy: memory, 37 training images over 3 clients")


def test_a_run_on_arrays_is_reported_and_loaded_like_any_other(stopped_and_gone_on, tmp_path):
    folder, _ = stopped_and_gone_on
    (run,) = compare_runs.compare([folder], tmp_path / "report").values()
    assert run.config["dataset"] == "memory"
    model = hj.load(folder)
    kept = hj.datasets.keep("memory", FULL, test_examples=16)
    assert (model.predict(kept.test_images) == kept.test_labels).mean() == run.summary["accuracy"]


def test_without_the_arrays_one_line_says_so_and_nothing_changes(stopped_and_gone_on):
    folder, _ = stopped_and_gone_on
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(DatasetError, match=r"^dataset='memory' names arrays that were in memory, and no file; right: "):
        launch(small(dataset="memory"), folder)
    with pytest.raises(ConfigError, match=r"holds another run \(dataset='memory' there, 'synthetic' here\)"):
        launch(small(), folder)
    with pytest.raises(ConfigError, match="holds a model of 8x8x1 pixels and 4 classes at 8-8-8, here: 6x8x1 pixels"):
        launch(small(), folder, dataset=OTHER_SHAPE)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("dataset", "error", "message"),
    [
        (FULL._replace(train_images=FULL.train_images / 255), DatasetError, "dataset.train_images: found float64 "),
        (FULL._replace(num_classes=3), DatasetError, "memory train: found labels from 0 to 3; right: 0 to 2"),
        ((FULL.train_images, FULL.train_labels), DatasetError, "dataset: found a tuple; right: halo_jax.Dataset"),
        (FULL._replace(test_labels=np.zeros(3, int)), DatasetError, "dataset.test_labels: found int64 "),
    ],
)
def test_wrong_arrays_are_one_line_and_nothing_is_written(dataset, error, message, tmp_path):
    with pytest.raises(error) as caught:
        launch(small(), tmp_path / "run", dataset=dataset)
    assert str(caught.value).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_over_data_sets_takes_no_arrays(tmp_path):
    config = small(sweep=("dataset=digits|synthetic",))
    with pytest.raises(ConfigError, match=r"^sweep varies dataset='digits'; allowed where the arrays are given: any"):
        launch(config, tmp_path / "run", dataset=FULL)
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_before_gets_its_record_by_a_launch_that_trains_nothing(stopped_and_gone_on):
    folder, _ = stopped_and_gone_on
    (folder / "model.json").unlink()
    with pytest.raises(RecordError, match=r"model.json: missing, as in runs of earlier versions; right: launch"):
        hj.load(folder)
    rounds = []
    launch(small(), folder, dataset=FULL, on_round=lambda arm, row: rounds.append(row))
    assert rounds == []
    assert hj.load(folder).image_shape == (8, 8, 1)
