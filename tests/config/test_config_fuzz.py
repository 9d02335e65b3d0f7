"""Random experiments, derived from the schema: each one is valid or refused in one line.

HALO_JAX_FUZZ=N runs N times as many.
"""

import contextlib
import io
import os
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import ml_collections
import pytest
from absl import flags
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_jax.compressors import COMPRESSORS
from halo_jax.config import FIELDS, Config, ConfigError, all_fields, default, validate
from halo_jax.config.arms import expand_arms
from halo_jax.config.plan import plan
from halo_jax.datasets import DATASETS
from halo_jax.hardware import PLATFORMS
from halo_jax.models import MODELS
from halo_jax.parameters import Field
from halo_jax.recipes import RECIPES
from halo_jax.runner import command_line
from halo_jax.runner.build import learning_rates
from halo_jax.runner.lookup import check_names, make_compressor, make_recipe, make_selector
from halo_jax.selectors import SELECTORS

QUICKSTART = str(Path(__file__).parents[2] / "experiments" / "quickstart.py")
TIMES = int(os.environ.get("HALO_JAX_FUZZ", "1"))
LONGEST = 300  # characters of a message
MISSING = object()
HUGE = 10**5000  # more digits than Python prints
DEEP: tuple = ()
for _ in range(5000):
    DEEP = (DEEP,)  # deeper than Python prints
TEXTS = ("", "\n", "a\nb", "'\"", "..", "../x", "/", "٣", "²", "\0", "\ud800", "\u2028", "nan", "x" * 5000, "8-8-8\n")
LEAVES = (None, True, -1, 0, 1, HUGE, -HUGE, 10**400, 2.5, float("nan"), float("inf"), -float("inf"), 5e-324, b"x", 1j)
ANYTHING = (*LEAVES, *TEXTS, *((leaf,) for leaf in (*LEAVES, *TEXTS)), (), ((),), DEEP, [], [1], {}, {"a": 1}, {1: {}})
PRECISIONS = ("2-2-2", "2-4-4", "8-8-8", "8-2-3")
BROKEN_PRECISIONS = ("9-8-8", "1-2-2", "23-4-4", "8-8", "٣-٣-٣", "8-8-8 ", "--", "")
NAMES = {
    "dataset": DATASETS,
    "model": MODELS,
    "recipe.name": RECIPES,
    "selector.name": SELECTORS,
    "hardware.name": PLATFORMS,
    "hardware.device": ("calibrated", "table_i"),
    "compressor.name": COMPRESSORS,
}
TUPLES = {
    "arms": (
        *SELECTORS,
        *PRECISIONS,
        *BROKEN_PRECISIONS,
        *COMPRESSORS,
        "qsgd:levels=7",
        "halo_ps:recipe.name=float32,compressor.name=qsgd",
        "qsgd:levels=x",
        "qsgd:width=1",
        "qsgd:levels",
        "best",
        "x" * 5000,
    ),
    "seeds": (0, 1, 2**31 - 1, -1, 0.5),
    "sweep": ("rounds=1|2", "width=0.1|0.2;seed=1|2", "recipe.wage.loss=sse", "rounds", "=", "x" * 5000),
    "compressor.fedhq.client_bits": (2, 4, 8, 1, 9, 2.5),
    "compressor.fedhq_plus.client_bits": (2, 4, 8, 1, 9, 2.5),
    "schedule.phases": (1, 0, 0.5, 0.2, 0.7, 0.3, -0.5, 1.5),
    **{f"recipe.{name}.learning_rates": (8, 1.0, 1 / 8, 1e-29, 1e29, 0, 1e40) for name in RECIPES},
    "image_shape": (1, 8, 32, 0, 1_000_001, 2.5),
    "demand.energy_mj": (1, 0.5, 0, -1, 1e31),
    "demand.latency_s": (1, 0.5, 0, -1, 1e31),
    "demand.area_mm2": (1, 0.5, 0, -1, 1e31),
    "demand.weights": (1, 0.5, 0, -1, 1e7),
    "clock.up_mbps": (1, 0.5, 1e-6, 0, -1, 1e7),
    "clock.down_mbps": (1, 0.5, 1e-6, 0, -1, 1e7),
    "clock.battery_joule": (1, 0.5, 1e-9, 0, -1, 1e13),
    "selector.reduce_rounds": (1, 2, 40, 2**31 - 1, 0, 2**31, 1.0),
}


def near(name: str, field: Field) -> list:
    """Values of the field's type, most of them inside its range and some just outside."""
    kind, draw = type(field.default), random.Random(name)
    if name in TUPLES:
        some = [tuple(draw.choices(TUPLES[name], k=draw.randrange(5))) for _ in range(10)]
        return [*some, (1,), (0.6, 0.2, 0.2), (0.7, 0.3), (8, 1, 0.5), ("8-8-8", "halo_ps"), (TUPLES[name][0],) * 5000]
    if name in NAMES:
        return [*NAMES[name], *NAMES[name], "nope"]
    if field.kind.allowed.startswith("one of "):
        return [*field.kind.allowed.removeprefix("one of ").split(", "), "ROUND"]
    if "bw-ba-be" in field.kind.allowed:
        return [*PRECISIONS, *PRECISIONS, *BROKEN_PRECISIONS]
    if kind is bool:
        return [True, False]
    if kind is str:
        return ["mine", "é-1.x", "data", field.default]
    low, high = (float(number) for number in re.findall(r"\d[\d.e+]*", field.kind.allowed)[-2:])
    inside = [low + (high - low) * draw.random() ** power for power in (1, 4, 16, 64)]
    return [kind(x) for x in (field.default, low - 1, low, low + 1, *inside, high, high + 1)]


NODES = {name.partition(".")[0] for name in FIELDS if "." in name}
STRANGE = (*all_fields(), *NODES, "new", "recipe.new", "round", "x" * 5000, "a\nb", "")
NEAR = [(name, value) for name, field in all_fields().items() for value in near(name, field)]
FAR = [(name, value) for name in STRANGE for value in (*ANYTHING, MISSING, MISSING, MISSING)]

DEFAULT: Config = ml_collections.ConfigDict(default().to_dict(), type_safe=False)


@contextlib.contextmanager
def changed(changes: list[tuple[str, Any]]) -> Iterator[Config]:
    """The default with fields changed, added and taken away, all undone at the end: a new ConfigDict takes longer."""
    undo = []
    try:
        for name, value in changes:
            parent, _, leaf = name.rpartition(".")
            node = section(parent)
            if isinstance(node, ml_collections.ConfigDict):  # else an earlier change replaced it
                undo.append((node, leaf, node.get(leaf, MISSING)))
                replace(node, leaf, value)
        yield DEFAULT
    finally:
        for step in reversed(undo):
            replace(*step)


def section(name: str) -> Any:
    """The part of the default of that dotted name, or what an earlier change has put in its place."""
    node: Any = DEFAULT
    for key in filter(None, name.split(".")):
        node = node.get(key) if isinstance(node, ml_collections.ConfigDict) else None
    return node


def replace(node: Config, leaf: str, value: Any) -> None:
    if leaf in node:
        del node[leaf]  # else ConfigDict would convert the new value to the type of the old
    if value is not MISSING:
        node[leaf] = value


def refusal(config: Config) -> str:
    """What stops an experiment before its data are loaded; empty if nothing does."""
    try:
        validate(config)
        expand_arms(config)
        plan(config, Path("run"))
        check_names(config)
        recipe = make_recipe(config)
        learning_rates(config, recipe)
        make_selector(config)
        make_compressor(config, recipe)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.slow
def test_ten_thousand_random_experiments_are_valid_or_refused_in_one_line():
    outcomes = Counter()

    @given(st.randoms(use_true_random=True))  # hypothesis draws seeds: drawing the values, too, would take minutes
    @settings(derandomize=True, max_examples=200 * TIMES, deadline=None)
    def fifty(draw: random.Random) -> None:
        for _ in range(50):
            changes = [draw.choice(draw.choices((NEAR, FAR), (7, 1))[0]) for _ in range(draw.randrange(6))]
            with changed(changes) as config:
                message = refusal(config)
            assert message.isprintable()
            assert len(message) < LONGEST
            outcomes[re.split("[=;]", message)[0]] += 1

    fifty()
    assert refusal(DEFAULT) == ""
    assert outcomes.total() >= 10_000
    assert 0.25 < outcomes[""] / outcomes.total() < 0.75
    assert [name for name in FIELDS if name not in outcomes] == []


TYPED = ("", " ", "many", "1e999", "0x10", "1_000", "-0", "+1", "٣", "1,2", "(", "(" * 300, "-" * 9999 + "1")
TYPED += ("9" * 5000, "('8-8-8'", "('a\nb',)", "None", "yes", "[1]", "{}", "__import__('os')", "=", "--", "\udc80")
TYPED_NAMES = (*FIELDS, *STRANGE, "rounds.x", "ROUNDS", " rounds", "é")


def typed(draw: random.Random) -> str:
    """One argument as somebody types it: a field and a value, mostly both right."""
    name, value = draw.choice(NEAR)
    if draw.random() < 0.3:
        value = draw.choice((*TYPED, *TEXTS))
    if draw.random() < 0.1:
        name = draw.choice(TYPED_NAMES)
    return draw.choice(("--config.", "--config.", "-config.")) + f"{name}={value}"


def parse(arguments: list[str]) -> str:
    """What the command line says about its arguments; empty if all are right."""
    known, errors, status = set(flags.FLAGS), io.StringIO(), 0
    try:
        with contextlib.redirect_stderr(errors), mock.patch.object(sys, "argv", ["launch.py", *arguments]):
            command_line._parse(sys.argv, QUICKSTART)
    except SystemExit as stopped:
        status = stopped.code
    finally:
        sys.modules.pop("config_config", None)  # the experiment file, which the next one would be merged into
        for name in set(flags.FLAGS) - known:
            delattr(flags.FLAGS, name)
        flags.FLAGS.unparse_flags()
    assert status == (2 if errors.getvalue() else 0)
    return errors.getvalue()


@pytest.mark.slow
def test_random_arguments_are_taken_or_refused_in_one_line_with_status_2():
    outcomes = Counter()

    @given(st.randoms(use_true_random=True))
    @settings(derandomize=True, max_examples=30 * TIMES, deadline=None)
    def ten(draw: random.Random) -> None:
        for _ in range(10):
            arguments = [typed(draw) for _ in range(draw.choice((1, 1, 2, 4)))]
            text = parse(arguments)
            if text:
                assert text.startswith("error: ")
                assert text.endswith("\n")
                assert text[:-1].isprintable()
                assert len(text) < LONGEST
                assert "Traceback" not in text
            outcomes[text.partition("=")[0]] += 1

    ten()
    assert 0.25 < outcomes[""] / outcomes.total() < 0.75
