"""What the ablations share: a small federation on Fashion-MNIST, half a minute on a CPU for each arm and seed."""

import halo_jax as hj


def small(name: str):
    """20 clients, 4,000 training and 2,000 test images, VGG7 at width 1/8 priced at width 1, 20 rounds, three seeds."""
    config = hj.default_config()
    config.name = name
    config.dataset, config.train_examples, config.test_examples = "fashion_mnist", 4_000, 2_000
    config.rounds, config.seeds = 20, (0, 1, 2)
    return config
