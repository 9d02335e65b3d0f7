"""A checkpoint comes back bit for bit, or an older one does, and that is said."""

import contextlib
import json
import os
import re
import resource
import shutil

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorstore

from halo_jax.federation.participants import ClientMemory
from halo_jax.federation.state import FederationState
from halo_jax.records import checkpoint_files
from halo_jax.records.checkpoint import CheckpointError, Checkpoints
from halo_jax.runtime.safe_files import draft_of
from halo_jax.types import Precision

MODEL = {"dense": {"kernel": jnp.array([[-128, 127], [0, 1]], jnp.int8)}, "wide": jnp.array([2047, -5], jnp.int16)}


def state_of(round: int) -> FederationState:
    return FederationState(
        round=jnp.int32(round),
        model=jax.tree.map(lambda leaf: leaf ^ jnp.asarray(round, leaf.dtype), MODEL),
        precision=Precision(*(jnp.full(3, bits, jnp.int32) for bits in (8, 6, 4))),
        losses=jnp.array([jnp.inf, 0.1 * round, 1e-45], jnp.float32),
        selector=(),
        own=ClientMemory({"error": jnp.full((3, 2), 1 / 3, jnp.float32)}, ()),
        server=(jnp.float32(0.5), jnp.int32(round)),
        dead=jnp.full((3, 2, 3), round, jnp.int32),
        spent=jnp.array([0, 0.1 * round, 1e9], jnp.float32),
    )


def folders(path) -> list[str]:
    return sorted(entry.name for entry in (path / "checkpoints").iterdir())


def files(path) -> dict:
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


def save(path, *rounds: int, **options) -> None:
    with Checkpoints(path, **options) as checkpoints:
        for round in rounds:
            checkpoints.save(round, state_of(round))


def assert_goes_on_after(path, round: int) -> list[str]:
    """Restore the state of `round`, bit for bit; return what was said."""
    said = []
    with Checkpoints(path, say=said.append) as checkpoints:
        rounds_done, state = checkpoints.restore(state_of(0))
    assert rounds_done == round
    chex.assert_trees_all_equal(state, jax.tree.map(np.asarray, state_of(round)), strict=True)
    assert state.losses.tobytes() == np.asarray(state_of(round).losses).tobytes()
    assert isinstance(state, FederationState)
    return said


def test_nothing_saved_is_round_zero_and_the_state_given(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        like = state_of(0)
        assert checkpoints.restore(like) == (0, like)


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_last_of_several_comes_back_bit_for_bit_and_as_many_as_asked_for_are_kept(tmp_path, keep):
    save(tmp_path, 1, 2, 7, 10, keep=keep)
    assert folders(tmp_path) == sorted(["2", "7", "10"][-keep:])
    assert assert_goes_on_after(tmp_path, 10) == []


def test_what_is_written_is_the_state_at_the_call_whatever_becomes_of_it(tmp_path):
    state = jax.tree.map(np.array, state_of(3))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(3, state)
        for leaf in jax.tree.leaves(state):
            leaf[...] = 0
    assert_goes_on_after(tmp_path, 3)


def test_a_half_written_checkpoint_does_not_count_and_is_cleared_away(tmp_path):
    save(tmp_path, 1)
    shutil.copytree(tmp_path / "checkpoints" / "1", draft_of(tmp_path / "checkpoints" / "2"))
    assert assert_goes_on_after(tmp_path, 1) == []
    assert folders(tmp_path) == ["1"]


DAMAGES = {
    "missing": lambda raw: None,
    "empty": lambda raw: b"",
    "cut": lambda raw: raw[:-1],
    "a bit": lambda raw: raw[:-2] + bytes([raw[-2] ^ 1]) + raw[-1:],
    "random": lambda raw: np.random.default_rng(0).bytes(len(raw)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_whatever_file_is_damaged_the_older_checkpoint_goes_on_and_that_is_one_line(tmp_path, damage):
    save(tmp_path, 2, 4)
    path = tmp_path / "checkpoints" / "4"
    assert len(files(path)) > 5
    for file, raw in files(path).items():
        file.unlink() if damage(raw) is None else file.write_bytes(damage(raw))
        (line,) = assert_goes_on_after(tmp_path, 2)
        name = file.relative_to(path)
        start = re.escape(f"{path.parent}: checkpoint 4 is damaged (")
        assert re.fullmatch(rf"{start}{name} is .*\); going on after round 2", line)
        assert line.isprintable()
        file.write_bytes(raw)
    assert assert_goes_on_after(tmp_path, 4) == []


def test_what_lies_in_place_of_a_checkpoint_or_is_of_another_kind_is_damaged(tmp_path):
    save(tmp_path, 2)
    (tmp_path / "checkpoints" / "3").mkdir()
    (tmp_path / "checkpoints" / "4").write_text("in the way")
    (line,) = assert_goes_on_after(tmp_path, 2)
    assert line.count("sha256.json is missing") == 2


def test_a_state_that_is_not_the_one_that_was_written_is_damaged_though_every_file_is_whole(tmp_path):
    save(tmp_path, 2, 4)
    digests = tmp_path / "checkpoints" / "4" / "sha256.json"
    other = json.loads(digests.read_text()) | {"state": "0" * 64}
    digests.write_text(json.dumps(other))
    (line,) = assert_goes_on_after(tmp_path, 2)
    assert "checkpoint 4 is damaged (its state is not the one that was written)" in line


@pytest.mark.parametrize(
    "change",
    [
        {"losses": jnp.zeros(4)},
        {"losses": jnp.zeros(3, jnp.int32)},
        {"own": ClientMemory((), ())},
        {"selector": jnp.zeros(1)},
    ],
    ids=["shape", "dtype", "less", "more"],
)
def test_a_state_of_another_structure_is_never_taken(tmp_path, change):
    save(tmp_path, 2)
    before = files(tmp_path)
    with (
        pytest.raises(CheckpointError, match=r"checkpoint 2 is damaged \(.*\); none is whole: .*--overwrite") as caught,
        Checkpoints(tmp_path) as checkpoints,
    ):
        checkpoints.restore(state_of(0)._replace(**change))
    assert str(caught.value).isprintable()
    assert files(tmp_path) == before


def test_where_no_checkpoint_is_whole_nothing_is_deleted(tmp_path):
    save(tmp_path, 2, 4)
    for round in ("2", "4"):
        (tmp_path / "checkpoints" / round / "state" / "manifest.ocdbt").write_bytes(b"")
    before = files(tmp_path)
    with (
        pytest.raises(CheckpointError, match=r"checkpoint 4 .*checkpoint 2 .*none is whole: .*--overwrite") as caught,
        Checkpoints(tmp_path) as checkpoints,
    ):
        checkpoints.restore(state_of(0))
    assert str(caught.value).isprintable()
    assert files(tmp_path) == before


@pytest.mark.parametrize("next_save", [3, 4])
def test_a_damaged_checkpoint_is_gone_once_the_run_has_saved_again(tmp_path, next_save):
    save(tmp_path, 1, 2, 4)
    (tmp_path / "checkpoints" / "4" / "state" / "manifest.ocdbt").write_bytes(b"")
    save(tmp_path, next_save)
    assert folders(tmp_path) == ["2", str(next_save)]
    assert assert_goes_on_after(tmp_path, next_save) == []


@contextlib.contextmanager
def small_files(size: int):
    """Files cannot grow beyond `size` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 400])
@pytest.mark.parametrize("next_call", ["save", "restore", "close"])
def test_a_checkpoint_that_cannot_be_written_is_one_line_and_older_ones_stay(tmp_path, size, next_call, capfd):
    save(tmp_path, 1, 2)
    before = files(tmp_path)
    with contextlib.ExitStack() as stack:
        caught = stack.enter_context(pytest.raises(CheckpointError))
        checkpoints = stack.enter_context(Checkpoints(tmp_path))
        with small_files(size):
            checkpoints.save(4, state_of(4))
            checkpoints._writer.submit(lambda: None).result()  # until it has been tried
        if next_call != "close":
            checkpoints.save(5, state_of(5)) if next_call == "save" else checkpoints.restore(state_of(0))
            pytest.fail(f"{next_call} raised nothing")
    line = str(caught.value)
    assert line.startswith(f"{tmp_path / 'checkpoints'}: cannot write checkpoint 4 (")
    assert "File too large" in line
    assert "Traceback" not in capfd.readouterr().err
    assert "older ones are kept: make room" in line
    assert line.isprintable()
    assert files(tmp_path) == before
    assert folders(tmp_path) == ["1", "2"]
    assert assert_goes_on_after(tmp_path, 2) == []


def test_what_went_wrong_in_the_block_is_not_hidden_by_a_checkpoint_that_could_not_be_written(tmp_path):
    def stopped():
        with small_files(0), Checkpoints(tmp_path) as checkpoints:
            checkpoints.save(1, state_of(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"cannot open the checkpoints \(File exists\); right: a folder"):
        Checkpoints(tmp_path)


def test_what_is_no_file_in_a_checkpoint_is_damage_and_is_not_waited_for(tmp_path):
    save(tmp_path, 2, 4)
    metadata = tmp_path / "checkpoints" / "4" / "state" / "_METADATA"
    raw = metadata.read_bytes()
    for put in (lambda: os.mkfifo(metadata), lambda: metadata.symlink_to("/dev/zero"), lambda: metadata.mkdir()):
        metadata.unlink()
        put()
        (line,) = assert_goes_on_after(tmp_path, 2)
        assert "state/_METADATA is " in line
        metadata.rmdir() if metadata.is_dir() else metadata.unlink()
        metadata.write_bytes(raw)
    assert assert_goes_on_after(tmp_path, 4) == []


def test_arrays_that_would_unfold_to_gigabytes_are_damage_and_take_no_memory(tmp_path):
    save(tmp_path, 2, 4)
    place = tmp_path / "checkpoints" / "4"
    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{place / 'state'}/"}).result()
    described = json.loads(store.read("losses/.zarray").result().value)
    store.write("losses/.zarray", json.dumps(described | {"chunks": [2**40]})).result()
    digests = {"state": "0" * 64, "files": checkpoint_files._file_digests(place)}
    (place / "sha256.json").write_text(json.dumps(digests))
    (line,) = assert_goes_on_after(tmp_path, 2)
    assert re.search(r"checkpoint 4 is damaged \(its arrays unfold to \d{13} bytes, more than this run's can\)", line)
