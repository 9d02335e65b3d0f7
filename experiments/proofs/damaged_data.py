"""Damage data files of every form in every way, load them, and see that each is one line or data, and does no harm.

python experiments/proofs/damaged_data.py [--count=2000] [--seed=0] [--case=N]

A case damages one file of a small good data set (or puts a pipe, device, folder or sparse terabyte in its place) and
loads it in a process of its own: with a gigabyte and ten seconds, not allowed to write, watched for files that it opens
and programs that it starts. Case N of a seed is always the same file; `--case` repeats one and keeps the file. Exit
status 1 if anything but one printable line of ours is raised, or the process ends in another way.
"""

import hashlib
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import launches

sys.path.insert(1, str(launches.ROOT))  # for the writers of good files, which are the tests'

import confined
import data_damage
import data_forms

import halo_jax as hj
from tests.datasets import bombs
from tests.datasets.faults import PLACES

IN_PLACE = 0.04  # of the cases have something else in place of a file


def loader(form: data_forms.Form) -> tuple[Callable[[], object], type[Exception]]:
    """What reads the files of a form, and the kind of error that refuses them in one line."""
    name, _, platform = form.dataset.partition(" ")
    if name == "chip":
        return partial(hj.PLATFORMS[platform], str(form.data_dir)), ValueError
    return partial(hj.datasets.load, form.dataset, str(form.data_dir)), hj.datasets.DatasetError


def damage(draw: random.Random, others: Sequence[bytes], path: Path) -> bytes:
    """Damage a file, or put something else in its place; returns what says which damage it is."""
    raw = path.read_bytes()
    if draw.random() < IN_PLACE:
        name = draw.choice(sorted(PLACES))
        path.unlink()
        PLACES[name][0](path)
        return name.encode()
    raw = data_damage.damaged(draw, others, raw)
    path.write_bytes(raw)
    return raw


def try_case(
    forms: dict[str, data_forms.Form], good: dict[Path, bytes], seed: int, case: int
) -> tuple[str, Path, bytes, confined.Outcome]:
    """Damage a file of a form and load it: the form, the file, the damage, and what came of it. The file is kept."""
    draw = random.Random(f"{seed} {case}")
    name = sorted(forms)[case % len(forms)]
    form = forms[name]
    path = draw.choice(form.files)
    damaged = damage(draw, (*good.values(), bombs.EPS), path)
    beside = sorted(form.data_dir.parent.rglob("*"))
    load, refusal = loader(form)
    came = confined.confined(load, refusal, form.data_dir)
    if sorted(form.data_dir.parent.rglob("*")) != beside:
        came = came._replace(kind="FAULT", line="there are other files than before")
    return name, path, damaged, came


def restored(path: Path, good: bytes) -> None:
    """A file as it was."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    path.write_bytes(good)


def run(cases: Sequence[int], seed: int) -> dict:
    """What came of the cases, by form."""
    came: dict[str, Counter[str]] = {}
    digest, faults, longest, largest = hashlib.sha256(), [], 0.0, 0.0
    with tempfile.TemporaryDirectory() as scratch:
        forms = data_forms.make(Path(scratch))
        good = {path: path.read_bytes() for form in forms.values() for path in form.files}
        for case in cases:
            name, path, damaged, outcome = try_case(forms, good, seed, case)
            digest.update(hashlib.sha256(damaged).digest())
            came.setdefault(name, Counter())[outcome.kind] += 1
            longest, largest = max(longest, outcome.seconds), max(largest, outcome.megabytes)
            if outcome.kind == "FAULT":
                faults.append(f"case {case}, {name}, {path.name}: {outcome.line}")
                print(faults[-1], flush=True)
            if len(cases) == 1:
                kept = Path(tempfile.gettempdir()) / f"damaged_{seed}_{case}_{path.name}"
                os.replace(path, kept) if path.is_file() else None
                print(f"{name}: {outcome.kind} {outcome.line}\n{kept}")
                break
            restored(path, good[path])
    return {
        "seed": seed,
        "cases": len(cases),
        "came": {name: dict(sorted(counts.items())) for name, counts in sorted(came.items())},
        "faults": faults,
        "longest_s": round(longest, 2),
        "most_megabytes": round(largest),
        "files_sha256": digest.hexdigest(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Damage, load, count."""
    options = launches.case_options(__doc__, arguments)
    result = run(options.cases, options.seed)
    if options.case is None:
        launches.write("damaged_data", result)
    print(f"{result['cases']} cases, {len(result['faults'])} faults")
    return int(bool(result["faults"]))


if __name__ == "__main__":
    sys.exit(main())
