"""TensorBoard's event files hold the rows of rounds.csv, also after a stop, and a hook hears of the same rounds."""

import importlib.util
import struct

import numpy as np
import pytest
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event

from halo_jax.config import ConfigError
from halo_jax.records import files, run_folder, tensorboard
from halo_jax.records.rows import RoundRecord
from tests import record_fixture
from tests.toy_run import launch, toy_config

TAGS = {
    *(f"train/{name}" for name in ("loss", "learning_rate", "examples", "seconds")),
    *(f"test/{name}" for name in ("loss", "accuracy", "top5_accuracy")),
    *(f"hardware/{name}" for name in ("weights_bits", "activations_bits", "errors_bits")),
    *(f"hardware/{name}" for name in ("energy_mj", "latency_s", "area_mm2")),
    *(f"payload/{way}{kind}_bits" for way in ("up", "down") for kind in ("", "_nominal", "_entropy")),
    "payload/uploads",
    *(f"clock/{name}" for name in ("virtual_seconds", "energy_joule")),
}


def events(folder):
    """Step -> tag -> value of the only event file, which is length, checksum, event, checksum for each event."""
    (path,) = (folder / tensorboard.FOLDER).iterdir()
    data, found = path.read_bytes(), []
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        for part, at in ((data[:8], 8), (data[12 : 12 + size], 12 + size)):
            crc = crc32c(part)
            masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
            assert struct.unpack("<I", data[at : at + 4]) == (masked,)
        found.append(Event.FromString(data[12 : 12 + size]))
        data = data[16 + size :]
    assert found[0].file_version == "brain.Event:2"
    times = [event.wall_time for event in found[1:]]
    assert times == sorted(times)
    steps = [event.step for event in found[1:]]
    assert len(set(steps)) == len(steps)
    return {event.step: {value.tag: value.simple_value for value in event.summary.value} for event in found[1:]}


@pytest.mark.slow
def test_a_stopped_run_goes_on_and_each_round_stands_once(tmp_path, monkeypatch):
    folder, heard = tmp_path / "run" / "8-8-8", []
    config = toy_config(arms=("8-8-8",), tensorboard=True, eval_every=2)

    def hook(arm, row):
        heard.append((arm, row.round))
        assert list(events(folder)) == list(range(1, row.round + 1))  # on disk before the round ends
        if heard == [("8-8-8", 1), ("8-8-8", 2), ("8-8-8", 3)]:
            raise RuntimeError("of the user's own")

    with pytest.raises(RuntimeError, match="of the user's own"):
        launch(config, tmp_path / "run", on_round=hook)
    assert run_folder.read(folder).rounds["round"].tolist() == [1, 2, 3]  # recorded before the hook hears of it
    launch(config, tmp_path / "run", on_round=hook)
    assert [number for _, number in heard] == [1, 2, 3, 3, 4]  # round 3 was after the last checkpoint
    rounds, found = run_folder.read(folder).rounds, events(folder)
    assert list(found) == [1, 2, 3, 4]
    tested = {tag for tag in TAGS if tag.startswith("test/")}
    assert [found[step].keys() for step in found] == [TAGS - tested, TAGS, TAGS - tested, TAGS]
    for tag, column in (("train/loss", "train_loss"), ("hardware/energy_mj", "energy_mj"), ("payload/up_bits",) * 2):
        column = column.replace("payload/", "payload_")
        assert [found[step][tag] for step in found] == np.float32(rounds[column]).tolist()
    assert found[4]["test/accuracy"] == np.float32(rounds["accuracy"][-1])

    launch(toy_config(arms=("8-8-8",), eval_every=2), tmp_path / "run", overwrite=True)
    assert not (folder / tensorboard.FOLDER).exists()


def test_a_finished_run_without_events_gets_them_from_its_records(tmp_path):
    run = record_fixture.write_run(tmp_path / "halo_ps", rounds=6, eval_every=4)
    tensorboard.EventFile(tmp_path / "halo_ps").close()
    tensorboard.EventFile(tmp_path / "halo_ps").close()  # once more: nothing stands twice
    found = events(tmp_path / "halo_ps")
    assert [found[step]["train/loss"] for step in found] == np.float32(run.rounds["train_loss"]).tolist()
    assert [step for step in found if "test/accuracy" in found[step]] == [4, 6]


def test_without_the_library_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install -e '.\[tensorboard\]'"):
        launch(toy_config(tensorboard=True), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_file_that_cannot_be_written_is_one_line(tmp_path):
    record_fixture.write_run(tmp_path / "halo_ps", rounds=1)
    (tmp_path / "halo_ps" / tensorboard.FOLDER).write_text("in the way")
    with pytest.raises(files.RecordError, match="halo_ps/tensorboard: File exists"):
        tensorboard.EventFile(tmp_path / "halo_ps")


def test_every_column_but_the_round_itself_says_in_which_group_it_is_shown():
    row = RoundRecord(*range(1, len(RoundRecord._fields) + 1))
    found = tensorboard.scalars(row)
    assert found.keys() == TAGS
    assert list(found.values()) == list(row[1:])
    assert tensorboard.scalars(row._replace(accuracy=None, train_loss=float("nan"))).keys() == TAGS - {
        *("test/accuracy", "train/loss"),
    }
