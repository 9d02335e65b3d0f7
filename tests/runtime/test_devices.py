"""Starting JAX: the cache of compiled programs is a saving, never a reason to fail."""

import os
import platform
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEEP = """
import jax
from pathlib import Path
from halo_jax.runtime.devices import keep_compiled_programs
print(keep_compiled_programs(), jax.config.values["jax_compilation_cache_dir"])
"""


CHOOSE = """
from halo_jax.runtime.devices import DeviceError, choose_devices
try:
    choose_devices("nowhere", 2)
except DeviceError as error:
    print(error)
"""


COUNT = """
import jax
from halo_jax.runtime.devices import choose_devices
choose_devices("cpu", 1)
print(jax.device_count())
"""


def kept(program: str = KEEP, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("JAX_COMPILATION")}
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=ROOT, env={**clean, **environment}, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_programs_are_kept_in_the_users_cache_folder_by_kind_of_cpu(tmp_path):
    folder, configured = kept(XDG_CACHE_HOME=str(tmp_path)).split()
    assert folder == configured
    assert Path(folder).parent == tmp_path / "halo_jax"
    assert Path(folder).name.startswith(platform.machine() + "-")
    assert Path(folder).is_dir()


def test_a_folder_that_jax_was_given_stays(tmp_path):
    assert kept(JAX_COMPILATION_CACHE_DIR=str(tmp_path)) == f"{tmp_path} {tmp_path}"


@pytest.mark.parametrize("place", ["a-file", "/proc/nowhere"])
def test_a_folder_that_cannot_be_made_is_done_without(tmp_path, place):
    (tmp_path / "a-file").write_text("")
    assert kept(XDG_CACHE_HOME=str(tmp_path / place)) == "None None"


def test_a_folder_that_others_can_write_to_is_made_anew(tmp_path):
    folder = Path(kept(XDG_CACHE_HOME=str(tmp_path)).split()[0])
    (folder / "a-program").write_text("")
    folder.chmod(0o770)
    assert kept(XDG_CACHE_HOME=str(tmp_path)) == f"{folder} {folder}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.iterdir()) == []
    (folder / "a-program").write_text("")
    folder.chmod(0o755)  # others may look
    assert kept(XDG_CACHE_HOME=str(tmp_path)) == f"{folder} {folder}"
    assert (folder / "a-program").exists()


@pytest.mark.parametrize("whose", ["another's", "a link"])
def test_a_folder_that_is_not_the_users_own_is_done_without(tmp_path, whose):
    folder = Path(kept(XDG_CACHE_HOME=str(tmp_path)).split()[0])
    if whose == "a link":
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    elif os.geteuid() == 0:
        os.chown(folder, 54321, -1)
    else:
        pytest.skip("only root can give folders away")
    assert kept(XDG_CACHE_HOME=str(tmp_path)) == "None None"
    folder.chmod(0o777)
    given = kept(XDG_CACHE_HOME=str(tmp_path), JAX_COMPILATION_CACHE_DIR=str(folder))
    assert given == f"{folder} {folder}"  # whoever gives a folder answers for it
    assert folder.is_symlink() == (whose == "a link")


def test_a_platform_that_is_not_there_is_one_line():
    said = kept(CHOOSE)
    assert said.startswith("platform 'nowhere' is not available here: ")
    assert "\n" not in said


@pytest.mark.parametrize(
    "given", [{"JAX_NUM_CPU_DEVICES": "3"}, {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}], ids=list
)
def test_a_number_of_cpu_devices_that_jax_was_given_stays(given):
    assert kept(COUNT, **{"XLA_FLAGS": "", **given}) == "3"


def test_a_cpu_is_never_more_devices_than_there_are_clients_to_share():
    assert kept(COUNT, XLA_FLAGS="") == "1"
