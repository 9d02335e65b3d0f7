"""How many precisions of VGG7 the cost model prices a second on one core, what one call takes, and what compiles.

python experiments/benchmarks/halosim.py [--quick] [--repeats=N] [--only=TEXT] [--out=FILE.json]

A configuration is one precision of the whole network, 8 layers for CIFAR10. With one precision for all layers, counts
are added over the layers before anything runs; `per layer` has a precision for each layer, and prices every one.
"""

import suite
from suite import Group

MILLION = 1_000_000
BATCH, CALL, CHANGES = "a million precisions at once", "one precision a call", "other bits and constants every call"
UNIFORM, PER_LAYER, NUMPY, BREAKDOWN = "one for all layers", "one per layer", "NumPy, one for all layers", "breakdown"
PUBLISHED = (  # mappings x layers a second; Andrulis et al., CiMLoop, ISPASS 2024: not measured here, other machines
    ("CiMLoop, one core", 83.0, "searches mappings as well; energies by component from value distributions"),
    ("NeuroSim", 0.07, "simulates the values of every layer, with circuits for each component"),
)


def parser():
    """The options."""
    return suite.parser(__doc__, repeats=9)


def groups(options) -> list[Group]:
    """Three groups: throughput, latency of a call, and compilations."""
    batch, calls = (MILLION // 10, 200) if options.quick else (MILLION, 2000)

    def case(name, how, batch, calls, changing=False):
        return suite.ours(name, "halo_cost.py", {"how": how, "batch": batch, "calls": calls, "changing": changing})

    return [
        Group(
            BATCH,
            [
                case(UNIFORM, "uniform", batch, 20),
                case(PER_LAYER, "per_layer", batch, 20),
                case(NUMPY, "numpy", batch, 20),
            ],
        ),
        Group(
            CALL,
            [
                case(UNIFORM, "uniform", 0, calls),
                case(PER_LAYER, "per_layer", 0, calls),
                case(BREAKDOWN, "breakdown", 0, calls),
            ],
        ),
        Group(
            CHANGES,
            [case(UNIFORM, "uniform", 0, calls, changing=True), case(PER_LAYER, "per_layer", 0, calls, changing=True)],
        ),
    ]


def rate(worker: dict) -> float:
    """Whole-network configurations a second."""
    return max(worker["case"]["batch"], 1) * worker["case"]["calls"] / worker["median_s"]


COLUMNS = {
    "configurations/s": lambda worker, first: f"{rate(worker):.4g}",
    "layer costs/s": lambda worker, first: f"{rate(worker) * worker['facts']['layers']:.4g}",
    "us a call": lambda worker, first: f"{1e6 * worker['median_s'] / worker['case']['calls']:.1f}",
    "compiled": lambda worker, first: str(sum(sample["programs"] for sample in worker["samples"])),
    "cores": lambda worker, first: f"{worker['cores']:.2f}",
    "MB": lambda worker, first: f"{worker['peak_rss_mb']:.0f}",
}


def ratios(measured: list[dict]) -> dict[str, float]:
    """The figures that the README quotes."""
    found = {(g["name"], w["name"]): w for g in measured for w in g["workers"] if w["samples"]}
    lines = {}
    if batch := found.get((BATCH, UNIFORM)):
        lines["configurations a second, one core (target 1e6)"] = rate(batch)
    if each := found.get((BATCH, PER_LAYER)):
        lines["layer costs a second, a precision per layer, one core (target 8e6)"] = (
            rate(each) * each["facts"]["layers"]
        )
    if (BATCH, NUMPY) in found and (BATCH, UNIFORM) in found:
        lines["NumPy / ours"] = found[BATCH, NUMPY]["median_s"] / found[BATCH, UNIFORM]["median_s"]
    if call := found.get((CALL, UNIFORM)):
        lines["us of one jitted call (target 50)"] = 1e6 * call["median_s"] / call["case"]["calls"]
    changes = [w for (name, _), w in found.items() if name == CHANGES]
    if changes:
        lines["compiled when bits and constants change (target 0)"] = sum(
            s["programs"] for w in changes for s in w["samples"]
        )
    return lines


def main() -> None:
    """Measure, print and write."""
    options = parser().parse_args()
    measured = suite.measure(groups(options), options)
    suite.print_groups(measured, COLUMNS)
    rows = [(name, f"{number:g}", differs) for name, number, differs in PUBLISHED]
    suite.print_table("published, not measured here", ("", "mappings x layers/s", "what differs"), rows)
    suite.finish("halosim", options, measured, ratios(measured))


if __name__ == "__main__":
    main()
