"""The lock of a folder: one process at a time, none that may only read, and nothing left behind."""

import os
import stat

import pytest

from halo_jax import figures
from halo_jax.records.files import RecordError
from halo_jax.records.folder_lock import LOCK, lock
from tests.records.test_stranger_folders import content, folder, go_on, made, report

__all__ = ["folder", "made"]  # fixtures


def test_the_lock_is_nobodys_who_may_only_read_and_is_gone_afterwards(folder):
    folder.chmod(0o775)
    with lock(folder):
        mode = stat.S_IMODE((folder / LOCK).stat().st_mode)
        assert mode & 0o444 == (mode & 0o222) << 1  # who may read it may write it
        assert not mode & stat.S_IROTH
        with pytest.raises(RecordError, match="another launch is running"), lock(folder):
            pass
    assert not (folder / LOCK).exists()
    (folder / LOCK).write_text("")  # of a launch that was killed
    with lock(folder):
        pass
    assert not (folder / LOCK).exists()


def test_a_lock_that_more_can_open_than_may_write_to_the_folder_is_none(folder):
    fcntl = pytest.importorskip("fcntl")
    (folder / LOCK).write_text("")
    (folder / LOCK).chmod(0o666)
    with open(folder / LOCK) as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        go_on(folder)


def test_a_reader_that_has_the_folder_open_holds_nothing(folder):
    fcntl = pytest.importorskip("fcntl")
    theirs = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        go_on(folder)
    finally:
        os.close(theirs)


def test_reports_into_one_folder_are_made_one_at_a_time(folder, monkeypatch):
    monkeypatch.setattr(figures, "save_all", lambda *_: {})
    report(folder)
    before = content(folder.parent / "report")
    with lock(folder.parent / "report"), pytest.raises(RecordError, match="report: another launch is running"):
        report(folder)
    assert content(folder.parent / "report") == before
