import io
import re
import tarfile
import zipfile

import pytest

from halo_jax.datasets import archives, tar
from halo_jax.datasets.base import DatasetError

CONTENT = {"a.txt": b"one two\n\nthree\n", "deep/b.bin": bytes(range(256)) * 40}
MOST = len(CONTENT["deep/b.bin"])


def _write(place, form):
    if form == "folder":
        for name, raw in CONTENT.items():
            (place / "things" / name).parent.mkdir(parents=True, exist_ok=True)
            (place / "things" / name).write_bytes(raw)
        return place / "things"
    path = place / f"things.{form}"
    if form == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, raw in CONTENT.items():
                archive.writestr(f"things/{name}", raw)
    else:
        with tarfile.open(path, "w:gz") as archive:
            for name, raw in CONTENT.items():
                entry = tarfile.TarInfo(f"things/{name}")
                entry.size = len(raw)
                archive.addfile(entry, io.BytesIO(raw))
    return path


def _find(place, form):
    wanted = tar.Wanted(CONTENT, MOST)
    return archives.find(place, "things", "things.zip" if form == "folder" else f"things.{form}", wanted)


def test_tars_of_any_writer_are_read(tmp_path):
    for mode, form in (("w", tarfile.USTAR_FORMAT), ("w:gz", tarfile.GNU_FORMAT), ("w:gz", tarfile.PAX_FORMAT)):
        with tarfile.open(tmp_path / "things.tar.gz", mode, format=form) as archive:
            for name, raw in {"x" * 90: b"", "long/" * 50: b"more", **CONTENT}.items():
                entry = tarfile.TarInfo(f"./things/{name}")
                entry.size, entry.mtime = len(raw), 0.5 if form == tarfile.PAX_FORMAT else 0
                if form != tarfile.USTAR_FORMAT or name in CONTENT:
                    archive.addfile(entry, io.BytesIO(raw))
        files = _find(tmp_path, "tar.gz")
        assert {name: files.read(name, MOST) for name in CONTENT} == CONTENT


each_form = pytest.mark.parametrize("form", ["folder", "zip", "tar.gz"])


@each_form
def test_files_are_read_from_the_place_and_from_the_thing_itself(tmp_path, form):
    assert _find(tmp_path, form) is None
    path = _write(tmp_path, form)
    for place in (tmp_path, path):
        files = _find(place, form)
        assert files is not None
        assert files.path == path
        assert {name: files.read(name, MOST) for name in CONTENT} == CONTENT
        assert files.read_lines("a.txt") == [["one", "two"], ["three"]]


@each_form
def test_a_missing_file_and_one_that_is_no_text_are_one_line(tmp_path, form):
    path = _write(tmp_path, form)
    files = _find(tmp_path, form)
    with pytest.raises(DatasetError, match=re.escape(f"{path}: found no c.txt; right: all its files;")):
        files.read("c.txt", MOST)
    with pytest.raises(DatasetError, match=re.escape(f"{path}: found that deep/b.bin is no text")):
        files.read_lines("deep/b.bin")


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
@pytest.mark.parametrize("damage", ["cut", "noise", "empty"])
def test_a_broken_archive_is_one_line(tmp_path, form, damage):
    path = _write(tmp_path, form)
    raw = path.read_bytes()
    path.write_bytes({"cut": raw[: len(raw) // 2], "noise": raw[:3] + b"\xff" * 500, "empty": b""}[damage])
    with pytest.raises(DatasetError, match=re.escape(f"{path}: found a broken archive (")) as caught:
        _find(tmp_path, form)
    assert "\n" not in str(caught.value)


def test_a_zip_whose_content_is_broken_is_one_line(tmp_path):
    path = _write(tmp_path, "zip")
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"deep/b.bin") + 30] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(DatasetError, match=re.escape(f"{path}: found that deep/b.bin cannot be read (")):
        _find(tmp_path, "zip").read("deep/b.bin", MOST)
