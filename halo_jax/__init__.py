"""Hardware-aware low-precision federated learning (HaLo-FL, DATE 2024) in JAX: `import halo_jax as hj`.

Clients with energy, latency or area constraints train one model, each with its own bits for weights, activations and
errors. What stands here is public, and what cannot be reached from here is not. Each name is loaded on first use.

    config = hj.default_config()                      an experiment; its fields stand in `hj.config.FIELDS`
    runs = hj.run(config, "runs/x")                   train it
    model = hj.load("runs/x/halo_ps")                 what it has trained: `model.predict(images)`
    layers, names, skipped = hj.trace_layers(net, (32, 32, 3))
    hj.hardware.halosim.evaluate(layers, hj.Precision(6, 4, 8))
    hj.SELECTORS["mine"] = mine                       an entry of one's own; the other tables alike

The rooms, each of which may import those above it: `types`, `paper`, `parameters`; `runtime` (the machine), `numerics`
(numbers of a few bits), `tracing` (the layers of any network), `hardware`, `selectors`, `compressors`, `recipes`,
`models`, `datasets` (tables of entries), `federation` (one round), `config`, `records`, `figures`, `reporting`,
`runner` (from a config to a trained run) and `studies` (questions to the chip alone).
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from halo_jax import compressors, config, datasets, hardware, models, parameters, recipes, records, selectors
    from halo_jax.compressors import COMPRESSORS
    from halo_jax.config import ConfigError
    from halo_jax.config import default as default_config
    from halo_jax.datasets import DATASETS, Dataset
    from halo_jax.hardware import PLATFORMS
    from halo_jax.models import MODELS
    from halo_jax.numerics.arithmetic import Arithmetic
    from halo_jax.numerics.layers import QuantConv, QuantDense, max_pool
    from halo_jax.numerics.quantize import quantize_activation, quantize_error, quantize_weight
    from halo_jax.numerics.wage import Numerics
    from halo_jax.recipes import RECIPES
    from halo_jax.runner.load_model import load
    from halo_jax.runner.run_experiment import run
    from halo_jax.runner.trained_model import TrainedModel
    from halo_jax.selectors import SELECTORS
    from halo_jax.studies.run_study import run_study
    from halo_jax.tracing import trace_layers
    from halo_jax.types import Constraint, Cost, Demand, LayerShape, Noise, Precision

_NAMESPACES = (
    *("compressors", "config", "datasets", "hardware", "models", "parameters", "recipes", "records", "selectors"),
)
_NAMES = {  # the module that has each, and its name there where it is another
    "Arithmetic": "numerics.arithmetic",
    "COMPRESSORS": "compressors",
    "Constraint": "types",
    "ConfigError": "config",
    "Cost": "types",
    "DATASETS": "datasets",
    "Dataset": "datasets",
    "Demand": "types",
    "LayerShape": "types",
    "MODELS": "models",
    "Noise": "types",
    "Numerics": "numerics.wage",
    "PLATFORMS": "hardware",
    "Precision": "types",
    "QuantConv": "numerics.layers",
    "QuantDense": "numerics.layers",
    "RECIPES": "recipes",
    "SELECTORS": "selectors",
    "TrainedModel": "runner.trained_model",
    "default_config": "config:default",
    "load": "runner.load_model",
    "max_pool": "numerics.layers",
    "quantize_activation": "numerics.quantize",
    "quantize_error": "numerics.quantize",
    "quantize_weight": "numerics.quantize",
    "run": "runner.run_experiment",
    "run_study": "studies.run_study",
    "trace_layers": "tracing",
}
__all__ = [
    "COMPRESSORS",
    "DATASETS",
    "MODELS",
    "PLATFORMS",
    "RECIPES",
    "SELECTORS",
    "Arithmetic",
    "ConfigError",
    "Constraint",
    "Cost",
    "Dataset",
    "Demand",
    "LayerShape",
    "Noise",
    "Numerics",
    "Precision",
    "QuantConv",
    "QuantDense",
    "TrainedModel",
    "compressors",
    "config",
    "datasets",
    "default_config",
    "hardware",
    "load",
    "max_pool",
    "models",
    "parameters",
    "quantize_activation",
    "quantize_error",
    "quantize_weight",
    "recipes",
    "records",
    "run",
    "run_study",
    "selectors",
    "trace_layers",
]
__version__ = importlib.metadata.version("halo_jax")


def __getattr__(name: str) -> Any:
    if name in _NAMESPACES:
        return importlib.import_module(f"halo_jax.{name}")
    if name in _NAMES:
        module, _, there = _NAMES[name].partition(":")
        value = getattr(importlib.import_module(f"halo_jax.{module}"), there or name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'halo_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMESPACES, *_NAMES})
