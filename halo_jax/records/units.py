"""Quantities and units: the unit of a field ends its name, as in `energy_mj`, and is shown as it stands here."""

UNITS = {
    "mj": "mJ",
    "joule": "J",
    "s": "s",
    "seconds": "s",
    "mm2": "mm²",
    "bits": "bits",
    "kilobytes": "kB",
    "megabytes": "MB",
    "percent": "%",
    "points": "points",
    "ratio": "ratio",
}
_SHOWN = {  # quantities that have a shorter name than that of their field
    "accuracy": "top-1",
    "top5_accuracy": "top-5",
    "payload_up": "up",
    "payload_down": "down",
    "density": "TOPS/mm²",
}


def unit_of(field: str) -> str:
    """The unit of a field as it is shown: "mJ" of "energy_mj"; nothing of "round", which counts or names."""
    quantity, _, last = field.rpartition("_")
    return UNITS.get(last, "") if quantity else ""


def quantity_of(field: str) -> str:
    """What a field measures, in words: "energy" of "energy_mj", "top-1" of "accuracy_percent"."""
    quantity = field.rpartition("_")[0] if unit_of(field) else field
    return _SHOWN.get(quantity, quantity.replace("_", " "))


def label_of(field: str) -> str:
    """What stands at an axis: "energy (mJ)" of "energy_mj"."""
    return f"{quantity_of(field)} ({unit_of(field)})"


def head_of(field: str) -> str:
    """What stands above a column, in two lines: "Energy" and "mJ" of "energy_mj"."""
    quantity = quantity_of(field)
    return f"{quantity[0].upper()}{quantity[1:]}\n{unit_of(field)}"
