"""What may be wrong with arrays: one's own, IDX files and Matlab files: rows for test_data_faults.py."""

import gzip
import os
import struct

import numpy as np

from tests.datasets import original_files
from tests.datasets.bombs import Member, deflated_zeros, mat, matrix, npy, struct_of, tag, zip_of
from tests.datasets.faults import PLACES, Make, Rows, both, in_place_of, put, sparse_terabyte
from tests.datasets.idx_files import write_mnist

ROWS: Rows = {}
OWN = original_files.own_arrays()


def npz(**changes: Member | bytes) -> Make:
    """The arrays, some of them changed."""
    members = {name: Member(f"{name}.npy", npy(array)) for name, array in OWN.items()}
    for name, change in changes.items():
        members[name] = change if isinstance(change, Member) else Member(f"{name}.npy", change)
    return lambda place: zip_of(place / "own.npz", *members.values())


def labels(last: int) -> bytes:
    return npy(np.append(OWN["train_labels"][:-1], np.int64(last)))


for name, make, line in (
    ("one label of 2^31 - 1", npz(train_labels=labels(2**31 - 1)), "found 2147483648 classes; right: at most 65536"),
    (
        "a header of a giant shape",
        npz(train_images=npy(OWN["train_images"], shape=(60, 10**6, 10**6)), test_images=npy(OWN["test_images"])),
        r"found images and labels of 600000000\d+ bytes; right: at most \d+ bytes",
    ),
    (
        "a header of a negative shape",
        npz(train_images=npy(OWN["train_images"], shape=(-60, -9, 7))),
        r"found train_images uint8 \(-60, -9, 7\); right: uint8 \[D, H, W\]",
    ),
    (
        "a header of a shape that fits, and less content",
        npz(
            train_images=npy(OWN["train_images"], shape=(2 * 10**6, 28, 28)),
            train_labels=npy(OWN["train_labels"], shape=(2 * 10**6,)),
        ),
        "found that train_images cannot be read",
    ),
    ("a header of 4 GB", npz(test_labels=npy(OWN["test_labels"], version=b"\2\0")), r"an array of form \(2, 0\)"),
    (
        "gigabytes, as the header says",
        npz(
            train_images=Member(
                "train_images.npy",
                deflated_zeros(3000, start=npy(np.zeros(0, np.uint8), shape=(60, 2**20, 50))),
                3000 * 2**20,
                8,
            )
        ),
        "found that train_images cannot be read",
    ),
    (
        "gigabytes that the list of arrays does not tell",
        npz(train_images=Member("train_images.npy", deflated_zeros(3000), 300, 8)),
        "found that train_images cannot be read",
    ),
    (
        "an array that is compressed otherwise",
        npz(train_images=Member("train_images.npy", npy(OWN["train_images"]), method=12)),
        "train_images cannot be read .compressed in another way than stored or deflated",
    ),
    (
        "an array twice",
        npz(more=Member("train_labels.npy", npy(OWN["train_labels"]))),
        "found train_labels twice; right: each array once",
    ),
    (
        "names that a terminal obeys, and many",
        lambda place: zip_of(place / "own.npz", *(Member(f"\x1b[2J{i}.npy", b"") for i in range(999))),
        r"found no train_images among \\x1b\[2J0, .{200,300}; right: train_images, ",
    ),
    (
        "a list of arrays of megabytes",
        lambda place: zip_of(place / "own.npz", *(Member(f"{i}{'x' * 200}.npy", b"") for i in range(4500))),
        "found no whole .npz file",
    ),
    ("an object", npz(test_labels=npy(OWN["test_labels"], descr="|O")), r"found test_labels object \(30,\); right"),
    ("a header of brackets", npz(test_labels=npy(OWN["test_labels"], shape=((),) * 2000)), "test_labels cannot be re"),
):
    ROWS[f"npz with {name}"] = ("npz", make, rf"/own\.npz: .*{line}")

# ---- IDX

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(*sizes: int, magic: int = 0x803) -> bytes:
    return struct.pack(f">{1 + len(sizes)}I", magic, *sizes)


for name, content, line in (
    (
        "0 x 2^32 x 2^32",
        idx(0, 2**32 - 1, 2**32 - 1),
        r"found images and labels of \d+ bytes; right: at most \d+ bytes on this ma",
    ),
    (
        "2^32 x 2^32 x 2^32",
        idx(*[2**32 - 1] * 3),
        r"found images and labels of \d+ bytes; right: at most \d+ bytes on this machine",
    ),
    ("gigabytes of gzip in place of a header", deflated_zeros(3000, 31), "found magic number 0x00000000"),
    (
        "gigabytes of gzip behind a small header",
        deflated_zeros(3000, 31, idx(20, 28, 28)),
        "found more than 15680 bytes of data; right: 15680 for the dimensions",
    ),
    ("gigabytes that gzip has not", gzip.compress(idx(10**6, 28, 28)), "found 0 bytes of data; right: 784000000"),
):
    ROWS[f"IDX of {name}"] = ("mnist", both(write_mnist, put(IMAGES, content)), rf"/{IMAGES}: {line}")
for name, (make, _) in PLACES.items():
    line = {"a sparse terabyte": "found magic number 0x00000000; right: "}
    ROWS[f"{name} in place of IDX"] = (
        "mnist",
        both(write_mnist, in_place_of(IMAGES, make)),
        line.get(name, rf"/{IMAGES}: found neither this nor {IMAGES}\.gz; right: all four IDX files$"),
    )

ROWS["IDX of a terabyte behind a small header"] = (
    "mnist",
    both(write_mnist, put(IMAGES, idx(20, 28, 28)), lambda place: os.truncate(place / IMAGES, 2**40)),
    rf"/{IMAGES}: found 1099511627760 bytes of data; right: 15680 for the dimensions",
)

# ---- Matlab

MAT = "emnist-digits.mat"
PIXELS = matrix("", 9, (2, 784), tag(2, bytes(2 * 784)))
LABELS_OF = matrix("", 6, (2, 1), tag(2, b"\1\2"))
SPLIT = struct_of("", images=PIXELS, labels=LABELS_OF)


def emnist(**changes: bytes) -> bytes:
    """The struct `dataset`, some fields of train changed or added."""
    return struct_of("dataset", train=struct_of("", **{"images": PIXELS, "labels": LABELS_OF} | changes), test=SPLIT)


GIANT_NAME = tag(14, tag(6, bytes(8)) + tag(5, bytes(8)) + tag(1, b"", 2**31), 2**32 - 9)


GIANT_FIELD = tag(
    14,
    tag(6, struct.pack("<II", 2, 0))
    + tag(5, struct.pack("<ii", 1, 1))
    + tag(1, b"dataset")
    + struct.pack("<HHI", 5, 4, 32)
    + tag(1, b"more".ljust(32, b"\0"))
    + struct.pack("<II", 14, 2**32 - 2000),
    2**32 - 9,
)


def nested(depth: int) -> bytes:
    """A cell in a cell in a cell."""
    inner = b""
    for _ in range(depth):
        inner = matrix("", 1, (1, 1), inner)
    return inner


for name, content, line in (
    ("of version 7.3", b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM\x89HDF\r\n\x1a\n", "no Matlab 5 file; those of"),
    ("that is HDF5", b"\x89HDF\r\n\x1a\n" + bytes(500), "no Matlab 5 file; those of version 4 and 7.3 are not read"),
    ("of version 4", struct.pack("<5I", 0, 10**6, 10**6, 0, 2) + b"x\0" + bytes(200), "no Matlab 5 file"),
    (
        "of gigabytes in place of a variable",
        mat(tag(15, deflated_zeros(3000, 15), pad=False), packed=False),
        "a variable that is none",
    ),
    (
        "of gigabytes in place of a name",
        mat(tag(15, deflated_zeros(3000, 15, GIANT_NAME), pad=False), packed=False),
        "an element of 2147483648 bytes; right: at most 65536",
    ),
    (
        "that claims a giant shape",
        mat(emnist(images=matrix("", 9, (2**31 - 1, 784), tag(2, b"", 2**32 - 1)))),
        r"images and labels of 17\d+ bytes; right: at most \d+ bytes on this machine",
    ),
    (
        "that claims a negative shape",
        mat(emnist(images=matrix("", 9, (-2, -784), tag(2, bytes(1568))))),
        "no array of nu",
    ),
    (
        "that claims another size",
        mat(emnist(images=matrix("", 9, (2, 784), tag(2, bytes(9), 1568)))),
        "cut off|larger th",
    ),
    ("of a field that is larger than its struct", mat(emnist(more=tag(14, b"", 2**32 - 1))), "a field that is none"),
    ("of cells within cells", mat(emnist(images=nested(3000))), "images is no array of numbers"),
    ("of texts", mat(emnist(labels=matrix("", 4, (2, 1), tag(4, b"a\0b\0")))), "labels is no array of numbers"),
    (
        "of gigabytes in a field that nobody asks for",
        mat(tag(15, deflated_zeros(3000, 15, GIANT_FIELD), pad=False), packed=False),
        "more than 67108864 bytes beside what is read of it",
    ),
    ("of functions", mat(emnist(labels=matrix("", 16, (1, 1), b""))), "labels is no array of numbers"),
    ("of no names", mat(struct_of("dataset")), "no struct dataset with train and test"),
    ("that is cut off", mat(emnist())[:-20], "it is cut off"),
    ("that is cut off before its content", mat(emnist())[:140], "it is cut off|broken|incomplete"),
    ("of zeros", bytes(126) + b"IM" + bytes(10**5), "no Matlab 5 file"),
):
    ROWS[f"a Matlab file {name}"] = ("emnist/digits", put(MAT, content), rf"/{MAT}: found .*({line})")
ROWS["a Matlab file of a sparse terabyte"] = (
    "emnist/digits",
    lambda place: sparse_terabyte(place / MAT),
    "no Matlab 5",
)
