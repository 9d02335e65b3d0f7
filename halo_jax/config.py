"""The one schema of an experiment: every field, its default, its range, and the reason for it.

`default()` returns a locked ConfigDict; `validate(config)` raises ConfigError with one line that names the field, the
value and what is allowed. This module imports nothing else of the package: names of data sets, models, selectors and
so on are checked against their tables in `run.py`, and sizes against the data.
"""

import difflib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_collections

Config = Any  # an ml_collections.ConfigDict with the fields of FIELDS; Any, since its attributes are data


class ConfigError(ValueError):
    """A field has an impossible value; the message is one line."""


class Field(NamedTuple):
    """One field of the schema: its default, what is allowed (in words and as a check), and why it exists."""

    default: Any
    allowed: str
    check: Callable[[Any], bool]
    reason: str


def _int(default: int, low: int, reason: str, high: int = 2**31 - 1) -> Field:
    return Field(default, f"a whole number from {low} to {high}", lambda value: low <= value <= high, reason)


def _bits(reason: str) -> Field:
    return Field(0, "0, or a whole number from 2 to 8", lambda bits: bits == 0 or 2 <= bits <= 8, reason)


def _float(default: float, low: float, high: float, reason: str, *, above: bool = False) -> Field:
    allowed = f"a number {'above' if above else 'from'} {low:g} to {high:g}"
    return Field(default, allowed, lambda v: (v > low if above else v >= low) and v <= high, reason)


def _bool(default: bool, reason: str) -> Field:
    return Field(default, "true or false", lambda value: True, reason)


def _choice(default: str, options: tuple[str, ...], reason: str) -> Field:
    return Field(default, "one of " + ", ".join(options), lambda value: value in options, reason)


def _name(default: str, allowed: str, reason: str) -> Field:
    return Field(default, allowed, lambda name: len(name) <= _LONGEST_NAME, reason)


def _is_precision(text: str) -> bool:
    parts = text.split("-")
    return len(parts) == 3 and all(len(part) == 1 and part in "2345678" for part in parts)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_round(number: Any) -> bool:
    return type(number) is int and 1 <= number < 2**31


def _precision(default: str, reason: str) -> Field:
    return Field(default, "'bw-ba-be' with 2 to 8 bits each, for example '6-4-8'", _is_precision, reason)


def _numbers(default: tuple, allowed: str, check: Callable[[Any], bool], reason: str) -> Field:
    return Field(default, allowed, lambda values: all(check(value) for value in values), reason)


_LONGEST_NAME = 100

FIELDS: dict[str, Field] = {
    # --- what is run
    "name": Field(
        "experiment",
        f"letters, digits, '_', '-' and '.', no '.' first, at most {_LONGEST_NAME} of them",
        lambda name: len(name) <= _LONGEST_NAME and re.fullmatch(r"[\w-][\w.-]*", name) is not None,
        "names the run folder and heads the report",
    ),
    "arms": _numbers(
        (),
        "names of selectors or precisions such as '8-8-8'; empty: one run with selector.name",
        lambda arm: isinstance(arm, str) and 0 < len(arm) <= _LONGEST_NAME,
        "runs that differ only in how precision is chosen, one after the other, compared in one report",
    ),
    "seed": _int(0, 0, "every random draw is a named fold of this number"),
    "rounds": _int(40, 1, "communication rounds R", high=1_000_000),
    "eval_every": _int(1, 1, "rounds between evaluations on the test split; the last round is always evaluated"),
    "checkpoint_every": _int(10, 1, "rounds between checkpoints; the last round is always saved"),
    "keep_checkpoints": _int(2, 1, "checkpoints that are kept, the newest ones"),
    "dead_after": _int(20, 1, "local steps in a row in which a layer learns nothing before a line says so"),
    "fingerprint": _bool(False, "print the fingerprint of every stage of a round, as in fingerprints.csv"),
    # --- data
    "dataset": _name("digits", "a name in halo_jax.datasets.DATASETS", "the images"),
    "data_dir": Field(
        "",
        "a folder, in printable characters; empty: the data set's usual places",
        str.isprintable,
        "where the files of the data set lie",
    ),
    "train_examples": _int(0, 0, "use only the first so many training images of a fixed shuffle; 0: all"),
    "test_examples": _int(0, 0, "the same for the test split"),
    "partition.name": _choice("iid", ("iid", "dirichlet", "shards"), "how images are dealt to clients"),
    "partition.alpha": _float(0.5, 0, 1e9, "Dirichlet concentration; smaller is more skewed", above=True),
    "partition.shards_per_client": _int(2, 1, "label-sorted shards each client gets"),
    "partition.min_examples": _int(1, 1, "fewest images a client may get under dirichlet"),
    # --- model and its training
    "model": _name("vgg7", "a name in halo_jax.models.MODELS", "the network"),
    "width": _float(0.125, 0, 4, "multiplies all channel counts; 1 is the paper's network", above=True),
    "recipe.name": _name("wage", "a name in halo_jax.recipes.RECIPES", "how a client trains"),
    "recipe.learning_rates": _numbers(
        (),
        "positive numbers, one per phase; empty: the recipe's own (wage: 8, 1, 1/8)",
        lambda rate: _is_number(rate) and 1e-30 < rate < 1e30,
        "learning rate of each phase; the paper's 8, 1, 1/8",
    ),
    "recipe.phases": _numbers(
        (0.6, 0.2, 0.2),
        "fractions of the rounds that add up to 1, one per learning rate",
        lambda part: _is_number(part) and 0 <= part <= 1,
        "the paper's 60, 20, 20 of 100 rounds",
    ),
    "recipe.loss": _choice("sse", ("sse", "cross_entropy"), "training loss of wage (A10)"),
    "recipe.gradient_bits": _int(8, 8, "kG: bits of the master weights and their steps (A2)", high=12),
    "recipe.clip_bits": _choice("gradient", ("gradient", "weights"), "grid that bounds the master (A4)"),
    "recipe.min_limit": _float(0.75, 0, 1, "L_min of initial weights and layer scale (A1)", above=True),
    "recipe.input_bits": _bits("bits of the input image; 0: the client's activation bits (A9)"),
    "recipe.shift": _choice("round", ("round", "ceil"), "power of two that normalises errors and gradients (A11)"),
    "recipe.error_rounding": _choice("nearest", ("nearest", "stochastic"), "rounding of errors (A11)"),
    "recipe.order": _choice("wage", ("wage", "neurosim"), "quantise after or before pooling and ReLU (A15)"),
    "recipe.aggregation": _choice(
        "stochastic", ("stochastic", "nearest", "none"), "server rounding to 8 bits; none keeps float32 (A7)"
    ),
    "recipe.momentum": _float(0.9, 0, 0.999, "momentum of the float32 recipe"),
    "exact": _bool(True, "sums of products exact for any input; false allows plain float32 sums where they are faster"),
    # --- clients
    "num_clients": _int(20, 1, "registered clients N"),
    "cohort_size": _int(0, 0, "clients drawn each round; 0: all (A13)"),
    "local_epochs": _int(1, 1, "passes over a client's images per round (A12)", high=1_000_000),
    "batch_size": _int(32, 1, "images per local step; a last partial batch is masked, never dropped (A12)"),
    "executor": _choice("auto", ("auto", "vmap", "map", "chunk", "shard"), "how clients are lifted; same bits"),
    "chunk_size": _int(20, 1, "clients at a time under chunk, and under shard on accelerators"),
    # --- precision, hardware, payload
    "selector.name": _name("halo_ps", "a name in halo_jax.selectors.SELECTORS", "who picks the precision"),
    "selector.start": _precision("8-8-8", "precision of every client before the first round"),
    "selector.floor": _precision("2-4-4", "lowest precision that halo_ps may pick"),
    "selector.step": _int(2, 1, "bits that one reduction takes away", high=6),
    "selector.min_gain": _float(0.01, 0, 1, "smallest relative gain worth a reduction; 0 is Algorithm 1 to the letter"),
    "selector.reduce_every": _int(0, 0, "rounds between reductions; 1 is Algorithm 1 to the letter; 0: reduce_rounds"),
    "selector.reduce_rounds": _numbers(
        (), "round numbers from 1; empty: 35 % and 70 % of the rounds", _is_round, "rounds that reduce"
    ),
    "demand.energy_clients": _int(7, 0, "the first so many clients want low energy"),
    "demand.latency_clients": _int(7, 0, "the next so many want low latency"),
    "demand.area_clients": _int(6, 0, "the next so many want low area; any others keep their precision"),
    "hardware.name": _name("halosim", "a name in halo_jax.hardware.PLATFORMS", "the chip that prices a precision"),
    "hardware.device": _name("calibrated", "a preset of the platform", "constants of the chip"),
    "hardware.width": _float(1.0, 0, 4, "width at which the network is priced, whatever it trains at", above=True),
    "compressor.name": _name("identity", "a name in halo_jax.compressors.COMPRESSORS", "what a client uploads (A6)"),
    "compressor.bits": _bits("bits per weight of uniform; 0: the client's weight bits"),
    "compressor.rounding": _choice("stochastic", ("stochastic", "nearest"), "rounding of uniform"),
    # --- evaluation
    "evaluation.precision": Field(
        "",
        "'bw-ba-be' with 2 to 8 bits each; empty: 8-8-8, or a static arm's own",
        lambda text: text == "" or _is_precision(text),
        "precision at which the server's model is tested (A8)",
    ),
    "evaluation.batch_size": _int(100, 1, "test images per step; devices share the steps"),
}


def default() -> Config:
    """A locked ConfigDict with every field at its default."""
    config: Config = ml_collections.ConfigDict()
    for name, field in FIELDS.items():
        node: Config = config
        *parents, leaf = name.split(".")
        for parent in parents:
            if parent not in node:
                node[parent] = ml_collections.ConfigDict()
            node = node[parent]
        node[leaf] = field.default
    return config.lock()


def get(config: Config, name: str) -> Any:
    """The value of a dotted field name."""
    node: Any = config
    for part in name.split("."):
        node = node[part]
    return node


def cohort_size(config: Config) -> int:
    """How many clients take part in a round: `cohort_size`, or all where that is 0."""
    return config.cohort_size or config.num_clients


def show(value: Any) -> str:
    """A value for a message: its repr, as one printable line of at most 80 characters."""
    try:
        text = repr(value)
    except Exception:  # Python refuses whole numbers of 5,000 digits and tuples 1,000 deep
        text = f"<{type(value).__name__}>"
    return _shorten(text, 80)


def _shorten(text: str, length: int) -> str:
    text = "".join(char if char.isprintable() else " " for char in text)
    return text if len(text) <= length else f"{text[: length - 23]}...{text[-20:]}"


def unknown_field(name: str) -> str:
    """One line about a field that does not exist: the nearest names, or where all stand."""
    near = difflib.get_close_matches(name, FIELDS) or [field for field in FIELDS if name and field.startswith(name)]
    hint = f"did you mean {' or '.join(near)}?" if near else "all fields stand in halo_jax/config.py"
    return f"unknown field {show(name)}; {hint}"


def explain(message: str) -> str:
    """A flag parser's message in one short line, without a traceback, with what is allowed for the field it names."""
    if "Traceback" in message:
        message = message.partition("Traceback")[0] + message.rpartition("\n")[2]
    named = re.search(r"--config\.([\w.]+)=", message)
    field = FIELDS.get(named[1]) if named else None
    line = _shorten(message, 180 if field else 500)  # paths of files may stand in what names no field
    return f"{line}; allowed: {field.allowed}" if field else line


def validate(config: Config) -> None:
    """Raise ConfigError, one line, at the first field that is missing, unknown, of a wrong type or out of range."""
    if not isinstance(config, ml_collections.ConfigDict):
        getattr(config, "name", None)  # what stands for a file that could not be read raises its error here
        raise ConfigError(f"the experiment is a {type(config).__name__}; allowed: config.default() with changes")
    _check_names(config)
    for name, field in FIELDS.items():
        _check_value(name, get(config, name), field)
    _check_together(config)


def _check_names(config: Config) -> None:
    try:
        names = set(_leaf_names(config))  # ConfigDict sorts its names
    except TypeError as error:
        raise ConfigError("a name of a field is not text; all fields stand in halo_jax/config.py") from error
    for name in sorted(names - FIELDS.keys()):
        raise ConfigError(unknown_field(name))
    for name in sorted(FIELDS.keys() - names):
        raise ConfigError(f"missing field {name}; start from halo_jax.config.default()")


def _leaf_names(node: ml_collections.ConfigDict, prefix: str = "") -> list[str]:
    names = []
    for key, value in node.items():
        name = f"{prefix}{key}"
        names += _leaf_names(value, f"{name}.") if isinstance(value, ml_collections.ConfigDict) else [name]
    return names


def _check_value(name: str, value: Any, field: Field) -> None:
    kind = type(field.default)
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise ConfigError(f"{name}={show(value)} is a {type(value).__name__}; allowed: {field.allowed}")
    if not field.check(value):
        raise ConfigError(f"{name}={show(value)}; allowed: {field.allowed}")


def _check_together(config: Config) -> None:
    recipe, demand, selector = config.recipe, config.demand, config.selector
    if len(set(config.arms)) < len(config.arms):
        raise ConfigError(f"arms={show(config.arms)}; allowed: each arm once")
    if abs(sum(recipe.phases) - 1) > 1e-9:
        raise ConfigError(f"recipe.phases={show(recipe.phases)} add up to {sum(recipe.phases):g}; allowed: a sum of 1")
    if recipe.learning_rates and len(recipe.learning_rates) != len(recipe.phases):
        raise ConfigError(
            f"recipe.learning_rates={show(recipe.learning_rates)} has {len(recipe.learning_rates)} entries; "
            f"allowed: one for each of the {len(recipe.phases)} recipe.phases"
        )
    if config.cohort_size > config.num_clients:
        raise ConfigError(f"cohort_size={config.cohort_size}; allowed: 0 to num_clients={config.num_clients}")
    groups = demand.energy_clients + demand.latency_clients + demand.area_clients
    if groups > config.num_clients:
        raise ConfigError(
            f"demand.*_clients add up to {groups}; allowed: at most num_clients={config.num_clients}, "
            "for example --config.demand.energy_clients=0"
        )
    pairs = zip(selector.start.split("-"), selector.floor.split("-"), strict=True)
    if any(int(start) < int(floor) for start, floor in pairs):
        raise ConfigError(
            f"selector.floor={selector.floor!r} is above selector.start={selector.start!r}; "
            "allowed: no dimension of the floor above the start"
        )
