"""One way to show a value, in every table for a person."""

import math
from typing import Any

import numpy as np

from halo_jax.runtime.visible import visible

UNKNOWN = "-"


def shown(value: Any, form: str = "") -> str:
    """A value as text: four digits of a number, "-" for what is not known, "yes" or nothing for true and false.

    A number of another form, such as ".2f", is given that. A text is one printable line.
    """
    if isinstance(value, bool | np.bool_):
        return "yes" if value else ""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return UNKNOWN
    if form:
        return f"{value:{form}}"
    if isinstance(value, float | np.floating):
        return f"{value:.4g}" if abs(value) < 9999.5 else f"{value:.0f}"  # never with an exponent for what is large
    return visible(value)
