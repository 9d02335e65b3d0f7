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
}


def unit_of(field: str) -> str:
    """The unit of a field as it is shown: "mJ" of "energy_mj"; nothing of "round", which counts or names."""
    quantity, _, last = field.rpartition("_")
    return UNITS.get(last, "") if quantity else ""


def quantity_of(field: str) -> str:
    """What a field measures, in words: "energy" of "energy_mj", "payload up" of "payload_up_bits"."""
    return (field.rpartition("_")[0] if unit_of(field) else field).replace("_", " ")
