"""What the paper prints: its tables' numbers, as printed, and which of them stands beside an arm of ours.

Source: HaLo-FL (DATE 2024), Tables II, III and IV.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

TABLE2: dict[str, dict[str, str]] = {  # accuracy % (TinyImageNet: top-5), energy mJ, latency s, area mm2
    "cifar10": {
        "8-8-8": "80.20 1.83 1.01 1070.93",
        "HaLo-FL": "80.14 1.45 0.93 976.44",
        "HaLo-FL-E": "80.14 1.16 1.01 1024.18",
        "HaLo-FL-L": "80.14 1.42 0.78 1070.93",
        "HaLo-FL-A": "80.14 1.76 1.01 834.21",
        "2-4-4": "78.37 0.45 0.51 313.56",
    },
    "emnist": {
        "8-8-8": "86.69 1.26 0.87 935.86",
        "HaLo-FL": "86.55 0.99 0.81 853.64",
        "HaLo-FL-E": "86.55 0.80 0.87 893.16",
        "HaLo-FL-L": "86.55 0.98 0.67 935.86",
        "HaLo-FL-A": "86.55 1.21 0.87 731.90",
        "2-4-4": "83.91 0.31 0.44 279.79",
    },
    "tiny_imagenet": {
        "8-8-8": "54.67 26.07 1.97 2204.57",
        "HaLo-FL": "54.81 20.62 1.82 1995.75",
        "HaLo-FL-E": "54.81 16.47 1.97 2047.79",
        "HaLo-FL-L": "54.81 20.18 1.53 2204.57",
        "HaLo-FL-A": "54.81 25.22 1.97 1734.90",
        "2-4-4": "47.45 6.48 0.99 641.59",
    },
}
TOP5_SETS = ("tiny_imagenet",)  # whose accuracy in Table II is top-5

# Table III: accuracy % of HaLo-FL on CIFAR10 under noise of the weights in crossbars and of the input images.
TABLE3: dict[tuple[float, float], float] = {
    (0, 0): 80.14,
    (0.05, 0): 79.98,
    (0.1, 0): 79.39,
    (0, 0.05): 79.73,
    (0, 0.1): 79.59,
}

HALO_FL_MEGABYTES = 1.52
# Table IV: accuracy % on CIFAR10 and MB a round.
TABLE4: dict[str, tuple[float, float | None]] = {
    "qa_fl": (74.90, None),
    "uveqfed": (76.0, None),
    "terngrad": (82.80, 6.0),
    "lfl": (85.0, None),
    "fedhq": (86.0, None),
    "adaquantfl": (69.12, None),
    "laq": (87.96, 0.65),
    "hsq": (93.77, 0.67),
    "jopeq": (71.0, None),
    "fl_pqsu": (90.9, 3.17),
    "halo_ps": (80.14, HALO_FL_MEGABYTES),
}

NOTES = {
    "table2": "Paper: Table II, VGG7 at width 1, 20 clients, 100 rounds; TinyImageNet's accuracy is top-5.",
    "table3": "Paper: Table III, HaLo-FL on CIFAR10 under noise.",
    "table4": "Paper: Table IV quotes other networks, client counts and meanings of a round, on CIFAR10.",
}


class Printed(NamedTuple):
    """What the paper prints for an arm, None where nothing."""

    accuracy_percent: float | None = None
    megabytes: float | None = None
    top5: bool = False  # whether that accuracy is top-5


def printed(table: str, arm: str, config: Mapping[str, Any]) -> Printed:
    """What stands in `table` ("table2", "table3", "table4", or "" for none) for an arm with this config."""
    selector, noise, name = config["selector"], config["noise"], arm.rpartition("/")[2].partition(":")[0]
    if table == "table4":
        return Printed(*TABLE4.get(name, (None, None)))
    ours = config["recipe"]["name"] == "wage" and selector["name"] in ("halo_ps", "static")
    dataset = config["dataset"].removesuffix("/balanced")
    if table == "table2" and ours and not (noise["weights"] or noise["errors"] or noise["inputs"]):
        row = "HaLo-FL" if selector["name"] == "halo_ps" else selector["start"]
        numbers = TABLE2.get(dataset, {}).get(row)
        return Printed(float(numbers.split()[0]), None, dataset in TOP5_SETS) if numbers else Printed()
    papers = [noise["relative_to"], noise["per"], noise["during"]] == ["value", "programming", "both"]
    if table == "table3" and ours and selector["name"] == "halo_ps" and papers:
        of_errors = noise["errors"] in (
            0,
            noise["weights"],
        )  # the paper names both, and then weights alone
        return Printed(TABLE3.get((noise["weights"], noise["inputs"]))) if of_errors else Printed()
    return Printed()
