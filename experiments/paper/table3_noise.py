"""Paper, Table III: HaLo-FL with noise in its crossbars and in its images.

    python launch.py --config=experiments/paper/table3_noise.py:small

| arm | paper, % on CIFAR10 |
|---|---|
| HaLo-FL | 80.14 |
| hardware noise 5 % (of every weight and error that is programmed) | 79.98 |
| hardware noise 10 % | 79.39 |
| input noise 5 % | 79.73 |
| input noise 10 % | 79.59 |

Without a variant it is the paper's size: CIFAR10, VGG7 at width 1, 20 clients, 100 rounds. `:small` is 4,000 images of
Fashion-MNIST, 2,000 to test, width 1/8, 20 rounds; a noisy step takes two to three times as long as a clean one.
`:ablation` is as small and asks what the paper leaves open: noise relative to the range of the grid, drawn anew for
each read, and only in training or in inference. Seeds 0, 1, 2.
"""

import halo_jax as hj


def hardware(fraction: float, more: str = "") -> str:
    """HaLo-FL with noise of weights and errors in crossbars."""
    return f"halo_ps:noise.weights={fraction:g},noise.errors={fraction:g}{more}"


TABLE = (
    "halo_ps",
    hardware(0.05),
    hardware(0.1),
    "halo_ps:noise.inputs=0.05",
    "halo_ps:noise.inputs=0.1",
)
ABLATION = (
    "halo_ps",
    hardware(0.1),
    hardware(0.1, ",noise.per=read"),
    hardware(0.1, ",noise.during=training"),
    hardware(0.1, ",noise.during=inference"),
    hardware(0.05, ",noise.relative_to=range"),
    hardware(0.1, ",noise.relative_to=range"),
    hardware(0.1, ",noise.relative_to=range,noise.during=inference"),
    "halo_ps:noise.weights=0.1,noise.relative_to=range",
    "halo_ps:noise.errors=0.1,noise.relative_to=range",
    "halo_ps:noise.inputs=0.1,noise.relative_to=range",
)


def get_config(variant: str = ""):
    """The experiment; `small` and `ablation` run on a laptop."""
    if variant not in ("", "small", "ablation"):
        raise ValueError(f"variant {variant!r} of table3_noise; known: small, ablation")
    config = hj.default_config()
    config.name = "table3_noise" + (f"_{variant}" if variant else "")
    config.paper = "" if variant == "ablation" else "table3"
    config.seeds, config.arms = (0, 1, 2), ABLATION if variant == "ablation" else TABLE
    if variant:
        config.dataset, config.train_examples, config.test_examples = "fashion_mnist", 4_000, 2_000
        config.rounds = 20
    else:
        config.dataset, config.width, config.rounds, config.batch_size = "cifar10", 1.0, 100, 128
        config.eval_every = 5
    return config
