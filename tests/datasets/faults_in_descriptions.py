"""What may be wrong with what tensorflow_datasets has prepared: rows for test_data_faults.py."""

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from tests.datasets.bombs import EPS, png
from tests.datasets.faults import PLACES, Make, Rows, both, in_place_of, put
from tests.datasets.surroundings import FIXTURES

ROWS: Rows = {}
FOLDER = "mnist/3.0.1"
INFO, FEATURES = f"{FOLDER}/dataset_info.json", f"{FOLDER}/features.json"
TRAIN, TEST = (f"{FOLDER}/mnist-{split}.array_record-00000-of-00001" for split in ("train", "test"))
# In place of the last record of TEST and the list of its chunks: ten records in no chunk, by which the library divides.
NO_CHUNKS = (
    0x70F,
    bytes.fromhex(
        "3c9978a05ba5f0430b00000000000000a4ed4377121d7de0720100000000000008000000000000000001080a0608011000180a"
    ),
)


def prepared(place: Path) -> None:
    shutil.unpack_archive(FIXTURES / "tfds_mnist.zip", place)


def edited(name: str, change: Callable[[Any], object]) -> Make:
    """A description, changed as JSON."""

    def edit(place: Path) -> None:
        prepared(place)
        content = json.loads((place / name).read_text())
        change(content)
        (place / name).write_text(json.dumps(content))

    return edit


def feature(name: str, **changes: Any) -> Make:
    return edited(FEATURES, lambda content: content["featuresDict"]["features"][name].update(changes))


def shape(*sizes: object) -> Make:
    return feature("image", image={"dtype": "uint8", "shape": {"dimensions": [str(size) for size in sizes]}})


def split(**changes: Any) -> Make:
    return edited(INFO, lambda content: content["splits"][0].update(changes))


def grey(width: int, height: int) -> bytes:
    Image.new("L", (width, height)).save(out := io.BytesIO(), "PNG")
    return out.getvalue()


def example(image: bytes = grey(28, 28), label: int = 0, name: str = "label") -> bytes:
    made: Any = tf_example_pb2
    made = made.Example()
    made.features.feature["image"].bytes_list.value.append(image)
    made.features.feature[name].int64_list.value.append(label)
    return made.SerializeToString()


def records(*contents: bytes) -> Make:
    """A train split of other examples than the twenty there are."""

    def write(place: Path) -> None:
        split(shardLengths=[str(len(contents))])(place)
        writer = ArrayRecordWriter(str(place / TRAIN), "group_size:1")
        for content in contents:
            writer.write(content)
        writer.close()

    return write


def patched(place: Path) -> None:
    prepared(place)
    at, content = NO_CHUNKS
    raw = bytearray((place / TEST).read_bytes())
    raw[at : 2**16] = content.ljust(2**16 - at, b"\0")
    (place / TEST).write_bytes(raw)


for name, make, line in (
    (
        "a type to import",
        feature("image", pythonClassName="antigravity.Image"),
        "the type of image is antigravity.Image, n",
    ),
    (
        "another type",
        feature("label", pythonClassName="tensorflow_datasets.core.features.video_feature.Video"),
        "the type of",
    ),
    ("a shape of terabytes", shape(2**20, 2**20, 1), r"images of \(1048576, 1048576, 1\); at most 4194304 pixels"),
    ("a shape of 2^63", shape(2**63, 1, 1), r"images of \(9223372036854775808, 1, 1\); at most 4194304 pixels"),
    ("a negative shape", shape(-28, -28, 1), r"images of \(-28, -28, 1\)"),
    ("a shape of many channels", shape(28, 28, 2**40), r"images of \(28, 28, 1099511627776\)"),
    ("another shape than its images", shape(28, 27, 1), r"28x28"),
    (
        "2^31 classes",
        feature("label", classLabel={"numClasses": str(2**31)}),
        "2147483648 classes; at most 65536 are read",
    ),
    ("a number of 5,000 digits", feature("label", classLabel={"numClasses": "9" * 5000}), "Exceeds the limit"),
    ("2^40 examples", split(shardLengths=[str(2**40)]), None),
    ("fewer examples than it says", split(shardLengths=["21"]), "20 examples in mnist-train.*, not 21"),
    ("a million files", split(shardLengths=["1"] * 1000), "1000 files of train; 1 to 500 are read"),
    (
        "files elsewhere",
        split(filepathTemplate="/etc/passwd"),
        "the template of file names is /etc/passwd, not {DATASET}-",
    ),
    ("a name elsewhere", edited(INFO, lambda content: content.update(name="../../x")), r"its name is \.\./\.\./x"),
    (
        "a format to import",
        edited(INFO, lambda content: content.update(fileFormat="bagz")),
        "the file format is bagz, not ar",
    ),
    ("no splits", edited(INFO, lambda content: content.pop("splits")), "it does not say 'splits'"),
    ("a description of brackets", both(prepared, put(FEATURES, b"[" * 10**6)), "recursion"),
    (
        "a description of megabytes",
        both(prepared, put(INFO, b" " * 2**21)),
        "larger than the 1048576 bytes that are read of",
    ),
    ("a description of another kind", both(prepared, put(INFO, b"[1]")), "list indices must be integers"),
    ("PostScript", records(example(EPS)), "no image"),
    ("an image of 2^30 x 2^30", records(example(png(2**30, 2**30))), "cannot be|exceeds|1073741824x1073741824"),
    ("an image of 3000x3000", records(example(grey(3000, 3000))), "3000x3000"),
    ("a record of 600 MB", records(bytes(600 * 2**20)), "an example of 629145600 bytes, more than|bad_alloc|signal"),
    ("a record that is none", records(b"\xff" * 99), "Error parsing message"),
    ("an example without a label", records(example(name="x")), "not enough values to unpack"),
    ("a label of 2^40", records(example(label=2**40)), "label 1099511627776"),
    ("a list of no chunks", patched, "its reader ended with signal SIGFPE"),
    ("a file of noise", both(prepared, put(TRAIN, b"x" * 2**18)), "Riegeli"),
):
    right = rf"/{FOLDER}: tensorflow_datasets cannot read it \(.*{line}.*\); right: a whole data set"
    ROWS[f"a prepared set with {name}"] = (
        "mnist",
        make,
        right if line else r"found images and labels of 8796093\d+ bytes; right",
    )
for name, (make, line) in PLACES.items():
    for what, file in (("a description", FEATURES), ("records", TRAIN)):
        told = "(Invalid|Failed|ArrayRecord|).*" if (what, name) == ("records", "a sparse terabyte") else rf"\({line}\)"
        ROWS[f"{name} in place of {what}"] = (
            "mnist",
            both(prepared, in_place_of(file, make)),
            rf"/{FOLDER}: tensorflow_datasets cannot read it {told}; right",
        )
