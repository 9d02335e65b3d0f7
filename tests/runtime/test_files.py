"""Files of strangers: only regular ones of a bounded size are read; writing follows no link and is done in one step."""

import os
import stat

import pytest

from halo_jax.runtime import safe_files


def test_a_file_is_read_whole_up_to_its_limit_and_refused_beyond(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert safe_files.read_bytes(path, 5) == b"12345"
    with pytest.raises(OSError, match="larger than the 4 bytes") as caught:
        safe_files.read_bytes(path, 4)
    assert caught.value.filename == str(path)


def test_a_sparse_terabyte_is_refused_unread(tmp_path):
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(OSError, match="larger than"):
        safe_files.read_bytes(tmp_path / "sparse", 2**30)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for name in ("pipe", "link"):
        with pytest.raises(OSError, match="not a regular file"):
            safe_files.read_bytes(tmp_path / name, 10)
    with pytest.raises(IsADirectoryError):
        safe_files.read_bytes(tmp_path, 10)
    with pytest.raises(FileNotFoundError):
        safe_files.read_bytes(tmp_path / "nothing", 10)


def test_a_device_is_not_so_much_as_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opened"))
    with pytest.raises(OSError, match="not a regular file"):
        safe_files.open_regular("/dev/zero")


def test_a_link_to_a_regular_file_is_read_and_never_written(tmp_path):
    (tmp_path / "theirs").write_bytes(b"precious")
    link = tmp_path / "link"
    link.symlink_to("theirs")
    assert safe_files.read_bytes(link, 10) == b"precious"
    with pytest.raises(OSError, match="symbolic link"):
        safe_files.append(link, b"more")
    safe_files.replace(link, b"ours")
    assert (tmp_path / "theirs").read_bytes() == b"precious"
    assert not link.is_symlink()
    assert link.read_bytes() == b"ours"


def test_a_draft_has_another_name_each_time_and_is_gone_afterwards(tmp_path):
    path = tmp_path / "file"
    drafts = {safe_files.draft_of(path) for _ in range(10)}
    assert len(drafts) == 10
    assert all(safe_files.is_draft(draft) for draft in drafts)
    assert not any(safe_files.is_draft(tmp_path / name) for name in (".bashrc", ".git", ".file.tmp", "file", ".3"))
    safe_files.replace(path, b"content")
    assert os.listdir(tmp_path) == ["file"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        safe_files.replace(tmp_path / "folder", b"content")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_new_file_has_the_mode_that_the_user_asks_for(tmp_path):
    old = os.umask(0o027)
    try:
        safe_files.replace(tmp_path / "file", b"")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_appending_adds_to_the_end_and_makes_no_file(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError):
        safe_files.append(path, b"x")
    path.write_bytes(b"a")
    safe_files.append(path, b"b")
    assert path.read_bytes() == b"ab"


def test_deleting_a_tree_leaves_what_its_links_name(tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "precious").write_text("keep")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(tmp_path / "victim")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "victim")
    safe_files.delete_tree(link)
    safe_files.delete_tree(tree)
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]
    assert (tmp_path / "victim" / "precious").exists()
