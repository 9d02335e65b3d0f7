"""Paper, Table IV: what its 1.52 MB a round is made of, by our reading; seconds on a CPU.

python launch.py --config=experiments/paper/table4_payload.py
"""

import halo_jax as hj


def get_config():
    """The study."""
    config = hj.default_config()
    config.name = "table4_payload"
    config.study = "payload"
    config.dataset = "cifar10"
    return config
