"""Taking a run folder: one launch at a time, and nothing of anybody else's is touched."""

import json

import pytest

from halo_jax.config import schema
from halo_jax.records import files, run_folder
from halo_jax.records.claim import claim
from halo_jax.records.folder_lock import LOCK


@pytest.fixture
def folder(tmp_path):
    """A folder with a run's config."""
    run_folder.create(tmp_path / "run", schema.default().to_dict())
    return tmp_path / "run"


def test_a_second_launch_is_refused_and_the_folder_is_free_afterwards(folder):
    with claim(folder, schema.default(), False):
        with (
            pytest.raises(files.RecordError, match="another launch is running"),
            claim(folder, schema.default(), True),
        ):
            pass
        assert (folder / run_folder.CONFIG).exists()
    with claim(folder, schema.default(), False):
        pass


def test_overwrite_deletes_what_a_run_made_and_nothing_else(folder):
    (folder / "precious.txt").write_text("keep")
    (folder / "figures").mkdir()
    with claim(folder, schema.default(), True):
        assert sorted(path.name for path in folder.iterdir()) == [LOCK, "precious.txt"]
    assert [path.name for path in folder.iterdir()] == ["precious.txt"]


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00\xff"])
def test_a_broken_config_is_one_line_and_is_kept(folder, text):
    (folder / run_folder.CONFIG).write_text(text)
    with pytest.raises(files.RecordError) as caught, claim(folder, schema.default(), True):
        pass
    assert run_folder.CONFIG in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (folder / run_folder.CONFIG).read_text() == text


def test_a_foreign_config_is_never_deleted(tmp_path):
    (tmp_path / run_folder.CONFIG).write_text("{}")
    with pytest.raises(schema.ConfigError, match="not the config of a run"), claim(tmp_path, schema.default(), True):
        pass
    assert (tmp_path / run_folder.CONFIG).exists()


def test_tables_of_a_run_that_never_got_its_config_are_not_foreign(tmp_path):
    run_folder.create(tmp_path / "run", {})
    (tmp_path / "run" / run_folder.CONFIG).unlink()
    with claim(tmp_path / "run", schema.default(), False):
        pass


def test_a_table_of_the_same_name_is_somebody_elses(tmp_path):
    (tmp_path / run_folder.CLIENTS).write_text("my customers")
    with (
        pytest.raises(schema.ConfigError, match="not empty and not a run folder"),
        claim(tmp_path, schema.default(), True),
    ):
        pass
    assert (tmp_path / run_folder.CLIENTS).read_text() == "my customers"


def test_another_config_is_refused_with_the_fields_that_differ(folder):
    other = schema.default()
    other.rounds, other.executor, other.chunk_size = 7, "map", 3  # the last two change no result
    with pytest.raises(schema.ConfigError, match=r"\(rounds=40 there, 7 here\)"), claim(folder, other, False):
        pass
    assert json.loads((folder / run_folder.CONFIG).read_text())["rounds"] == 40
