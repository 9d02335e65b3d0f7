"""Several runs as one: a call a round for all of them, against one after the other.

python experiments/benchmarks/stacked.py [--quick] [--out=FILE.json]

Eight precisions of VGG7 at width 1/8, 5 and 20 clients: on 8x8 images, where a round is mostly dispatch, and on 28x28.
Each case is one round of each run, with its evaluation; nobody writes files. `--config.stack=8` does it in a launch.
"""

import suite
from suite import Group

ALONE, STACKED = "one after the other", "stacked"
SMALL = {"dataset": "digits", "width": 0.125, "batch_size": 32, "train_examples": 640, "test_examples": 100}
LARGE = {"dataset": "generated", "width": 0.125, "batch_size": 32, "train_examples": 1280, "test_examples": 100}


def parser():
    """The options."""
    return suite.parser(__doc__)


def groups(options) -> list[Group]:
    """One group for each size; `--quick` has one of little work."""
    if options.quick:
        return [_group("2 runs, 8x8 images, 5 clients", {**SMALL, "num_clients": 5, "train_examples": 80}, 2)]
    return [
        _group(f"8 runs, {name} images, {clients} clients", {**fields, "num_clients": clients}, 8)
        for name, fields in (("8x8", SMALL), ("28x28", LARGE))
        for clients in (5, 20)
    ]


def _group(name: str, config: dict, runs: int) -> Group:
    case = {"config": config, "runs": runs}
    return Group(
        name,
        [suite.ours(title, "halo_stack.py", {**case, "stacked": title == STACKED}) for title in (ALONE, STACKED)],
    )


def ratios(measured: list[dict]) -> dict[str, float]:
    """How many times faster a stack is."""
    found = {f"{group['name']}: {ALONE} / {STACKED}": suite.ratio(group, ALONE, STACKED) for group in measured}
    return {label: value for label, value in found.items() if value is not None}


def main() -> None:
    """Measure, print and write."""
    options = parser().parse_args()
    measured = suite.measure(groups(options), options)
    first = {"first run s": lambda worker, _: f"{worker['facts']['first_run_seconds']:.2f}"}
    suite.print_groups(measured, {**suite.TIME_COLUMNS, **first})
    suite.finish("stacked", options, measured, ratios(measured))


if __name__ == "__main__":
    main()
