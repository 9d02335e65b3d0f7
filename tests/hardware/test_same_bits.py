"""Eager, jitted and lifted programs, uniform and per-layer bits, exact and relaxed costs: the same to the last bit."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from halo_jax.hardware.pricing import breakdown_of
from halo_jax.types import Precision
from tests.golden.vgg7_shapes import VGG7
from tests.hardware.chips import ALL_BITS, CHIPS, SMALL
from tests.hardware.same_bits import bits_for, both_ways, check_eager

ROOT = Path(__file__).parents[2]


def test_every_program_gives_the_same_bits():
    chip, layers = CHIPS["both"], SMALL[:3]  # for the presets, see tests/contracts
    check_eager(chip, layers, jax.jit(both_ways(chip, layers))(Precision(*bits_for(layers))))


@pytest.mark.slow
def test_optimised_programs_give_the_same_bits_too():
    environment = {**os.environ, "XLA_FLAGS": "", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.hardware.same_bits"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert run.stdout == "the same bits\n", run.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("name", CHIPS)
def test_counts_beyond_32_bits_are_rounded_once(name):
    # Small networks too: below 2**24 every whole number is a float32, and none may be off by one.
    layers = SMALL + VGG7["tiny_imagenet"]
    bill = CHIPS[name].bill(layers)
    bill = bill._replace(prices=dict.fromkeys(bill.prices, 1.0))
    per_layer = Precision(*np.repeat(ALL_BITS[:, ::7, None], len(layers), axis=-1))
    found, largest = breakdown_of(bill, per_layer), 0
    for item in bill.items:
        streamed_bits = 1 if item.streamed is None else per_layer[item.streamed]
        count = item.table[:, per_layer[item.stored][:, 0]].T * streamed_bits
        largest = max(largest, int(count.sum(-1).max()))
        np.testing.assert_array_equal(found[item.part], count.astype(np.float32))
    assert largest > 2**32 or name not in ("calibrated", "table_i", "stripes_45nm")
    assert all(item.table.dtype == np.int64 and item.table.shape == (len(layers), 17) for item in bill.items)
