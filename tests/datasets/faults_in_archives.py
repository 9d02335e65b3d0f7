"""What may be wrong with CIFAR-10's pickles and tars, and Tiny ImageNet's zip: rows for test_data_faults.py."""

import tarfile
from collections.abc import Callable

import numpy as np

from tests.datasets import original_files
from tests.datasets.bombs import deflated_zeros, entry, tar_of
from tests.datasets.faults import PLACES, Make, Rows, both, in_place_of, put

ROWS: Rows = {}
BATCH = "cifar-10-batches-py/data_batch_1"
GOOD = original_files.python2_pickle(np.zeros((2, 3072), np.uint8), np.array([1, 2]))
RECORD = b"cnumpy\ndtype\n)R"
DOUBLED = b"q\0" + b"h\0\x86q\0" * 60  # a pair of itself, sixty times: 2^60 things if it is shown or hashed
STATE = b"(K\1%b" + RECORD.replace(b")R", b"U\2u1\x85R") + b"\x89U\1xtb"


def batch(content: bytes | Callable[[], bytes]) -> Make:
    return both(lambda place: original_files.write_cifar10(place, version="py", per_batch=2), put(BATCH, content))


for name, content, line in (
    ("that names a program", b"cos\nsystem\nU\2id\x85R.", "it names os.system"),
    (
        "whose shape is of tuples",
        b"}U\4data" + RECORD + STATE.replace(b"%b", b"K\1" + b"\x85" * 3) + b"s.",
        "whose shape is none",
    ),
    (
        "whose shape is 2^60 tuples",
        b"}U\4data" + RECORD + STATE.replace(b"%b", b")" + DOUBLED) + b"s.",
        "shape is none",
    ),
    ("of 2^60 tuples as a key", b"})" + DOUBLED + b"K\1s.", "its keys are no texts"),
    ("of 2^60 tuples as a name", b")" + DOUBLED + b"\x8c\1x\x93.", "a name that is no text"),
    ("of 200,000 tuples as a name", b")" + b"\x85" * 200_000 + b"\x8c\1x\x93.", "a name that is no text"),
    ("of 120,000 lists", b"]" * 120_000 + b"a" * 119_999 + b".", "a pickled list, no dict"),
    ("of thirty million lists", lambda: b"]" * 30_000_000, "it takes more than 262144 steps"),
    ("that puts aside at 2^31", b"}r\0\0\0\x80", "it is cut off"),
    ("of 2^63 bytes", b"\x8e" + b"\xff" * 7 + b"\x7f", "it does what no array needs, 0x8e"),
    ("of 2^32 bytes", b"B\xff\xff\xff\xff", "it is cut off"),
    ("of keys that collide", b"}(" + b"\x8a\x08" + bytes(8) + b"K\1u.", "its keys are no texts"),
    ("of 200,000 marks", b"(" * 200_000 + b".", "pop from empty list"),
    ("of text without end", b"cnumpy", "a broken pickle"),
):
    ROWS[f"a pickle {name}"] = ("cifar10", batch(content), rf"found that data_batch_1 cannot be read \(.*{line}.*\); r")

PYTHON, INSIDE = "cifar-10-python.tar.gz", "cifar-10-batches-py/data_batch_1"
PAX = b"30 path=\xff\xfe\xfd\n99999999999 x=y\n"


def tar(*entries: tuple[tarfile.TarInfo, bytes]) -> Make:
    return lambda place: tar_of(place / PYTHON, *entries)


for name, make, line in (
    (
        "a sparse terabyte",
        tar((entry(INSIDE, 2**40, tarfile.GNUTYPE_SPARSE), b"")),
        r"found a broken archive \(it holds a sparse file\)",
    ),
    (
        "a file of a terabyte",
        tar((entry(INSIDE, 2**33 - 1), GOOD)),
        r"found a broken archive \(it holds more than 268435456 bytes\)",
    ),
    (
        "a batch of 40 MB",
        tar((entry(INSIDE, 4 * 10**7), GOOD)),
        "40000000 bytes of data_batch_1, more than the 33554432",
    ),
    (
        "a link to nothing",
        tar((entry(INSIDE, 0, tarfile.SYMTYPE, "nothing"), b"")),
        "found no data_batch_1; right: all",
    ),
    ("a link to a file", tar((entry(INSIDE, 0, tarfile.LNKTYPE, "/etc/passwd"), b"")), "found no data_batch_1; right"),
    ("a device", tar((entry(INSIDE, 0, tarfile.CHRTYPE), b"")), "found no data_batch_1; right: all its files"),
    ("a folder in place of a file", tar((entry(INSIDE, 0, tarfile.DIRTYPE), b"")), "found no data_batch_1; right"),
    (
        "a broken PAX header",
        tar((entry("x", len(PAX), tarfile.XHDTYPE), PAX), (entry(INSIDE), b"")),
        "found that data_b",
    ),
    ("a PAX header of gigabytes", tar((entry("x", 2**32, tarfile.XHDTYPE), b"")), "it holds more than 268435456 bytes"),
    ("a name of gigabytes", tar((entry("x", 2**32, tarfile.GNUTYPE_LONGNAME), b"")), "it holds more than 268435456 by"),
    ("a size that is none", put(PYTHON, b"x" * 512), r"found a broken archive \(a header has a number that is none\)"),
    ("a header of another checksum", put(PYTHON, b"0" * 512), "a header has another checksum than it says"),
    ("gigabytes of zeros", put(PYTHON, deflated_zeros(3000, 31)), "found no data_batch_1; right: all its files"),
    (
        "gigabytes behind a batch",
        put(PYTHON, deflated_zeros(3000, 31, entry("x", 2**31).tobuf(tarfile.GNU_FORMAT))),
        "it holds more than 268435456 bytes",
    ),
):
    ROWS[f"a tar with {name}"] = ("cifar10", make, rf"/{PYTHON}: .*{line}")
for name, (make, line) in PLACES.items():
    ROWS[f"{name} in place of a batch"] = (
        "cifar10",
        both(batch(GOOD), in_place_of(BATCH, make)),
        rf"/cifar-10-batches-py: found that data_batch_1 cannot be read \({line}\); right: a whole file",
    )
