"""Who holds which labels, drawn and printed before anything is trained: seconds on a CPU.

    python launch.py --config=experiments/questions/partition.py --config.partition.name=dirichlet

deals the images as a run of the same fields does. `--config.partition.name` is `iid`, `dirichlet`, `shards`, `writers`
or `unequal`; `--config.dataset`, `--config.num_clients` and `--config.seed` do what they do in a run.
"""

import halo_jax as hj


def get_config():
    """The study."""
    config = hj.default_config()
    config.name = "partition"
    config.study = "partition"
    config.partition.name = "dirichlet"
    return config
