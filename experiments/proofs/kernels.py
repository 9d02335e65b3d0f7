"""The native kernels on random shapes: the bits of exact whole numbers, and nothing that a sanitizer finds.

python experiments/proofs/kernels.py [--shapes=630] [--sanitized=930] [--seed=0]

Each shape is a convolution of random images, kernel and padding, from crops to more than the kernel, with its two
gradients; a dense product; and random draws. One in ten has operands that are not finite, which count as 0, and one
in thirty has sums as long and large as kernels add up in other ways.
The kernels run as they are on `shapes` shapes, and on `sanitized` others as AddressSanitizer and
UndefinedBehaviorSanitizer compile them. Exit status 1 if a bit differs or a sanitizer speaks.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import launches
import numpy as np
import whole_numbers

from halo_jax.numerics import native
from halo_jax.numerics.exact_sums import Operand, Window

SOURCES = launches.ROOT / "halo_jax" / "numerics" / "native"
SANITIZED = "-O1 -g -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all"


class Shape(NamedTuple):
    """A convolution at stride 1: images `[B, H, W, Cin]`, kernel, output channels, padding, and the lowest code."""

    images: tuple[int, int, int, int]
    kernel: tuple[int, int]
    c_out: int
    window: Window
    lowest: int


SAME = Window(padding=((1, 1), (1, 1)))
LONG = (
    Shape((1, 3, 8, 616), (3, 3), 4, SAME, 127),  # the most products for Winograd's algorithm
    Shape((1, 3, 8, 618), (3, 3), 4, SAME, 127),
    Shape((16_701, 2, 4, 1), (3, 3), 2, SAME, 127),  # a weight gradient that an int32 cannot hold
    Shape((2, 1, 2, 67_000), (1, 2), 1, SAME, 127),  # outputs that an int32 cannot hold
)


class Tensor(NamedTuple):
    """The same numbers twice: whole, and in float32 as the kernels see them."""

    codes: np.ndarray
    floats: Operand


class Result(NamedTuple):
    """A kernel on some operands: what calls it, and the exact sums and their unit that it has to return."""

    name: str
    call: Callable[[], jax.Array]
    sums: np.ndarray
    unit: Any


def draw(rng: np.random.Generator) -> Shape:
    """A random shape with an output of at least one pixel."""
    while True:
        height, width, batch, c_in, c_out = rng.integers(1, (15, 15, 8, 41, 41)).tolist()
        kernel = int(rng.integers(1, 6)), int(rng.choice([1, 2, 3, 3, 3, 4, 5]))  # Winograd's algorithm serves width 3
        (top, bottom), (left, right) = rng.integers(-3, 7, (2, 2)).tolist()
        window = Window(padding=((top, bottom), (left, right)))
        if min(whole_numbers.sizes((height, width), kernel, window)) > 0:
            lowest = int(rng.choice([-127, 120]))  # codes of any size, or all close to the largest
            return Shape((batch, height, width, c_in), kernel, c_out, window, lowest)


def tensor(rng: np.random.Generator, shape: Sequence[int], lowest: int, finite: bool) -> Tensor:
    """Codes from `lowest` to 127, times any unit; unless `finite`, some of the floats are not, and count as 0."""
    codes = rng.integers(lowest, 128, shape)
    unit = np.float32(2.0 ** rng.integers(-20, 1))
    strange = rng.random(shape) < (0 if finite else 0.05)
    values = np.where(strange, rng.choice([np.nan, np.inf, -np.inf], shape), codes * unit).astype(np.float32)
    return Tensor(np.where(strange, 0, codes), Operand(jax.device_put(values), jax.device_put(unit)))


def results(shape: Shape, rng: np.random.Generator, finite: bool) -> Iterator[Result]:
    """Of each kernel, for a convolution, a dense product and draws of that size."""
    (_, height, width, c_in), kernel, c_out, window, lowest = shape
    out = (shape.images[0], *whole_numbers.sizes((height, width), kernel, window), c_out)
    sizes = (shape.images, (*kernel, c_in, c_out), out, (width, c_in), (c_in, c_out))
    tensors = [tensor(rng, size, lowest, finite) for size in sizes]
    codes, (x, w, error, a, b) = [each.codes for each in tensors], [each.floats for each in tensors]
    y, dx, dw = whole_numbers.contractions(codes[0], codes[1], codes[2], window)
    forward = partial(native.correlate, x, w, window=window, exact=True)
    back = partial(native.input_gradient, error, w, window=window, in_hw=(height, width), exact=True)
    gradient = partial(native.weight_gradient, x, error, window=window, kernel=kernel, exact=True)
    yield Result("correlate", forward, y, x.unit * w.unit)
    yield Result("input_gradient", back, dx, error.unit * w.unit)
    yield Result("weight_gradient", gradient, dw, x.unit * error.unit)
    yield Result("dot", partial(native.dot, a, b, exact=True), codes[3] @ codes[4], a.unit * b.unit)
    key, count = rng.integers(0, 2**32, 2).tolist(), height * width
    draws = partial(native.uniform_16, jax.device_put(np.array(key, np.uint32)), (count,))
    yield Result("uniform16", draws, whole_numbers.draws(key, count), 2.0**-16)


def check(shapes: int, seed: int) -> list[str]:
    """Which kernels differ from whole numbers on which of so many random shapes. SystemExit if there are no kernels."""
    if native.why_not():
        raise SystemExit(f"no kernels here: {native.why_not()}")
    rng, different = np.random.default_rng(seed), []
    for number in range(shapes):
        shape = LONG[number // 30 % len(LONG)] if number % 30 == 29 else draw(rng)
        for result in results(shape, rng, finite=number % 10 > 0):
            # A thread of its own: what memory kernels keep for their thread is then no longer than this call needs.
            with ThreadPoolExecutor(1) as thread:
                found = thread.submit(lambda call=result.call: np.asarray(call())).result()
            if not np.array_equal(found, result.sums.astype(np.float32) * np.float32(result.unit)):
                different.append(f"{result.name} of {shape}")
        jax.clear_caches()  # the next shape needs other programs
    return different


def sanitizer() -> str | None:
    """The library that has to be loaded before a program for AddressSanitizer to work; None if there is none."""
    asked = subprocess.run(["c++", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    path = asked.stdout.strip()
    return path if Path(path).is_absolute() else None


def check_sanitized(shapes: int, seed: int, sources: Path = SOURCES) -> list[str]:
    """`check` in a process of its own with kernels that sanitizers watch: what differs, or what they said."""
    with tempfile.TemporaryDirectory() as scratch:
        compiler = Path(scratch) / "c++"
        compiler.write_text(
            f"#!/bin/bash\nunset LD_PRELOAD\nkernels='{SOURCES}' sources='{sources}'\n"
            f'exec c++ "${{@/#$kernels/$sources}}" {SANITIZED}\n'
        )
        compiler.chmod(0o755)
        environment = {
            "CXX": str(compiler),
            "XDG_CACHE_HOME": scratch,
            "LD_PRELOAD": f"{sanitizer()} libstdc++.so.6",  # whose exceptions it wants to see
            "ASAN_OPTIONS": "detect_leaks=0",  # of Python itself
            "JAX_PLATFORMS": "cpu",
            "JAX_CPU_ENABLE_ASYNC_DISPATCH": "0",  # kernels run in the thread that calls them
        }
        program = f"import json, kernels; print(json.dumps(kernels.check({shapes}, {seed})))"
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parent,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        said = done.stderr.splitlines()
        return [line for line in said if "runtime error" in line or "Sanitizer" in line] or said[-1:]
    return json.loads(done.stdout)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check both, print and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", type=int, default=630)
    parser.add_argument("--sanitized", type=int, default=930, help="0: without")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.sanitized and sanitizer() is None:
        raise SystemExit("no libasan here; install g++'s, or say --sanitized=0")
    different = check(options.shapes, options.seed)
    print(f"{options.shapes} shapes: {different or 'the bits of whole numbers'}", flush=True)
    found = check_sanitized(options.sanitized, options.seed + 1) if options.sanitized else []
    print(f"{options.sanitized} shapes, sanitized: {found or 'nothing found'}", flush=True)
    version = subprocess.run(["c++", "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    about = {**vars(options), "compiler": version, "flags": SANITIZED, "different": different, "found": found}
    launches.write("kernels", about)
    return int(bool(different or found))


if __name__ == "__main__":
    sys.exit(main())
