"""Device files of strangers: they are small text, or refused in one line before they take memory or time."""

import os
import re

import pytest

from halo_jax.hardware import halosim
from halo_jax.hardware.device_file import text_of

GOOD = text_of(halosim.CALIBRATED, "halosim")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "chip.yaml"


def refused(path) -> str:
    """The one line that refuses a file, without the file's name, with which it starts."""
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: ") as error:
        halosim.load_device(path)
    assert str(error.value).isprintable()
    return str(error.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("line", ["a{0}: &a{0} [{1}]", "a{0}: &a{0} {{<<: [{1}]}}"], ids=["lists", "merged keys"])
def test_a_billion_laughs_are_refused_before_the_first(line, file):
    """Nine aliases a line, forty lines: YAML's own reader copies what merged keys name, and never ends."""
    aliases = [",".join([f"*a{number - 1}"] * 9) for number in range(41)]
    file.write_text("a0: &a0 {x: 1}\n" + "\n".join(line.format(i, aliases[i]) for i in range(1, 41)))
    assert refused(file) == "not a device: more than 8 aliases, each a name after an asterisk"


def test_asterisks_in_a_comment_are_no_aliases(file):
    file.write_text(GOOD + "# 64 * 64 crossbars ** of 8*8 ** tiles\n")
    assert halosim.load_device(file) == halosim.CALIBRATED


def test_files_that_never_end_or_are_large_are_not_read(file):
    os.mkfifo(file)
    assert refused(file) == "not a regular file"
    file.unlink()
    file.symlink_to("/dev/zero")
    assert refused(file) == "not a regular file"
    file.unlink()
    file.touch()
    os.truncate(file, 2**40)
    assert refused(file) == "larger than the 65536 bytes that are read of it"


def test_names_and_content_are_one_printable_line_and_not_a_long_one(tmp_path):
    path = tmp_path / "a\x1b[2Jb.yaml"
    path.write_text(GOOD.replace("crossbar_size", "'" + "x\u202e" * 999 + "'"))
    with pytest.raises(ValueError, match=r"a\\x1b\[2Jb\.yaml: not YAML: .* 'x\\u202e") as error:
        halosim.load_device(path)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1000
