import os
import re
import sys
from types import SimpleNamespace

import pytest
import rich.console
from rich.console import Console

from deeprob.tracking import console
from deeprob.tracking.console import Bar, measure_table, print_rows, progress_remark, split_table, track


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0"), (950.4, "950"), (12_345, "12.3k"), (999_999, "1e+03k"), (1_234_567, "1.23M")]
)
def test_short_numbers(number, shown):
    assert console._short(number) == shown


def test_remark_shows_what_is_there():
    assert (
        progress_remark({"val/loss": 0.123456, "train/loss": 2.0, "optim/lr": 1.0}) == "train/loss 2  val/loss 0.1235"
    )


def test_tables_align_numbers_to_the_right(capsys):
    print_rows([("a", "1.0"), ("long name", "20.5")], ("name", "value"))
    lines = capsys.readouterr().out.splitlines()
    assert "│ a         │   1.0 │" in lines
    assert "│ long name │  20.5 │" in lines


def test_split_table_has_a_row_a_split(capsys):
    split_table({"train/loss": 0.5, "train/accuracy": 0.25, "test/loss": 1.0, "test/accuracy": 1.0})
    out = capsys.readouterr().out
    assert "│ train │ 0.5000 │  25.00 % │" in out
    assert "│ test  │ 1.0000 │ 100.00 % │" in out
    assert "val" not in out


def test_split_table_has_the_balanced_accuracy_of_unbalanced_classes(capsys):
    metrics = {"test/loss": 1.0, "test/accuracy": 0.9, "test/balanced_accuracy": 0.625}
    split_table({**metrics, "classes/imbalance": 1.5})
    assert "balanced" not in capsys.readouterr().out
    split_table({**metrics, "classes/imbalance": 1.6})
    out = capsys.readouterr().out
    assert "┃ split ┃   loss ┃ accuracy ┃ balanced accuracy ┃" in out
    assert "│ test  │ 1.0000 │  90.00 % │           62.50 % │" in out


def test_split_table_of_numbers_has_r2(capsys):
    split_table({"test/loss": 1.0, "test/r2": 0.5, "test/mae": 2.0})
    assert "│ test  │ 1.0000 │ 0.5000 │" in capsys.readouterr().out


def test_measure_table_has_all_measures_of_a_split(capsys):
    measure_table("val", {"val/loss": 1.0, "val/recall/a/b": 0.5})
    lines = capsys.readouterr().out.splitlines()
    assert "┃ measure    ┃     val ┃" in lines
    assert "│ loss       │  1.0000 │" in lines
    assert "│ recall/a/b │ 50.00 % │" in lines


def test_a_live_table_keeps_its_columns(capsys):
    live = console.LiveTable(["job", "seed", "test/accuracy"], [2, 10])
    live.row(["0", "1", "9.00 %"])
    live.row(["10", "1234567890", "100.00 %"])
    assert capsys.readouterr().out.splitlines() == [
        "job  seed        test/accuracy",
        "0    1                  9.00 %",
        "10   1234567890       100.00 %",
    ]


def test_names_are_no_markup(capsys, monkeypatch):
    print_rows([("[/]", ":cat:")], ("[red]x", "b"))
    lines = capsys.readouterr().out.splitlines()
    assert "┃ [red]x ┃     b ┃" in lines
    assert "│ [/]    │ :cat: │" in lines
    console.LiveTable(["[bold]a", "b"], [0]).row([":cat:", "[/]"])
    assert capsys.readouterr().out.splitlines() == ["[bold]a         b", ":cat:         [/]"]
    monkeypatch.setattr(console, "Console", lambda: Console(force_terminal=True, width=100))
    with Bar(4, "root=[/]", "pictures") as bar:
        bar.advance(2, "[red]")
        bar._progress.refresh()
    out = capsys.readouterr().out
    assert "root=[/]" in out
    assert "[red]" in out


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("a/accuracy", 0.12345, "12.35 %"), ("a/loss", 0.01, "0.0100"), ("a/loss", 1e-9, "1e-09"), ("b/loss", 1, "")],
)
def test_metrics_for_people(name, value, text):
    assert console.shown(name, {f"a/{name[2:]}": value}) == text


def test_plain_lines_without_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(console, "_LINE_EVERY", 0.0)
    now = iter([0.0, 10.0, 20.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(now))
    with Bar(400, "task", "pictures") as bar:
        bar.advance(100)
        bar.advance(200, "loss 1")
    assert capsys.readouterr().out.splitlines() == [
        "task   25 %  10 pictures/s  00:00:30 left",
        "task   75 %  15 pictures/s  00:00:06 left  loss 1",
    ]


HOURS = pytest.mark.parametrize(
    ("left", "shown"), [(59.9, "00:00:59"), (3599, "00:59:59"), (86_400, "24:00:00"), (135 * 3600 + 64, "135:01:04")]
)


@HOURS
def test_the_time_left_has_any_number_of_hours(capsys, monkeypatch, left, shown):
    monkeypatch.setattr(console, "_LINE_EVERY", 0.0)
    now = iter([0.0, 100.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(now))
    with Bar(1.0 + left / 100, "task", "runs") as bar:
        bar.advance(1.0)
    assert capsys.readouterr().out.split()[-2:] == [shown, "left"]


@HOURS
def test_a_bar_shows_the_time_left_alike(left, shown):
    column = console._Left()
    assert column.render(SimpleNamespace(finished=False, time_remaining=left)).plain == shown
    assert column.render(SimpleNamespace(finished=True, finished_time=left)).plain == shown
    assert column.render(SimpleNamespace(finished=False, time_remaining=None)).plain == "--:--:--"


def test_plain_lines_are_two_seconds_apart(capsys, monkeypatch):
    now = iter([0.0, 1.9, 2.0, 3.0, 3.9, 4.0, 9.0, 10.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(now))
    with Bar(100, "task", "pictures") as bar:
        for done in range(1, 8):
            bar.advance(1, f"at {done}")
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["2", "5", "6"]


def test_shares_that_round_to_more_than_the_whole_leave_no_time(capsys, monkeypatch):
    monkeypatch.setattr(console, "_LINE_EVERY", 0.0)
    with Bar(1, "task", "runs") as bar:
        for _ in range(10):
            bar.advance(0.1 + 1e-15)
    assert capsys.readouterr().out.endswith("00:00:00 left\n")


def test_a_bar_on_a_terminal_shows_rate_and_time_left(capsys, monkeypatch):
    monkeypatch.setattr(console, "Console", lambda: Console(force_terminal=True, width=100))
    with Bar(4, "task", "pictures") as bar:
        bar.advance(2, "half")
        bar._progress.refresh()
    out = capsys.readouterr().out
    assert "50 %" in out
    assert "half" in out


def test_an_invisible_bar_shows_nothing(capsys, monkeypatch):
    monkeypatch.setattr(console, "_LINE_EVERY", 0.0)
    with Bar(4, "task", "pictures", visible=False) as bar:
        bar.advance(4)
    assert capsys.readouterr().out == ""


def test_track_passes_the_counts_on():
    assert list(track([1, 2, 3], 6, "task")) == [1, 2, 3]


def test_a_narrow_terminal_hides_nothing(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1")
    split_table({"train/loss": 0.5, "train/accuracy": 0.25, "test/loss": 1.0, "test/accuracy": 1.0})
    assert "│ train │ 0.5000 │  25.00 % │" in capsys.readouterr().out


@pytest.mark.parametrize(
    "show", [lambda: print_rows([("a", "1")], ("name", "x")), lambda: console.LiveTable(["a"], [])]
)
def test_a_table_that_nobody_reads_ends_the_command(monkeypatch, show):
    nobody, end = os.pipe()
    os.close(nobody)
    with os.fdopen(end, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(SystemExit) as caught:
            show()
        print("leads nowhere", flush=True)
    assert caught.value.code == 141  # as SIGPIPE ends other programs


@pytest.mark.parametrize("width", [80, 100])
def test_a_bar_fits_its_terminal_and_shows_the_epoch_and_every_number(capsys, monkeypatch, width):
    monkeypatch.setattr(console, "Console", lambda: Console(force_terminal=True, width=width, color_system=None))
    remark = progress_remark({"train/loss": 0.12345, "train/accuracy": 0.9876, "val/loss": 0.1234, "val/accuracy": 1.0})
    with Bar(30_000, "optimizer.lr=0.001,model.width=128,seed=0", "examples", epochs=30) as bar:
        for _ in range(3):
            bar.advance(1700, remark)
        bar._progress.refresh()
        lines = Console(width=width).render_lines(bar._progress.get_renderable(), pad=False)
    text = ["".join(part.text for part in line) for line in lines]
    assert max(map(len, text)) <= width
    assert re.fullmatch(r"optimizer\.lr=0.*…? epoch 6 of 30 ━.* +17 % \S+ examples/s \d\d:\d\d:\d\d", text[0].rstrip())
    assert text[1].rstrip() == remark


def test_the_epoch_of_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(console, "_LINE_EVERY", 0.0)
    with Bar(300, "task", "examples", done=100, epochs=3) as bar:
        for count in (50, 50, 50, 50):
            bar.advance(count)
    epochs = [re.findall(r"task  epoch (\d) of 3  ", line) for line in capsys.readouterr().out.splitlines()]
    assert epochs == [["2"], ["3"], ["3"], ["3"]]  # at the end of the last epoch there is no other


def test_a_notebook_has_one_line_that_changes_and_goes(monkeypatch, capsys):
    shown = []

    class Handle:
        def update(self, content, *, raw):
            shown.append(content["text/plain"])

    def display(content, *, raw, display_id):
        shown.append(content["text/plain"])
        return Handle()

    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    monkeypatch.setattr(console, "_NOTEBOOK_EVERY", 0.0)
    with Bar(100, "a run", "examples", lines=False) as bar:
        bar.advance(50, "train/loss 1")
        bar.advance(50)
    assert [text.split("  ")[0] for text in shown] == ["a run", "a run", ""]
    assert [" 50 %" in shown[0], "train/loss 1" in shown[0], "100 %" in shown[1]] == [True] * 3
    with Bar(100, "a run", "examples", visible=False) as bar:
        bar.advance(50)
    assert len(shown) == 3
    assert capsys.readouterr().out == ""


def test_what_is_said_can_be_collected(capsys, monkeypatch):
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    with console.collected() as text:
        console.say("a line")
        console.LiveTable(["job"], [3]).row(["1"])
    console.say("another line")
    assert text.getvalue() == "a line\njob\n1\n"
    assert capsys.readouterr().out == "another line\n"
