"""Records of array_record files, read by a process of its own: `array_record_process.py` says why."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from halo_jax.runtime.safe_files import open_regular

_PROGRAM = Path(__file__).with_name("array_record_process.py")
_ERROR = 2**64 - 1  # in place of the size of a record


class Unreadable(ValueError):
    """Files that are damaged, or that the library cannot read."""


def read(shards: list[tuple[Path, int]], most: int) -> Iterator[bytes]:
    """The records of files one after the other: how many each holds is known, and none has more than `most` bytes.

    Raises Unreadable, or OSError for what is no regular file.
    """
    for path, _ in shards:
        open_regular(path).close()
    # -P: the program lies beside modules that are named like those of Python and other packages.
    command = [sys.executable, "-P", str(_PROGRAM), json.dumps([(str(path), count) for path, count in shards])]
    nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(command, stdin=nothing, stdout=pipe, stderr=nothing) as process:
        try:
            for _ in range(sum(count for _, count in shards)):
                yield _record(process, most)
        finally:
            process.kill()


def _record(process: subprocess.Popen[bytes], most: int) -> bytes:
    output: Any = process.stdout
    head = output.read(8)
    size = int.from_bytes(head, "little")
    if len(head) == 8 and size == _ERROR:
        raise Unreadable(output.read(most).decode(errors="replace"))
    if len(head) == 8 and size > most:
        raise Unreadable(f"an example of {size} bytes, more than the {most} that are read of it")
    if len(head) < 8 or len(record := output.read(size)) < size:
        raise Unreadable(f"its reader ended with {_end(process.wait())}")
    return record


def _end(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
