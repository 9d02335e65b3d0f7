"""What bits cost on a chip, without training: seconds on a CPU.

    python launch.py --config=experiments/questions/cost.py --config.model=vgg7 --config.precision=6-4-4

prints energy, latency and area by layer, and their totals beside 8-8-8. A grid,

    python launch.py --config=experiments/questions/cost.py --config.precision=2..8-4..8-4..8 --config.sort_by=area_mm2

prints a sorted table and draws the front of cost against quantisation noise. `--config.hardware.device` is
`calibrated`, `table_i`, `physical` or a YAML file; `--config.image_shape` and `--config.num_classes` set other sizes.
"""

import halo_jax as hj


def get_config():
    """The study."""
    config = hj.default_config()
    config.name = "cost"
    config.study = "cost"
    config.dataset = "cifar10"
    return config
