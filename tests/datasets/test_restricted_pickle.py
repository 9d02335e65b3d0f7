import pickle
import warnings

import numpy as np
import pytest

from halo_jax.datasets.restricted_pickle import NotArrays, read_arrays
from tests.datasets.original_files import python2_pickle

IMAGES = np.arange(2 * 3072, dtype=np.uint32).astype(np.uint8).reshape(2, 3072)
RAW = python2_pickle(IMAGES, np.array([3, 9]))


def test_an_array_and_its_labels_are_what_numpy_reads():
    ours = read_arrays(RAW)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old name of a NumPy module
        theirs = pickle.loads(RAW, encoding="bytes")
    assert ours.keys() == theirs.keys() == {b"batch_label", b"labels", b"data"}
    assert ours[b"labels"] == theirs[b"labels"] == [3, 9]
    assert ours[b"data"].dtype == np.uint8
    np.testing.assert_array_equal(ours[b"data"], theirs[b"data"])
    np.testing.assert_array_equal(ours[b"data"], IMAGES)


def test_pickles_of_today_are_read_too():
    content = {b"data": IMAGES, b"labels": [3, -1, 300, 70000, True, None], "text": "é"}
    for protocol in (2, 3, 4):
        named = content if protocol > 2 else {"text": "é", "labels": content[b"labels"]}
        ours = read_arrays(pickle.dumps(named, protocol=protocol))
        assert ours.keys() == named.keys()
        assert ours["text"] == "é"
    np.testing.assert_array_equal(read_arrays(pickle.dumps(content, protocol=4))[b"data"], IMAGES)
    assert read_arrays(pickle.dumps(content, protocol=4))[b"labels"] == content[b"labels"]


class _Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


REFUSED = {
    "a function": (pickle.dumps({b"data": _Calls(eval, "1 / 0")}), "it names builtins.eval"),
    "a command": (b"cos\nsystem\n(S'echo hacked'\ntR.", "it names os.system"),
    "another function of numpy": (b"cnumpy\nload\n(S'file'\ntR.", "it names numpy.load"),
    "an inner name": (b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.", "it names numpy.ndarray.tofile"),
    "no dict": (pickle.dumps([1]), "a pickled list, no dict"),
    "a cut pickle": (RAW[:-10], "a broken pickle"),
    "noise": (b"\x80\2" + b"\xff" * 20, "a broken pickle"),
    "text of protocol 0": (b"S'data'\n.", "a broken pickle: it does what no array needs, 0x53"),
    "nothing": (b"", "a broken pickle"),
    "other numbers": (RAW.replace(b"u1K", b"f4K"), "an array that is not of bytes"),
    "objects": (RAW.replace(b"u1K", b"O8K"), "an array that is not of bytes"),
    "another shape": (RAW.replace(b"J\0\x0c\0\0", b"J\1\x0c\0\0"), r"6144 bytes for an array of \(2, 3073\)"),
    "an array without state": (b"}U\x04datacnumpy\nndarray\n)Rs.", "a broken array"),
}


@pytest.mark.parametrize(("raw", "message"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused_in_one_line(raw, message):
    with pytest.raises(NotArrays, match=message) as caught:
        read_arrays(raw)
    assert "\n" not in str(caught.value)


def test_damage_is_refused_or_harmless():
    rng, refused = np.random.default_rng(0), 0
    for _ in range(500):
        damaged = bytearray(RAW)
        for place in rng.integers(0, RAW.index(IMAGES.tobytes()), 3):  # before the pixels
            damaged[place] = rng.integers(256)
        try:
            assert isinstance(read_arrays(bytes(damaged)), dict)
        except NotArrays:
            refused += 1
    assert 100 < refused < 500
