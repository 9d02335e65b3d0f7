"""Every field of an experiment: its default, what is allowed, and the reason for it.

`config` makes an experiment of them and validates it. Names of data sets, models, selectors and so on are checked
against their tables, and sizes against the data, when a run is put together.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple


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


def _is_size(number: Any) -> bool:
    return type(number) is int and 1 <= number <= 4096


def _is_round(number: Any) -> bool:
    return type(number) is int and 1 <= number < 2**31


def _precision(default: str, reason: str) -> Field:
    return Field(default, "'bw-ba-be' with 2 to 8 bits each, for example '6-4-8'", _is_precision, reason)


def _numbers(default: tuple, allowed: str, check: Callable[[Any], bool], reason: str) -> Field:
    return Field(default, allowed, lambda values: all(check(value) for value in values), reason)


def is_grid(text: str) -> bool:
    """Whether a text names precisions to price: '6-4-4', or for each dimension a list of widths and ranges."""
    parts = text.split("-")
    return len(text) <= _LONGEST_NAME and len(parts) == 3 and all(_widths(part) for part in parts)


def grid(text: str) -> tuple[list[int], list[int], list[int]]:
    """The bit widths of weights, activations and errors in a text for which `is_grid` holds, ascending."""
    weights, activations, errors = (_widths(part) for part in text.split("-"))
    return weights, activations, errors


def _widths(text: str) -> list[int]:
    """The widths in '8', '2,4,8' or '2..8'; empty if it is none of these, or one is not from 1 to 16."""
    found: set[int] = set()
    for piece in text.split(","):
        ends = piece.split("..")
        if len(ends) > 2 or not all(re.fullmatch("[1-9]|1[0-6]", end) for end in ends) or int(ends[0]) > int(ends[-1]):
            return []
        found |= set(range(int(ends[0]), int(ends[-1]) + 1))
    return sorted(found)


def _budget(metric: str) -> Field:
    return _numbers(
        (),
        "numbers from 0: one for all clients, or one for each; 0: no limit; empty: none",
        lambda limit: _is_number(limit) and 0 <= limit <= 1e30,
        f"absolute {metric} budget per sample for `exhaustive`",
    )


_LONGEST_NAME = 100
_LONGEST_ARM = 200  # a folder of that name

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
        "selectors, precisions such as '8-8-8' or compressors, each with ':field=value,...' if need be, "
        f"at most {_LONGEST_ARM} letters, no '/'; empty: one run",
        lambda arm: (
            isinstance(arm, str) and 0 < len(arm.encode(errors="surrogatepass")) <= _LONGEST_ARM and "/" not in arm
        ),
        "runs that differ only in precision, recipe or payload, one after the other, compared in one report",
    ),
    "seeds": _numbers(
        (),
        "whole numbers from 0 to 2147483647; empty: one run with seed",
        lambda seed: type(seed) is int and 0 <= seed < 2**31,
        "the whole experiment once for each, then means and spreads",
    ),
    "study": _name("", "empty, or a name in halo_jax.studies.STUDIES", "a question to the chip alone; empty: train"),
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
    "validation_examples": _int(0, 0, "evaluate on so many training images, held out, not on the test split; 0: on it"),
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
    "selector.floor": _precision("2-4-4", "lowest precision that a selector may pick"),
    "selector.step": _int(2, 1, "bits that one reduction takes away", high=6),
    "selector.min_gain": _float(0.01, 0, 1, "smallest relative gain worth a reduction; 0 is Algorithm 1 to the letter"),
    "selector.reduce_every": _int(0, 0, "rounds between reductions; 1 is Algorithm 1 to the letter; 0: reduce_rounds"),
    "selector.reduce_rounds": _numbers(
        (), "round numbers from 1; empty: 35 % and 70 % of the rounds", _is_round, "rounds that reduce"
    ),
    "demand.energy_clients": _int(7, 0, "the first so many clients want low energy"),
    "demand.latency_clients": _int(7, 0, "the next so many want low latency"),
    "demand.area_clients": _int(6, 0, "the next so many want low area; any others keep their precision"),
    "demand.energy_mj": _budget("energy"),
    "demand.latency_s": _budget("latency"),
    "demand.area_mm2": _budget("area"),
    "demand.weights": _numbers(
        (),
        "three numbers from 0, or three for each client; empty: 1 for a client's constraint, 0 elsewhere",
        lambda weight: _is_number(weight) and 0 <= weight <= 1e6,
        "how much energy, latency and area count for `weighted`",
    ),
    "hardware.name": _name("halosim", "a name in halo_jax.hardware.PLATFORMS", "the chip that prices a precision"),
    "hardware.device": _name(
        "calibrated", "a preset of the platform, or the path of a YAML file", "constants of the chip"
    ),
    "hardware.width": _float(1.0, 0, 4, "width at which the network is priced, whatever it trains at", above=True),
    "precision": Field(
        "8-8-8",
        "'bw-ba-be' of 1 to 16 bits each, or a grid such as '2..8-4,6,8-4..8'",
        is_grid,
        "what the study `cost` prices",
    ),
    "sort_by": _choice("energy_mj", ("energy_mj", "latency_s", "area_mm2"), "order of a grid's table"),
    "image_shape": _numbers(
        (),
        "height, width, channels, from 1 to 4096 each; empty: the data set's",
        _is_size,
        "input of a study's network",
    ),
    "num_classes": _int(0, 0, "outputs of a study's network; 0: the data set's", high=1_000_000),
    "compressor.name": _name("identity", "a name in halo_jax.compressors.COMPRESSORS", "what a client uploads (A6)"),
    "compressor.error_feedback": _bool(False, "what a message leaves out is added to the client's next update"),
    "compressor.bits": _int(0, 0, "bits a number; 0: the system's own (uniform: the client's weight bits)", high=8),
    "compressor.rounding": _choice("stochastic", ("stochastic", "nearest"), "rounding of uniform"),
    "compressor.levels": _int(0, 0, "levels above zero of qsgd, lfl, adaquantfl; 0: the system's own", high=255),
    "compressor.down_levels": _int(0, 0, "levels of lfl's broadcast; 0: its own", high=255),
    "compressor.norm": _choice("own", ("own", "l2", "max"), "scale of qsgd"),
    "compressor.scope": _choice("own", ("own", "tensor", "flat"), "what shares a scale"),
    "compressor.scaler": _choice("sigma", ("sigma", "max"), "scale of terngrad"),
    "compressor.clip": _float(2.5, 0, 1e6, "terngrad clips beyond so many standard deviations; 0: never"),
    "compressor.share_scaler": _bool(True, "terngrad: one scale for the cohort, so that ternary sums are whole"),
    "compressor.rate": _int(0, 0, "nominal bits a number of uveqfed and jopeq; 0: the system's own", high=8),
    "compressor.lattice": _int(0, 0, "dimensions of the lattice of uveqfed and jopeq; 0: the system's own", high=2),
    "compressor.epsilon": _float(4.0, 0, 1e6, "privacy budget of jopeq, per number and round", above=True),
    "compressor.client_bits": _numbers(
        (4, 8),
        "whole numbers from 2 to 8; empty: the client's weight bits",
        lambda bits: type(bits) is int and 2 <= bits <= 8,
        "bits that fedhq deals to clients in turn",
    ),
    "compressor.slack": _float(1.0, 0, 1e6, "how readily laq skips an upload; 0: by its error terms alone"),
    "compressor.max_skips": _int(100, 0, "uploads in a row that laq may skip"),
    "compressor.dimension": _int(16, 2, "numbers in a block of hsq", high=64),
    "compressor.codewords": _int(256, 2, "directions that hsq knows", high=1024),
    "compressor.norm_bits": _int(6, 1, "bits of the length of hsq's block", high=16),
    "compressor.unbiased": _bool(False, "hsq draws the direction, so that the mean is right; false: the nearest one"),
    "compressor.keep": _float(1.0, 0, 1, "share of filters that fl_pqsu keeps", above=True),
    "compressor.prune_round": _int(0, 0, "rounds before fl_pqsu prunes"),
    "compressor.share": _float(0.01, 0, 1, "share of the numbers that topk sends", above=True),
    "compressor.scale": _choice("unbiased", ("unbiased", "mse"), "scale of eden"),
    "compressor.rank": _int(2, 1, "rank of powersgd", high=64),
    # --- evaluation
    "evaluation.precision": Field(
        "",
        "'bw-ba-be' with 2 to 8 bits each; empty: 8-8-8, or a static arm's own",
        lambda text: text == "" or _is_precision(text),
        "precision at which the server's model is tested (A8)",
    ),
    "evaluation.target_percent": _float(0.0, 0, 100, "accuracy up to which payload is counted; 0: none"),
    "evaluation.batch_size": _int(100, 1, "test images per step; devices share the steps"),
}
