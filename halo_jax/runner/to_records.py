"""From a round's arrays to the rows of the records, and from a run to its summary."""

import importlib.metadata
import math
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax
import numpy as np

from halo_jax.compressors.wire import Size, entropy_bits, packed_bits
from halo_jax.federation.evaluation import Scores
from halo_jax.federation.fingerprint import as_text, fingerprint
from halo_jax.federation.stages import Stages
from halo_jax.federation.state import ClientResults, FederationState
from halo_jax.numerics import contraction, dead_layers
from halo_jax.records import label_counts as labels
from halo_jax.records.digest import tree_sha256
from halo_jax.records.entry_facts import EntryFacts
from halo_jax.records.model_record import ModelRecord
from halo_jax.records.rows import ClientRecord, FingerprintRecord, RoundRecord
from halo_jax.records.run_folder import Run
from halo_jax.runner.build import Federation
from halo_jax.runner.compiled_rounds import Arm, evaluation_precision
from halo_jax.types import Constraint

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


def client_rows(round: int, results: ClientResults, federation: Federation) -> list[ClientRecord]:
    """One row per client of the cohort; `round` counts from 1."""
    arrays: Any = jax.tree.map(np.asarray, results)
    constraints = np.asarray(federation.data.demands.constraint)
    names = dead_layers.name_tensors(federation.first_model)
    return [
        ClientRecord(
            round=round,
            client=int(client),
            constraint=Constraint(constraints[client]).name.lower(),
            weights_bits=arrays.precision.weights[i].mean(),
            activations_bits=arrays.precision.activations[i].mean(),
            errors_bits=arrays.precision.errors[i].mean(),
            energy_mj=arrays.cost.energy_mj[i],
            latency_s=arrays.cost.latency_s[i],
            area_mm2=arrays.cost.area_mm2[i],
            **_payload("up", arrays.up_size, i),
            **_payload("down", arrays.down_size, i),
            uploads=int(arrays.uploaded[i]),
            examples=int(arrays.examples[i]),
            train_loss=arrays.loss[i] if arrays.lap.participated[i] else None,
            dead_steps=int(arrays.dead[i].max()),
            dead_layer=_dead_layer(arrays.dead[i], names),
            download_seconds=arrays.lap.download_s[i],
            compute_seconds=arrays.lap.compute_s[i],
            upload_seconds=arrays.lap.upload_s[i],
            energy_joule=arrays.lap.energy_joule[i],
            participated=int(arrays.lap.participated[i]),
        )
        for i, client in enumerate(arrays.client)
    ]


def _payload(way: str, sizes: Size, i: int) -> dict[str, int]:
    """The columns of the message of client `i` of the cohort."""
    size = jax.tree.map(lambda leaf: leaf[i], sizes)
    return {
        f"payload_{way}_bits": packed_bits(size),
        f"payload_{way}_nominal_bits": int(size.nominal_bits),
        f"payload_{way}_entropy_bits": entropy_bits(size),
    }


def _dead_layer(dead: np.ndarray, names: list[str]) -> str:
    where = dead_layers.first_dead(dead, max(1, dead.max()))
    return f"{names[where[0]]}: {dead_layers.KINDS[where[1]]}" if where else ""


def fingerprint_rows(
    round: int, broadcast: str, state: FederationState, results: ClientResults
) -> list[FingerprintRecord]:
    """One row per stage, and per client where a stage has clients.

    Args:
      round: from 1.
      broadcast: the fingerprint of the model before the round.
      state: of after the round.
      results: what the cohort did in it.
    """
    updates = zip(np.asarray(results.client).tolist(), np.asarray(results.update), strict=True)
    return [
        FingerprintRecord(round, "broadcast", None, broadcast),
        FingerprintRecord(round, "precision", None, fingerprint_of(state.precision)),
        *(FingerprintRecord(round, "update", client, as_text(words)) for client, words in updates),
        FingerprintRecord(round, "aggregate", None, fingerprint_of(state.model)),
    ]


def fingerprint_of(tree: Any) -> str:
    """The fingerprint of arrays as text."""
    return as_text(_fingerprint(tree))


_fingerprint = jax.jit(fingerprint)


def round_row(
    round: int,
    rows: list[ClientRecord],
    scores: Scores | None,
    federation: Federation,
    virtual_seconds: Any,
    seconds: float,
) -> RoundRecord:
    """The row of one round: means and sums over its clients.

    Args:
      round: from 1.
      rows: of the round's clients.
      scores: of the model after the round; None where nothing was evaluated.
      federation: what the arm runs on.
      virtual_seconds: how long the round took by the virtual clock, float32 `[]`.
      seconds: how long it took here.
    """

    def mean(field: str) -> float:
        # fsum rounds once: a sum of floats by NumPy would depend on the CPU's vector width.
        return math.fsum(float(getattr(row, field)) for row in rows) / len(rows)

    sums: Any = {
        field: sum(getattr(row, field) for row in rows)
        for field in RoundRecord._fields
        if field.startswith("payload") or field == "uploads"
    }
    images = federation.test_images.labels.shape[0]
    test_loss: Any = None if scores is None else np.float32(scores.loss)  # float32: its own digits are recorded
    return RoundRecord(
        round=round,
        learning_rate=federation.learning_rates[round - 1],
        train_loss=_train_loss(rows),
        test_loss=test_loss,
        accuracy=None if scores is None else int(scores.top1) / images,
        top5_accuracy=None if scores is None else int(scores.top5) / images,
        weights_bits=mean("weights_bits"),
        activations_bits=mean("activations_bits"),
        errors_bits=mean("errors_bits"),
        energy_mj=mean("energy_mj"),
        latency_s=mean("latency_s"),
        area_mm2=mean("area_mm2"),
        **sums,
        examples=sum(row.examples for row in rows if row.participated),
        virtual_seconds=virtual_seconds,
        energy_joule=math.fsum(float(row.energy_joule) for row in rows),
        seconds=seconds,
    )


def _train_loss(rows: list[ClientRecord]) -> float | None:
    """The mean over the examples of who took part; None where nobody did."""
    losses: Any = [(row.train_loss, row.examples) for row in rows if row.participated]
    examples = sum(number for _, number in losses)
    return math.fsum(float(loss) * number for loss, number in losses) / examples if losses else None


def label_counts(federation: Federation) -> np.ndarray:
    """How many training images of each class every client holds, int64 `[N, K]`."""
    data = federation.data
    indices, mask = np.asarray(data.local_data.indices), np.asarray(data.local_data.mask)
    return labels.count(np.asarray(data.images.labels), indices, mask, federation.num_classes)


def model_record_of(arm: Arm) -> ModelRecord:
    """What an arm's model takes and gives."""
    height, width, channels = arm.federation.test_images.images.shape[1:]
    return ModelRecord((height, width, channels), arm.federation.num_classes, str(evaluation_precision(arm)))


def summary(arm: Arm, run: Run, model: Any, scores: Scores) -> dict[str, Any]:
    """The fields of summary.json for a finished arm.

    Args:
      arm: of which this is the summary.
      run: its records.
      model: the server's last.
      scores: of that model.
    """
    config, federation, rounds = arm.config, arm.federation, run.rounds
    by_class = labels.class_accuracy(np.asarray(scores.right), np.asarray(federation.test_images.labels))
    return {
        "name": config.name,
        "arm": arm.name,
        "selector": config.selector.name,
        **entry_facts(federation.stages)._asdict(),
        "dataset": config.dataset,
        "train_width": config.width,
        "hardware_width": config.hardware.width,
        "seed": config.seed,
        "rounds": config.rounds,
        "accuracy": rounds["accuracy"][-1],
        "top5_accuracy": rounds["top5_accuracy"][-1],
        "test_loss": rounds["test_loss"][-1],
        "class_accuracy": by_class,
        "client_accuracy": labels.client_accuracy(label_counts(federation), by_class),
        "model_sha256": tree_sha256(model),
        "executor": federation.executor,
        "kernels": kernels(federation),
        "versions": _versions(),
        "device": jax.devices()[0].device_kind,
        "wall_seconds": float(rounds["seconds"].sum()),
        "git_commit": _git_commit(),
        "finished": True,
    }


def entry_facts(stages: Stages) -> EntryFacts:
    """What the entries of an arm, which may be anybody's, say of themselves."""
    return EntryFacts(
        selects=bool(stages.selector.selects),
        low_precision=bool(stages.recipe.low_precision),
        client_bits=bool(stages.compressor.client_bits),
    )


def kernels(federation: Federation) -> str:
    """Which kernels multiply: "native", or "xla" and why; only products of codes have kernels of our own."""
    return contraction.kernels() if federation.stages.recipe.crossbars else "xla"


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    return versions | {name: importlib.metadata.version(name) for name in ("halo_jax", *_PACKAGES)}


def _git_commit() -> str | None:
    """The commit of the checkout that this package lies in, "-dirty" when changed; None outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.check_output(command, cwd=Path(__file__).parent, text=True, stderr=subprocess.DEVNULL).strip()
    except (OSError, subprocess.CalledProcessError):
        return None
