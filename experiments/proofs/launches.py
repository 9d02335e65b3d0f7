"""Launching experiments as a user does, and comparing what their run folders hold."""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"


def command(fields: dict[str, object], workdir: Path, *flags: str, python: str = sys.executable) -> list[str]:
    """`python launch.py` with these fields of the config."""
    set_fields = [f"--config.{name}={value}" for name, value in fields.items()]
    return [python, "launch.py", *set_fields, f"--workdir={workdir}", *flags]


def start(arguments: list[str], **environment: str) -> subprocess.Popen[str]:
    """Start a command in the checkout, with some environment variables set."""
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(arguments, cwd=ROOT, env={**os.environ, **environment}, **pipes)


def case_options(about: str | None, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The flags of a script that tries many cases drawn from a seed: `--count` of them, or `--case` alone."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int)
    options = parser.parse_args(arguments)
    options.cases = range(options.count) if options.case is None else [options.case]
    return options


def contents(workdir: Path) -> dict[str, str]:
    """What has to be the same of a finished run, by file: digests of its tables, and the names of its models.

    The column `seconds` of rounds.csv is left out.
    """
    found = {}
    for summary in sorted(workdir.rglob("summary.json")):
        arm = summary.parent.relative_to(workdir).as_posix()
        found[f"{arm}/model"] = json.loads(summary.read_text())["model_sha256"]
        for name in ("clients.csv", "fingerprints.csv"):
            found[f"{arm}/{name}"] = hashlib.sha256((summary.parent / name).read_bytes()).hexdigest()
        rounds = [line.rpartition(",")[0] for line in (summary.parent / "rounds.csv").read_text().splitlines()]
        found[f"{arm}/rounds.csv"] = hashlib.sha256("\n".join(rounds).encode()).hexdigest()
    found["table.csv"] = hashlib.sha256((workdir / "table.csv").read_bytes()).hexdigest()
    return found


def write(name: str, result: dict) -> None:
    """Keep a result as `results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
