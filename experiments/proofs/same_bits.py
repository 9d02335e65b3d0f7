"""One config, one seed, many ways to run it: every table and every model has to be the same to the bit.

python experiments/proofs/same_bits.py [--python=OTHER/bin/python ...] [--recorded_only]

First the quickstart, and a small experiment with an arm for every selector and compressor and for the options of
`wage`: their tables and models have to be those of `results/recorded_bits.json`, which was written once and is
changed only with the arithmetic (`--record`). Then the ways, which have to agree with each other and with that file.

Ways: twice the same, each executor, 1 to 8 devices, one and two processes, other chunks and evaluation batches, each
kind of kernel, from a cold and a warm cache, and further Pythons with other versions of JAX. VGG7 on digits; unequal
shards, a cohort of half the clients, mixed precisions, rounding uploads. Exit status 1 if anything differs; the last
line of the table is another seed, which has to differ in every model.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import launches

QUICKSTART: dict[str, object] = {}
ENTRY_ARMS = (
    *("8-8-8", "2-4-4", "halo_ps", "random", "weighted", "exhaustive"),
    *("uniform:bits=4", "qsgd", "terngrad", "topk", "ef_signsgd", "powersgd", "drive", "eden", "hsq", "jopeq"),
    *("uveqfed", "lfl", "laq", "fedhq", "fedhq_plus", "adaquantfl", "fl_pqsu", "qa_fl"),
    *("8-8-8:recipe.order=neurosim", "4-4-4:recipe.loss=cross_entropy", "4-4-4:recipe.gradient_bits=10"),
    *("3-5-7:recipe.input_bits=4", "4-4-4:recipe.clip_bits=weights", "8-8-8:recipe.aggregation=nearest"),
    *("4-4-4:recipe.shift=ceil,recipe.error_rounding=stochastic", "6-6-6:noise.weights=0.1"),
    "halo_ps:clock.jitter=0.1,clock.up_mbps=(1,)",
)
ENTRIES = {
    "arms": str(ENTRY_ARMS),
    "model": "small_cnn",
    "rounds": 3,
    "train_examples": 120,
    "test_examples": 60,
    "partition.name": "dirichlet",
    "num_clients": 6,
    "cohort_size": 4,
    "demand.energy_clients": 2,
    "demand.latency_clients": 2,
    "demand.area_clients": 2,
    "selector.reduce_every": 1,
}
FIELDS = {
    "arms": "('halo_ps','2-4-4')",
    "rounds": 4,
    "checkpoint_every": 2,
    "train_examples": 700,
    "partition.name": "dirichlet",
    "num_clients": 12,
    "cohort_size": 6,
    "demand.energy_clients": 4,
    "demand.latency_clients": 4,
    "demand.area_clients": 4,
    "selector.reduce_every": 1,
    "compressor.name": "uniform",
    "recipe.wage.error_rounding": "stochastic",
}
RECORDED = "recorded_bits"
EXPERIMENTS = {"quickstart": QUICKSTART, "entries": ENTRIES, "ways": FIELDS}


class Way(NamedTuple):
    """One way to run the same thing."""

    name: str
    fields: Mapping[str, object] = MappingProxyType({})
    environment: Mapping[str, str] = MappingProxyType({})
    processes: int = 1
    python: str = sys.executable


def ways(pythons: list[str]) -> list[Way]:
    """All of them; the first is what the others are held against."""
    devices = lambda n: {"JAX_NUM_CPU_DEVICES": str(n)}  # noqa: E731
    kernels = lambda name: {"HALO_JAX_KERNELS": name}  # noqa: E731
    return [
        Way("as it comes"),
        Way("again"),
        *(Way(f"executor {name}", {"executor": name}) for name in ("map", "vmap", "chunk", "shard")),
        Way("chunks of 4, test batches of 7", {"executor": "chunk", "chunk_size": 4, "evaluation.batch_size": 7}),
        *(Way(f"{n} device{'s' * (n > 1)}", {}, devices(n)) for n in (1, 2, 4, 8)),
        *(Way(f"kernels {name}", {}, kernels(name)) for name in ("xla", "bf16", "int8")),
        Way("kernels bf16, vmap", {"executor": "vmap"}, kernels("bf16")),
        Way("2 processes", processes=2),
        *(Way(versions(path), python=path) for path in pythons),
    ]


def versions(python: str) -> str:
    """The versions of an interpreter and of its JAX."""
    ask = "import platform, jax; print(f'Python {platform.python_version()}, JAX {jax.__version__}')"
    return subprocess.check_output([python, "-c", ask], text=True).strip()


def run(
    way: Way, folder: Path, fields: Mapping[str, object] = MappingProxyType(FIELDS)
) -> tuple[dict[str, str], float]:
    """Run `fields` in one way into `folder`; its contents and the seconds it took."""
    fields = {**fields, **way.fields}
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    joined = ["--distributed", f"--coordinator=localhost:{port}", f"--processes={way.processes}"]
    started = time.perf_counter()
    running = [
        launches.start(
            launches.command(fields, folder, *(way.processes > 1) * (*joined, f"--process={i}"), python=way.python),
            **way.environment,
        )
        for i in range(way.processes)
    ]
    said = [process.communicate()[1] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit(f"{way.name}: {' '.join(said)}")
    return launches.contents(folder), time.perf_counter() - started


def differences(found: Mapping[str, str], right: Mapping[str, str]) -> list[str]:
    """The names of what differs, or is only in one of them."""
    return sorted(name for name in found.keys() | right.keys() if found.get(name) != right.get(name))


def compare_with_record(scratch: Path, record: bool) -> list[str]:
    """Run what stands in the recorded file, print and return what differs from it; `record` writes the file anew."""
    right = {} if record else json.loads((launches.RESULTS / f"{RECORDED}.json").read_text())
    found, different = {}, []
    for name, fields in EXPERIMENTS.items():
        found[name], seconds = run(Way(name), scratch / name, fields)
        changed = [] if record else differences(found[name], right[name])
        different += [f"{name}/{part}" for part in changed]
        print(f"{'recorded ' + name:34} {seconds:6.1f} s  {', '.join(changed) or 'the same'}", flush=True)
    if record:
        launches.write(RECORDED, found)
    return different


def main() -> int:
    """Compare with the record, then run every way and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], help="a further interpreter; may be repeated")
    parser.add_argument("--recorded_only", action="store_true", help="compare with the record, try no ways")
    parser.add_argument("--record", action="store_true", help="write the record anew, and try no ways")
    options = parser.parse_args()
    rows, first = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        changed = compare_with_record(Path(scratch), options.record)
        if options.recorded_only or options.record:
            return int(bool(changed))
        for number, way in enumerate(ways(options.python)):
            found, seconds = run(way, Path(scratch) / str(number), FIELDS)
            first = first or found
            different = differences(found, first)
            rows.append({"way": way.name, "different": different, "seconds": round(seconds, 1)})
            print(f"{way.name:34} {seconds:6.1f} s  {', '.join(different) or 'the same'}", flush=True)
        other, _ = run(Way("another seed"), Path(scratch) / "seed", {**FIELDS, "seed": 1})
    alike = [name for name in first if name.endswith("/model") and other[name] == first[name]]
    print(f"{'another seed':34} {'':8}  {', '.join(alike) or 'every model is another one'}")
    models = {name: digest for name, digest in first.items() if name.endswith("/model")}
    launches.write("same_bits", {"fields": FIELDS, "models": models, "ways": rows, "alike_with_another_seed": alike})
    return int(bool(alike or changed or any(row["different"] for row in rows)))


if __name__ == "__main__":
    sys.exit(main())
