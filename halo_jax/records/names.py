"""What runs are called: arms in tables and figures, and runs of several seeds together."""

import re

_LABELS = {"halo_ps": "HaLo-FL"}  # what tables and figures call an arm, where not by its own name


def arm_label(arm: str) -> str:
    """What tables and figures call an arm: "a/HaLo-FL (recipe.name=wage)" for "a/halo_ps:recipe.name=wage"."""
    folder, slash, name = arm.rpartition("/")
    name, _, fields = name.partition(":")
    if not name:  # a folder of that name, and no arm
        return arm
    return folder + slash + _LABELS.get(name, name) + (f" ({fields.replace(',', ', ')})" if fields else "")


def is_of_one_precision(arm: str) -> bool:
    """Whether an arm is called by its precision, such as "8-8-8" or "8-8-8 (recipe.order=neurosim)"."""
    return re.match(r"\d+-\d+-\d+(?![\w-])", arm) is not None


def without_seed(name: str) -> str:
    """What runs of several seeds share: "8-8-8" of "seed_0/8-8-8", "rounds=5/8-8-8" of "rounds=5,seed=1/8-8-8"."""
    folders = (re.sub(r"^seed_\d+$|(?:^|,)seed=\d+(?=,|$)", "", folder).lstrip(",") for folder in name.split("/"))
    return "/".join(filter(None, folders))
