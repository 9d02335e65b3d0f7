"""A toy experiment that runs in a second or two, and how to launch it."""

import io
from pathlib import Path

from rich.console import Console

from halo_jax.config import Config, default
from halo_jax.runner.run_experiment import run

ARMS = ("8-8-8", "halo_ps")
ROUNDS = 4


def toy_config(**values) -> Config:
    """Two arms of four clients with unequal shards; a checkpoint every second round."""
    config = default()
    config.name, config.arms, config.executor = "toy", ARMS, "map"
    config.dataset, config.train_examples, config.test_examples = "synthetic", 37, 16
    config.model, config.width = "small_cnn", 0.1
    config.num_clients, config.batch_size, config.rounds, config.checkpoint_every = 4, 8, ROUNDS, 2
    config.demand.energy_clients = config.demand.latency_clients = config.demand.area_clients = 1
    config.update(values)
    return config


def launch(config: Config, folder: Path, **options) -> str:
    """Run, and return what a person saw."""
    text = io.StringIO()
    run(config, folder, console=Console(file=text, width=200), **options)
    return text.getvalue()


def without_seconds(path: Path) -> list[str]:
    """The lines of a `rounds.csv`, without the wall time that ends each."""
    return [line.rpartition(",")[0] for line in path.read_text().splitlines()]
