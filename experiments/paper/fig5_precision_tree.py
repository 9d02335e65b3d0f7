"""Paper, Figs. 4 and 5: the path of each group down the tree of precisions, by the selector alone; seconds on a CPU.

    python launch.py --config=experiments/paper/fig5_precision_tree.py

20 clients (7 energy, 7 latency, 6 area), 100 rounds, VGG7 on CIFAR10, reductions after 36 and 71 rounds; nothing is
trained. `--config.selector.reduce_every=10` goes on to the floor, `--config.selector.name` takes any other selector.
The paper: energy clients reduce activations and errors, then errors; latency clients activations; area clients weights.
"""

import halo_jax as hj


def get_config():
    """The study."""
    config = hj.default_config()
    config.name = "fig5_precision_tree"
    config.study = "selection"
    config.dataset = "cifar10"
    config.rounds = 100
    return config
