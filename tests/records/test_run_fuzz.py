"""Toy experiments of all options together run to their end.

HALO_JAX_FUZZ=N runs N of them.
"""

import io
import os
import random
from typing import Any

import ml_collections
import numpy as np
import pytest
from flax import linen as nn
from rich.console import Console

from halo_jax.config import Config, all_fields, cohort_size, default, schema
from halo_jax.models import MODELS
from halo_jax.models.base import layer_precisions
from halo_jax.numerics.layers import QuantDense
from halo_jax.numerics.wage import DEFAULT, Numerics
from halo_jax.runner.run_experiment import run

OPTIONS: dict[str, tuple] = {
    "dataset": ("synthetic", "synthetic", "digits"),
    "model": ("one_layer", "one_layer", "one_layer", "small_cnn"),
    "width": (0.02, 1e-300),  # a channel or two
    "train_examples": (23, 15),  # enough for 5 clients of 3
    "test_examples": (7, 1),
    "seed": (0, 2**31 - 1),
    "rounds": (1, 2),
    "eval_every": (1, 2, 2**31 - 1),
    "checkpoint_every": (1, 2**31 - 1),
    "augment": ("auto", "none", "crop", "crop_flip"),
    "partition.name": ("iid", "dirichlet", "shards", "unequal"),
    "partition.alpha": (0.1, 5e-324, 1e9),
    "partition.shards_per_client": (1, 2, 3),
    "partition.min_examples": (1, 2, 3),
    "recipe.name, noise.weights, noise.errors": (("wage", 0.1, 0.0), ("wage", 0.0, 1.0), ("float32", 0.0, 0.0)),
    "schedule.phases, recipe.learning_rates": (((0.6, 0.2, 0.2), ()), ((1,), (4,)), ((0, 1.0), (8, 1e-29))),
    "recipe.loss": ("sse", "cross_entropy"),
    "recipe.gradient_bits": (8, 9, 10, 11, 12),
    "recipe.clip_bits": ("gradient", "weights"),
    "recipe.min_limit": (0.75, 1e-300, 1.0),
    "recipe.input_bits": (0, 2, 8),
    "recipe.shift": ("round", "ceil"),
    "recipe.error_rounding": ("nearest", "stochastic"),
    "recipe.order": ("wage", "neurosim"),
    "recipe.aggregation": ("stochastic", "nearest", "none"),
    "recipe.momentum": (0.0, 0.999),
    "exact": (True, False),
    "num_clients": (4, 3, 5, 1, 2),
    "cohort_size": (0, 1, 2, 0),
    "local_epochs": (1, 2),
    "batch_size": (1, 5, 2**31 - 1),
    "executor": ("vmap", "map", "chunk", "shard", "auto"),
    "chunk_size": (1, 2, 2**31 - 1),
    "arms, selector.name": (
        ((), "halo_ps"),
        ((), "static"),
        ((), "exhaustive"),
        (("8-8-8", "2-2-2"), "static"),
        (("weighted", "random"), "static"),
    ),
    "selector.start, selector.floor": (("8-8-8", "2-4-4"), ("3-7-5", "2-2-2"), ("2-2-2", "2-2-2")),
    "selector.step": (1, 2, 6),
    "selector.min_gain": (0.0, 1.0),
    "selector.reduce_when, selector.reduce_every, selector.reduce_rounds": (
        ("rounds", 0, ()),
        ("rounds", 1, ()),
        ("rounds", 2**31 - 1, (1,)),
        ("learning_rate", 0, ()),
        ("plateau", 0, ()),
    ),
    "selector.patience": (1, 2**31 - 1),
    "selector.plateau_gain": (0.0, 1.0),
    "demand.energy_clients, demand.latency_clients, demand.area_clients": ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)),
    "demand.energy_mj": ((), (0.5,)),
    "demand.latency_s": ((), (1e-9,)),
    "demand.area_mm2": ((), (0,)),
    "demand.weights": ((), (1, 0.5, 0)),
    "hardware.name, hardware.device": (
        ("halosim", "calibrated"),
        ("halosim", "table_i"),
        ("halosim", "physical"),
        ("bit_serial", "stripes_45nm"),
    ),
    "hardware.width": (1e-300, 1.0),
    "compressor.name, compressor.bits, compressor.rounding": (  # those that ask most of a round; others: contracts
        ("uniform", 2, "nearest"),
        ("terngrad", 0, "stochastic"),
        ("laq", 8, "stochastic"),
        ("lfl", 0, "stochastic"),
        ("qa_fl", 3, "stochastic"),
    ),
    "noise.inputs": (0.0, 0.1),
    "noise.relative_to": ("value", "range"),
    "noise.per": ("programming", "read"),
    "noise.during": ("both", "training", "inference"),
    "clock.up_mbps, clock.down_mbps, clock.jitter": (((), (), 0.0), ((1e-6,), (1e6,), 0.5), ((1.0,), (), 0.1)),
    "clock.deadline_s": (0.0, 1e9, 1e-6),
    "clock.battery_joule": ((), (1e12,), (1e-9,)),
    "evaluation.precision": ("", "2-2-2", "8-3-8"),
    "evaluation.batch_size": (1, 3, 2**31 - 1),
}
CASES = max(8, int(os.environ.get("HALO_JAX_FUZZ", "1")))  # five hold every value; compiling one takes seconds


class OneLayer(nn.Module):
    """The network that compiles fastest; attributes as in `models.base.MakeModel`."""

    num_classes: int
    width: float = 1.0
    numerics: Numerics | None = DEFAULT

    @nn.compact
    def __call__(self, images, precision=None):
        flat = images.reshape(images.shape[0], -1)
        bits = layer_precisions(precision, 1, self.numerics)[0]
        return QuantDense(self.num_classes, head=True, numerics=self.numerics)(flat, bits)


def cases(count: int) -> list[dict[str, Any]]:
    """Experiments of which the first five hold every value: each option deals all its values, again and again."""
    draw = random.Random(0)
    deal = lambda values: [value for _ in range(count) for value in draw.sample(values, len(values))]  # noqa: E731
    decks = {names: deal([*values]) for names, values in OPTIONS.items()}
    return [{names: deck[index] for names, deck in decks.items()} for index in range(count)]


def toy(case: dict[str, Any]) -> Config:
    """The experiment; a parameter such as `recipe.loss` is of the entry that it names, if that takes it."""
    config: Config = ml_collections.ConfigDict(default().to_dict())
    single = {
        name: value
        for names, values in case.items()
        for name, value in zip(names.split(", "), values if ", " in names else (values,), strict=True)
    }
    for name in sorted(single, key=lambda name: name not in all_fields()):
        section, _, leaf = name.partition(".")
        field = name if name in all_fields() else f"{section}.{config[section].name}.{leaf}"
        takes_it = field in all_fields() and (field == name or single[name] not in ((), 0) or leaf == "input_bits")
        if takes_it and not (config.arms and section == "selector" and field != name):
            schema.put(config, field, single[name])
    if len(config.schedule.phases) == 1:
        schema.put(config, f"recipe.{config.recipe.name}.learning_rates", (4.0,))
    config.cohort_size = min(config.cohort_size, config.num_clients)
    return config


def test_the_first_five_toy_experiments_hold_every_value_of_every_option():
    for names, values in OPTIONS.items():
        assert {case[names] for case in cases(CASES)[:5]} == set(values)


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(CASES), ids=range(CASES))
def test_a_valid_experiment_of_any_options_runs_to_its_end(case, tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "one_layer", OneLayer)
    config = toy(case)
    runs = run(config, tmp_path / "run", console=Console(file=io.StringIO()))
    assert list(runs) == list(config.arms or (config.selector.name,))
    for read in runs.values():
        assert read.summary["finished"] is True
        assert read.rounds["round"].tolist() == list(range(1, config.rounds + 1))
        assert len(read.clients["client"]) == config.rounds * cohort_size(config)
        trained = read.clients["round"][read.clients["participated"] == 1]
        assert (np.isfinite(read.rounds["train_loss"]) == np.isin(read.rounds["round"], trained)).all()
        assert np.isfinite([read.rounds[name] for name in ("energy_mj", "payload_up_bits", "virtual_seconds")]).all()
        assert np.isfinite([read.rounds[name][-1] for name in ("test_loss", "accuracy", "top5_accuracy")]).all()
    for name in ("config.json", "table.csv", "report.html", "figures/accuracy_by_round.png"):
        assert (tmp_path / "run" / name).stat().st_size > 0
