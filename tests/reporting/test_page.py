"""A page that needs nothing but itself, says what was run and trusts no text."""

import html.parser
import re

import pytest

from halo_jax.records import run_folder
from halo_jax.reporting import html_page
from tests.record_fixture import write_runs

PNG = b"\x89PNG\r\n\x1a\n not a real picture"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return write_runs(tmp_path_factory.mktemp("runs"), rounds=20)


class Tags(html.parser.HTMLParser):
    """Collect the attributes of all tags, and whether every tag is closed."""

    def __init__(self):
        super().__init__()
        self.links, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href", "data", "action")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_needs_nothing_but_itself(runs):
    text = html_page.html("Table II", runs, {"A figure": PNG}, ["A note."])
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert [link.split(",")[0] for link in tags.links] == ["data:image/png;base64"]
    assert not re.search(r"https?:|//|@import|url\(", text.replace(tags.links[0], ""))


def test_page_says_what_was_run_and_how(runs):
    text = html_page.html("Table II", runs, {"A figure": PNG}, ["A note."])
    for fact in ("20 clients", "emnist", "20 rounds", "trained at width 0.125", "priced at width 1.0"):
        assert fact in text
    for fact in (
        "per training sample",
        runs["8-8-8"].summary["model_sha256"],
        "wall_seconds",
        "versions.jax",
    ):
        assert fact in text
    for fact in ("A note.", "A figure", "<details>", "partition.alpha"):
        assert fact in text


def test_a_field_on_which_arms_differ_has_a_cell_an_arm(runs):
    text = html_page.html("Table II", runs, {})
    assert "<th>selector.name</th><td>static</td><td>halo_ps</td><td>static</td>" in text
    assert '<th>dataset</th><td colspan="3">emnist</td>' in text


def test_page_escapes_everything(runs):
    evil = "<script>alert('&')</script>"
    run = runs["halo_ps"]
    config = {**run.config, "dataset": evil, evil: evil}
    run = run._replace(config=config, summary={**run.summary, "name": evil, evil: evil})
    text = html_page.html(evil, {evil: run}, {evil: PNG}, [evil])
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_single_run_has_a_page(runs):
    assert "HaLo-FL-L" in html_page.html("one", {"halo_ps": runs["halo_ps"]}, {})


def test_a_run_that_has_just_begun_has_a_page(tmp_path, runs):
    run_folder.create(tmp_path / "run", runs["8-8-8"].config)
    assert "Top-1" in html_page.html("nothing yet", {"8-8-8": run_folder.read(tmp_path / "run")}, {})


def test_a_page_shows_how_each_group_of_clients_fares(runs):
    text = html_page.html("Table II", runs, {})
    assert text.count("<h2>Groups of clients</h2>") == 1
    assert "<th>HaLo-FL</th><td>low energy</td><td>7</td><td>87</td><td>84</td>" in text
    assert "<th>HaLo-FL</th><td>low area</td><td>6</td><td>73.5</td><td>71</td>" in text
    assert "client_accuracy" not in text
    unknown = runs["halo_ps"]._replace(summary={})
    assert "<td>low energy</td><td>7</td><td>-</td><td>-</td>" in html_page.html("old", {"halo_ps": unknown}, {})
    assert "Groups of clients" not in html_page.html("static", {"8-8-8": runs["8-8-8"]}, {})
