"""Paper, Fig. 1: how weights, activations and errors move energy, latency and area; seconds on a CPU.

    python launch.py --config=experiments/paper/fig1_sensitivity.py

VGG7 on CIFAR10, EMNIST and TinyImageNet. The paper prints no numbers, only a caption, which stands beside ours: area
does depend on the errors (-4 to -9 % at 2 bits), energy on the weights (-1 to -3 %), latency on the errors (-0.06 %).
"""

import halo_jax as hj


def get_config():
    """The study."""
    config = hj.default_config()
    config.name = "fig1_sensitivity"
    config.study = "sensitivity"
    config.dataset = "cifar10"
    return config
