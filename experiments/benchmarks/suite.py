"""What all benchmarks share on the parent's side: options, groups of workers, the JSON file and the tables."""

import argparse
import itertools
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import timing

PRECISIONS = list(itertools.product((2, 4, 6, 8), (4, 6, 8), (4, 6, 8)))  # bits of weights, activations, errors
PEER_SCRIPTS = timing.HERE / "peers"
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")
SHARED_SETTINGS = ("XLA_FLAGS", "JAX_PLATFORMS", "OMP_NUM_THREADS", "HALO_JAX_KERNELS")


def mixed_precisions(clients: int) -> list[tuple[int, ...]]:
    """A precision for each client, neighbours unlike each other: every 36 clients have all 36."""
    return [PRECISIONS[7 * client % len(PRECISIONS)] for client in range(clients)]


class Group(NamedTuple):
    """Workers that take turns; the first is the one that the others are held against."""

    name: str
    workers: list[timing.Worker]


def parser(description: str | None, peers: tuple[str, ...] = (), repeats: int = 5) -> argparse.ArgumentParser:
    """The options of a benchmark: how much to run, where to write, and the interpreters of its peers."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    options.add_argument("--quick", action="store_true", help="small cases, under a minute; writes no file by itself")
    options.add_argument("--out", type=Path, help="the JSON file; default: results/NAME.json beside the benchmark")
    options.add_argument("--repeats", type=int, help=f"runs of each case; default {repeats}, with --quick 2")
    options.add_argument("--only", default="", metavar="TEXT", help="only groups with this text in their name")
    options.add_argument(
        "--skip", default="", metavar="TEXT,...", help="leave out cases with one of these in their name"
    )
    for peer in peers:
        options.add_argument(f"--{peer}", default="", metavar="PYTHON", help=_install(peer))
    options.set_defaults(full_repeats=repeats)
    return options


def _install(peer: str) -> str:
    requirements = f"experiments/benchmarks/peers/{peer}.txt"
    return f"to add it: python -m venv ENV && ENV/bin/pip install -r {requirements}, then --{peer}=ENV/bin/python"


def repeats(options: argparse.Namespace) -> int:
    """How often each case is run."""
    return options.repeats or (2 if options.quick else options.full_repeats)


def ours(name: str, script: str, case: dict[str, Any], **environment: str) -> timing.Worker:
    """A worker of this project, in the interpreter that runs the benchmark."""
    return timing.Worker(name, sys.executable, timing.HERE / script, case, environment=tuple(environment.items()))


def peer(name: str, which: str, options: argparse.Namespace, script: str, case: dict[str, Any]) -> timing.Worker:
    """A worker of another project, in the interpreter given by `--which`; skipped where there is none."""
    return timing.Worker(name, getattr(options, which), PEER_SCRIPTS / script, case, _install(which))


def measure(groups: list[Group], options: argparse.Namespace) -> list[dict]:
    """Run one group after the other, so that only one group's workers are in memory."""
    measured, unwanted = [], [text for text in options.skip.split(",") if text]
    for group in groups:
        if options.only in group.name:
            workers = [worker for worker in group.workers if not any(text in worker.name for text in unwanted)]
            say(f"{group.name}: {len(workers)} cases")
            measured.append({"name": group.name, "workers": timing.measure(workers, repeats(options), say)})
    return measured


def say(line: str) -> None:
    """One line of progress, on standard error."""
    print(line, file=sys.stderr, flush=True)


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    about: dict[str, str] = {}
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            about.setdefault(key.strip(), value.strip())
    flags = about.get("flags", "").split()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": about.get("model name") or platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "cache": about.get("cache size", ""),
        "flags": [flag for flag in FLAGS if flag in flags],
        "system": f"{platform.system()} {platform.machine()}",
        "settings": {name: os.environ[name] for name in SHARED_SETTINGS if name in os.environ},
    }


def finish(name: str, options: argparse.Namespace, groups: list[dict], ratios: dict[str, float]) -> None:
    """Print the ratios and write the JSON file, unless this was a quick run without `--out`."""
    print_table("headline", ("", "value"), [(label, f"{value:.3g}") for label, value in ratios.items()])
    path = options.out or (None if options.quick else timing.HERE / "results" / f"{name}.json")
    if path is None:
        return
    record = {
        "benchmark": name,
        "command": _command(name, options),
        "repeats": repeats(options),
        "machine": machine(),
        "ratios": ratios,
        "groups": groups,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record) + "\n")
    say(f"written: {path}")


def _command(name: str, options: argparse.Namespace) -> str:
    """The command as another machine would give it: without anybody's folders."""
    given = ["--quick"] * options.quick
    given += [f'--{field}="{value}"' for field in ("only", "skip") if (value := getattr(options, field))]
    given += [f"--repeats={options.repeats}"] * bool(options.repeats)
    peers = [which for which in ("torch", "fedjax", "flower", "pfl") if getattr(options, which, "")]
    return " ".join([f"python experiments/benchmarks/{name}.py", *given, *(f"--{which}=PYTHON" for which in peers)])


def print_table(title: str, columns: tuple[str, ...], rows: list[tuple]) -> None:
    """A table on standard output; nothing where there are no rows."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if not rows:
        return
    table = Table(title=title, title_justify="left", box=box.MARKDOWN)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(str, row))
    Console(width=160, markup=False).print(table)


def print_groups(groups: list[dict], columns: dict[str, Callable[[dict, dict], str]]) -> None:
    """A table per group: each column is a function of (worker, the group's first worker)."""
    for group in groups:
        first, *_ = group["workers"]
        rows = [
            (worker["name"], *(column(worker, first) for column in columns.values()))
            for worker in group["workers"]
            if worker["samples"]
        ]
        print_table(group["name"], ("case", *columns), rows)


def ratio(group: dict, slow: str, fast: str) -> float | None:
    """Median time of case `slow` over that of case `fast`; None where one was not measured."""
    medians = {worker["name"]: worker.get("median_s") for worker in group["workers"]}
    above, below = medians.get(slow), medians.get(fast)
    return above / below if above and below else None


TIME_COLUMNS: dict[str, Callable[[dict, dict], str]] = {
    "ms": lambda worker, first: f"{1e3 * worker['median_s']:.1f}",
    "min ms": lambda worker, first: f"{1e3 * worker['min_s']:.1f}",
    "x first": lambda worker, first: f"{worker['median_s'] / first['median_s']:.2f}" if first["samples"] else "-",
    "cores": lambda worker, first: f"{worker['cores']:.2f}",
    "MB": lambda worker, first: f"{worker['peak_rss_mb']:.0f}",
}
