"""What is going to be trained, and on what, as one line for a person."""

import jax
import numpy as np
from rich.console import Console

from halo_jax.config import Config
from halo_jax.reporting import label_table
from halo_jax.reporting.terminal import say
from halo_jax.runner import to_records
from halo_jax.runner.build import Federation


def describe(console: Console, config: Config, federation: Federation) -> None:
    """One line about what is going to be trained, and on what."""
    examples = np.asarray(federation.data.num_examples)
    weights = sum(leaf.size for leaf in jax.tree.leaves(federation.first_model))
    say(
        console,
        f"{config.name}: {config.dataset}, {examples.sum()} training images over {config.num_clients} clients "
        f"({examples.min()} to {examples.max()} each), {config.model} at width {config.width:g} ({weights} weights), "
        f"priced at width {config.hardware.width:g}; executor {federation.executor} on {jax.default_backend()} "
        f"({federation.executor_reason}), kernels {to_records.kernels(federation)}",
    )
    if config.partition.name != "iid":
        console.print(label_table.render(to_records.label_counts(federation)))
