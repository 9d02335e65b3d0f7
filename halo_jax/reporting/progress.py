"""What a person sees while a run goes on: one live display in a terminal, a plain line per round elsewhere."""

import time
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from halo_jax.records.rows import RoundRecord
from halo_jax.reporting.terminal import say


def describe(row: RoundRecord, instead_of_bits: str = "") -> str:
    """Loss, accuracy and mean bits of a round, in words; of training that has no bits, what it has instead."""
    accuracy = "" if row.accuracy is None else f"accuracy {100 * row.accuracy:5.2f} %  "
    bits = f"bits {row.weights_bits:.1f}-{row.activations_bits:.1f}-{row.errors_bits:.1f}"
    loss = "       -" if row.train_loss is None else f"{row.train_loss:8.4f}"
    return f"loss {loss}  {accuracy}{instead_of_bits or bits}"


class _Arm(NamedTuple):
    name: str
    rounds: int
    instead_of_bits: str
    task: TaskID


class Display:
    """Progress over all arms of an experiment; a context manager. Rounds that were resumed count as done."""

    def __init__(self, console: Console, rounds_in_all: int):
        self._console = console
        self._rounds_left = rounds_in_all
        self._pace: float | None = None  # seconds a round, once one ran without compiling
        self._arms: list[_Arm] = []
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        """Print one line above the progress."""
        say(self._console, line)

    def begin_arm(self, name: str, rounds: int, rounds_done: int, instead_of_bits: str = "") -> None:
        """A new arm starts, or goes on.

        Args:
          name: what it is called in every line.
          rounds: how many it has in all.
          rounds_done: how many of them an earlier launch has done.
          instead_of_bits: shown in place of mean bits where it does not train in low precision, such as "float32".
        """
        self._first = True
        self._rounds_left -= rounds_done
        self._last = time.perf_counter()
        task = self._progress.add_task(name, total=rounds, completed=rounds_done, status="compiling")
        self._arms.append(_Arm(name, rounds, instead_of_bits, task))

    def end_round(self, *rows: RoundRecord) -> None:
        """A round is done and recorded: a row for each of the arms that have begun last and go on together."""
        now = time.perf_counter()
        elapsed, self._last = (now - self._last) / len(rows), now
        if not self._first:
            self._pace = elapsed if self._pace is None else 0.8 * self._pace + 0.2 * elapsed
        self._first = False
        self._rounds_left -= len(rows)
        time_left = "" if self._pace is None else f"  {_clock(self._rounds_left * self._pace)} left"
        for arm, row in zip(self._arms[-len(rows) :], rows, strict=True):
            text = describe(row, arm.instead_of_bits) + time_left
            if self._console.is_terminal:
                self._progress.update(arm.task, completed=row.round, status=text)
            else:
                self.say(f"{arm.name}  round {row.round:3d}/{arm.rounds}  {text}")


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"
