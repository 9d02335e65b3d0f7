import pytest

from halo_jax.runtime.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zürich 日本 ²", "Zürich 日本 ²"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("two\nlines\t\r", "two\\nlines\\t\\r"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udcff\U000e0001", "\\udcff\\U000e0001"),
    ],
)
def test_what_a_terminal_would_obey_stands_as_its_escape(text, shown):
    assert visible(text) == shown
    assert shown.isprintable()
