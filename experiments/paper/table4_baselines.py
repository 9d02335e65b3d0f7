"""Paper, Table IV with every system on the same data, clients, network and rounds, every bit counted.

    python launch.py --config=experiments/paper/table4_baselines.py

20 IID clients, 4,000 training images of Fashion-MNIST, VGG7 at width 1/8, 30 rounds of one local epoch, seeds 0, 1, 2:
rivals train in float32 (the paper: no quantised training), HaLo-FL in low precision, once with its 8-bit master as
payload and once with each client's weight bits. About a minute an arm and seed on two cores, resumable; at the end
`comparison.csv` has accuracy, payload, energy and the paper's quoted numbers, and figures show them.

The rate of float32 training is the best of RATES for plain averaging on 1,000 held-out training images:

    python launch.py --config=experiments/paper/table4_baselines.py:rates

`:cifar10` is the paper's size: width 1, all images of CIFAR10, 100 rounds. `:own` and `:own_cifar10` are HaLo-FL's own
row of the table, beside plain averaging.
"""

import halo_jax as hj

RATES = (0.005, 0.01, 0.02, 0.04, 0.08)
RATE = 0.01  # Choice: the best of RATES by accuracy on held-out training images
FACTORS = (1, 0.1, 0.01)  # in the three phases, about as 8, 1, 1/8
RIVALS = (
    "identity",
    "qa_fl",
    "uveqfed",
    "terngrad",
    "lfl",
    "fedhq",
    "fedhq_plus",
    "adaquantfl",
    "laq",
    "laq:bits=8,slack=0.1",  # Choice: the best on held-out images; the paper's constants suit smaller steps
    "jopeq",
    "hsq",
    "fl_pqsu",
    "fl_pqsu:keep=0.5,prune_round=10",  # Choice: pruned once it has learned, as the paper prunes a trained network
    "qsgd",
    "topk",
    "ef_signsgd",
    "drive",
    "eden:bits=2",
    "powersgd",
)
HALO_FL = (
    "8-8-8:recipe.name=wage",
    "halo_ps:recipe.name=wage",
    "halo_ps:recipe.name=wage,compressor.name=uniform",
)


def rates(first: float) -> tuple[float, ...]:
    """The learning rate of each phase."""
    return tuple(float(f"{first * factor:g}") for factor in FACTORS)


def get_config(variant: str = ""):
    """The experiment; `rates` chooses the learning rate, `cifar10` is the paper's size, `own` HaLo-FL's row alone."""
    if variant not in ("", "rates", "cifar10", "own", "own_cifar10"):
        raise ValueError(f"variant {variant!r} of table4_baselines; known: rates, cifar10, own, own_cifar10")
    config = hj.default_config()
    config.name = "table4_baselines" + (f"_{variant}" if variant else "")
    config.paper = "table4"
    config.recipe.name, config.recipe.float32.learning_rates = "float32", rates(RATE)
    config.dataset, config.train_examples, config.test_examples = "fashion_mnist", 4_000, 2_000
    config.rounds, config.seeds, config.arms = 30, (0, 1, 2), (*RIVALS, *HALO_FL)
    config.evaluation.target_percent = 70.0
    if variant == "rates":
        config.seeds, config.validation_examples = (0,), 1_000
        config.arms = tuple(f"identity:recipe.learning_rates={rates(rate)}".replace(" ", "") for rate in RATES)
    if variant.startswith("own"):
        config.arms = ("identity", *HALO_FL)
    if variant.endswith("cifar10"):
        config.dataset, config.train_examples, config.test_examples = "cifar10", 0, 0
        config.width, config.rounds = 1.0, 100
    return config
