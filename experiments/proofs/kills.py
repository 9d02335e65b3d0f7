"""Kill a run at random moments and launch it again, until it is done: the files are those of a run left alone.

python experiments/proofs/kills.py [--kills=50] [--seed=0]

Each launch gets SIGKILL after a random time since its first sign of life: while it compiles, trains, saves a checkpoint
or records. A run that has finished is compared with the one left alone, and a new one starts, until the number of kills
is reached. Exit status 1 if a file differs or a launch fails by itself.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import launches

FIELDS = {
    "arms": "('8-8-8','halo_ps')",
    "rounds": 40,
    "checkpoint_every": 1,
    "eval_every": 4,
    "dataset": "synthetic",
    "train_examples": 40,
    "test_examples": 16,
    "model": "small_cnn",
    "width": 0.25,
    "num_clients": 4,
    "demand.energy_clients": 1,
    "demand.latency_clients": 1,
    "demand.area_clients": 1,
    "batch_size": 8,
}
LONGEST_LIFE_S = 6.0


def live(workdir: Path, seconds: float) -> bool:
    """Launch and kill after `seconds` of work on the folder; True if it was done before. Raises if it failed."""
    process = launches.start(launches.command(FIELDS, workdir))
    before = _newest(workdir)
    while process.poll() is None and _newest(workdir) <= before:  # Python and JAX start
        time.sleep(0.01)
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    process.kill()
    said = process.communicate()[1]
    if process.returncode not in (0, -9):
        raise SystemExit(f"a launch failed: {said}")
    return process.returncode == 0


def _newest(workdir: Path) -> float:
    """When a table of a run changed last: a launch first cuts them to its checkpoint."""
    return max((path.stat().st_mtime for path in workdir.glob("*/clients.csv")), default=0.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    moments = random.Random(options.seed)
    kills, runs, different, moments_s = 0, 0, [], []
    with tempfile.TemporaryDirectory() as scratch:
        live(Path(scratch) / "alone", float("inf"))
        expected = launches.contents(Path(scratch) / "alone")
        while kills < options.kills or moments_s[-1] is not None:
            seconds = moments.uniform(0, LONGEST_LIFE_S) if kills < options.kills else float("inf")
            workdir = Path(scratch) / str(runs)
            if not live(workdir, seconds):
                kills, moments_s = kills + 1, [*moments_s, round(seconds, 2)]
                continue
            found = launches.contents(workdir)
            different += [f"run {runs}: {name}" for name in expected if found.get(name) != expected[name]]
            runs, moments_s = runs + 1, [*moments_s, None]
            print(f"run {runs} is done after {kills} kills in all: {different or 'the same files'}", flush=True)
    lives = [seconds for seconds in moments_s if seconds is not None]
    launches.write("kills", {"kills": kills, "runs": runs, "different": different, "killed_after_s": lives})
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())
