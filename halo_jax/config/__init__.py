"""What an experiment is: fields with defaults, ranges and reasons, arms, and the plan of seeds and points."""

from halo_jax.config.entries import all_fields
from halo_jax.config.errors import ConfigError, naming, show
from halo_jax.config.fields import FIELDS
from halo_jax.config.schema import (
    Config,
    all_take_part,
    cohort_size,
    default,
    explain,
    get,
    parse,
    put,
    unknown_field,
    validate,
)

__all__ = [
    "FIELDS",
    "Config",
    "ConfigError",
    "all_fields",
    "all_take_part",
    "cohort_size",
    "default",
    "explain",
    "get",
    "naming",
    "parse",
    "put",
    "show",
    "unknown_field",
    "validate",
]
