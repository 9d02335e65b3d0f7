"""What the documentation holds: pages, links, commands, Python and tables with the results that they quote."""

import csv
import itertools
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("experiments/*/README.md"))]
PROGRAMS = ("apt-get", "basedpyright", "jupyter", "mkdocs", "pip", "pytest", "python", "ruff", "srun")
_NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:\.\d+)?(?:e\d+)?")


def name_of(page: Path) -> str:
    """A page as a test calls it."""
    return page.relative_to(ROOT).as_posix()


def links(page: Path) -> list[str]:
    """What a page links to in the repository, without the part of the page that is meant."""
    return re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", page.read_text())


def python_blocks(page: Path) -> list[str]:
    """The blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """The commands of a page: lines of its blocks, what stands in `code` and begins like one, and rows of tables."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    text = text.replace("\\\n", " ")
    in_blocks = re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
    in_line = [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
    shown = [code for code in in_line if code.partition(" ")[0] in PROGRAMS and " " in code and not code.endswith("/")]
    parts = [part.strip() for line in (*in_blocks, *shown) for part in re.split(r" && |  +# ", line)[:2]]
    return [part for part in parts if not part.startswith("and ")] + list(_of_tables(text))


def _of_tables(text: str) -> Iterator[str]:
    """What tables say whose head is "command: `python launch.py --config=experiments/`": a file, or a variant of it."""
    head = r"^\| command: `(python launch\.py --config=\S+/)` .*\n\|[-|]+\|\n((?:\|.*\n)+)"
    for begin, rows in re.findall(head, text, re.MULTILINE):
        for row in rows.splitlines():
            file = ""
            for code in re.findall(r"`([^`]+)`", row.split("|")[1]):
                file = file if code.startswith(":") else code.partition(":")[0]
                yield f"{begin}{file}{code[len(file) :] if not code.startswith(':') else code}"


def words(command: str) -> list[str]:
    """A command as a shell splits it."""
    return shlex.split(command)


class Quote(NamedTuple):
    """A table of a page, and the files of results that it quotes."""

    page: Path
    files: list[Path]
    rows: list[list[str]]  # without the head; cells


def quotes() -> list[Quote]:
    """Every table below a line `<!-- from FILE, FILE -->`."""
    table = r"^<!-- from (.+) -->\n\|.*\n\|[-|]+\|\n((?:\|.*\n)+)"
    return [
        Quote(
            page,
            [ROOT / file for file in files.split(", ")],
            [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows.splitlines()],
        )
        for page in PAGES
        for files, rows in re.findall(table, page.read_text(), re.MULTILINE)
    ]


def numbers_in(cells: list[str]) -> list[str]:
    """The numbers of a row of a table, as written; what is in its first cell is a name."""
    return [number for cell in cells[1:] for number in _NUMBER.findall(cell)]


def is_quoted(row: list[str], files: list[Path]) -> bool:
    """Whether all numbers of a row of a table stand in one group of each file's numbers."""
    written = numbers_in(row)
    for chosen in itertools.product(*(groups(file) for file in files)):
        if all(any(_same(number, found) for found in itertools.chain(*chosen)) for number in written):
            return True
    return False


def groups(file: Path) -> list[list[float]]:
    """The numbers of a file of results that may stand in one row of a table."""
    return _groups_of_csv(file) if file.suffix == ".csv" else [_numbers_of_benchmark(json.loads(file.read_text()))]


def _groups_of_csv(file: Path) -> list[list[float]]:
    """The numbers of rows of one name, their changes from the first row, and the means of all rows."""
    with file.open() as opened:
        rows = list(csv.reader(opened))[1:]
    numbers = [[_float(cell) for cell in row] for row in rows]
    found: dict[str, list[float]] = {}
    name_ends = numbers[0].index(None) + 1  # with the first cell that is no number
    for row, values in zip(rows, numbers, strict=True):
        group = found.setdefault(" ".join(row[:name_ends]), [])
        for value, first in zip(values, numbers[0], strict=True):
            if value is not None:
                group += [value] if not first else [value, value - first, 100 * (value / first - 1)]
    columns = [[value for value in column if value is not None] for column in zip(*numbers, strict=True)]
    return [*found.values(), [sum(column) / len(column) for column in columns if column]]


def _numbers_of_benchmark(record: dict[str, Any]) -> list[float]:
    """Ratios both ways, and what cases took: a run, a sample, a precision."""
    ratios = record["ratios"]
    found = [number for ratio in ratios.values() if ratio for number in (ratio, 1 / ratio)]
    for case in {name.rpartition(": float32 GF/s")[0] for name in ratios if ": float32 GF/s" in name}:
        useful = ratios[f"{case}: float32 GF/s / GEMM GF/s"] / ratios[f"{case}: quantisers: halo_jax / float32, auto"]
        found.append(100 * useful)  # percent, of the quantised step
    for worker in (worker for group in record["groups"] for worker in group["workers"] if "median_s" in worker):
        case, seconds = worker["case"], worker["median_s"]
        found.append(seconds)
        if "clients" in case and "batch" in case:
            found.append(1e6 * seconds / (case["clients"] * case["batch"]))  # us a sample
        if "calls" in case:
            calls, layers = case["calls"], worker["facts"]["layers"]
            each = case["batch"] or 1
            found += [calls * each / seconds, calls * each * layers / seconds, 1e6 * seconds / calls]
    return found


def _float(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _same(written: str, found: float) -> bool:
    """Whether a number is `found`, rounded as it is written; a table may give kB where a file has MB."""
    digits, _, exponent = written.partition("e")
    decimals = len(digits.partition(".")[2])
    half = 0.5001 * 10.0 ** (int(exponent or 0) - decimals)
    return any(abs(float(written) - scale * found) <= half for scale in (1, 1000))
