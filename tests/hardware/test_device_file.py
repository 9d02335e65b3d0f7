"""Device files: what is written is read back, and whatever is wrong is refused in one line that says what is right."""

import dataclasses
import re
import string

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from halo_jax.hardware import PLATFORMS, bit_serial, halosim
from halo_jax.hardware.device_file import load, save, text_of
from halo_jax.types import Precision
from tests.hardware.chips import SMALL, chip_of, physical

KINDS = {"halosim": halosim.Constants, "bit_serial": bit_serial.Constants}
PRESETS = [("halosim", "calibrated"), ("halosim", "table_i"), ("halosim", "physical"), ("bit_serial", "stripes_45nm")]
presets = pytest.mark.parametrize(("platform", "device"), PRESETS)
GOOD = text_of(halosim.CALIBRATED, "halosim")
FIELDS = [field.name for field in dataclasses.fields(halosim.Constants)]


def refused(path, platform="halosim") -> str:
    """The one line that refuses a file, without the file's name, with which it starts."""
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: ") as error:
        load(path, platform, KINDS[platform])
    message = str(error.value)
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "chip.yaml"


@presets
def test_what_is_saved_is_loaded(platform, device, file):
    chip = PLATFORMS[platform](device)
    save(chip.device, platform, file)
    assert load(file, platform, KINDS[platform]) == chip.device
    assert PLATFORMS[platform](str(file)).device == chip.device
    assert text_of(load(file, platform, KINDS[platform]), platform) == file.read_text()
    names = [line.split(":")[0] for line in file.read_text().splitlines()]
    assert names == ["platform", *(field.name for field in dataclasses.fields(chip.device))]
    assert [type(value) for value in dataclasses.astuple(chip.device)] == [
        field.type for field in dataclasses.fields(chip.device)
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"read_energy_pj": 1 / 3, "write_delay_us": 1e-9, "crossbar_area_mm2": 1.5e11},
        {"mapping": "physical", "replicate": True, "pipelined": True, "samples_per_update": 1, "crossbar_size": 128},
    ],
)
def test_every_digit_is_kept(changes, file):
    device = physical(**changes)
    save(device, "halosim", file)
    assert halosim.load_device(file) == device


def test_a_device_of_a_file_prices_like_the_same_constants(file):
    device = physical(replicate=True, read_energy_pj=31.5)
    save(device, "halosim", file)
    found, right = (chip.evaluate(SMALL, Precision(7, 5, 3)) for chip in (halosim.make(str(file)), chip_of(device)))
    assert [float(value) for value in found] == [float(value) for value in right]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("29", 29.0),
        ("1e-3", 1e-3),
        ("1.0e-3", 1e-3),
        ("2.5E+1", 25.0),
        ("'29.5'", 29.5),
        ("+3", 3.0),
        ("29.5 # pJ", 29.5),
    ],
)
def test_numbers_may_be_written_in_any_usual_way(written, value, file):
    file.write_text(GOOD.replace("read_energy_pj: 29.424", f"read_energy_pj: {written}"))
    found = halosim.load_device(file).read_energy_pj
    assert (found, type(found)) == (value, float)


def test_order_quotes_comments_and_flow_style_do_not_matter(file):
    lines = GOOD.splitlines()
    for text in (
        "\n".join(reversed(lines)),
        "# a chip\n\n# crossbar_size: 32 before; mapping: paper\n" + GOOD.replace("replicate:", '"replicate" :  '),
        "{" + ", ".join(lines) + "}",
        "---\n" + GOOD.replace("\n", "\r\n"),
    ):
        file.write_text(text)
        assert halosim.load_device(file) == halosim.CALIBRATED


FLOAT = "allowed: a number from 1e-12 to 1e12, in {}, without the unit"
WHOLE = "allowed: a whole number from 1 to 1000000"
TWICE = "crossbar_size is there twice; allowed: each field once"
NAMED = "allowed here: halosim, as hardware.name says"
WRONG_VALUES = [
    *(
        ("read_energy_pj", text, FLOAT.format("pj"))
        for text in ("29 pJ", "0", "-29", ".nan", "nan", ".inf", "inf", "1e13")
    ),
    *(("read_energy_pj", text, FLOAT.format("pj")) for text in ("true", "''", "~", "[29]", "{a: 29}", "29,4", "1e-13")),
    *(("read_delay_us", text, FLOAT.format("us")) for text in ("0.0", "-0.0", "18ns")),
    ("crossbar_area_mm2", "0", FLOAT.format("mm2")),
    ("crossbar_area_mm2", "9" * 400, FLOAT.format("mm2")),
    *(("crossbar_size", text, WHOLE) for text in ("0", "-64", "64.0", "64.5", "true", "6 4", "64 rows", "9" * 400)),
    ("samples_per_update", "0", WHOLE),
    *(("replicate", text, "allowed: true or false") for text in ("1", "0", "'yes'", "maybe", "", "[true]")),
    *(("mapping", text, "allowed: paper, physical") for text in ("papr", "Paper", "1", "[paper]", "")),
]


@pytest.mark.parametrize(("field", "text", "allowed"), WRONG_VALUES, ids=lambda x: x[:20])
def test_a_wrong_value_is_named_with_what_is_allowed(field, text, allowed, file):
    file.write_text(re.sub(rf"(?m)^{field}: .*$", f"{field}: {text}", GOOD))
    message = refused(file)
    assert message.startswith(f"{field}=")
    assert message.endswith(allowed)
    assert len(message) < 200


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(bit_serial.Constants)])
@pytest.mark.parametrize("text", ["0", "-1", "1e400", "no"])
def test_every_number_is_above_0(field, text, file):
    file.write_text(
        re.sub(
            rf"(?m)^{field}: .*$",
            f"{field}: {text}",
            text_of(PLATFORMS["bit_serial"]("stripes_45nm").device, "bit_serial"),
        )
    )
    assert re.match(rf"{field}=.*; allowed: a (whole )?number from 1", refused(file, "bit_serial"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("read_energy_pj", "read_energy_nj", "read_energy_nj is in another unit; right: read_energy_pj, in pj"),
        ("read_delay_us", "read_delay_ns", "read_delay_ns is in another unit; right: read_delay_us, in us"),
        ("area_mm2", "area_um2", "crossbar_area_um2 is in another unit; right: crossbar_area_mm2, in mm2"),
        ("read_energy_pj", "read_enrgy_pj", "unknown field 'read_enrgy_pj'; did you mean read_energy_pj?"),
        ("crossbar_size", "crossbars_size", "unknown field 'crossbars_size'; did you mean crossbar_size?"),
        ("mapping", "voltage", f"unknown field 'voltage'; known: {', '.join(FIELDS)}"),
        ("mapping", "7", f"unknown field '7'; known: {', '.join(FIELDS)}"),
        ("write_delay_us: 0.018\n", "", f"write_delay_us is missing; a device has {', '.join(FIELDS)}"),
        ("crossbar_size: 64\n", "crossbar_size: 64\n" * 2, TWICE),
        ("crossbar_size: 64\n", "crossbar_size: 64\n'crossbar_size': 32\n", TWICE),
        ("platform: halosim\n", "", "not a device: platform: halosim is missing"),
        ("platform: halosim\n", "platform: halosim\n" * 2, "platform is there twice; allowed: each field once"),
        ("platform: halosim", "platform: bit_serial", f"platform='bit_serial'; {NAMED}"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_with_the_right_one(old, new, message, file):
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1))
    assert refused(file) == message


def test_fields_twice_are_seen_in_any_style(file):
    file.write_text("{" + ", ".join(GOOD.splitlines()) + ", crossbar_size: 32}")
    assert refused(file) == TWICE
    file.write_text("".join(f"  {line}\n" for line in [*GOOD.splitlines(), "crossbar_size: 32"]))
    assert refused(file) == TWICE


def test_devices_of_another_platform_are_refused_both_ways(file):
    save(halosim.CALIBRATED, "halosim", file)
    assert refused(file, "bit_serial").startswith("platform='halosim'; allowed here: bit_serial")
    save(PLATFORMS["bit_serial"]("stripes_45nm").device, "bit_serial", file)
    assert refused(file).startswith("platform='bit_serial'; allowed here: halosim")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a device: platform: halosim is missing"),
        (b"# nothing\n", "not a device: platform: halosim is missing"),
        (b"- platform\n- halosim\n", "not a device: platform: halosim is missing"),
        (b"halosim", "not a device: platform: halosim is missing"),
        (b"platform: [halosim]", "platform=['halosim']; allowed here: halosim"),
        (b"platform: halosim\nmapping: paper: physical", "not YAML: "),
        (b"platform: halosim\n\tmapping: paper", "not YAML: "),
        (b"{platform: halosim", "not YAML: "),
        (b"? [platform]\n: halosim", "not YAML: "),
        (b"platform: halosim\n---\nplatform: halosim", "not YAML: "),
        (b"platform: &a [*a]", "platform=[[[[[[[...]]]]]]]; allowed here: halosim"),
        (b"platform: halosim\nlanes: !!bool x", "not YAML: "),
        (b"platform: halosim\nlanes: !!timestamp x", "not YAML: "),
        (b"platform: halosim\nlanes: !!int ''", "not YAML: "),
        (b"platform: halosim\nlanes: 2020-99-99", "month must be in 1..12"),
        (b"platform: halosim\nlanes: 1" + b"0" * 5000, "Exceeds the limit"),
        (b"[" * 5000, "not YAML: "),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not YAML: "),
        (b"platform: halosim\x00", "not YAML: "),
        (bytes(range(256)), "not YAML: "),
        (b"platform: !!python/object/apply:os.getcwd []", "not YAML: "),
        (b"platform: halosim\nlanes: 1" + b":1" * 300 + b".5", "not YAML: int too large to convert to float"),
        (b"platform: !!" + b"x" * 5000, "not YAML: could not determine a constructor for the tag "),
        (b"platform: !!\xc2\x9b2J", "not YAML: "),
    ],
)
def test_what_is_no_device_at_all_is_refused(content, message, file):
    file.write_bytes(content)
    assert refused(file).startswith(message)


def test_files_that_cannot_be_read_are_refused(tmp_path):
    assert refused(tmp_path / "none.yaml") == "No such file or directory"
    assert refused(tmp_path) == "Is a directory"
    assert refused(tmp_path / ("x" * 300 + ".yaml")) == "File name too long"
    with pytest.raises(ValueError, match=r"none.yaml: No such file"):
        halosim.make(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize("name", ["calibratd", "", "chip.yaml.txt"])
@pytest.mark.parametrize("platform", KINDS)
def test_unknown_presets_are_refused_with_the_known_ones(platform, name):
    with pytest.raises(ValueError, match=r"is unknown to \w+; known: [\w, ]+$") as error:
        PLATFORMS[platform](name)
    known = str(error.value).split("known: ")[1].split(", ")
    assert [(platform, device) for device in known] == [preset for preset in PRESETS if preset[0] == platform]


@st.composite
def mutated(draw):
    """A good file with one thing changed: a character, a line, a value or a name."""
    platform, device = draw(st.sampled_from(PRESETS))
    text = text_of(PLATFORMS[platform](device).device, platform)
    lines = text.splitlines(keepends=True)
    line = draw(st.integers(0, len(lines) - 1))
    at = draw(st.integers(0, len(text)))
    anything = st.text(st.one_of(st.sampled_from(string.printable + "é\x00\x85\u2028"), st.characters()), max_size=4)
    how = draw(st.sampled_from(["insert", "replace", "delete", "drop", "double", "swap", "value", "name"]))
    name, value = lines[line].split(": ", 1)
    words = [
        "0",
        "-1",
        ".nan",
        "1e-3",
        "0x10",
        "~",
        "yes",
        "1:30",
        "2020-99-99",
        "0b_",
        "!!bool x",
        "*a",
        "&a 1",
        "<<",
        "=",
    ]
    word = draw(st.one_of(st.sampled_from(words), anything, st.integers().map(str), st.floats().map(repr)))
    changed = {"drop": [], "double": [lines[line]] * 2, "value": [f"{name}: {word}\n"], "name": [f"{word}: {value}"]}
    if how in changed:
        return platform, "".join(lines[:line] + changed[how] + lines[line + 1 :])
    if how == "swap":
        other = draw(st.sampled_from(lines))
        return platform, text.replace(lines[line], f"{name}: {other.split(': ', 1)[1]}")
    return platform, text[:at] + ("" if how == "delete" else draw(anything)) + text[at + (how != "insert") :]


@settings(derandomize=True, max_examples=300, deadline=None)
@given(mutated())
def test_a_mutated_file_is_a_valid_device_or_refused_in_one_line(tmp_path_factory, example):
    platform, text = example
    file = tmp_path_factory.getbasetemp() / "mutated.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        device = load(file, platform, KINDS[platform])
    except ValueError as error:
        message = str(error)
        assert len(message.splitlines()) == 1
        assert message.startswith(f"{file}: ")
    else:
        for field in dataclasses.fields(device):
            value = getattr(device, field.name)
            assert type(value) is field.type
            assert isinstance(value, (bool, str)) or 1e-12 <= value <= 1e12
        assert load(file, platform, KINDS[platform]) == device
        assert yaml.safe_load(text_of(device, platform))["platform"] == platform


@presets
def test_extreme_numbers_still_give_finite_positive_costs(platform, device):
    constants = PLATFORMS[platform](device).device
    fields = dataclasses.fields(constants)
    for value in (1e-12, 1e12):
        extreme = dataclasses.replace(constants, **{field.name: value for field in fields if field.type is float})
        for cost in chip_of(extreme).evaluate(SMALL, Precision(1, 16, 8)):
            assert 0 < float(cost) < float("inf")
