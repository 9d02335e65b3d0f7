"""The paper's evaluation with one command: every table and figure, on one HTML page.

    python experiments/paper/reproduce.py           # small: Fashion-MNIST at width 1/8, three seeds
    python experiments/paper/reproduce.py --full    # the paper's size: its three data sets, work for an accelerator

Each part is a launch of its own, and the page says which. The same command goes on where it stopped; a part that cannot
run, such as one whose data set is not there, says so on the page, and the others go on. `--only` picks parts. The page
is report.html in `--workdir`.
"""

import argparse
import importlib
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from halo_jax.records import files  # noqa: E402
from halo_jax.reporting import reproduction  # noqa: E402

PARTS = {  # experiment: title, its variants when small, its variants at the paper's size
    "fig1_sensitivity": ("Fig. 1: what each dimension moves", [""], [""]),
    "table2_hardware": ("Table II: hardware, all three data sets", [""], [""]),
    "table2_main": (
        "Table II, Figs. 4 and 5: accuracy and cost",
        ["small"],
        ["cifar10", "emnist", "tiny_imagenet"],
    ),
    "fig5_precision_tree": ("Figs. 4 and 5: 100 rounds on CIFAR10, by the selector alone", [""], [""]),
    "fig6_breakdown": ("Fig. 6: energy, latency and area by layer", [""], [""]),
    "table3_noise": ("Table III: noise", ["small"], [""]),
    "table4_payload": ("Table IV: what 1.52 MB is made of", [""], [""]),
    "table4_baselines": ("Table IV: accuracy and bits, HaLo-FL's row", ["own"], ["own_cifar10"]),
}


def main() -> int:
    """Run the parts, write the page, and return 1 if a part could not run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the paper's size")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--workdir", type=Path, help="default: runs/reproduce, or runs/reproduce_full")
    options = parser.parse_args()
    workdir = options.workdir or Path("runs", "reproduce_full" if options.full else "reproduce")
    parts = [
        _run(name, variant, PARTS[name][0], workdir)
        for name in options.only
        for variant in PARTS[name][2 if options.full else 1]
    ]
    machine = reproduction.machine_facts([part.folder for part in parts if not part.failed])
    choices = reproduction.choices_of((ROOT / "docs" / "choices.md").read_text(encoding="utf-8"))
    title = "HaLo-FL, reproduced" + ("" if options.full else " at small scale")
    files.write(workdir / "report.html", reproduction.html(title, parts, machine, choices))
    failed = [part.title for part in parts if part.failed]
    print(f"page {workdir / 'report.html'}" + (f"; not run: {'; '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _run(name: str, variant: str, title: str, workdir: Path) -> reproduction.Section:
    """Launch one experiment in a process of its own."""
    config = f"experiments/paper/{name}.py" + (f":{variant}" if variant else "")
    folder = workdir / (f"{name}_{variant}" if variant else name)
    arguments = [f"--config={config}", f"--workdir={folder}"]
    print(f"--- {title} ({variant or name})", flush=True)
    launch = [sys.executable, str(ROOT / "launch.py"), f"--config={ROOT / config}", arguments[1]]
    ended = subprocess.run(launch, stderr=subprocess.PIPE, text=True)
    if ended.returncode in (130, 143):
        sys.exit(ended.returncode)
    said = ended.stderr.strip().splitlines()
    if ended.returncode:
        print(said[-1] if said else f"status {ended.returncode}", file=sys.stderr, flush=True)
    about = reproduction.about_of(importlib.import_module(f"experiments.paper.{name}").__doc__)
    command = shlex.join(["python", "launch.py", *arguments])
    failed = (said or [f"status {ended.returncode}"])[-1] if ended.returncode else ""
    return reproduction.Section(f"{title}{f' ({variant})' if variant else ''}", about, command, folder, failed)


if __name__ == "__main__":
    sys.exit(main())
