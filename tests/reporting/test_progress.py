"""A person sees every round: plain lines in a file or a pipe, one live display in a terminal."""

import io

import pytest
from rich.console import Console

from halo_jax.records.rows import RoundRecord
from halo_jax.reporting.progress import Display, describe


def row(round: int, **changes) -> RoundRecord:
    values = dict.fromkeys(RoundRecord._fields, 0.0) | {
        "round": round,
        "train_loss": 0.25 / round,
        "accuracy": 0.875,
        "weights_bits": 8.0,
        "activations_bits": 6.5,
        "errors_bits": 4.0,
    }
    return RoundRecord(**values | changes)


def show(console: Console, rounds: int = 3, rounds_done: int = 0, arms: tuple[str, ...] = ("halo_ps",)) -> list[str]:
    with Display(console, rounds * len(arms)) as display:
        for arm in arms:
            display.begin_arm(arm, rounds, rounds_done)
            for round in range(rounds_done + 1, rounds + 1):
                display.end_round(row(round))
    return console.file.getvalue().splitlines()


def test_a_file_gets_one_plain_line_a_round():
    first, second, last = show(Console(file=io.StringIO()))
    assert first == "halo_ps  round   1/3  loss   0.2500  accuracy 87.50 %  bits 8.0-6.5-4.0"
    assert second == "halo_ps  round   2/3  loss   0.1250  accuracy 87.50 %  bits 8.0-6.5-4.0  0:00 left"
    assert last.startswith("halo_ps  round   3/3  loss   0.0833")


@pytest.mark.parametrize("width", [20, 1000])
def test_a_line_is_never_wrapped_or_cut(width):
    lines = show(Console(file=io.StringIO(), width=width))
    assert len(lines) == 3
    assert [line[-4:] for line in lines] == ["-4.0", "left", "left"]


def test_a_resumed_arm_counts_on():
    lines = show(Console(file=io.StringIO()), rounds=5, rounds_done=3, arms=("8-8-8", "halo_ps"))
    assert [line[:20] for line in lines] == [
        "8-8-8  round   4/5  ",
        "8-8-8  round   5/5  ",
        "halo_ps  round   4/5",
        "halo_ps  round   5/5",
    ]


def test_time_left_is_the_pace_of_a_round_times_the_rounds_left(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("halo_jax.reporting.progress.time.perf_counter", lambda: now[0])
    console = Console(file=io.StringIO())
    with Display(console, 40) as display:
        display.begin_arm("halo_ps", 40, 0)
        for round, seconds in enumerate((100.0, 10.0, 10.0), start=1):  # the first round compiles
            now[0] += seconds
            display.end_round(row(round))
    lines = console.file.getvalue().splitlines()
    assert [line.split("  ")[-1] for line in lines] == ["bits 8.0-6.5-4.0", "6:20 left", "6:10 left"]


def test_a_round_without_evaluation_shows_no_accuracy():
    assert "accuracy" in describe(row(1))
    assert "accuracy" not in describe(row(1, accuracy=None, test_loss=None))


def test_training_without_bits_shows_what_it_has_instead():
    console = Console(file=io.StringIO())
    with Display(console, 1) as display:
        display.begin_arm("8-8-8", 1, 0, "float32")
        display.end_round(row(1))
    assert console.file.getvalue().rstrip().endswith("accuracy 87.50 %  float32")


def test_a_terminal_gets_a_live_display():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    text = "\n".join(show(console, arms=("8-8-8", "halo_ps")))
    assert "\x1b" in text
    for part in ("8-8-8", "halo_ps", "3/3", "accuracy 87.50 %", "bits 8.0-6.5-4.0"):
        assert part in text


def test_the_display_ends_when_the_run_fails():
    console = Console(file=io.StringIO(), force_terminal=True)

    def fail():
        with Display(console, 3) as display:
            display.begin_arm("halo_ps", 3, 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert console._live_stack == []
