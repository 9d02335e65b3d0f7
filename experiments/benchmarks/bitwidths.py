"""Every precision by one compiled program, against a program for each precision.

python experiments/benchmarks/bitwidths.py [--quick] [--repeats=N] [--out=FILE.json]

All 36 precisions (2 to 8 bits of weights, 4 to 8 of activations and errors) of one local step of 20 clients, VGG7 at
width 1/8, 32x32x3, batch 32. `static` closes over the bits and is measured on some of the 36 in full: trace, compile,
step. `--repeats` is how many; the traced program always does all 36, and `--quick` measures 3 of each.
"""

import statistics

import suite
import timing
from suite import Group

SAMPLED = 6  # of the 36, by the static version
TRACED, STATIC = "traced bits", "static bits"


def parser():
    """The options."""
    return suite.parser(__doc__, repeats=SAMPLED)


def groups(options) -> list[Group]:
    """Two groups, since the two versions run differently often."""
    case = {"clients": 20, "batch": 32, "width": 1 / 8, "image": [32, 32, 3]}
    if options.quick:
        case = {"clients": 2, "batch": 8, "width": 1 / 8, "image": [16, 16, 3], "model": "small_cnn"}

    def group(name, bits, count):
        every = len(suite.PRECISIONS) // count
        precisions = suite.PRECISIONS[::every][:count]
        return Group(name, [suite.ours(name, "halo_bits.py", {**case, "bits": bits, "precisions": precisions})])

    count = sampled(options)
    return [
        group(TRACED, "traced", count if options.quick else len(suite.PRECISIONS)),
        group(STATIC, "static", count),
    ]


def sampled(options) -> int:
    """How many precisions the static version is measured on."""
    return min(options.repeats or (3 if options.quick else SAMPLED), len(suite.PRECISIONS))


def measure(options) -> list[dict]:
    """Each worker goes once through its precisions, and the traced one a second time, when nothing is new."""
    measured = []
    for group in groups(options):
        if options.only not in group.name:
            continue
        (worker,) = group.workers
        count = len(worker.case["precisions"])
        turns = 2 * count if group.name == TRACED else count
        measured.append({"name": group.name, "workers": timing.measure([worker], turns, suite.say)})
    return measured


def totals(worker: dict) -> dict[str, float]:
    """Programs, and seconds of the first and of later uses of a precision."""
    count = len(worker["case"]["precisions"])
    first, again = worker["samples"][:count], worker["samples"][count:]
    return {
        "precisions": count,
        "programs": sum(sample["programs"] for sample in worker["samples"]),
        "traces": sum(sample["traces"] for sample in worker["samples"]),
        "first_use_s": sum(sample["seconds"] for sample in first),
        "compile_s": sum(sample["compile_seconds"] for sample in first),
        "step_s": statistics.median(sample["seconds"] for sample in again) if again else 0.0,
    }


def ratios(measured: list[dict]) -> dict[str, float]:
    """What one program for all saves over a sweep of all 36."""
    found = {group["name"]: totals(group["workers"][0]) for group in measured if group["workers"][0]["samples"]}
    if len(found) < 2:
        return {}
    traced, static = found[TRACED], found[STATIC]
    every = len(suite.PRECISIONS)
    slowest = max(sample["seconds"] for sample in measured[0]["workers"][0]["samples"][traced["precisions"] :])
    return {
        "programs compiled for traced bits (1 is right)": traced["programs"],
        "traces for traced bits (1 is right)": traced["traces"],
        "first use of all 36, static (extrapolated) / traced": static["first_use_s"]
        / static["precisions"]
        * every
        / (traced["first_use_s"] + traced["step_s"] * (every - traced["precisions"])),
        "slowest precision / median, traced": slowest / traced["step_s"],
    }


def main() -> None:
    """Measure, print and write."""
    options = parser().parse_args()
    measured = measure(options)
    rows = []
    for group in measured:
        if group["workers"][0]["samples"]:
            found = totals(group["workers"][0])
            rows.append((group["name"], *(f"{value:.4g}" if value else "-" for value in found.values())))
    suite.print_table(
        "precisions",
        ("bits", "precisions", "programs", "traces", "first uses s", "of it compiling s", "a later use s"),
        rows,
    )
    suite.finish("bitwidths", options, measured, ratios(measured))


if __name__ == "__main__":
    main()
