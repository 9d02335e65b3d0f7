"""A federated round: halo_jax, quantised and in float32, beside FedJAX, Flower's simulation and pfl-research.

python experiments/benchmarks/round.py [--quick] [--fedjax=PYTHON] [--flower=PYTHON] [--pfl=PYTHON] [--out=FILE.json]

20 clients x 2 and x 10 local steps of VGG7 at width 1/8, batch 32, 32x32x3; and a round that is mostly dispatch:
pfl-research's CNN (that of its CIFAR10 and FEMNIST benchmarks) on 28x28x1, 50 clients of 20 to 50 images, batch 10.
One local epoch; peers train in float32. Nobody evaluates or writes files.
"""

import suite
from suite import Group

OURS, FLOAT = "halo_jax", "halo_jax float32"
PEERS = ("FedJAX", "Flower", "Flower, no training", "pfl-research")
FEDERATED = {"examples": [64] * 20, "batch": 32, "image": [32, 32, 3], "classes": 10, "model": "vgg7", "width": 0.125}
DISPATCH = {
    "examples": [20 + 7 * client % 31 for client in range(50)],
    "batch": 10,
    "image": [28, 28, 1],
    "classes": 62,
    "model": "two_convolutions",
    "width": 1.0,
}


def parser():
    """The options."""
    return suite.parser(__doc__, ("fedjax", "flower", "pfl"))


def groups(options) -> list[Group]:
    """One group for each round; `--quick` has one of little work."""
    if options.quick:
        return [_group("8 clients, CNN", {**DISPATCH, "examples": DISPATCH["examples"][:8], "width": 0.25}, options)]
    ten = {**FEDERATED, "examples": [320] * 20}
    return [
        _group("20 clients x 2 steps, VGG7", FEDERATED, options),
        _group("20 clients x 10 steps, VGG7", ten, options),
        _group("50 clients x 20 to 50 images, CNN", DISPATCH, options),
    ]


def _group(name: str, case: dict, options) -> Group:
    def ours(title, recipe):
        return suite.ours(title, "halo_round.py", {**case, "config": {"recipe.name": recipe}})

    def peer(title, which, **more):
        return suite.peer(title, which, options, f"{which}_round.py", {**case, **more})

    workers = [ours(OURS, "wage"), ours(FLOAT, "float32"), peer("FedJAX", "fedjax"), peer("pfl-research", "pfl")]
    workers.append(peer("Flower", "flower", train=True))  # last, since Ray's processes are never quite idle
    if not options.quick:
        workers.append(peer("Flower, no training", "flower", train=False))
    return Group(name, workers)


def ratios(measured: list[dict]) -> dict[str, float]:
    """Every peer against halo_jax, quantised and in float32."""
    pairs = [(peer, ours) for peer in PEERS for ours in (OURS, FLOAT)] + [(OURS, FLOAT)]
    found = {
        f"{group['name']}: {above} / {below}": suite.ratio(group, above, below)
        for group in measured
        for above, below in pairs
    }
    return {label: value for label, value in found.items() if value is not None}


def main() -> None:
    """Measure, print and write."""
    options = parser().parse_args()
    measured = suite.measure(groups(options), options)
    first = {"first run s": lambda worker, _: f"{worker['facts']['first_run_seconds']:.2f}"}
    suite.print_groups(measured, {**suite.TIME_COLUMNS, **first})
    suite.finish("round", options, measured, ratios(measured))


if __name__ == "__main__":
    main()
