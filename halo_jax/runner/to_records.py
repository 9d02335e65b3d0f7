"""From a round's arrays to the rows of the records, and from a run to its summary."""

import importlib.metadata
import math
import platform
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from halo_jax.compressors.wire import Size, entropy_bits, packed_bits
from halo_jax.config import Config
from halo_jax.federation.evaluation import Scores
from halo_jax.federation.fingerprint import as_text, fingerprint
from halo_jax.federation.round import ClientResults, FederationState
from halo_jax.numerics import contraction, dead_layers
from halo_jax.records import label_counts as labels
from halo_jax.records.digest import tree_sha256
from halo_jax.records.rows import ClientRecord, FingerprintRecord, RoundRecord
from halo_jax.records.run_folder import Run
from halo_jax.runner.build import Parts
from halo_jax.types import Constraint

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


def client_rows(round: int, answers: ClientResults, parts: Parts) -> list[ClientRecord]:
    """One row per client of the cohort; `round` counts from 1."""
    arrays: Any = jax.tree.map(np.asarray, answers)
    constraints = np.asarray(parts.data.demands.constraint)
    names = dead_layers.name_tensors(parts.model)
    down = _down(arrays)
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
            **_payload("up", _weights(jax.tree.map(lambda leaf, i=i: leaf[i], arrays.up))),
            **_payload("down", down[i]),
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


class _Weights(NamedTuple):
    packed: int
    nominal: int
    entropy: int


def _weights(size: Size) -> _Weights:
    return _Weights(packed_bits(size), int(size.nominal_bits), entropy_bits(size))


def _payload(way: str, weights: _Weights) -> dict[str, int]:
    return {
        f"payload_{way}_bits": weights.packed,
        f"payload_{way}_nominal_bits": weights.nominal,
        f"payload_{way}_entropy_bits": weights.entropy,
    }


def _down(arrays: Any) -> list[_Weights]:
    """What each client of the cohort was sent: the broadcast message or the whole model, and what came beside it."""
    message = _weights(arrays.down)
    columns = arrays.whole_down_bits, arrays.extra_down_bits, arrays.lap.started
    rows = zip(*(column.tolist() for column in columns), strict=True)
    whole = lambda bits: _Weights(8 * math.ceil(bits / 8), bits, bits)  # noqa: E731
    return [
        _Weights(*(started * (each + extra) for each in (whole(bits) if bits else message)))
        for bits, extra, started in rows
    ]


def _dead_layer(dead: np.ndarray, names: list[str]) -> str:
    where = dead_layers.first_dead(dead, max(1, dead.max()))
    return f"{names[where[0]]}: {dead_layers.KINDS[where[1]]}" if where else ""


def fingerprint_rows(round: int, broadcast: str, state: FederationState, answers: ClientResults):
    """One row per stage, and per client where a stage has clients."""
    updates = zip(np.asarray(answers.client).tolist(), np.asarray(answers.update), strict=True)
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
    index: int,
    rows: list[ClientRecord],
    scores: Scores | None,
    parts: Parts,
    virtual_seconds: Any,
    seconds: float,
) -> RoundRecord:
    """The row of round `index` + 1: means and sums over its clients; None where nothing was evaluated."""
    # fsum rounds once: a sum of floats by NumPy would depend on the CPU's vector width.
    mean = lambda field: math.fsum(float(getattr(row, field)) for row in rows) / len(rows)  # noqa: E731
    total = lambda field: sum(getattr(row, field) for row in rows)  # noqa: E731
    size = parts.test.labels.shape[0]
    test_loss: Any = None if scores is None else np.float32(scores.loss)  # float32: its own digits are recorded
    payload: Any = {
        name: total(name) for name in RoundRecord._fields if name.startswith("payload") or name == "uploads"
    }
    took_part = [row for row in rows if row.participated]
    examples = sum(row.examples for row in took_part)
    losses: Any = [(row.train_loss, row.examples) for row in took_part]
    loss = math.fsum(float(loss) * number for loss, number in losses) / examples if took_part else None
    return RoundRecord(
        round=index + 1,
        learning_rate=parts.learning_rates[index],
        train_loss=loss,
        test_loss=test_loss,
        accuracy=None if scores is None else int(scores.top1) / size,
        top5_accuracy=None if scores is None else int(scores.top5) / size,
        weights_bits=mean("weights_bits"),
        activations_bits=mean("activations_bits"),
        errors_bits=mean("errors_bits"),
        energy_mj=mean("energy_mj"),
        latency_s=mean("latency_s"),
        area_mm2=mean("area_mm2"),
        **payload,
        examples=examples,
        virtual_seconds=virtual_seconds,
        energy_joule=math.fsum(float(row.energy_joule) for row in rows),
        seconds=seconds,
    )


def label_counts(parts: Parts) -> np.ndarray:
    """How many training images of each class every client holds, int64 `[N, K]`."""
    held, shards = np.asarray(parts.data.images.labels), parts.data.shards
    return labels.count(held, np.asarray(shards.indices), np.asarray(shards.mask), parts.num_classes)


def summary(arm: str, config: Config, run: Run, model: Any, scores: Scores, parts: Parts) -> dict[str, Any]:
    """The fields of summary.json for a finished arm, of which `scores` are those of its last model."""
    rounds = run.rounds
    by_class = labels.class_accuracy(np.asarray(scores.right), np.asarray(parts.test.labels))
    return {
        "name": config.name,
        "arm": arm,
        "selector": config.selector.name,
        "dataset": config.dataset,
        "train_width": config.width,
        "hardware_width": config.hardware.width,
        "seed": config.seed,
        "rounds": config.rounds,
        "accuracy": rounds["accuracy"][-1],
        "top5_accuracy": rounds["top5_accuracy"][-1],
        "test_loss": rounds["test_loss"][-1],
        "class_accuracy": by_class,
        "client_accuracy": labels.client_accuracy(label_counts(parts), by_class),
        "model_sha256": tree_sha256(model),
        "executor": parts.executor,
        "kernels": kernels(parts),
        "versions": _versions(),
        "device": jax.devices()[0].device_kind,
        "wall_seconds": float(rounds["seconds"].sum()),
        "git_commit": _git_commit(),
        "finished": True,
    }


def kernels(parts: Parts) -> str:
    """Which kernels multiply: "native", or "xla" and why; float32 training has none of our own."""
    return "xla" if parts.recipe.numerics is None else contraction.kernels()


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
