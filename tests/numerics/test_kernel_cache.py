"""The kept library of the kernels: loaded only as it was written and where nobody else can write, else built anew."""

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from halo_jax.numerics import native

ROOT = Path(__file__).parents[2]
RUN = """
import jax.numpy as jnp
from halo_jax.numerics import native
from halo_jax.numerics.exact_sums import Operand
print(native.why_not() or native.dot(*[Operand(jnp.ones((2, 2)), jnp.float32(1))] * 2, exact=True)[0, 0])
"""
SPY = '#include <unistd.h>\n__attribute__((constructor)) void spy() { write(1, "a spy\\n", 6); }\n'
NOBODY = 54321
HOURS_AGO = time.time() - 7200
pytestmark = pytest.mark.skipif(native.why_not() != "", reason=native.why_not())
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A home where the library is kept, the compiler that $COMPILE stands for, and a library that says it is loaded."""
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "c++").write_text('#!/bin/bash\n[ "$1" = --version ] || eval "$COMPILE"\n')
    (folder / "c++").chmod(0o755)
    slow = f'c++ "${{@/#-O3/-O0}}" && cp "${{@: -1}}" {folder}/good.so'
    place = {"CXX": str(folder / "c++"), "XDG_CACHE_HOME": str(folder / "home")}
    assert launch(umask=0, COMPILE=slow, **place) == "2.0"  # other files of theirs all may write
    (folder / "spy.cc").write_text(SPY)
    subprocess.run(["c++", "-shared", "-fPIC", "spy.cc", "-o", "spy.so"], cwd=folder, check=True)
    return folder


@pytest.fixture
def good(compiled):
    """The library as it is built."""
    return (compiled / "good.so").read_bytes()


@pytest.fixture
def spy(compiled):
    """The library that says it is loaded."""
    return (compiled / "spy.so").read_bytes()


@pytest.fixture
def home(tmp_path, compiled, monkeypatch):
    """A home with a library that is kept, and a compiler that makes the same one at once."""
    shutil.copytree(compiled / "home", tmp_path / "home")
    monkeypatch.setenv("CXX", str(compiled / "c++"))
    monkeypatch.setenv("COMPILE", f'cp {compiled}/good.so "${{@: -1}}"')
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path


def launch(umask=-1, **environment):
    command, environment = [sys.executable, "-c", RUN], {**os.environ, **environment}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, umask=umask)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    return done.stdout.strip()


def kept(home):
    """The library in the cache folder."""
    (path,) = (home / "home").rglob("native-*.so")
    return path


def place(path, content):
    """Exchange the library, with a digest that fits."""
    path.write_bytes(content)
    path.with_name(f"{path.name}.sha256").write_text(hashlib.sha256(content).hexdigest())


@pytest.mark.slow
def test_a_library_is_kept_for_the_user_alone_and_loaded_again(home, good):
    path = kept(home)
    assert path.read_bytes() == good
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path.parent.parent, path.parent, path)] == [0o700, 0o700, 0o600]
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, f"{path.name}.sha256"]
    assert launch(COMPILE="false") == "2.0"


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def zero(path):
    path.write_bytes(path.read_bytes()[:4096] + bytes(path.stat().st_size - 4096))  # all but what says how to load it


def take_digest(path):
    path.with_name(f"{path.name}.sha256").unlink()


def become_pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [cut, zero, take_digest, become_pipe], ids=lambda damage: damage.__name__)
def test_a_damaged_library_is_replaced(home, good, damage):
    damage(kept(home))
    assert launch() == "2.0"
    assert kept(home).read_bytes() == good
    assert launch(COMPILE="false") == "2.0"


def lead_elsewhere(path):
    path.rename(path.parent / "elsewhere")
    path.symlink_to("elsewhere")


SPIES = {
    "of another digest": lambda path: path.with_name(f"{path.name}.sha256").write_text("0" * 64),
    "that a group can write": lambda path: path.chmod(0o620),
    "that all can write": lambda path: path.chmod(0o602),
    "of somebody else": lambda path: os.chown(path, NOBODY, -1),
    "that is a link": lead_elsewhere,
    "in a folder that a group can write": lambda path: path.parent.chmod(0o770),
    "in a folder that all can write": lambda path: path.parent.chmod(0o777),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=[as_root] * (name == "of somebody else")) for name in SPIES])
def test_a_library_that_may_be_foreign_is_replaced_and_never_loaded(home, good, spy, name):
    place(kept(home), spy)
    SPIES[name](kept(home))
    assert launch() == "2.0"
    path = kept(home)
    assert path.read_bytes() == good
    assert not path.is_symlink()
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path.parent, path)] == [0o700, 0o600]
    assert path.stat().st_uid == os.geteuid()


def test_the_folder_above_is_closed_to_others(home):
    above = kept(home).parent.parent
    above.chmod(0o777)
    assert launch() == "2.0"
    assert stat.S_IMODE(above.stat().st_mode) == 0o700


def test_a_library_without_symbols_is_replaced(home, spy):
    place(kept(home), spy)
    assert launch() == "a spy\n2.0"  # the user's own: it is loaded, as no foreign one is
    assert launch() == "2.0"


@pytest.mark.parametrize("change", [pytest.param("owner", marks=as_root), pytest.param("above", marks=as_root), "link"])
def test_in_a_folder_that_is_not_the_users_own_nothing_is_loaded_or_changed(home, spy, change):
    folder = kept(home).parent
    place(kept(home), spy)
    if change in ("owner", "above"):
        os.chown(folder if change == "owner" else folder.parent, NOBODY, -1)
    else:
        folder.rename(home / "elsewhere")
        folder.symlink_to(home / "elsewhere")
    before = sorted(path.name for path in folder.iterdir())
    assert launch() == "2.0"
    assert sorted(path.name for path in folder.iterdir()) == before
    assert next(folder.glob("*.so")).read_bytes() == spy


def test_where_nothing_can_be_kept_it_is_built_for_one_process(home):
    assert launch(XDG_CACHE_HOME="/proc/nowhere", TMPDIR=str(home)) == "2.0"
    assert not list(home.glob("halo_jax-build-*"))


def test_what_a_killed_build_leaves_is_cleared_once_it_is_old(home):
    folder = kept(home).parent
    kept(home).unlink()
    slow = {**os.environ, "COMPILE": "sleep 60"}
    building = subprocess.Popen([sys.executable, "-c", RUN], cwd=ROOT, env=slow, start_new_session=True)
    while not (found := list(folder.glob("halo_jax-build-*"))):
        assert building.poll() is None
        time.sleep(0.02)
    os.killpg(building.pid, signal.SIGKILL)
    building.wait()
    assert launch() == "2.0"
    assert found[0].is_dir()  # somebody may still be at it
    os.utime(found[0], (HOURS_AGO, HOURS_AGO))
    assert launch() == "2.0"
    assert not found[0].exists()


def test_nothing_else_is_cleared(home):
    folder, elsewhere = kept(home).parent, home / "elsewhere"
    elsewhere.mkdir()
    names = ["halo_jax-build-link", ".native-x.so.sha256.0123456789abcdef.halo_jax-draft", "tmpx", "a-cache"]
    for path in [folder / name for name in names[1:]]:
        path.write_text("")
    (folder / names[0]).symlink_to(elsewhere)
    if os.geteuid() == 0:
        names.append("halo_jax-build-foreign")
        (folder / names[-1]).mkdir()
        os.chown(folder / names[-1], NOBODY, -1)
    for name in names:
        os.utime(folder / name, (HOURS_AGO, HOURS_AGO), follow_symlinks=False)
    assert launch() == "2.0"
    assert elsewhere.is_dir()
    assert {path.name for path in folder.iterdir() if path.name in names} == set(names[2:])
