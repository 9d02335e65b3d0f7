"""What a person should know of an arm's rounds: that it has diverged, that nobody took part, that a layer is dead."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from halo_jax.federation.state import ClientResults
from halo_jax.numerics import dead_layers
from halo_jax.records.run_folder import RoundRecord
from halo_jax.runner.compiled_rounds import Arm


class RoundWarnings:
    """The warnings about one arm, each said once: a dead layer once for each client."""

    def __init__(self, arm: Arm, say: Callable[[str], Any]):
        """Tell `say` of what goes wrong in `arm`, a line each."""
        self._arm, self._say = arm, say
        self._nobody = self._diverged = False
        self._clients: set[int] = set()  # of which a dead layer has been reported

    def look_at(self, row: RoundRecord, results: ClientResults) -> None:
        """Say what is new and wrong in a round."""
        if row.train_loss is None and not self._nobody:
            self._nobody = True
            self._say(self._line_about_nobody(row.round, results))
        losses = (row.train_loss, row.test_loss)  # None where nobody trained, or nobody tested
        if all(loss is None or math.isfinite(loss) for loss in losses):
            self._look_for_dead_layers(results)
        elif not self._diverged:
            self._diverged = True
            advice = "what usually helps: a lower rate"
            self._say(f"{self._arm.label} has diverged: no finite loss in round {row.round}; {advice}")

    def _line_about_nobody(self, round: int, results: ClientResults) -> str:
        started = int(np.asarray(results.lap.started).sum())
        return (
            f"{self._arm.label}: nobody took part in round {round} ({started} missed the deadline, "
            f"{len(results.client) - started} have too little battery), and the model stayed; what helps: a longer "
            "clock.deadline_s, more clock.battery_joule"
        )

    def _look_for_dead_layers(self, results: ClientResults) -> None:
        """One line about the clients in which a layer has died since the last one."""
        after, dead = self._arm.config.dead_after, np.asarray(results.dead)
        places = {
            client: dead_layers.first_dead(dead[i], after)
            for i, client in enumerate(np.asarray(results.client).tolist())
            if client not in self._clients
        }
        newly_dead = {client: place for client, place in places.items() if place}
        if not newly_dead:
            return
        self._clients.update(newly_dead)
        client, (tensor, kind) = next(iter(newly_dead.items()))
        name = dead_layers.name_tensors(self._arm.federation.first_model)[tensor]
        others = f" (and {len(newly_dead) - 1} more clients)" if len(newly_dead) > 1 else ""
        self._say(
            f"client {client}{others} has learned nothing in {name} for {after} local steps: "
            f"{dead_layers.KINDS[kind]}; what usually helps: {dead_layers.REMEDIES[kind]}"
        )
