"""Who holds which labels, drawn and printed before anything is trained: seconds on a CPU.

    python launch.py --config=experiments/questions/partition.py --config.partition.name=dirichlet

deals the images as a run of the same fields does. `--config.partition.name` is `iid`, `dirichlet`, `shards`, `writers`
or `unequal`; `--config.dataset`, `--config.num_clients` and `--config.seed` do what they do in a run.
"""

from halo_jax.config import default


def get_config():
    """The study."""
    config = default()
    config.name = "partition"
    config.study = "partition"
    config.partition.name = "dirichlet"
    return config
