"""The rounds of arms, from the last checkpoint to the end, each recorded as it ends."""

import contextlib
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from halo_jax.federation.clients import place
from halo_jax.federation.evaluation import Scores
from halo_jax.federation.state import ClientResults, FederationState, init_state
from halo_jax.records import run_folder
from halo_jax.records.checkpoint import Checkpoints
from halo_jax.records.rows import FingerprintRecord, RoundRecord
from halo_jax.records.tensorboard import EventFile, OnRound
from halo_jax.reporting.progress import Display
from halo_jax.runner import to_records
from halo_jax.runner.compiled_rounds import Arm, Program, Programs, stacks
from halo_jax.runner.round_warnings import RoundWarnings
from halo_jax.runtime import processes
from halo_jax.runtime.processes import on_leader
from halo_jax.runtime.signals import Stopped, StopRequest
from halo_jax.types import Precision


def run_arms(
    arms: Sequence[Arm], programs: Programs, display: Display, stop: StopRequest, on_round: OnRound | None = None
) -> None:
    """Train what remains of arms, one call a round for all of them; record every round and write their summaries.

    Arms that have not as many rounds behind them as the others go on by themselves.

    Args:
      arms: with the same `program_key`.
      programs: the compiled ones so far.
      display: what a person sees.
      stop: whether a signal has come.
      on_round: told of every round once it has been recorded; what it raises ends the run.

    Raises:
      Stopped: a signal came; the last round is saved.
      RecordError, CheckpointError: a folder cannot be written or read.
      DistributedError: another process has raised one of these.
    """
    unfinished: dict[int, list[Arm]] = {}  # by the rounds that they have done
    states = {}
    for arm in arms:
        if _has_finished(arm):
            with contextlib.ExitStack() as files:
                on_leader(lambda arm=arm, files=files: _listeners(arm, on_round, files))
            display.begin_arm(arm.label, arm.config.rounds, arm.config.rounds)
        else:
            rounds_done, states[arm.folder] = _resume(arm, display)
            unfinished.setdefault(rounds_done, []).append(arm)
    for rounds_done, members in unfinished.items():
        for stack in stacks(members, len(arms)):
            with contextlib.ExitStack() as files:
                training = _Training(stack, programs.of(stack), display, on_round, files)
                last = training.run(rounds_done, [states.pop(arm.folder) for arm in stack], stop)
            training.finish(last)


def _has_finished(arm: Arm) -> bool:
    finished = on_leader(lambda: bool(run_folder.read(arm.folder).summary.get("finished")))
    return processes.anywhere(bool(finished))


def _resume(arm: Arm, display: Display) -> tuple[int, FederationState]:
    """The rounds done and the state after them, from the leader's checkpoints; its records are cut to those rounds."""
    config, federation = arm.config, arm.federation
    start = Precision.parse(config.selector.start)
    first = init_state(federation.first_model, start, config.num_clients, federation.stages, federation.executor)

    def restore() -> tuple[int, Any]:
        with Checkpoints(arm.folder, config.keep_checkpoints, display.say) as checkpoints:
            rounds_done, state = checkpoints.restore(first)
        run_folder.resume(arm.folder, rounds_done)
        return rounds_done, state

    rounds_done, state = on_leader(restore) or (0, first)
    rounds_done, state = processes.from_leader((np.int32(rounds_done), state))
    return int(rounds_done), place(state, federation.executor)


def _listeners(arm: Arm, on_round: OnRound | None, files: contextlib.ExitStack) -> list[OnRound]:
    """Who is told of each round: TensorBoard's file of the arm, written anew and kept open in `files`, and the hook."""
    listeners = [on_round] if on_round else []
    if arm.config.tensorboard:
        listeners.insert(0, files.enter_context(contextlib.closing(EventFile(arm.folder))).on_round)
    return listeners


class _TrainedRound(NamedTuple):
    """A round of one arm that has been trained and perhaps evaluated."""

    number: int  # from 1
    seconds: float
    broadcast: str  # the fingerprint of the model before it
    state: FederationState  # after it
    results: ClientResults
    scores: Scores | None


class _Training:
    """Arms that go through their rounds together, each with its checkpoints, its listeners and its warnings."""

    def __init__(
        self,
        arms: Sequence[Arm],
        program: Program,
        display: Display,
        on_round: OnRound | None,
        files: contextlib.ExitStack,
    ):
        """Open what the arms write to, on the leader alone; `files` closes it."""

        def open_checkpoints(arm: Arm) -> Checkpoints:
            return files.enter_context(Checkpoints(arm.folder, arm.config.keep_checkpoints, display.say))

        self._arms, self._program, self._display = arms, program, display
        self._config = arms[0].config  # of fields that do not differ where arms share a program
        self._checkpoints = on_leader(lambda: [open_checkpoints(arm) for arm in arms]) or []
        self._listeners = on_leader(lambda: [_listeners(arm, on_round, files) for arm in arms]) or [[] for _ in arms]
        self._warnings = [RoundWarnings(arm, display.say) for arm in arms]

    def run(self, rounds_done: int, states: list[FederationState], stop: StopRequest) -> FederationState:
        """Train from the states after `rounds_done` rounds to the end; the last states, packed."""
        config = self._config
        for arm in self._arms:
            without_bits = "" if arm.federation.stages.recipe.low_precision else arm.config.recipe.name
            self._display.begin_arm(arm.label, config.rounds, rounds_done, without_bits)
        state = self._program.pack(states)
        for number in range(rounds_done + 1, config.rounds + 1):
            if processes.anywhere(stop.signum > 0):
                if number - 1 > rounds_done:
                    self._save(number - 1, states)
                names = ", ".join(arm.label for arm in self._arms)
                raise Stopped(stop.signum, f"after round {number - 1} of {names}")
            state, trained = self._train_round(number, state, states)
            states = [each.state for each in trained]
            rows = [self._record(i, each) for i, each in enumerate(trained)]
            if number == config.rounds or number % config.checkpoint_every == 0:
                self._save(number, states)
            self._display.end_round(*rows)
        return state

    def finish(self, last: FederationState) -> None:
        """Evaluate the last states, packed, and write the summaries."""
        evaluated = self._program.evaluate(last, self._config.rounds)
        for arm, state, scores in zip(self._arms, self._program.split(last), evaluated, strict=True):
            on_leader(lambda arm=arm, state=state, scores=scores: _write_summary(arm, state, scores))

    def _train_round(
        self, number: int, state: FederationState, states: list[FederationState]
    ) -> tuple[FederationState, list[_TrainedRound]]:
        """Train round `number` of all arms from `state`, which is `states` packed; the packed state, and each arm's."""
        started = time.perf_counter()
        broadcasts = [to_records.fingerprint_of(each.model) for each in states]
        state, results = self._program.run_round(number, state)
        due = number == self._config.rounds or number % self._config.eval_every == 0
        scores = self._program.evaluate(state, number) if due else [None] * len(self._arms)
        after, results_of = self._program.split(state), self._program.split(results)
        seconds = (time.perf_counter() - started) / len(self._arms)
        return state, [
            _TrainedRound(
                number, seconds, broadcast=broadcasts[i], state=after[i], results=results_of[i], scores=scores[i]
            )
            for i in range(len(self._arms))
        ]

    def _save(self, rounds_done: int, states: Sequence[FederationState]) -> None:
        def save() -> None:
            for checkpoints, state in zip(self._checkpoints, states, strict=True):
                checkpoints.save(rounds_done, state)

        on_leader(save)

    def _record(self, i: int, trained: _TrainedRound) -> RoundRecord:
        """Record a round of arm `i`, and say what a person should know of it."""
        arm, results, number = self._arms[i], trained.results, trained.number
        clients = to_records.client_rows(number, results, arm.federation)
        prints = to_records.fingerprint_rows(number, trained.broadcast, trained.state, results)
        virtual_seconds = np.asarray(results.virtual_seconds)
        row = to_records.round_row(number, clients, trained.scores, arm.federation, virtual_seconds, trained.seconds)

        def append() -> None:
            run_folder.append(arm.folder, row, clients, prints)
            for listener in self._listeners[i]:
                listener(arm.full_name, row)

        on_leader(append)
        if arm.config.fingerprint:
            self._display.say(_line_of_fingerprints(arm.label, number, prints, results))
        self._warnings[i].look_at(row, results)
        return row


def _write_summary(arm: Arm, state: FederationState, scores: Scores) -> None:
    run = run_folder.read(arm.folder)
    run_folder.finish(arm.folder, to_records.summary(arm, run, state.model, scores))


def _line_of_fingerprints(label: str, round: int, prints: Sequence[FingerprintRecord], results: ClientResults) -> str:
    stages = {row.stage: row.fingerprint for row in prints}
    stages["update"] = to_records.fingerprint_of(results.update)
    return f"{label}  round {round:3d}  " + "  ".join(f"{stage} {digits}" for stage, digits in stages.items())
