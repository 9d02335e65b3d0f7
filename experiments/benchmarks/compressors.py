"""What a compressor costs: encode, count and decode for 20 clients of VGG7, as a share of one local step.

python experiments/benchmarks/compressors.py [--quick] [--only=TEXT] [--repeats=N] [--out=FILE.json]

One core, client after client; a local step is one batch of 32 images in float32, as the rivals train.
"""

import suite
from suite import Group

import halo_jax as hj

STEP = "local step, float32"
QUARTER = 25.0
AT_ONCE = 7
VARIANTS = {"hsq unbiased": ("hsq", {"unbiased": True}), "eden 4 bits": ("eden", {"bits": 4})}


def parser():
    """The options."""
    return suite.parser(__doc__)


def groups(options) -> list[Group]:
    """Every compressor with its own options, and two variants, a few at a time beside the local step."""
    width, clients, batch = (1 / 8, 2, 8) if options.quick else (1 / 4, 20, 32)
    case = {"clients": clients, "batch": batch, "width": width, "image": [32, 32, 3], "executor": "map"}
    case["precisions"] = suite.mixed_precisions(clients)
    systems = {name: (name, {}) for name in hj.COMPRESSORS} | VARIANTS
    step = {**case, "recipe": "float32", "exact": True, "cores": 1}
    workers = [
        suite.ours(name, "halo_compress.py", {**case, "compressor": which, "options": chosen})
        for name, (which, chosen) in systems.items()
    ]
    setting = f"width {width:g}, {clients} clients, batch {batch}, one core"
    return [
        Group(f"{setting}, {part + 1}", [suite.ours(STEP, "halo_step.py", step), *workers[start : start + AT_ONCE]])
        for part, start in enumerate(range(0, len(workers), AT_ONCE))  # all at once would take 20 GB
    ]


def share(worker: dict, first: dict) -> float:
    """Percent of a local step."""
    return 100 * worker["median_s"] / first["median_s"]


COLUMNS = {
    "ms a client": lambda worker, first: f"{1e3 * worker['median_s'] / worker['case']['clients']:.2f}",
    "% of a step": lambda worker, first: f"{share(worker, first):.1f}" if first["samples"] else "-",
    "bits a weight": lambda worker, first: _bits(worker["facts"]),
    "temporary MB": lambda worker, first: f"{worker['facts'].get('temp_mb', 0):.1f}",
    "MB": lambda worker, first: f"{worker['peak_rss_mb']:.0f}",
}


def _bits(facts: dict) -> str:
    return f"{facts['nominal_bits'] / facts['weights']:.3g}" if "nominal_bits" in facts else "-"


def ratios(measured: list[dict]) -> dict[str, float]:
    """The share of every system, and how many take more than a quarter of a step."""
    shares: dict[str, float] = {}
    for group in measured:
        found = {worker["name"]: worker for worker in group["workers"] if worker["samples"]}
        if step := found.pop(STEP, None):
            shares |= {name: share(worker, step) for name, worker in found.items()}
    lines = {f"{name}, % of a local step": value for name, value in shares.items()}
    lines["systems above a quarter of a step"] = float(sum(value > QUARTER for value in shares.values()))
    return lines


def main() -> None:
    """Measure, print and write."""
    options = parser().parse_args()
    measured = suite.measure(groups(options), options)
    suite.print_groups(measured, COLUMNS)
    suite.finish("compressors", options, measured, ratios(measured))


if __name__ == "__main__":
    main()
