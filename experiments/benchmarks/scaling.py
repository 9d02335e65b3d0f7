"""How a round grows: with clients, with registered clients, against central training, and what compiling it costs.

python experiments/benchmarks/scaling.py [--quick] [--only=TEXT] [--repeats=N] [--out=FILE.json]

VGG7 at width 1/8, 32x32x3, batch 32, one local step, quantised. Central training is one client with a batch of 640,
which runs on one core; `one core` gives both sides no more. `compile` starts fresh processes: cold, then with the
persistent cache that the cold one filled.
"""

import statistics
import tempfile

import suite
import timing
from suite import Group

CLIENTS = (1, 4, 20, 100, 1000)
COMPILED = (2, 100)
CASE = {"batch": 32, "image": [32, 32, 3], "classes": 10, "model": "vgg7", "width": 0.125, "config": {}}
AGAINST = "federated against central"
FEDERATED, CENTRAL = "20 clients x batch 32", "central, batch 640"


def parser():
    """The options."""
    return suite.parser(__doc__)


def _round(name: str, clients: int, each: int = 32, **more) -> timing.Worker:
    return suite.ours(name, "halo_round.py", {**CASE, "clients": clients, "examples": [each], **more})


def groups(options) -> list[Group]:
    """The timed groups; `--quick` has a few clients of a smaller network."""
    if options.quick:
        small = {"model": "small_cnn", "image": [16, 16, 3], "batch": 8}
        return [Group("clients", [_round(str(count), count, 8, **small) for count in (1, 4)])]
    step = {key: CASE[key] for key in ("image", "width")}
    central = {**step, "clients": 1, "batch": 640, "executor": "auto", "recipe": "wage", "exact": True}
    return [
        Group("clients", [_round(str(count), count) for count in CLIENTS]),
        *(
            Group(
                name,
                [
                    _round(FEDERATED, 20, **cores),
                    suite.ours(CENTRAL, "halo_step.py", {**central, **cores, "precisions": [[8, 8, 8]]}),
                ],
            )
            for name, cores in ((AGAINST, {}), (f"{AGAINST}, one core", {"cores": 1}))
        ),
        Group("registered clients, cohort of 100", [_registered(count) for count in (100, 100_000)]),
    ]


def _registered(count: int) -> timing.Worker:
    """Two images a client, of which one batch is made."""
    return _round(f"{count} registered", count, 2, image=[28, 28, 1], config={"cohort_size": 100})


def compile_seconds(options) -> list[dict]:
    """Trace and compile seconds of the round in fresh processes: cold, and with the cache that the cold one filled."""
    if options.only not in "compile":
        return []
    kinds: dict[str, list[dict]] = {}
    small = {"model": "small_cnn", "image": [16, 16, 3]} if options.quick else {}
    for clients in COMPILED[:1] if options.quick else COMPILED:
        for _ in range(1 if options.quick else suite.repeats(options)):
            with tempfile.TemporaryDirectory() as folder:
                for kind in ("cold", "warm"):
                    name = f"{clients} clients, {kind}"
                    outcome = _start(name, clients, folder, small)
                    kinds.setdefault(name, []).append(outcome)
    return [{"name": name, "starts": starts, **_medians(starts)} for name, starts in kinds.items()]


def _start(name: str, clients: int, folder: str, small: dict) -> dict:
    cache = {
        "JAX_COMPILATION_CACHE_DIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    worker = _round(name, clients, **small)._replace(environment=tuple(cache.items()))
    return timing.measure([worker], 0, suite.say)[0]["facts"]


def _medians(starts: list[dict]) -> dict[str, float]:
    fields = ("assemble_seconds", "trace_seconds", "compile_seconds")
    return {field: statistics.median(start[field] for start in starts) for field in fields if all(starts)}


def ratios(measured: list[dict], compiled: list[dict]) -> dict[str, float]:
    """What stays the same and what grows."""
    named = {group["name"]: group for group in measured}
    found = {}
    for name in (AGAINST, f"{AGAINST}, one core"):
        if group := named.get(name):
            found[f"samples/s, {name}"] = suite.ratio(group, CENTRAL, FEDERATED)
    if group := named.get("registered clients, cohort of 100"):
        found["round with 100,000 registered / with 100"] = suite.ratio(group, "100000 registered", "100 registered")
    if group := named.get("clients"):
        for count in CLIENTS[2:]:
            if growth := suite.ratio(group, str(count), "4"):
                found[f"ms per client, {count} clients / 4"] = growth * 4 / count
    seconds = {kind["name"]: kind.get("compile_seconds", 0.0) for kind in compiled}
    for above, below in (("100 clients, cold", "2 clients, cold"), ("2 clients, cold", "2 clients, warm")):
        if seconds.get(above) and (least := seconds.get(below)):
            found[f"compile: {above} / {below}"] = seconds[above] / least
    return {label: value for label, value in found.items() if value is not None}


def main() -> None:
    """Measure, print and write."""
    options = parser().parse_args()
    measured, compiled = suite.measure(groups(options), options), compile_seconds(options)

    def clients(worker):
        return worker["case"].get("config", {}).get("cohort_size") or worker["case"]["clients"]

    def samples(worker):
        return worker["facts"].get("samples") or worker["case"]["clients"] * worker["case"]["batch"]

    columns = {
        **suite.TIME_COLUMNS,
        "ms/client": lambda worker, _: f"{1e3 * worker['median_s'] / clients(worker):.2f}",
        "samples/s": lambda worker, _: f"{samples(worker) / worker['median_s']:.0f}",
        "temp MB": lambda worker, _: f"{worker['facts']['temp_mb']:.1f}",
        "compile s": lambda worker, _: f"{worker['facts']['compile_seconds']:.1f}",
    }
    suite.print_groups(measured, columns)
    rows = [
        (kind["name"], *(f"{kind[field]:.2f}" for field in ("assemble_seconds", "trace_seconds", "compile_seconds")))
        for kind in compiled
        if "compile_seconds" in kind
    ]
    suite.print_table("compile, fresh processes", ("round of", "assemble s", "trace s", "compile s"), rows)
    suite.finish("scaling", options, [*measured, {"name": "compile", "workers": compiled}], ratios(measured, compiled))


if __name__ == "__main__":
    main()
