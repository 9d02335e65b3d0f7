"""Files in files, opened up: what is inside is damaged, and all that lies around it is made anew.

Lengths that are not lied about, checksums and deflated streams are right then, so that damages reach behind them.
"""

import gzip
import io
import random
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from highway_hash import highway_hash

Inner = Callable[[bytes], bytes]
_MOST = 2**24  # bytes that are unfolded: something inside may be a bomb
NUMBERS = (0, 1, 2, 3, 10, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40)
NUMBERS += (2**55, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
WORDS = (
    "",
    "..",
    "../..",
    "/",
    "/etc/passwd",
    "../../../../etc/passwd",
    "~",
    "%s%n",
    "a\0b",
    "\x1b[2J",
    "\x9b2J",
    "nan",
)
WORDS += (
    "-1",
    "1e400",
    "9" * 30,
    "9" * 5000,
    "os.system",
    "antigravity.Image",
    "é" * 99,
    "x" * 9999,
    "[" * 9999,
    "\u202e",
)


def opened(raw: bytes) -> Callable[[random.Random, bytes, Inner], bytes] | None:
    """What damages the inside of such a file, if its form is known; it may raise if the file is no good one."""
    return next(
        (inside for magic, inside in _KNOWN if raw.startswith(magic)), _tar if raw[257:262] == b"ustar" else None
    )


def bombed(draw: random.Random, raw: bytes) -> bytes | None:
    """A file of the same form that unfolds to gigabytes, if there is such a thing."""
    form = opened(raw)
    return _BOMBS[form](draw, raw) if form in _BOMBS else None


def number(draw: random.Random, size: int) -> bytes:
    """A number that somebody may not have thought of, in so many bytes."""
    chosen = draw.choice(NUMBERS) + draw.choice((0, 0, 0, -1, 1))
    return (chosen % 2 ** (8 * size)).to_bytes(size, "little")


def _gzip(draw: random.Random, raw: bytes, inner: Inner) -> bytes:
    return gzip.compress(inner(zlib.decompressobj(31).decompress(raw, _MOST)), 1, mtime=0)


def _zip(draw: random.Random, raw: bytes, inner: Inner) -> bytes:
    """A member damaged, doubled, renamed or deflated from gigabytes; or what the list of members says of it."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = [(info, archive.open(info).read(_MOST)) for info in archive.infolist()]
    chosen = draw.randrange(min(len(members), 10)) if draw.random() < 0.7 else draw.randrange(len(members))
    kind = draw.choice(("content", "content", "content", "name", "double", "method", "lie", "lie"))
    packed = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(packed, "w") as archive:  # of names that are twice
        for place, (info, content) in enumerate(members):
            name = draw.choice(WORDS) if (place, kind) == (chosen, "name") else info.filename
            method = draw.choice((8, 12, 14)) if (place, kind) == (chosen, "method") else info.compress_type
            if (place, kind) == (chosen, "content"):
                content = inner(content)
            for _ in range(1 + ((place, kind) == (chosen, "double"))):
                archive.writestr(zipfile.ZipInfo(name[:1000] or "x"), content, method, 1)
    made = bytearray(packed.getvalue())
    if kind == "lie":
        at = draw.choice([found.start() for found in re.finditer(rb"PK\x01\x02", made)])
        offset, size = draw.choice(((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (42, 4)))
        made[at + offset : at + offset + size] = number(draw, size)
    return bytes(made)


def _zip_bomb(draw: random.Random, raw: bytes) -> bytes:
    """A member that unfolds to gigabytes, of a size that is told or not."""
    made = bytearray(raw)
    listed = [found.start() for found in re.finditer(rb"PK\x01\x02", made)]
    at = draw.choice(listed[:10])
    bomb = _bomb(draw, -15)
    struct.pack_into("<HIII", made, at + 10, 8, 0x00210000, 0, len(bomb))
    struct.pack_into("<I", made, at + 24, draw.choice((300, 2**20, 2**31, 2**32 - 1)))
    struct.pack_into("<I", made, at + 42, 0)
    name = struct.unpack_from("<H", made, at + 28)[0]
    local = b"PK\3\4" + bytes(4) + b"\x08\0" + bytes(16) + struct.pack("<HH", name, 0) + made[at + 46 : at + 46 + name]
    body = local + bomb
    del made[: listed[0]]
    made[:0] = body
    end = made.rindex(b"PK\5\6")
    struct.pack_into("<I", made, end + 16, len(body))
    return bytes(made)


def _png(draw: random.Random, raw: bytes, inner: Inner) -> bytes:
    """A chunk of a PNG damaged, its pixels behind their deflation, with checksums that are right."""
    chunks, at = [], 8
    while at < len(raw):
        (size,) = struct.unpack_from(">I", raw, at)
        chunks.append((raw[at + 4 : at + 8], raw[at + 8 : at + 8 + size]))
        at += 12 + size
    chosen = draw.randrange(len(chunks))
    kind, content = chunks[chosen]
    pixels = kind == b"IDAT"
    content = inner(zlib.decompressobj().decompress(content, _MOST) if pixels else content)
    content = zlib.compress(content) if pixels else content
    chunks[chosen] = draw.choice((kind, kind, kind, b"zTXt", b"iCCP", b"acTL", b"fcTL", b"PLTE", b"tRNS")), content
    if draw.random() < 0.2:
        chunks.insert(draw.randrange(len(chunks)), chunks[chosen])
    made = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return raw[:8] + b"".join(made)


def _npy(draw: random.Random, raw: bytes, inner: Inner) -> bytes:
    """What the header of an array says, of the length that it has then."""
    size = struct.unpack_from("<H", raw, 8)[0]
    header = raw[10 : 10 + size].decode("latin-1")
    numbers = list(re.finditer(r"\d+|'[^']*'|\w+", header))
    spot = draw.choice(numbers)
    new = str(draw.choice((*NUMBERS, -1, -7, "'|O'", "'<f8'", "'|S9'", "True", "()", "[[]]", "(" * 300, "9" * 300)))
    header = header[: spot.start()] + new + header[spot.end() :]
    return raw[:8] + struct.pack("<H", len(header)) + header.encode("latin-1") + raw[10 + size :]


def _matlab(draw: random.Random, raw: bytes, inner: Inner) -> bytes:
    """The variable in its zlib stream, if it is in one."""
    kind, size = struct.unpack_from("<II", raw, 128)
    if kind != 15:
        return raw[:128] + inner(raw[128:])
    packed = zlib.compress(inner(zlib.decompressobj().decompress(raw[136 : 136 + size], _MOST)), 1)
    return raw[:128] + struct.pack("<II", 15, len(packed)) + packed + raw[136 + size :]


def _tar(draw: random.Random, raw: bytes, inner: Inner) -> bytes:
    """A header with another field and a checksum that is right, or the content of a file."""
    headers, at = [], 0
    while raw[at : at + 512].strip(b"\0"):
        headers.append(at)
        at += 512 + (int(raw[at + 124 : at + 135], 8) + 511) // 512 * 512
    at = draw.choice(headers)
    size = int(raw[at + 124 : at + 135], 8)
    if draw.random() < 0.4:
        content = inner(raw[at + 512 : at + 512 + size])[:size].ljust(size, b"\0")
        return raw[: at + 512] + content + raw[at + 512 + size :]
    header = bytearray(raw[at : at + 512])
    place, length = draw.choice(((0, 100), (124, 12), (124, 12), (124, 12), (156, 1), (156, 1), (156, 1), (157, 100)))
    word = draw.choice(
        (*WORDS, *(oct(number)[2:] for number in NUMBERS), "\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
    )
    word = draw.choice("0123456789xgLKSDM") if length == 1 else word
    header[place : place + length] = word.encode("latin-1", "replace")[:length].ljust(length, b"\0")
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 256 + sum(header[156:]))
    more = draw.choice((0, 0, 512)) * bytes(draw.choice((b"30 path=x\n\xff", b"a", b"\0")))[:1]
    return raw[:at] + bytes(header) + more + raw[at + 512 :]


def _array_record(draw: random.Random, raw: bytes, inner: Inner) -> bytes:
    """A chunk of an array_record file: a field of its header or a byte of its content, with hashes that are right."""
    chunks, at = [], 64
    while at < len(raw) and raw[at : at + 40].strip(b"\0"):
        chunks.append(at)
        at += 40 + struct.unpack_from("<Q", raw, at + 8)[0]
    at = draw.choice([*chunks[-3:], len(raw) - 2**16 + 24])
    made = bytearray(raw)
    size = struct.unpack_from("<Q", raw, at + 8)[0]
    if draw.random() < 0.4:
        offset, width = draw.choice(((8, 8), (24, 1), (25, 7), (25, 7), (32, 8)))
        made[at + offset : at + offset + width] = number(draw, width)
    else:
        for _ in range(draw.choice((1, 1, 4))):
            made[at + 40 + draw.randrange(size)] = draw.randrange(256)
    size = struct.unpack_from("<Q", made, at + 8)[0]
    if at + 40 + size <= len(raw):
        struct.pack_into("<Q", made, at + 16, highway_hash(bytes(made[at + 40 : at + 40 + size])))
    struct.pack_into("<Q", made, at, highway_hash(bytes(made[at + 8 : at + 40])))
    return bytes(made)


def _gzip_bomb(draw: random.Random, raw: bytes) -> bytes:
    return _bomb(draw, 31, zlib.decompressobj(31).decompress(raw, _MOST)[: draw.choice((0, 8, 16, 512))])


def _png_bomb(draw: random.Random, raw: bytes) -> bytes:
    content = _bomb(draw, 15)
    chunk = struct.pack(">I", len(content)) + b"IDAT" + content + struct.pack(">I", zlib.crc32(b"IDAT" + content))
    return raw[: raw.index(b"IDAT") - 4] + chunk


def _matlab_bomb(draw: random.Random, raw: bytes) -> bytes:
    start = (
        zlib.decompressobj().decompress(raw[136:], _MOST)[: draw.choice((0, 8, 100, 400, 1000))]
        if raw[128] == 15
        else b""
    )
    packed = _bomb(draw, 15, start)
    return raw[:128] + struct.pack("<II", 15, len(packed)) + packed


def _bomb(draw: random.Random, kind: int, start: bytes = b"") -> bytes:
    """A deflated stream of up to four gigabytes of zeros behind a start."""
    packer = zlib.compressobj(9, zlib.DEFLATED, kind)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * draw.choice((1, 64, 4096)) + packer.flush()


_KNOWN = (
    (b"\x1f\x8b", _gzip),
    (b"PK\3\4", _zip),
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\x93NUMPY", _npy),
    (b"MATLAB 5.0", _matlab),
    (b"\x83\xaf\x70\xd1\x0d\x88\x4a\x3f", _array_record),
)
_BOMBS: dict[Any, Callable[[random.Random, bytes], bytes]] = {
    _gzip: _gzip_bomb,
    _zip: _zip_bomb,
    _png: _png_bomb,
    _matlab: _matlab_bomb,
}
