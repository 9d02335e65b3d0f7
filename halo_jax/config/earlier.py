"""Records of earlier versions, in which all entries of a table shared one flat section.

`compressor.levels` was the field of whichever compressor `compressor.name` named; it is `compressor.qsgd.levels` now. A
value that stood at the field's default of that time meant the entry's own.
"""

from collections.abc import Mapping
from typing import Any

from halo_jax.config.entries import of_entry

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
    config = dict(recorded)
    for section, defaults in _DEFAULTS.items():
        values = recorded.get(section)
        if not isinstance(values, Mapping) or not isinstance(values.get("name"), str):
            continue
        config[section] = {name: value for name, value in values.items() if name not in defaults}
        of_this_entry = of_entry(section, values["name"])
        for name, default in defaults.items():
            if f"{section}.{values['name']}.{name}" in of_this_entry and values.get(name, default) != default:
                config[section].setdefault(values["name"], {})[name] = values[name]
    recipe = config.get("recipe")
    if isinstance(recipe, dict) and "phases" in recipe:
        config["schedule"] = {"phases": recipe.pop("phases")}
    return config
