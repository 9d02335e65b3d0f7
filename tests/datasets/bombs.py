"""Small files that stand for much: data of strangers that would take all memory, all time, or a program's place."""

import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 6\n%%EndComments\n(hacked) run\n%%EOF\n"


def deflated_zeros(megabytes: int, kind: int = -zlib.MAX_WBITS, start: bytes = b"") -> bytes:
    """A deflated stream of `start` and so many megabytes of zeros, a thousandth of it; 15: as zlib does, 31: gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, kind)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)  # after a full flush it stands for itself
    return head + block * megabytes + packer.flush()


class Member(NamedTuple):
    """A file in a zip: what is stored, how large it claims to be, and how it claims to be compressed."""

    name: str
    content: bytes
    size: int | None = None
    method: int = zipfile.ZIP_STORED


def zip_of(path: Path, *members: Member) -> Path:
    """A zip with whatever its members claim."""
    body, listed = b"", b""
    for name, content, claimed, method in members:
        size, title = len(content) if claimed is None else claimed, name.encode()
        known = struct.pack("<3H3I2H", method, 0, 33, zlib.crc32(content), len(content), size, len(title), 0)
        listed += b"PK\1\2" + struct.pack("<3H", 20, 20, 0) + known + bytes(10) + struct.pack("<I", len(body)) + title
        body += b"PK\3\4" + struct.pack("<2H", 20, 0) + known + title + content
    count = len(members)
    path.write_bytes(body + listed + b"PK\5\6" + struct.pack("<4H2IH", 0, 0, count, count, len(listed), len(body), 0))
    return path


def npy(array: np.ndarray, *, version: bytes = b"\1\0", **claims: Any) -> bytes:
    """An array as in an .npz file; its header may claim another shape or type."""
    known = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape} | claims
    header = f"{known}\n".encode()
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + array.tobytes()


def png(width: int, height: int) -> bytes:
    """A PNG of a pixel that claims to be so large."""
    Image.new("1", (1, 1)).save(out := io.BytesIO(), "PNG")
    raw = bytearray(out.getvalue())
    struct.pack_into(">II", raw, 16, width, height)
    struct.pack_into(">I", raw, 29, zlib.crc32(raw[12:29]))
    return bytes(raw)


def tar_of(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    """A gzipped tar of headers and what follows each of them."""
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT) as archive:
        for entry, content in entries:
            archive.fileobj.write(entry.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512))
    return path


def entry(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size, made.type, made.linkname = size, kind, link
    return made


def mat(*elements: bytes, packed: bool = True) -> bytes:
    """A Matlab file of variables."""
    if packed:
        elements = tuple(tag(15, zlib.compress(element), pad=False) for element in elements)
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + b"".join(elements)


def tag(kind: int, content: bytes, size: int | None = None, *, pad: bool = True) -> bytes:
    """An element of a Matlab file; it may claim another size."""
    return struct.pack("<II", kind, len(content) if size is None else size) + content + bytes(-len(content) % 8 * pad)


def matrix(name: str, kind: int, shape: tuple[int, ...], content: bytes, size: int | None = None) -> bytes:
    """A variable, or a field if it has no name."""
    flags, dimensions = struct.pack("<II", kind, 0), struct.pack(f"<{len(shape)}i", *shape)
    return tag(14, tag(6, flags) + tag(5, dimensions) + tag(1, name.encode()) + content, size)


def struct_of(name: str, **fields: bytes) -> bytes:
    """A variable that is a struct."""
    names = b"".join(field.encode().ljust(32, b"\0") for field in fields)
    return matrix(name, 2, (1, 1), struct.pack("<HHI", 5, 4, 32) + tag(1, names) + b"".join(fields.values()))
