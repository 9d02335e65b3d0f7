"""Records of earlier versions, in which all entries of a table shared one flat section.

`compressor.levels` was the field of whichever compressor `compressor.name` named; it is `compressor.qsgd.levels` now. A
value that stood at the field's default of that time meant the entry's own.
"""

from collections.abc import Mapping
from typing import Any

from halo_jax.config.entries import SECTIONS, of_entry

_DEFAULTS: dict[str, dict[str, Any]] = {  # of each section, as they were
    "recipe": {
        **{"learning_rates": [], "loss": "sse", "gradient_bits": 8, "clip_bits": "gradient", "min_limit": 0.75},
        **{"input_bits": 0, "shift": "round", "error_rounding": "nearest", "order": "wage"},
        **{"aggregation": "stochastic", "momentum": 0.9},
    },
    "selector": {"step": 2, "min_gain": 0.01},
    "compressor": {
        **{"bits": 0, "rounding": "stochastic", "levels": 0, "down_levels": 0, "norm": "own", "scope": "own"},
        **{"scaler": "sigma", "clip": 2.5, "share_scaler": True, "rate": 0, "lattice": 0, "epsilon": 4.0},
        **{"client_bits": [4, 8], "slack": 1.0, "max_skips": 100, "dimension": 16, "codewords": 256},
        **{"norm_bits": 6, "unbiased": False, "keep": 1.0, "prune_round": 0, "share": 0.01, "scale": "unbiased"},
        **{"rank": 2},
    },
}


def modern(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded config with today's names; what it says of things that its entry does not take is left out."""
    found = dict(recorded)
    for section in _DEFAULTS:
        values = recorded.get(section)
        if isinstance(values, Mapping) and isinstance(values.get("name"), str):
            found[section] = _by_entry(section, values, recorded.get("arms"))
    recipe = found.get("recipe")
    if isinstance(recipe, dict) and "phases" in recipe:
        found["schedule"] = {"phases": recipe.pop("phases")}
    return found


def _by_entry(section: str, values: Mapping[str, Any], arms: Any) -> dict[str, Any]:
    """A section whose flat fields have become those of an entry; all are kept of one that no table here knows."""
    defaults, table = _DEFAULTS[section], SECTIONS[section].table
    flat = {name for name in defaults if name in values and not isinstance(values[name], Mapping)}
    found = {name: value for name, value in values.items() if name not in flat}
    named = [values["name"]]
    if section == "selector" and isinstance(arms, list) and arms:  # the fields were those of every arm's selector
        named = [name for name in (str(arm).partition(":")[0] for arm in arms) if name in table]
    for entry in named:
        own, changed = of_entry(section, entry), {name for name in flat if values[name] != defaults[name]}
        taken = {name for name in changed if entry not in table or f"{section}.{entry}.{name}" in own}
        if taken:
            found.setdefault(entry, {name: values[name] for name in taken})
    return found
