"""The rounds of arms, from the last checkpoint to the end, each recorded as it ends."""

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from halo_jax.federation.clients import place
from halo_jax.federation.evaluation import Scores
from halo_jax.federation.round import ClientResults, FederationState, init_state
from halo_jax.numerics import dead_layers
from halo_jax.records import run_folder
from halo_jax.records.checkpoint import Checkpoints
from halo_jax.records.rows import FingerprintRecord, RoundRecord
from halo_jax.records.tensorboard import EventFile, OnRound
from halo_jax.reporting.progress import Display
from halo_jax.runner import to_records
from halo_jax.runner.compiled_rounds import Arm, Program, Programs, stacks
from halo_jax.runtime import processes
from halo_jax.runtime.processes import on_leader
from halo_jax.runtime.signals import Stopped, StopRequest
from halo_jax.types import Precision

_ALL, _NOBODY = -1, -2  # among the clients of which something has been reported: the arm diverged, nobody took part


def run_arms(
    arms: Sequence[Arm], programs: Programs, display: Display, stop: StopRequest, on_round: OnRound | None = None
) -> None:
    """Train what is left of arms, one call a round for all of them; record every round and write their summaries.

    `on_round` is told of every round once it has been recorded; what it raises ends the run. The arms have the same
    `program_key`. Those that have not as many rounds behind them as the others go on by themselves.

    Raises:
      Stopped: a signal came; the last round is saved.
      RecordError, CheckpointError: a folder cannot be written or read.
      DistributedError: another process has raised one of these.
    """
    left: dict[int, list[tuple[Arm, FederationState]]] = {}
    for arm in arms:
        finished = on_leader(lambda arm=arm: bool(run_folder.read(arm.folder).summary.get("finished")))
        if processes.anywhere(bool(finished)):
            with contextlib.ExitStack() as held:
                on_leader(lambda arm=arm, held=held: _listeners(arm, on_round, held))
            display.begin_arm(arm.label, arm.config.rounds, arm.config.rounds)
        else:
            done, state = _resume(arm, display)
            left.setdefault(done, []).append((arm, state))
    for done, members in left.items():
        for group in stacks([arm for arm, _ in members], len(arms)):
            states = [state for arm, state in members if any(arm is one for one in group)]
            _train(group, done, states, programs.of(group), display, stop, on_round)


def _resume(arm: Arm, display: Display) -> tuple[int, FederationState]:
    """The rounds done and the state after them, from the leader's checkpoints; its records are cut to those rounds."""
    config, parts = arm.config, arm.parts
    start = Precision.parse(config.selector.start)
    state = init_state(parts.model, start, config.num_clients, parts.stages, parts.recipe, parts.executor)

    def restore() -> tuple[int, Any]:
        with Checkpoints(arm.folder, config.keep_checkpoints, display.say) as checkpoints:
            done, restored = checkpoints.restore(state)
        run_folder.resume(arm.folder, done)
        return done, restored

    done, restored = on_leader(restore) or (0, state)
    done, restored = processes.from_leader((np.int32(done), restored))
    return int(done), place(restored, parts.executor)


def _train(
    arms: Sequence[Arm],
    done: int,
    states: list[FederationState],
    program: Program,
    display: Display,
    stop: StopRequest,
    on_round: OnRound | None,
) -> None:
    """Train arms from round `done` to their end."""
    config, state = arms[0].config, program.pack(states)
    with contextlib.ExitStack() as held:
        checkpoints: Any = on_leader(lambda: [_open(arm, held, display) for arm in arms])
        listeners = on_leader(lambda: [_listeners(arm, on_round, held) for arm in arms]) or [[] for _ in arms]
        for arm in arms:
            without_bits = arm.config.recipe.name if arm.parts.recipe.numerics is None else ""
            display.begin_arm(arm.label, config.rounds, done, without_bits)
        reported: list[set[int]] = [set() for _ in arms]

        def save(index: int, states: Sequence[FederationState]) -> None:
            on_leader(lambda: [one.save(index, state) for one, state in zip(checkpoints, states, strict=True)])

        for index in range(done, config.rounds):
            if processes.anywhere(stop.signum > 0):
                if index > done:
                    save(index, states)
                raise Stopped(stop.signum, f"after round {index} of {', '.join(arm.label for arm in arms)}")
            started, broadcast = time.perf_counter(), [to_records.fingerprint_of(one.model) for one in states]
            state, answers = program.run_round(index, state)
            due = index + 1 == config.rounds or (index + 1) % config.eval_every == 0
            scores = program.evaluate(state, index + 1) if due else [None] * len(arms)
            states = program.split(state)
            answers = program.split(answers)
            seconds = (time.perf_counter() - started) / len(arms)
            found = zip(arms, broadcast, states, answers, scores, listeners, strict=True)
            rounds = [_Round(index + 1, seconds, *one) for one in found]
            rows = [_record_round(one, seen, display) for one, seen in zip(rounds, reported, strict=True)]
            if index + 1 == config.rounds or (index + 1) % config.checkpoint_every == 0:
                save(index + 1, states)
            display.end_round(*rows)
    last = program.evaluate(state, config.rounds)
    for arm, state, scores in zip(arms, states, last, strict=True):
        on_leader(lambda arm=arm, state=state, scores=scores: _finish(arm, state, scores))


def _open(arm: Arm, held: contextlib.ExitStack, display: Display) -> Checkpoints:
    return held.enter_context(Checkpoints(arm.folder, arm.config.keep_checkpoints, display.say))


def _finish(arm: Arm, state: FederationState, scores: Scores) -> None:
    run = run_folder.read(arm.folder)
    run_folder.finish(arm.folder, to_records.summary(arm.name, arm.config, run, state.model, scores, arm.parts))


def _listeners(arm: Arm, on_round: OnRound | None, held: contextlib.ExitStack) -> list[OnRound]:
    """Who is told of each round: TensorBoard's file of the arm, written anew and kept open by `held`, and the hook."""
    listeners = [on_round] if on_round else []
    if arm.config.tensorboard:
        listeners.insert(0, held.enter_context(contextlib.closing(EventFile(arm.folder))).on_round)
    return listeners


class _Round(NamedTuple):
    """A round of one arm that has been trained and perhaps evaluated."""

    number: int  # from 1
    seconds: float
    arm: Arm
    broadcast: str  # the fingerprint of the model before it
    state: FederationState
    answers: ClientResults
    scores: Scores | None
    listeners: Sequence[OnRound]


def _record_round(one: _Round, reported: set[int], display: Display) -> RoundRecord:
    """Record a round of one arm, and say what a person should know of it."""
    arm, config, parts, answers, number = one.arm, one.arm.config, one.arm.parts, one.answers, one.number
    rows = to_records.client_rows(number, answers, parts)
    prints = to_records.fingerprint_rows(number, one.broadcast, one.state, answers)
    row = to_records.round_row(number - 1, rows, one.scores, parts, np.asarray(answers.seconds), one.seconds)

    def keep() -> None:
        run_folder.append(arm.folder, row, rows, prints)
        for listener in one.listeners:
            listener(arm.key, row)

    on_leader(keep)
    if config.fingerprint:
        _say_fingerprints(arm.label, number, prints, answers, display)
    if row.train_loss is None and _NOBODY not in reported:
        reported.add(_NOBODY)
        display.say(_nobody(arm.label, number, answers))
    if math.isfinite(row.train_loss or 0) and (one.scores is None or math.isfinite(one.scores.loss)):
        _say_dead(answers, dead_layers.name_tensors(one.state.model), config.dead_after, reported, display.say)
    elif _ALL not in reported:
        reported.add(_ALL)
        display.say(f"{arm.label} has diverged: no finite loss in round {number}; what usually helps: a lower rate")
    return row


def _nobody(arm: str, round: int, answers: ClientResults) -> str:
    late = int(np.asarray(answers.lap.started).sum())
    return (
        f"{arm}: nobody took part in round {round} ({late} missed the deadline, {len(answers.client) - late} have too "
        "little battery), and the model stayed; what helps: a longer clock.deadline_s, more clock.battery_joule"
    )


def _say_fingerprints(
    arm: str, round: int, prints: list[FingerprintRecord], answers: ClientResults, display: Display
) -> None:
    stages = {row.stage: row.fingerprint for row in prints}
    stages["update"] = to_records.fingerprint_of(answers.update)
    display.say(f"{arm}  round {round:3d}  " + "  ".join(f"{stage} {digits}" for stage, digits in stages.items()))


def _say_dead(
    answers: ClientResults, names: list[str], after: int, reported: set[int], say: Callable[[str], Any]
) -> None:
    """One line about the clients in which a layer has died since the last one."""
    dead, clients = np.asarray(answers.dead), np.asarray(answers.client).tolist()
    places = {
        client: dead_layers.first_dead(dead[i], after) for i, client in enumerate(clients) if client not in reported
    }
    found = {client: place for client, place in places.items() if place}
    if not found:
        return
    reported.update(found)
    client, (tensor, kind) = next(iter(found.items()))
    others = f" (and {len(found) - 1} more clients)" if len(found) > 1 else ""
    say(
        f"client {client}{others} has learned nothing in {names[tensor]} for {after} local steps: "
        f"{dead_layers.KINDS[kind]}; what usually helps: {dead_layers.REMEDIES[kind]}"
    )
