"""HaLo-FL on real handwritten digits that ship with scikit-learn: 20 clients, three arms, a few minutes on a CPU.

    python launch.py

1,437 training and 360 test images of 8x8 pixels; VGG7 at width 1/8, priced at width 1; clients 0 to 6 want low
energy, 7 to 13 low latency, 14 to 19 low area. Static 8-8-8, HaLo-FL and static 2-4-4 run one after the other.
"""

import halo_jax as hj


def get_config():
    """The experiment."""
    config = hj.default_config()
    config.name = "quickstart"
    config.arms = ("8-8-8", "halo_ps", "2-4-4")
    config.dataset = "digits"
    config.rounds = 30
    config.local_epochs = 3
    config.batch_size = 16
    return config
