"""What can be wrong with a run folder: damages of its files, values, links and names, drawn at random."""

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

STRANGE: list[Any] = [
    *(
        "",
        "..",
        "../neighbour",
        "x/../../neighbour",
        "/",
        "/etc/passwd",
        "~",
        ".",
        "a\0b",
        "\x1b[2J",
        "two\nlines",
        "[/x]",
    ),
    *("a$\\frac$", "<script>", "=1+1", "é" * 300, "nan", "inf", "-1", "1e400", "9" * 30, "8-8-8", "2-2-2", "halo_ps"),
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 0.5, -0.5, 1e308, float("nan"), float("inf"), -float("inf")),
    *([], {}, [None], [[]], {"a": {"b": []}}, ["x/../../neighbour"], [".."], [5], [2**40], list(range(2000)), [0] * 5),
]
NAMES = (
    "..x",
    "seed_0",
    "seed_x",
    "halo_ps",
    "8-8-8",
    "checkpoints",
    "figures",
    "3",
    "a$\\frac$",
    "[/x]".replace("/", ""),
    "=1+1",
)


class Damage:
    """Damages of one folder; `done` says which, in words."""

    def __init__(self, draw: random.Random, folder: Path, neighbour: Path):
        self._draw, self._folder, self._neighbour = draw, folder, neighbour
        self.done: list[str] = []

    def once(self) -> None:
        """One more damage."""
        kinds = (self._bytes, self._bytes, self._lines, self._value, self._value, self._value, self._cell, self._cell)
        kind = self._draw.choice((*kinds, self._link, self._link, self._place, self._name, self._mode))
        kind()

    def _paths(self, suffix: str = "", files: bool = True) -> list[Path]:
        found = [path for path in sorted(self._folder.rglob(f"*{suffix}")) if not path.is_symlink()]
        return [path for path in found if path.is_file() and path.stat().st_size < 2**20] if files else found

    def _say(self, what: str, path: Path) -> None:
        self.done.append(f"{what} of {path.relative_to(self._folder)}")

    def _bytes(self) -> None:
        """Flip, cut, insert or repeat bytes of a file."""
        if not (paths := self._paths()):
            return
        path = self._draw.choice(paths)
        raw = bytearray(path.read_bytes())
        at = self._draw.randrange(len(raw) + 1)
        kind = self._draw.choice(("bit", "cut", "noise", "repeat", "empty"))
        if kind == "bit" and raw:
            raw[at % len(raw)] ^= 1 << self._draw.randrange(8)
        elif kind == "cut":
            raw = raw[:at]
        elif kind == "noise":
            raw[at:at] = self._draw.randbytes(self._draw.randrange(1, 40))
        elif kind == "repeat":
            raw[at:at] = raw[: self._draw.randrange(len(raw) + 1)]
        else:
            raw = bytearray()
        path.write_bytes(raw)
        self._say(kind, path)

    def _lines(self) -> None:
        """Drop, double or swap lines of a text."""
        if not (paths := self._paths(".csv") + self._paths(".json")):
            return
        path = self._draw.choice(paths)
        lines = path.read_bytes().split(b"\n")
        at, other = self._draw.randrange(len(lines)), self._draw.randrange(len(lines))
        kind = self._draw.choice(("dropped line", "doubled line", "swapped lines"))
        if kind == "dropped line":
            del lines[at]
        elif kind == "doubled line":
            lines.insert(at, lines[other])
        else:
            lines[at], lines[other] = lines[other], lines[at]
        path.write_bytes(b"\n".join(lines))
        self._say(kind, path)

    def _value(self) -> None:
        """Put a strange value into a JSON object, or take a name out of it."""
        if not (paths := [path for path in self._paths(".json") if _object(path)]):
            return
        path = self._draw.choice(paths)
        node = whole = _object(path)
        while True:
            name = self._draw.choice(sorted(node))
            if not (isinstance(node[name], dict) and node[name] and self._draw.random() < 0.8):
                break
            node = node[name]
        kind = self._draw.choice(("value", "value", "value", "item", "missing", "new"))
        strange = self._draw.choice(STRANGE)
        if kind == "missing":
            del node[name]
        elif kind == "new":
            node[str(strange)[:50]] = self._draw.choice(STRANGE)
        elif kind == "item" and isinstance(node[name], list):
            node[name] = [*node[name], strange]
        else:
            node[name] = strange
        path.write_text(json.dumps(whole))
        self._say(f"{kind} {name}={str(strange)[:40]!r}", path)

    def _cell(self) -> None:
        """Put a strange cell into a table."""
        if not (paths := self._paths(".csv")):
            return
        path = self._draw.choice(paths)
        rows = [line.split(",") for line in path.read_text(errors="replace").split("\n")]
        row = self._draw.choice(rows)
        strange = str(self._draw.choice(STRANGE))[:400]
        row[self._draw.randrange(len(row))] = strange
        path.write_bytes("\n".join(map(",".join, rows)).encode(errors="replace"))
        self._say(f"cell {strange[:40]!r}", path)

    def _link(self) -> None:
        """A link in place of something, or beside it: to the neighbour, a device, nothing or itself."""
        inside = [str(path) for path in sorted(self._neighbour.rglob("*"))]
        to = self._draw.choice([str(self._neighbour), *inside, "/dev/zero", "nothing", "."])
        if self._draw.random() < 0.7 and (paths := self._paths(files=False)):
            path = self._draw.choice(paths)
            _remove(path)
        else:
            names = (
                ".config.json.tmp",
                ".halo_jax.lock",
                "checkpoints",
                "figures",
                "tensorboard",
                "claims.csv",
                "seed_7",
            )
            path = self._folder / self._draw.choice(names)
            if path.is_symlink() or path.exists():
                _remove(path)
        path.symlink_to(to)
        self._say(f"link to {to}", path)

    def _place(self) -> None:
        """A folder, a pipe or a sparse terabyte in place of a file; a file in place of a folder; or nothing."""
        if not (paths := self._paths(files=False)):
            return
        path = self._draw.choice(paths)
        kind = self._draw.choice(("folder", "pipe", "terabyte", "file", "nothing"))
        _remove(path)
        if kind == "folder":
            (path / "inside").mkdir(parents=True)
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind != "nothing":
            path.write_bytes(b"x")
            os.truncate(path, 2**40 if kind == "terabyte" else 1)
        self._say(f"{kind} in place", path)

    def _name(self) -> None:
        """Another name for something, or a copy of it under another name."""
        if not (paths := self._paths(files=False)):
            return
        path = self._draw.choice(paths)
        to = path.with_name(self._draw.choice((*NAMES, ".config.json.tmp", "sha256.json", "config.json", "rounds.csv")))
        if to.exists() or to.is_symlink():
            return
        if self._draw.random() < 0.5:
            path.rename(to)
        elif path.is_dir():
            shutil.copytree(path, to, symlinks=True)
        else:
            shutil.copy(path, to, follow_symlinks=False)
        self.done.append(f"{path.relative_to(self._folder)} called {to.name}")

    def _mode(self) -> None:
        """Another mode."""
        if paths := self._paths(files=False):
            path = self._draw.choice(paths)
            path.chmod(self._draw.choice((0o000, 0o444, 0o777)))
            self._say("mode", path)


def _object(path: Path) -> Any:
    """The JSON object in a file, or nothing."""
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found else None


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
