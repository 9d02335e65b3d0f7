"""What can be wrong with a file: bytes changed at random, words and values of texts, and that in files inside it."""

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import data_containers
from data_containers import NUMBERS, WORDS

Others = Sequence[bytes]
VALUES: tuple[Any, ...] = (*WORDS, *NUMBERS, -1, 0.5, 1e308, float("nan"), None, True, [], {}, [[]], ["1"] * 999)
# Of pickles: what calls, what names, what claims a length or a place, what nests and what doubles.
OPCODES = (
    b"cos\nsystem\n",
    b"\x93",
    b"R",
    b"b",
    b"\x81",
    b"\x8e" + b"\xff" * 8,
    b"B" + b"\xff" * 4,
    b"r\0\0\0\x80",
    b"i",
)
OPCODES += (
    b"\x85" * 5000,
    b"]" * 5000,
    b"(" * 5000,
    b")q\0" + b"h\0\x86q\0" * 70,
    b"\x8a\xff",
    b"j\xff\xff\xff\xff",
    b"Q",
)


def damaged(draw: random.Random, others: Others, raw: bytes) -> bytes:
    """The content of a file, damaged in one place or more; `others` are files of which something may be in it then."""
    if draw.random() < 0.05 and (bomb := data_containers.bombed(draw, raw)):
        return bomb  # which nobody opens up again
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        raw = _once(draw, others, raw)
    return raw


def _once(draw: random.Random, others: Others, raw: bytes) -> bytes:
    inside, form = data_containers.opened(raw), _form_of(raw)
    try:
        if inside and draw.random() < 0.8:
            return inside(draw, raw, lambda content: damaged(draw, others, content))
        if form and draw.random() < 0.7:
            return form(draw, others, raw)
    except Exception:  # it has been damaged before, and is no good file of its form
        pass
    return _anywhere(draw, others, raw)


def _form_of(raw: bytes) -> Callable[[random.Random, Others, bytes], bytes] | None:
    if raw.startswith((b"\x80\2}", b"\x80\4")):
        return _pickle
    if raw.startswith(b"{"):
        return _json
    start = raw[:300]
    return _text if start.isascii() and start.decode().replace("\n", "").replace("\t", "").isprintable() else None


def _anywhere(draw: random.Random, others: Others, raw: bytes) -> bytes:
    """Bits flipped; bytes cut off, taken out, doubled or overwritten; a number or something of another file put in."""
    changed = bytearray(raw)
    at = draw.randrange(min(len(raw), draw.choice((64, 512, len(raw) or 1))) + 1) if raw else 0
    length = draw.choice((1, 2, 4, 8, 64, 1024, len(raw) // 2 + 1))
    kind = draw.choice(
        (
            "flip",
            "flip",
            "number",
            "number",
            "number",
            "cut",
            "out",
            "double",
            "noise",
            "zeros",
            "move",
            "splice",
            "other",
        )
    )
    if kind == "flip":
        for _ in range(draw.choice((1, 1, 3, 20))):
            if changed:
                changed[draw.randrange(len(changed)) if draw.random() < 0.5 else at % len(changed)] ^= (
                    1 << draw.randrange(8)
                )
    elif kind == "number":
        some = data_containers.number(draw, draw.choice((1, 2, 4, 4, 8)))[:: draw.choice((1, -1))]
        changed[at : at + len(some) * draw.choice((0, 1, 1, 1))] = some
    elif kind == "cut":
        del changed[at:]
    elif kind == "out":
        del changed[at : at + length]
    elif kind == "double":
        changed[at:at] = changed[at : at + length] * draw.choice((1, 1, 50))
    elif kind == "noise":
        changed[at : at + draw.choice((0, length))] = draw.randbytes(min(length, 4096))
    elif kind == "zeros":
        changed[at : at + draw.choice((0, length))] = bytes(length) * draw.choice((1, 1000))
    elif kind == "splice":
        other = draw.choice(others)
        start = draw.choice((0, draw.randrange(len(other))))
        changed[at : at + draw.choice((0, length))] = other[start : start + length]
    elif kind == "other":
        changed[:] = draw.choice(others)
    else:
        taken = changed[at : at + length]
        del changed[at : at + length]
        to = draw.randrange(len(changed) + 1)
        changed[to:to] = taken
    return bytes(changed)


def _pickle(draw: random.Random, others: Others, raw: bytes) -> bytes:
    at = draw.randrange(min(len(raw), 300)) if draw.random() < 0.8 else draw.randrange(len(raw))
    return (
        raw[:at] + draw.choice(OPCODES) + raw[at:]
        if draw.random() < 0.6
        else _anywhere(draw, others, raw[:300]) + raw[300:]
    )


def _json(draw: random.Random, _: Others, raw: bytes) -> bytes:
    node = content = json.loads(raw)
    while True:
        keys: list[Any] = sorted(node) if isinstance(node, dict) else list(range(len(node)))
        key = draw.choice(keys)
        if not isinstance(node[key], dict | list) or not node[key] or draw.random() < 0.1:
            break
        node = node[key]
    value = draw.choice(VALUES)
    if isinstance(node, dict) and draw.random() < 0.2:
        del node[key]
    else:
        node[key] = str(value) if draw.random() < 0.3 else value
    return json.dumps(content).encode()


def _text(draw: random.Random, _: Others, raw: bytes) -> bytes:
    """A word, or a line, of a table or description."""
    words = list(re.finditer(rb"[^\s:]+|\n", raw))
    spot = draw.choice(words)
    new = str(draw.choice(VALUES)).encode("utf-8", "replace") * draw.choice((1, 1, 1, 200))
    return raw[: spot.start()] + new + raw[spot.end() :]
