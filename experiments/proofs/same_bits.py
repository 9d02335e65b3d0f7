"""One config, one seed, many ways to run it: every table and every model has to be the same to the bit.

python experiments/proofs/same_bits.py [--python=OTHER/bin/python ...]

Ways: twice the same, each executor, 1 to 8 devices, one and two processes, other chunks and evaluation batches, each
kind of kernel, from a cold and a warm cache, and further Pythons with other versions of JAX. VGG7 on digits; unequal
shards, a cohort of half the clients, mixed precisions, rounding uploads. Exit status 1 if anything differs; the last
line of the table is another seed, which has to differ in every model.
"""

import argparse
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
    "recipe.error_rounding": "stochastic",
}


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


def run(way: Way, folder: Path, seed: int = 0) -> tuple[dict[str, str], float]:
    """Run one way into `folder`; its contents and the seconds it took."""
    fields = {**FIELDS, **way.fields, "seed": seed}
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


def main() -> int:
    """Run every way and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], help="a further interpreter; may be repeated")
    pythons = parser.parse_args().python
    rows, first = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, way in enumerate(ways(pythons)):
            found, seconds = run(way, Path(scratch) / str(number))
            first = first or found
            different = sorted(name for name in found.keys() | first.keys() if found.get(name) != first.get(name))
            rows.append({"way": way.name, "different": different, "seconds": round(seconds, 1)})
            print(f"{way.name:34} {seconds:6.1f} s  {', '.join(different) or 'the same'}", flush=True)
        other, _ = run(Way("another seed"), Path(scratch) / "seed", seed=1)
    alike = [name for name in first if name.endswith("/model") and other[name] == first[name]]
    print(f"{'another seed':34} {'':8}  {', '.join(alike) or 'every model is another one'}")
    models = {name: digest for name, digest in first.items() if name.endswith("/model")}
    launches.write("same_bits", {"fields": FIELDS, "models": models, "ways": rows, "alike_with_another_seed": alike})
    return int(bool(alike or any(row["different"] for row in rows)))


if __name__ == "__main__":
    sys.exit(main())
