"""The paper's setting on real Fashion-MNIST at small width: 12,000 training images, 20 clients, 100 rounds.

    python launch.py --config=experiments/fashion_mnist.py --config.seed=0 --workdir=runs/fashion_mnist_0

Learning rates 8, 1, 1/8 for 60, 20, 20 rounds; VGG7 at width 1/8, priced at width 1; 7, 7 and 6 clients want low
energy, latency and area. `--config=experiments/fashion_mnist.py:small` is 4,000 images and 20 rounds.
"""

import halo_jax as hj


def get_config(variant: str = ""):
    """The experiment; `small` takes minutes."""
    if variant not in ("", "small"):
        raise ValueError(f"variant {variant!r} of fashion_mnist; known: small")
    config = hj.default_config()
    config.name = "fashion_mnist" + ("_small" if variant else "")
    config.arms = ("8-8-8", "halo_ps", "2-4-4")
    config.dataset = "fashion_mnist"
    config.train_examples = 4_000 if variant else 12_000
    config.test_examples = 2_000 if variant else 0
    config.rounds = 20 if variant else 100
    config.eval_every = 1 if variant else 5
    return config
