"""The fields of an experiment that belong to no entry of a table: default, what is allowed, and the reason.

`entries` adds those that entries declare, such as `compressor.topk.share`, and `schema` makes an experiment of all.
Names of data sets, models and so on are checked against their tables, and sizes against the data, when a run is built.
"""

import re

from halo_jax.paper import NOTES
from halo_jax.parameters import (
    LONGEST_ARM,
    LONGEST_NAME,
    LONGEST_SWEEP,
    MOST_ENTRIES,
    Field,
    Kind,
    boolean,
    budget,
    choice,
    is_arm,
    is_grid,
    is_number,
    is_round,
    is_size,
    name,
    numbers,
    per_client,
    precision,
    real,
    whole,
)


def _section(prefix: str, fields: dict[str, Field], **attributes: bool) -> dict[str, Field]:
    """Fields whose names begin with `prefix`, with attributes that they have in common."""
    return {f"{prefix}{leaf}": field._replace(**attributes) for leaf, field in fields.items()}


# What an experiment is made of, or what is written of it.
_RUN = {
    "name": Field(
        Kind(
            f"letters, digits, '_', '-' and '.', no '.' first, at most {LONGEST_NAME} of them",
            lambda name: len(name) <= LONGEST_NAME and re.fullmatch(r"[\w-][\w.-]*", name) is not None,
        ),
        "experiment",
        "names the run folder and heads the report",
    ),
    "arms": Field(
        numbers(
            "selectors, precisions such as '8-8-8' or compressors, each with ':field=value,...' if need be, "
            f"at most {LONGEST_ARM} printable letters, no '/'; empty: one run",
            is_arm,
            most=MOST_ENTRIES,
        ),
        (),
        "runs that differ only in precision, recipe or payload, one after the other, compared in one report",
    ),
    "seeds": Field(
        numbers(
            "whole numbers from 0 to 2147483647; empty: one run with seed",
            lambda seed: type(seed) is int and 0 <= seed < 2**31,
            most=MOST_ENTRIES,
        ),
        (),
        "the whole experiment once for each, then means and spreads",
    ),
    "sweep": Field(
        numbers(
            f"'FIELD=VALUE|VALUE|...', all with all; fields that go together after a ';', at most {LONGEST_SWEEP} "
            "letters",
            lambda entry: isinstance(entry, str) and 0 < len(entry) <= LONGEST_SWEEP and entry.isprintable(),
            most=MOST_ENTRIES,
        ),
        (),
        "the whole experiment once for each point: 'partition.alpha=0.1|1' or 'width=0.125|0.25;rounds=20|40'",
    ),
    "paper": Field(
        choice("", *NOTES),
        "",
        "the paper's table whose numbers stand beside the rows of several seeds",
        changes_result=False,
    ),
    "study": Field(
        name("empty, or a name in halo_jax.studies.STUDIES"), "", "a question that needs no training; empty: train"
    ),
    "stack": Field(
        whole(0), 1, "most runs that go through one program together, a call a round; 0: all", changes_result=False
    ),
}
_ROUNDS = {
    "seed": Field(whole(0), 0, "every random draw is a named fold of this number", compiled=False),
    "rounds": Field(whole(1, 1_000_000), 40, "communication rounds R"),
    "eval_every": Field(whole(1), 1, "rounds between evaluations on the test split; the last round is always one"),
    "exact": Field(
        boolean(), True, "sums of products exact for any input; false allows plain float32 sums where they are faster"
    ),
}
_RECORDS = {
    "checkpoint_every": Field(whole(1), 10, "rounds between checkpoints; the last round is always saved"),
    "keep_checkpoints": Field(whole(1), 2, "checkpoints that are kept, the newest ones", compiled=False),
    "dead_after": Field(
        whole(1), 20, "local steps in a row in which a layer learns nothing before a line says so", compiled=False
    ),
    "fingerprint": Field(
        boolean(), False, "print the fingerprint of every stage of a round, as in fingerprints.csv", compiled=False
    ),
    "tensorboard": Field(
        boolean(), False, "scalars of every round for TensorBoard, in the arm's folder tensorboard/", compiled=False
    ),
}
_DATA = {
    "dataset": Field(name("a name in halo_jax.datasets.DATASETS; emnist/letters is a variant"), "digits", "the images"),
    "data_dir": Field(
        Kind("a folder, in printable characters (npz: a file); empty: the data set's usual places", str.isprintable),
        "",
        "where the files of the data set lie",
        changes_result=False,
    ),
    "train_examples": Field(whole(0), 0, "use only the first so many training images of a fixed shuffle; 0: all"),
    "test_examples": Field(whole(0), 0, "the same for the test split"),
    "validation_examples": Field(
        whole(0), 0, "evaluate on so many training images, held out, not on the test split; 0: on it"
    ),
    "augment": Field(
        choice("auto", "none", "crop", "crop_flip"),
        "auto",
        "random crops of 4 pixels and flips of training images, as WAGE",
    ),
}
_PARTITION = {
    "name": Field(choice("iid", "dirichlet", "shards", "writers", "unequal"), "iid", "how images are dealt to clients"),
    "alpha": Field(
        real(0, 1e9, above=True),
        0.5,
        "Dirichlet concentration of labels (dirichlet) or sizes (unequal); smaller is more skewed",
    ),
    "shards_per_client": Field(whole(1), 2, "label-sorted shards each client gets"),
    "min_examples": Field(whole(1), 1, "fewest images a client may get under dirichlet and unequal"),
}
_TRAINING = {
    "model": Field(name("a name in halo_jax.models.MODELS"), "vgg7", "the network"),
    "width": Field(real(0, 4, above=True), 0.125, "multiplies all channel counts; 1 is the paper's network"),
    "num_clients": Field(whole(1), 20, "registered clients N"),
    "cohort_size": Field(whole(0), 0, "clients drawn each round; 0: all (A13)"),
    "local_epochs": Field(whole(1, 1_000_000), 1, "passes over a client's images per round (A12)"),
    "batch_size": Field(whole(1), 32, "images per local step; a last partial batch is masked, never dropped (A12)"),
}
_EXECUTION = {
    "executor": Field(
        choice("auto", "vmap", "map", "chunk", "shard"), "auto", "how clients are lifted; the bits are the same"
    ),
    "chunk_size": Field(whole(1), 20, "clients at a time under chunk, and under shard on accelerators"),
}
_SCHEDULE = {
    "phases": Field(
        numbers(
            "fractions of the rounds that add up to 1, one per learning rate",
            lambda phase: is_number(phase) and 0 <= phase <= 1,
        ),
        (0.6, 0.2, 0.2),
        "how long each learning rate of the recipe lasts; the paper's 60, 20, 20 of 100 rounds",
    ),
}
_RECIPE = {"name": Field(name("a name in halo_jax.recipes.RECIPES"), "wage", "how a client trains")}
_SELECTOR = {
    "name": Field(name("a name in halo_jax.selectors.SELECTORS"), "halo_ps", "who picks the precision"),
    "start": Field(precision(), "8-8-8", "precision of every client before the first round", compiled=False),
    "floor": Field(precision(), "2-4-4", "lowest precision that a selector may pick"),
    "reduce_every": Field(whole(0), 0, "rounds between reductions; 1 is Algorithm 1 to the letter; 0: reduce_rounds"),
    "reduce_rounds": Field(
        numbers("round numbers from 1; empty: 35 % and 70 % of the rounds", is_round), (), "rounds that reduce"
    ),
    "reduce_when": Field(
        choice("rounds", "learning_rate", "plateau"),
        "rounds",
        "in the rounds of the two fields above, as each new learning rate begins, or as a client's loss stops falling",
    ),
    "patience": Field(whole(1), 3, "rounds in a row without gain in a client's training loss that plateau waits"),
    "plateau_gain": Field(real(0, 1), 0.01, "relative fall of a client's training loss that plateau takes for gain"),
}
_DEMAND = {
    "energy_clients": Field(whole(0), 7, "the first so many clients want low energy"),
    "latency_clients": Field(whole(0), 7, "the next so many want low latency"),
    "area_clients": Field(whole(0), 6, "the next so many want low area; any others keep their precision"),
    "energy_mj": Field(budget(), (), "absolute energy budget per sample for `exhaustive`"),
    "latency_s": Field(budget(), (), "absolute latency budget per sample for `exhaustive`"),
    "area_mm2": Field(budget(), (), "absolute area budget per sample for `exhaustive`"),
    "weights": Field(
        numbers(
            "three numbers from 0, or three for each client; empty: 1 for a client's constraint, 0 elsewhere",
            lambda weight: is_number(weight) and 0 <= weight <= 1e6,
        ),
        (),
        "how much energy, latency and area count for `weighted`",
    ),
}
_HARDWARE = {
    "name": Field(name("a name in halo_jax.hardware.PLATFORMS"), "halosim", "the chip that prices a precision"),
    "device": Field(
        Kind(
            "a preset of the platform, or the path of a YAML file, at most 1000 printable characters",
            lambda device: len(device) <= 1000 and device.isprintable(),
        ),
        "calibrated",
        "constants of the chip",
    ),
    "width": Field(real(0, 4, above=True), 1.0, "width at which the network is priced, whatever it trains at"),
}
_STUDIES = {
    "precision": Field(
        Kind("'bw-ba-be' of 1 to 16 bits each, or a grid such as '2..8-4,6,8-4..8'", is_grid),
        "8-8-8",
        "what the study `cost` prices",
    ),
    "sort_by": Field(choice("energy_mj", "latency_s", "area_mm2"), "energy_mj", "order of a grid's table"),
    "image_shape": Field(
        numbers("height, width, channels, from 1 to 4096 each; empty: the data set's", is_size),
        (),
        "input of a study's network",
    ),
    "num_classes": Field(whole(0, 1_000_000), 0, "outputs of a study's network; 0: the data set's"),
}
_COMPRESSOR = {
    "name": Field(name("a name in halo_jax.compressors.COMPRESSORS"), "identity", "what a client uploads (A6)"),
    "error_feedback": Field(boolean(), False, "what a message leaves out is added to the client's next update"),
}
_NOISE = {  # as standard deviations
    "weights": Field(real(0, 1), 0.0, "of what crossbars hold of the weights; the paper's hardware noise: 0.05, 0.1"),
    "errors": Field(real(0, 1), 0.0, "of what crossbars hold of the errors, for weight gradients"),
    "inputs": Field(real(0, 1), 0.0, "of the pixels of every image; the paper's input noise: 0.05, 0.1"),
    "relative_to": Field(choice("value", "range"), "value", "fractions of each value, or of the largest possible one"),
    "per": Field(
        choice("programming", "read"),
        "programming",
        "weights are drawn when programmed, or for each pass that reads them",
    ),
    "during": Field(choice("both", "training", "inference"), "both", "where noise acts"),
}
_CLOCK = {  # the virtual clock
    "up_mbps": Field(per_client("infinitely fast", 1e-6, 1e6), (), "megabits per second from a client to the server"),
    "down_mbps": Field(per_client("infinitely fast", 1e-6, 1e6), (), "megabits per second from the server to a client"),
    "jitter": Field(real(0, 0.5), 0.0, "standard deviation of a link's rate from round to round, relative to its mean"),
    "deadline_s": Field(real(0, 1e9), 0.0, "virtual seconds after which a round drops who is missing; 0: it waits"),
    "battery_joule": Field(per_client("without end", 1e-9, 1e12), (), "energy that a client can train with, in all"),
}
_EVALUATION = {
    "precision": Field(
        Kind(
            "'bw-ba-be' with 2 to 8 bits each; empty: 8-8-8, or a static arm's own",
            lambda text: text == "" or precision().fits(text),
        ),
        "",
        "precision at which the server's model is tested (A8)",
        compiled=False,
    ),
    "target_percent": Field(real(0, 100), 0.0, "accuracy up to which payload is counted; 0: none", compiled=False),
    "batch_size": Field(whole(1), 100, "test images per step; devices share the steps", changes_result=False),
}

FIELDS: dict[str, Field] = {
    **_section("", _RUN, compiled=False, swept=False),
    **_ROUNDS,
    **_section("", _RECORDS, changes_result=False),
    **_DATA,
    **_section("partition.", _PARTITION, compiled=False),
    **_TRAINING,
    **_section("", _EXECUTION, changes_result=False),
    **_section("schedule.", _SCHEDULE, compiled=False, of_arm=True),
    **_section("recipe.", _RECIPE, of_arm=True),
    **_section("selector.", _SELECTOR, of_arm=True),
    **_section("demand.", _DEMAND, compiled=False),
    **_section("hardware.", _HARDWARE),
    **_section("", _STUDIES, of_studies=True),
    **_section("compressor.", _COMPRESSOR, of_arm=True),
    **_section("noise.", _NOISE, of_arm=True),
    **_section("clock.", _CLOCK, compiled=False, of_arm=True),
    **_section("evaluation.", _EVALUATION, of_arm=True),
}
