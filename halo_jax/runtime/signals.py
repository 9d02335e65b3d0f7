"""Stopping on request: after SIGINT or SIGTERM the round ends, is saved, and only then the run stops."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal asked the run to stop, and it has: everything up to its last round is saved; one line."""

    def __init__(self, signum: int, where: str):
        asked = signal.Signals(signum).name if signum else "another process was asked to stop"
        super().__init__(f"{asked}: stopped {where}, which is saved; the same command goes on from there")
        self.signum = signum or signal.SIGTERM


class StopRequest:
    """Whether a signal has come: `signum` is 0 until then."""

    signum = 0


@contextlib.contextmanager
def stop_between_rounds(say: Callable[[str], None]) -> Iterator[StopRequest]:
    """Note the first SIGINT or SIGTERM while the `with` block lasts, and say so; a second one interrupts at once.

    Outside the main thread, where Python has no signals, nothing changes.
    """
    request, before = StopRequest(), {}

    def note(signum: int, frame: FrameType | None) -> None:
        if request.signum:
            raise KeyboardInterrupt
        request.signum = signum
        say(f"{signal.Signals(signum).name}: stopping after this round; once more stops at once")

    if threading.current_thread() is threading.main_thread():
        before = {signum: signal.signal(signum, note) for signum in _SIGNALS}
    try:
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
