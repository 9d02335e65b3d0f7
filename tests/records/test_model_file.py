"""A model's file is what was written or one line; any safetensors reader reads its tensors."""

import json
import os

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from halo_jax.records import model_file
from halo_jax.records.files import RecordError
from halo_jax.records.model_file import ModelFile
from halo_jax.records.model_record import ModelRecord

TENSORS = {
    "a.kernel": np.array([[-127, 127], [0, 1]], np.int8),
    "wide": np.array([2047, -5], np.int16),
    "scalar": np.array(0.1, np.float32),
    "turned": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
}
MODEL = ModelFile(
    TENSORS,
    {"a.kernel": {"bits": 8, "scale": 2.0**-7}},
    {"name": "é", "recipe": {"name": "wage"}},
    ModelRecord((28, 28, 1), 10, "6-4-8"),
    12,
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.safetensors"
    model_file.write(path, MODEL)
    return path


def assert_is_model(found: ModelFile) -> None:
    assert found._replace(tensors={}) == MODEL._replace(tensors={})
    assert found.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(found.tensors[name], tensor, strict=True)


def test_it_reads_back_to_the_bit(path):
    assert_is_model(model_file.read(path))
    model_file.write(path, MODEL)  # in place of the other
    assert_is_model(model_file.read(path))
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_any_reader_finds_tensors_and_metadata(path):
    assert safetensors.numpy.load_file(path).keys() == TENSORS.keys()
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    assert metadata["format"] == "halo_jax model"
    assert metadata["recipe"] == "wage"
    assert metadata["precision"] == "6-4-8"
    assert json.loads(metadata["image_shape"]) == [28, 28, 1]
    assert json.loads(metadata["grids"]) == {"a.kernel": {"bits": 8, "scale": 0.0078125}}


def line_of(path) -> str:
    with pytest.raises(RecordError) as caught:
        model_file.read(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def test_every_byte_that_changes_is_found(path):
    content = path.read_bytes()
    for place in range(len(content)):
        for changed in (content[place] ^ 1, content[place] ^ 0x80):
            path.write_bytes(content[:place] + bytes([changed]) + content[place + 1 :])
            line_of(path)
    path.write_bytes(content)
    assert_is_model(model_file.read(path))


def test_a_file_that_is_cut_off_or_longer_is_found(path):
    content = path.read_bytes()
    for wrong in [content[:length] for length in range(0, len(content), 7)] + [content + b"x", content * 2]:
        path.write_bytes(wrong)
        assert "put a good copy back, or save the model again" in line_of(path)


def test_what_others_have_written_is_one_line(path):
    safetensors.numpy.save_file(TENSORS, path)
    assert "format is None in its metadata; right: a file that hj.load(...).save has written" in line_of(path)
    safetensors.numpy.save_file(TENSORS, path, {"format": "pt"})
    assert "format is 'pt' in its metadata" in line_of(path)
    safetensors.numpy.save_file(TENSORS, path, {"format": "halo_jax model", "version": "2"})
    assert "version '2' of the format; this program reads 1" in line_of(path)


WRONG = {
    "round": [None, '"1"', "0", "-1", "true", "1e3", str(2**31), "[" * 100_000],
    "num_classes": ["0", "2.5", "null"],
    "image_shape": ["[1]", "[0, 1, 1]", '{"a": 1}', "[4096, 4096, 4096]"],
    "precision": ["8-8", "1-1-1", "{}"],
    "config": ["[]", "{", "1", "[" * 9 + "]" * 9],
    "grids": ["[]", None],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_metadata_that_somebody_has_made_up_are_one_line(path, name, text):
    with safetensors.safe_open(path, framework="numpy") as file:
        metadata = {**file.metadata(), name: text}
    metadata = {key: value for key, value in metadata.items() if value is not None and key != "sha256"}
    metadata["sha256"] = model_file._digest(metadata, TENSORS)
    path.write_bytes(safetensors.numpy.save({key: np.asarray(t, order="C") for key, t in TENSORS.items()}, metadata))
    assert f": {name} is " in line_of(path)


def test_a_pipe_and_a_folder_are_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in line_of(tmp_path / "pipe")
    assert "Is a directory" in line_of(tmp_path)
    with pytest.raises(RecordError, match="Is a directory"):
        model_file.write(tmp_path, MODEL)


def test_a_header_that_asks_for_gigabytes_takes_none(path):
    content = path.read_bytes()
    path.write_bytes((2**40).to_bytes(8, "little") + content[8:])
    assert "no whole safetensors file (" in line_of(path)
    with open(path, "wb") as file:
        file.truncate(2**40)
    assert "larger than the " in line_of(path)
