"""The program of a process of its own that reads array_record files, for `array_records.py`.

The library that reads them trusts them: what a file says of itself is an index or a size to it, so a damaged one may
end the process, or take all the memory there is. This process may take some memory, and some time for a record. It
imports nothing but the library, so that it starts at once.

Argument: the files and how many records each holds, as JSON. Output: for each record eight bytes of size and the
record; in place of a size _ERROR, and a text.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Iterator

_ERROR = b"\xff" * 8
_MEMORY = 2**29  # bytes, beside the stacks of threads
_THREADS = 64  # that the library starts; it waits for ever for those that find no memory
_SECONDS = 30


def main() -> None:
    """Write the records."""
    stack, _ = resource.getrlimit(resource.RLIMIT_STACK)
    limit = _MEMORY + _THREADS * (2**23 if stack == resource.RLIM_INFINITY else stack)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    output = sys.stdout.buffer
    try:
        for path, count in json.loads(sys.argv[1]):
            for record in _records(path, count):
                output.write(len(record).to_bytes(8, "little") + record)
    except Exception as error:  # the library raises what it likes
        output.write(_ERROR + str(error).encode(errors="replace"))


def _records(path: str, count: int) -> Iterator[bytes]:
    from array_record.python.array_record_module import ArrayRecordReader

    signal.alarm(_SECONDS)  # it ends the process, whatever the library is doing
    reader = ArrayRecordReader(os.fsencode(path), options="readahead_buffer_size:0,max_parallelism:0")
    if not reader.ok():
        reader.close()  # raises what is wrong
    if reader.num_records() != count:
        raise ValueError(f"{reader.num_records()} examples in {os.path.basename(path)}, not {count}")
    for _ in range(count):
        signal.alarm(_SECONDS)
        record = reader.read()
        signal.alarm(0)
        yield record


if __name__ == "__main__":
    main()
