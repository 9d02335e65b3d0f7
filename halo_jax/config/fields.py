"""Every field of an experiment: its default, what is allowed, and the reason for it.

`config` makes an experiment of them and validates it. Names of data sets, models, selectors and so on are checked
against their tables, and sizes against the data, when a run is put together.
"""

import re

from halo_jax.paper import NOTES
from halo_jax.parameters import (
    LONGEST_ARM,
    LONGEST_NAME,
    LONGEST_SWEEP,
    MOST_ENTRIES,
    Field,
    bits,
    boolean,
    budget,
    choice,
    is_arm,
    is_grid,
    is_number,
    is_precision,
    is_round,
    is_size,
    name,
    numbers,
    per_client,
    precision,
    real,
    whole,
)

FIELDS: dict[str, Field] = {
    # --- what is run
    "name": Field(
        "experiment",
        f"letters, digits, '_', '-' and '.', no '.' first, at most {LONGEST_NAME} of them",
        lambda name: len(name) <= LONGEST_NAME and re.fullmatch(r"[\w-][\w.-]*", name) is not None,
        "names the run folder and heads the report",
    ),
    "arms": numbers(
        (),
        "selectors, precisions such as '8-8-8' or compressors, each with ':field=value,...' if need be, "
        f"at most {LONGEST_ARM} printable letters, no '/'; empty: one run",
        is_arm,
        "runs that differ only in precision, recipe or payload, one after the other, compared in one report",
        most=MOST_ENTRIES,
    ),
    "seeds": numbers(
        (),
        "whole numbers from 0 to 2147483647; empty: one run with seed",
        lambda seed: type(seed) is int and 0 <= seed < 2**31,
        "the whole experiment once for each, then means and spreads",
        most=MOST_ENTRIES,
    ),
    "sweep": numbers(
        (),
        f"'FIELD=VALUE|VALUE|...', all with all; fields that go together after a ';', at most {LONGEST_SWEEP} letters",
        lambda entry: isinstance(entry, str) and 0 < len(entry) <= LONGEST_SWEEP and entry.isprintable(),
        "the whole experiment once for each point: 'partition.alpha=0.1|1' or 'width=0.125|0.25;rounds=20|40'",
    ),
    "paper": choice("", ("", *NOTES), "the paper's table whose numbers stand beside the rows of several seeds"),
    "study": name(
        "", "empty, or a name in halo_jax.studies.STUDIES", "a question that needs no training; empty: train"
    ),
    "seed": whole(0, 0, "every random draw is a named fold of this number"),
    "rounds": whole(40, 1, "communication rounds R", high=1_000_000),
    "eval_every": whole(1, 1, "rounds between evaluations on the test split; the last round is always evaluated"),
    "stack": whole(1, 0, "most runs that go through one program together, a call a round; 0: all"),
    "checkpoint_every": whole(10, 1, "rounds between checkpoints; the last round is always saved"),
    "keep_checkpoints": whole(2, 1, "checkpoints that are kept, the newest ones"),
    "dead_after": whole(20, 1, "local steps in a row in which a layer learns nothing before a line says so"),
    "fingerprint": boolean(False, "print the fingerprint of every stage of a round, as in fingerprints.csv"),
    "tensorboard": boolean(False, "scalars of every round for TensorBoard, in the arm's folder tensorboard/"),
    # --- data
    "dataset": name("digits", "a name in halo_jax.datasets.DATASETS; emnist/letters is a variant", "the images"),
    "data_dir": Field(
        "",
        "a folder, in printable characters (npz: a file); empty: the data set's usual places",
        str.isprintable,
        "where the files of the data set lie",
    ),
    "train_examples": whole(0, 0, "use only the first so many training images of a fixed shuffle; 0: all"),
    "test_examples": whole(0, 0, "the same for the test split"),
    "validation_examples": whole(
        0, 0, "evaluate on so many training images, held out, not on the test split; 0: on it"
    ),
    "partition.name": choice(
        "iid", ("iid", "dirichlet", "shards", "writers", "unequal"), "how images are dealt to clients"
    ),
    "partition.alpha": real(
        0.5,
        0,
        1e9,
        "Dirichlet concentration of labels (dirichlet) or sizes (unequal); smaller is more skewed",
        above=True,
    ),
    "partition.shards_per_client": whole(2, 1, "label-sorted shards each client gets"),
    "partition.min_examples": whole(1, 1, "fewest images a client may get under dirichlet and unequal"),
    "augment": choice(
        "auto", ("auto", "none", "crop", "crop_flip"), "random crops of 4 pixels and flips of training images, as WAGE"
    ),
    # --- model and its training
    "model": name("vgg7", "a name in halo_jax.models.MODELS", "the network"),
    "width": real(0.125, 0, 4, "multiplies all channel counts; 1 is the paper's network", above=True),
    "recipe.name": name("wage", "a name in halo_jax.recipes.RECIPES", "how a client trains"),
    "recipe.learning_rates": numbers(
        (),
        "positive numbers, one per phase; empty: the recipe's own (wage: 8, 1, 1/8)",
        lambda rate: is_number(rate) and 1e-30 < rate < 1e30,
        "learning rate of each phase; the paper's 8, 1, 1/8",
    ),
    "recipe.phases": numbers(
        (0.6, 0.2, 0.2),
        "fractions of the rounds that add up to 1, one per learning rate",
        lambda part: is_number(part) and 0 <= part <= 1,
        "the paper's 60, 20, 20 of 100 rounds",
    ),
    "recipe.loss": choice("sse", ("sse", "cross_entropy"), "training loss of wage (A10)"),
    "recipe.gradient_bits": whole(8, 8, "kG: bits of the master weights and their steps (A2)", high=12),
    "recipe.clip_bits": choice("gradient", ("gradient", "weights"), "grid that bounds the master (A4)"),
    "recipe.min_limit": real(0.75, 0, 1, "L_min of initial weights and layer scale (A1)", above=True),
    "recipe.input_bits": bits("bits of the input image; 0: the client's activation bits (A9)"),
    "recipe.shift": choice("round", ("round", "ceil"), "power of two that normalises errors and gradients (A11)"),
    "recipe.error_rounding": choice("nearest", ("nearest", "stochastic"), "rounding of errors (A11)"),
    "recipe.order": choice("wage", ("wage", "neurosim"), "quantise after or before pooling and ReLU (A15)"),
    "recipe.aggregation": choice(
        "stochastic", ("stochastic", "nearest", "none"), "server rounding to 8 bits; none keeps float32 (A7)"
    ),
    "recipe.momentum": real(0.9, 0, 0.999, "momentum of the float32 recipe"),
    "exact": boolean(
        True, "sums of products exact for any input; false allows plain float32 sums where they are faster"
    ),
    # --- clients
    "num_clients": whole(20, 1, "registered clients N"),
    "cohort_size": whole(0, 0, "clients drawn each round; 0: all (A13)"),
    "local_epochs": whole(1, 1, "passes over a client's images per round (A12)", high=1_000_000),
    "batch_size": whole(32, 1, "images per local step; a last partial batch is masked, never dropped (A12)"),
    "executor": choice("auto", ("auto", "vmap", "map", "chunk", "shard"), "how clients are lifted; same bits"),
    "chunk_size": whole(20, 1, "clients at a time under chunk, and under shard on accelerators"),
    # --- precision, hardware, payload
    "selector.name": name("halo_ps", "a name in halo_jax.selectors.SELECTORS", "who picks the precision"),
    "selector.start": precision("8-8-8", "precision of every client before the first round"),
    "selector.floor": precision("2-4-4", "lowest precision that a selector may pick"),
    "selector.step": whole(2, 1, "bits that one reduction takes away", high=6),
    "selector.min_gain": real(0.01, 0, 1, "smallest relative gain worth a reduction; 0 is Algorithm 1 to the letter"),
    "selector.reduce_every": whole(0, 0, "rounds between reductions; 1 is Algorithm 1 to the letter; 0: reduce_rounds"),
    "selector.reduce_rounds": numbers(
        (), "round numbers from 1; empty: 35 % and 70 % of the rounds", is_round, "rounds that reduce"
    ),
    "selector.reduce_when": choice(
        "rounds",
        ("rounds", "learning_rate", "plateau"),
        "in the rounds of the two fields above, as each new learning rate begins, or as a client's loss stops falling",
    ),
    "selector.patience": whole(3, 1, "rounds in a row without gain in a client's training loss that plateau waits"),
    "selector.plateau_gain": real(0.01, 0, 1, "relative fall of a client's training loss that plateau takes for gain"),
    "demand.energy_clients": whole(7, 0, "the first so many clients want low energy"),
    "demand.latency_clients": whole(7, 0, "the next so many want low latency"),
    "demand.area_clients": whole(6, 0, "the next so many want low area; any others keep their precision"),
    "demand.energy_mj": budget("energy"),
    "demand.latency_s": budget("latency"),
    "demand.area_mm2": budget("area"),
    "demand.weights": numbers(
        (),
        "three numbers from 0, or three for each client; empty: 1 for a client's constraint, 0 elsewhere",
        lambda weight: is_number(weight) and 0 <= weight <= 1e6,
        "how much energy, latency and area count for `weighted`",
    ),
    "hardware.name": name("halosim", "a name in halo_jax.hardware.PLATFORMS", "the chip that prices a precision"),
    "hardware.device": Field(
        "calibrated",
        "a preset of the platform, or the path of a YAML file, at most 1000 printable characters",
        lambda device: len(device) <= 1000 and device.isprintable(),
        "constants of the chip",
    ),
    "hardware.width": real(1.0, 0, 4, "width at which the network is priced, whatever it trains at", above=True),
    "precision": Field(
        "8-8-8",
        "'bw-ba-be' of 1 to 16 bits each, or a grid such as '2..8-4,6,8-4..8'",
        is_grid,
        "what the study `cost` prices",
    ),
    "sort_by": choice("energy_mj", ("energy_mj", "latency_s", "area_mm2"), "order of a grid's table"),
    "image_shape": numbers(
        (),
        "height, width, channels, from 1 to 4096 each; empty: the data set's",
        is_size,
        "input of a study's network",
    ),
    "num_classes": whole(0, 0, "outputs of a study's network; 0: the data set's", high=1_000_000),
    "compressor.name": name("identity", "a name in halo_jax.compressors.COMPRESSORS", "what a client uploads (A6)"),
    "compressor.error_feedback": boolean(False, "what a message leaves out is added to the client's next update"),
    "compressor.bits": whole(0, 0, "bits a number; 0: the system's own (uniform: the client's weight bits)", high=8),
    "compressor.rounding": choice("stochastic", ("stochastic", "nearest"), "rounding of uniform"),
    "compressor.levels": whole(0, 0, "levels above zero of qsgd, lfl, adaquantfl; 0: the system's own", high=255),
    "compressor.down_levels": whole(0, 0, "levels of lfl's broadcast; 0: its own", high=255),
    "compressor.norm": choice("own", ("own", "l2", "max"), "scale of qsgd"),
    "compressor.scope": choice("own", ("own", "tensor", "flat"), "what shares a scale"),
    "compressor.scaler": choice("sigma", ("sigma", "max"), "scale of terngrad"),
    "compressor.clip": real(2.5, 0, 1e6, "terngrad clips beyond so many standard deviations; 0: never"),
    "compressor.share_scaler": boolean(True, "terngrad: one scale for the cohort, so that ternary sums are whole"),
    "compressor.rate": whole(0, 0, "nominal bits a number of uveqfed and jopeq; 0: the system's own", high=8),
    "compressor.lattice": whole(0, 0, "dimensions of the lattice of uveqfed and jopeq; 0: the system's own", high=2),
    "compressor.epsilon": real(4.0, 0, 1e6, "privacy budget of jopeq, per number and round", above=True),
    "compressor.client_bits": numbers(
        (4, 8),
        "whole numbers from 2 to 8; empty: the client's weight bits",
        lambda bits: type(bits) is int and 2 <= bits <= 8,
        "bits that fedhq deals to clients in turn",
    ),
    "compressor.slack": real(1.0, 0, 1e6, "how readily laq skips an upload; 0: by its error terms alone"),
    "compressor.max_skips": whole(100, 0, "uploads in a row that laq may skip"),
    "compressor.dimension": whole(16, 2, "numbers in a block of hsq", high=64),
    "compressor.codewords": whole(256, 2, "directions that hsq knows", high=1024),
    "compressor.norm_bits": whole(6, 1, "bits of the length of hsq's block", high=16),
    "compressor.unbiased": boolean(False, "hsq draws the direction, so that the mean is right; false: the nearest one"),
    "compressor.keep": real(1.0, 0, 1, "share of filters that fl_pqsu keeps", above=True),
    "compressor.prune_round": whole(0, 0, "rounds before fl_pqsu prunes"),
    "compressor.share": real(0.01, 0, 1, "share of the numbers that topk sends", above=True),
    "compressor.scale": choice("unbiased", ("unbiased", "mse"), "scale of eden"),
    "compressor.rank": whole(2, 1, "rank of powersgd", high=64),
    # --- noise, as standard deviations
    "noise.weights": real(0.0, 0, 1, "of what crossbars hold of the weights; the paper's hardware noise: 0.05, 0.1"),
    "noise.errors": real(0.0, 0, 1, "of what crossbars hold of the errors, for weight gradients"),
    "noise.inputs": real(0.0, 0, 1, "of the pixels of every image; the paper's input noise: 0.05, 0.1"),
    "noise.relative_to": choice("value", ("value", "range"), "fractions of each value, or of the largest possible one"),
    "noise.per": choice(
        "programming", ("programming", "read"), "weights are drawn when programmed, or for each pass that reads them"
    ),
    "noise.during": choice("both", ("both", "training", "inference"), "where noise acts"),
    # --- the virtual clock
    "clock.up_mbps": per_client("infinitely fast", "megabits per second from a client to the server", 1e-6, 1e6),
    "clock.down_mbps": per_client("infinitely fast", "megabits per second from the server to a client", 1e-6, 1e6),
    "clock.jitter": real(0.0, 0, 0.5, "standard deviation of a link's rate from round to round, relative to its mean"),
    "clock.deadline_s": real(0.0, 0, 1e9, "virtual seconds after which a round drops who is missing; 0: it waits"),
    "clock.battery_joule": per_client("without end", "energy that a client can train with, in all", 1e-9, 1e12),
    # --- evaluation
    "evaluation.precision": Field(
        "",
        "'bw-ba-be' with 2 to 8 bits each; empty: 8-8-8, or a static arm's own",
        lambda text: text == "" or is_precision(text),
        "precision at which the server's model is tested (A8)",
    ),
    "evaluation.target_percent": real(0.0, 0, 100, "accuracy up to which payload is counted; 0: none"),
    "evaluation.batch_size": whole(100, 1, "test images per step; devices share the steps"),
}
