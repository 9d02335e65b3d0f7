"""The rows of `seed_rows` for a terminal, and what their columns mean."""

from collections.abc import Callable, Sequence

from rich.table import Table

from halo_jax.paper import NOTES
from halo_jax.reporting.numbers import UNKNOWN, shown
from halo_jax.reporting.seed_rows import SeedRow
from halo_jax.reporting.terminal import Column, draw_table


def caption(target_percent: float = 0, paper: str = "") -> str:
    """What the columns mean; `paper` names the paper's table that stands beside the rows."""
    goal = f"the goal of {target_percent:g} %" if target_percent else "a goal (evaluation.target_percent)"
    return (
        "Change: in points of top-1 from the first arm, seed by seed. QT: clients train in low precision. HQ: clients "
        "have bits of their own. Up and down: packed, per client and round. MB, J and s: all clients, rounds and ways, "
        f"to the end and to {goal}; 1 MB = 10^6 bytes; J by the cost model, float32 training as if it had the bits in "
        "brackets; s by the virtual clock. mJ, s, mm²: energy, latency and area of one sample. "
        f"{NOTES.get(paper, '')}"
    ).strip()


def render(table: Sequence[SeedRow], caption: str) -> Table:
    """The rows for a terminal of 80 columns."""
    columns = dict(_COLUMNS)
    if any(row.paper_accuracy_percent is not None for row in table):
        columns["Paper %\nours -"] = _paper
    cells = [["\n".join(lines_of(row)) for lines_of in columns.values()] for row in table]
    heads = [Column(head, is_number=head != "Arm") for head in columns]
    return draw_table(heads, cells, caption=caption, spaced=True)


def _arm(row: SeedRow) -> list[str]:
    """The arm, what is special about its training, and the bits at which float32 training is priced."""
    kinds = ", ".join(name for name, holds in (("QT", row.quantised_training), ("HQ", row.own_bits)) if holds)
    return [row.arm, *filter(None, (kinds, row.priced_at and f"({row.priced_at})"))]


def _accuracy(row: SeedRow) -> list[str]:
    top1 = shown(row.accuracy_percent, ".2f") + _spread(row.accuracy_spread_percent)
    change = shown(row.change_points, "+.2f") + _spread(row.change_spread_points)
    return [top1, change, shown(row.top5_accuracy_percent, ".2f")]


def _payload(row: SeedRow) -> list[str]:
    ways = (row.up_megabytes, row.down_megabytes)
    return [shown(None if megabytes is None else 1000 * megabytes) for megabytes in ways]


def _to_the_end(row: SeedRow) -> list[str]:
    return [shown(row.total_megabytes), shown(row.energy_joule), shown(row.virtual_seconds)]


def _to_the_goal(row: SeedRow) -> list[str]:
    return [shown(row.target_megabytes), shown(row.target_joule), shown(row.target_seconds)]


def _sample(row: SeedRow) -> list[str]:
    return [shown(row.energy_mj), shown(row.latency_s), shown(row.area_mm2)]


def _paper(row: SeedRow) -> list[str]:
    if row.paper_accuracy_percent is None:
        return [UNKNOWN]
    megabytes = [] if row.paper_megabytes is None else [f"{row.paper_megabytes:g} MB"]
    return [shown(row.paper_accuracy_percent, ".2f"), shown(row.paper_difference_points, "+.2f"), *megabytes]


def _spread(value: float | None) -> str:
    return "" if value is None else f" ± {value:.{1 if value >= 10 else 2}f}"


_COLUMNS: dict[str, Callable[[SeedRow], list[str]]] = {  # head -> the lines of a row
    "Arm": _arm,
    "Top-1 %\nchange\nTop-5": _accuracy,
    "Up kB\nDown": _payload,
    "MB\nJ\ns": _to_the_end,
    "to\ngoal": _to_the_goal,
    "mJ\ns\nmm²": _sample,
}
