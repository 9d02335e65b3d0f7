"""What may be wrong with image files, in a folder of one's own and in Tiny ImageNet: rows for test_data_faults.py."""

import io
import os
import struct
from collections.abc import Callable

from PIL import Image

from tests.datasets import original_files
from tests.datasets.bombs import EPS, Member, deflated_zeros, png, zip_of
from tests.datasets.faults import PLACES, Make, Rows, both, in_place_of, put

ROWS: Rows = {}
FOLDER = original_files.write_image_folder
IMAGE = "train/ape/0_000.png"


def image(content: bytes | Callable[[], bytes]) -> Make:
    return both(FOLDER, put(IMAGE, content))


def black() -> bytes:
    """All 177 million pixels, in 21 kB."""
    return saved("PNG", (13300, 13300), mode="1")


def saved(format: str, size: tuple[int, int], mode: str = "RGB", **options) -> bytes:
    Image.new(mode, size).save(out := io.BytesIO(), format, **options)
    return out.getvalue()


def tiled_tiff() -> bytes:
    """An image of 16x16 in one tile of 60,000x60,000."""
    tags = [(256, 16), (257, 16), (258, 8), (259, 8), (262, 1), (277, 1), (322, 60000), (323, 60000)]
    tags += [(324, 200), (325, 64)]
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return (b"II*\0" + struct.pack("<IH", 8, len(tags)) + fields + bytes(4)).ljust(200, b"\0") + bytes(64)


def progressive(scans: int) -> bytes:
    raw = saved("JPEG", (5, 6), progressive=True)
    last = raw[raw.rindex(b"\xff\xda") : -2]
    return raw[:-2] + last * scans + raw[-2:]


for name, content, line in (
    ("PostScript", EPS, "no image"),
    ("nothing", b"", "no image"),
    ("a PNG of 13,300x13,300", black, "176890000 pixels, more than"),
    ("a PNG of 2^31 x 2^31", png(2**31 - 1, 2**31 - 1), "cannot be read .+"),
    ("a GIF of 60,000x60,000", b"GIF89a" + struct.pack("<HH", 60000, 60000) + bytes(9) + b";", "cannot be read .+"),
    ("a BMP of 2^31 x 2^31", saved("BMP", (5, 6))[:18] + b"\xff\xff\xff\x7f" * 2 + bytes(99), "cannot be read .+"),
    ("a PPM of 10^9 x 10^9", b"P6 1000000000 1000000000 255\n", "cannot be read .+"),
    ("a WebP of 16,383x16,383", b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0" + b"\xfe\x3f\0" * 2, "cannot be read .+"),
    ("a TIFF of one giant tile", tiled_tiff(), r"3600000000 pixels, more than the 4194304 that are decoded"),
    ("a JPEG of 5,000 scans", progressive(5000), r"5\d{3} scans, more than the 200 that are decoded"),
):
    ROWS[f"{name} as an image"] = ("image_folder", image(content), rf"/{IMAGE}: found that it .*{line}")
ROWS["an image of another size is not decoded"] = (
    "image_folder",
    both(FOLDER, put("train/bee/x.png", black)),
    r"/train/bee/x\.png: found an image of 13300x13300; right: 6x5, as /.*/0_000\.png is$",
)
ROWS["images that are too many"] = (
    "image_folder",
    lambda place: (
        [
            both(lambda place: place.mkdir(parents=True), put("0.png", saved("PNG", (2048, 2048), "L")))(
                place / split / "ape"
            )
            for split in ("train", "test")
        ]
        + [os.link(place / "train/ape/0.png", place / f"train/ape/{number}.png") for number in range(1, 3000)]
    ),
    r": found images and labels of 377\d+ bytes; right: at most \d+ bytes on this machine$",
)
ROWS["a name that a terminal obeys"] = (
    "image_folder",
    both(FOLDER, lambda place: (place / "test" / "a\x1b[2J\nb").mkdir()),
    r"/test/a\\x1b\[2J\\nb: found a class that train has not; right: one of ape, bee, cat$",
)
for name, (make, line) in PLACES.items():
    ROWS[f"{name} in place of an image"] = ("image_folder", both(FOLDER, in_place_of(IMAGE, make)), f"{IMAGE}: {line}$")

# ---- Tiny ImageNet: tables of names, and a zip

TINY = "tiny-imagenet-200"
WNID = "n99999999"
BOXES, PHOTO, NOTES = f"train/{WNID}/{WNID}_boxes.txt", f"train/{WNID}/images/{WNID}_0.JPEG", "val/val_annotations.txt"


def tiny(name: str, content: bytes) -> Make:
    """The folder, one of its files changed."""
    return both(
        lambda place: original_files.write_tiny_imagenet(place, per_class=1, val=2), put(f"{TINY}/{name}", content)
    )


def zipped(*members: Member) -> Make:
    """The zip, of tables for one image of a class, and members of that name instead of what they would be."""
    names = [f"n{label:08d}" for label in range(200)]
    tables = {"wnids.txt": "\n".join(names), NOTES: f"val_0.JPEG {names[0]}"}
    tables |= {f"train/{name}/{name}_boxes.txt": f"{name}_0.JPEG 0" for name in names}
    known = {f"{TINY}/{name}": Member(f"{TINY}/{name}", text.encode()) for name, text in tables.items()}
    known |= {member.name: member for member in members}
    return lambda place: zip_of(place / f"{TINY}.zip", *known.values())


FIRST = f"{TINY}/train/n00000000/images/n00000000_0.JPEG"
ELSEWHERE = "names of files below this place"
for name, make, line in (
    (
        "a picture elsewhere",
        tiny(BOXES, b"../../../../../etc/passwd"),
        f"found a file named train/.*passwd; right: {ELSEWHERE}",
    ),
    (
        "an absolute name",
        tiny(NOTES, f"/etc/passwd {WNID}".encode()),
        f"a file named val/images//etc/passwd; right: {ELSEWHERE}",
    ),
    ("a name with NUL", tiny(BOXES, b"x\0.JPEG"), rf"a file named train/.*/x\\x00\.JPEG; right: {ELSEWHERE}"),
    ("a class elsewhere", tiny("wnids.txt", b"\n".join([b"../../x", *(b"%d" % i for i in range(199))])), ELSEWHERE),
    (
        "a name that a terminal obeys",
        tiny(BOXES, b"\x1b[2J\x9b.JPEG".decode("latin-1").encode()),
        r"no train/.*\\x1b\[2J\\x",
    ),
    (
        "a name of a megabyte",
        tiny(BOXES, b"x" * 10**6),
        "found that train/.{90,95} cannot be read .File name too long",
    ),
    (
        "a line of a megabyte",
        tiny(NOTES, b"x " * 5 * 10**5),
        r"found line 1 of val/val_annotations\.txt: 'x x .{200,300}; r",
    ),
    ("a table of megabytes", tiny(BOXES, b"x\n" * 10**6), "larger than the 1048576 bytes that are read of it"),
    (
        "a table that is a picture",
        tiny(NOTES, b"\xff\xd8\xff"),
        "found that val/val_annotations.txt is no text; right: ",
    ),
    ("PostScript", tiny(PHOTO, EPS), rf"that {PHOTO} cannot be read \(no image\)"),
    ("a large picture", tiny(PHOTO, saved("JPEG", (1500, 1500), "L")), f"found {PHOTO} of 1500x1500; right: 64x64"),
    (
        "gigabytes of text in a zip",
        zipped(Member(f"{TINY}/wnids.txt", deflated_zeros(3000), 3000 * 2**20, 8)),
        "that wnids.txt cannot be read .3145728000 bytes, more than the 1048576 that are read of it",
    ),
    (
        "gigabytes that the zip does not tell",
        zipped(Member(f"{TINY}/wnids.txt", deflated_zeros(3000), 300, 8)),
        "that wnids.txt cannot be read .Bad CRC-32",
    ),
    (
        "gigabytes of a picture in a zip",
        zipped(Member(FIRST, deflated_zeros(3000), 3000 * 2**20, 8)),
        "n00000000_0.JPEG cannot be read .3145728000 bytes, more than the 65536 that are read of it",
    ),
    (
        "another compression in a zip",
        zipped(Member(FIRST, b"x", 1, 14)),
        "compressed in another way than stored or defl",
    ),
    ("a member that is not there", zipped(), "found no train/n00000000/images/n00000000_0.JPEG; right: all its files"),
    (
        "a link in a zip to a file elsewhere",
        zipped(Member(FIRST, b"/etc/passwd")),
        r"n00000000_0\.JPEG cannot be read .no image",
    ),
    ("a zip of nothing", put(f"{TINY}.zip", b"PK\5\6" + bytes(18)), "found no wnids.txt; right: all its files"),
    ("a zip whose list is elsewhere", put(f"{TINY}.zip", b"PK\5\6" + b"\xff" * 18), "found a broken archive"),
):
    ROWS[f"Tiny ImageNet with {name}"] = ("tiny_imagenet", make, rf"/{TINY}(\.zip)?: .*{line}")
for name, (make, line) in PLACES.items():
    ROWS[f"{name} in place of a photograph"] = (
        "tiny_imagenet",
        both(tiny(BOXES, f"{WNID}_0.JPEG".encode()), in_place_of(f"{TINY}/{PHOTO}", make)),
        rf"/{TINY}: found that {PHOTO} cannot be read \({line}\); right: a whole file",
    )
