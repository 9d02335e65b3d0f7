"""One arm of an experiment: its rounds, from the last checkpoint to the end, each recorded as it ends."""

import contextlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from halo_jax import config as schema
from halo_jax import distributed, federation, health, record, results
from halo_jax.assemble import Parts
from halo_jax.checkpoint import Checkpoints
from halo_jax.clients import place
from halo_jax.config import Config
from halo_jax.distributed import on_leader
from halo_jax.federation import ClientResults, FederationState
from halo_jax.progress import Display
from halo_jax.stopping import Stopped, StopRequest
from halo_jax.types import Precision

_ALL = -1  # among the clients of which something has been reported: the whole arm


class Arm(NamedTuple):
    """An arm's name, its config, what it runs on, and the folder of its records and checkpoints."""

    name: str
    config: Config
    parts: Parts
    folder: Path


def evaluation_precision(config: Config) -> Precision:
    """Bits at which the server's model is tested: the config's, a static arm's own, or 8-8-8 (Choice A8)."""
    own = config.selector.start if config.selector.name == "static" else "8-8-8"
    return Precision.parse(config.evaluation.precision or own)


class Programs:
    """The compiled rounds of an experiment: arms that differ only in data, such as the start, share one."""

    def __init__(self):
        self._built: dict[str, federation.RunRound] = {}

    def of(self, arm: Arm, stages: federation.Stages) -> federation.RunRound:
        """The program for an arm."""
        config = arm.config
        sections = {name: config[name].to_dict() for name in ("recipe", "compressor", "selector")}
        key = json.dumps(sections | {"selector": sections["selector"] | {"start": ""}})
        if key not in self._built:
            cohort, parts = schema.cohort_size(config), arm.parts
            self._built[key] = federation.make_run_round(
                stages, parts.recipe, cohort, parts.executor, config.chunk_size
            )
        return self._built[key]


def run_arm(arm: Arm, programs: Programs, display: Display, stop: StopRequest) -> None:
    """Train what is left of an arm, record every round, and write its summary; nothing if it is finished.

    Raises:
      Stopped: a signal came; the last round is saved.
      RecordError, CheckpointError: the folder cannot be written or read.
      DistributedError: another process has raised one of these.
    """
    config, parts = arm.config, arm.parts
    finished = on_leader(lambda: bool(record.read(arm.folder).summary.get("finished")))
    if distributed.anywhere(bool(finished)):
        display.begin_arm(arm.name, config.rounds, config.rounds)
        return
    start = Precision.parse(config.selector.start)
    state = federation.init_state(parts.model, start, config.num_clients, parts.stages, parts.recipe, parts.executor)
    with contextlib.ExitStack() as held:
        keep, say = config.keep_checkpoints, display.say
        checkpoints: Any = on_leader(lambda: held.enter_context(Checkpoints(arm.folder, keep, say)))
        done, state = _resume(arm, checkpoints, state)
        state = place(state, parts.executor)
        display.begin_arm(arm.name, config.rounds, done, config.recipe.name)
        run_round, reported = programs.of(arm, parts.stages), set()
        for index in range(done, config.rounds):
            if distributed.anywhere(stop.signum > 0):
                if index > done:
                    on_leader(lambda index=index, state=state: checkpoints.save(index, state))
                raise Stopped(stop.signum, f"after round {index} of {arm.name}")
            state, row = _run_round(index, arm, run_round, state, display, reported)
            if index + 1 == config.rounds or (index + 1) % config.checkpoint_every == 0:
                on_leader(lambda index=index, state=state: checkpoints.save(index + 1, state))
            display.end_round(row)
    model = state.model
    on_leader(
        lambda: record.finish(arm.folder, results.summary(arm.name, config, record.read(arm.folder), model, parts))
    )


def _resume(arm: Arm, checkpoints: Any, state: FederationState) -> tuple[int, FederationState]:
    """The rounds done and the state after them, from the leader's checkpoints; its records are cut to those rounds."""

    def restore() -> tuple[int, Any]:
        done, restored = checkpoints.restore(state)
        record.resume(arm.folder, done)
        return done, restored

    done, restored = on_leader(restore) or (0, state)
    done, restored = distributed.from_leader((np.int32(done), restored))
    return int(done), restored


def _run_round(
    index: int,
    arm: Arm,
    run_round: federation.RunRound,
    state: FederationState,
    display: Display,
    reported: set[int],
) -> tuple[FederationState, record.RoundRecord]:
    """Train, evaluate and record one round, and say what a person should know of it."""
    config, parts, started = arm.config, arm.parts, time.perf_counter()
    broadcast = results.fingerprint_of(state.model)
    rate = jnp.float32(parts.learning_rates[index])
    state, answers = run_round(state, parts.data, jax.random.key(config.seed), rate)
    due = index + 1 == config.rounds or (index + 1) % config.eval_every == 0
    scores = parts.evaluate(state.model, evaluation_precision(config), parts.test) if due else None
    rows = results.client_rows(index + 1, answers, parts)
    prints = results.fingerprint_rows(index + 1, broadcast, state, answers)
    row = results.round_row(index, rows, scores, parts, time.perf_counter() - started)
    on_leader(lambda: record.append(arm.folder, row, rows, prints))
    if config.fingerprint:
        _say_fingerprints(arm.name, index + 1, prints, answers, display)
    if math.isfinite(row.train_loss) and (scores is None or math.isfinite(scores.loss)):
        _say_dead(answers, health.name_tensors(state.model), config.dead_after, reported, display.say)
    elif _ALL not in reported:
        reported.add(_ALL)
        display.say(f"{arm.name} has diverged: no finite loss in round {index + 1}; what usually helps: a lower rate")
    return state, row


def _say_fingerprints(
    arm: str, round: int, prints: list[record.FingerprintRecord], answers: ClientResults, display: Display
) -> None:
    stages = {row.stage: row.fingerprint for row in prints}
    stages["update"] = results.fingerprint_of(answers.update)
    display.say(f"{arm}  round {round:3d}  " + "  ".join(f"{stage} {digits}" for stage, digits in stages.items()))


def _say_dead(
    answers: ClientResults, names: list[str], after: int, reported: set[int], say: Callable[[str], Any]
) -> None:
    """One line about the clients in which a layer has died since the last one."""
    dead, clients = np.asarray(answers.dead), np.asarray(answers.client).tolist()
    places = {client: health.first_dead(dead[i], after) for i, client in enumerate(clients) if client not in reported}
    found = {client: place for client, place in places.items() if place}
    if not found:
        return
    reported.update(found)
    client, (tensor, kind) = next(iter(found.items()))
    others = f" (and {len(found) - 1} more clients)" if len(found) > 1 else ""
    say(
        f"client {client}{others} has learned nothing in {names[tensor]} for {after} local steps: "
        f"{health.KINDS[kind]}; what usually helps: {health.REMEDIES[kind]}"
    )
