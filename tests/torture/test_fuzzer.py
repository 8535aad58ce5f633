"""The fuzzer: a sample of its draws finds nothing, and each rule notices a fault that is put there for it."""

import contextlib
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from deeprob.commands.main import main

HERE = Path(__file__).parent
RUN = ("dataset.points_per_class=10", "dataset.test_points_per_class=5", "model.width=4", "trainer.epochs=2",
       "trainer.figures=[]", "hydra.run.dir=run")  # fmt: skip
Fault = Callable[[Sequence[str], str], int]


@pytest.fixture(scope="module")
def fuzzing():
    """The modules of the fuzzer, which is a script and imports what lies beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        import fuzzing.draw
        import fuzzing.interruptions

        yield fuzzing


@pytest.mark.slow
def test_a_sample_of_draws_finds_nothing(times, tell):
    count = times(4, 250)
    done = subprocess.run(
        [sys.executable, HERE / "fuzzer.py", "--draws", str(count), "--seed", "0", "--workers", "1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count} draws in" in done.stdout
    tell(f"{count} draws of the fuzzer, nothing found")


def test_the_same_seed_and_number_draw_the_same(fuzzing, tmp_path):
    lines = []
    for name in ("one", "other"):
        draw = fuzzing.draw.Draw(3, 7, "tables", tmp_path / name, main, None)
        lines.append((draw.environment["COLUMNS"], draw.encoding, [draw.rng.random() for _ in range(5)]))
    assert lines[0] == lines[1]
    assert fuzzing.draw.Draw(3, 8, "tables", tmp_path / "third", main, None).rng.random() != lines[0][2][0]


# ---------------------------------------------------------------- faults put there


def trained(words: Sequence[str], command: str, spoil: Callable[[Path], object]) -> int:
    """Do what the command does, and then something more to the run that it leaves."""
    status = main(words, command)
    if command == "train":
        spoil(Path("run"))
    return status


def with_trace(words: Sequence[str], command: str) -> int:
    try:
        return 1 // 0
    except ZeroDivisionError:
        traceback.print_exc()
        return 1


def refused(*lines: str, status: int = 2, leave: str = "") -> Fault:
    def fault(words: Sequence[str], command: str) -> int:
        print(*lines, sep="\n", file=sys.stderr)
        if leave:
            Path(leave).mkdir(parents=True)
        return status

    return fault


def after(spoil: Callable[[Path], object]) -> Fault:
    return lambda words, command: trained(words, command, spoil)


def edited(name: str, change: Callable[[str], str]) -> Fault:
    return after(lambda run: (run / name).write_text(change((run / name).read_text())))


def with_values(**values: object) -> Fault:
    def change(text: str) -> str:
        return json.dumps(json.loads(text) | {key.replace("_", "/"): value for key, value in values.items()})

    return edited("summary.json", change)


def forgetful(words: Sequence[str], command: str) -> int:
    """Let a run that goes on end with another number in its table."""
    change = edited("metrics.csv", lambda text: text.replace(",0.", ",1.", 1))
    return (change if "resume=auto" in words else main)(words, command)


LEFT = "a command that is refused leaves all as it was"
CONTRACT = "a complete run has the files of the contract"
ONE_LINE = "one `error: ` line, the last, says why a command did not end well"
FAULTS: dict[str, tuple[Fault, str]] = {
    "a bug": (with_trace, "no traceback"),
    "a status of its own": (refused("error: x", status=7), "the exit status is one of the list"),
    "two lines": (refused("error: x", "error: y"), ONE_LINE),
    "no line": (refused(), ONE_LINE),
    "a warning": (refused("UserWarning: x", "error: y"), "standard error has lines of `error: ` and `note: ` alone"),
    "a line that clears the screen": (refused("error: \x1b[2J"), "a line of standard error has no control characters"),
    "an error and status 0": (refused("error: x", status=0), "a command that ends well prints no `error: `"),
    "no run": (refused(status=0), "a command that trains leaves a run"),
    "a directory of what was refused": (refused("error: x", leave="run"), LEFT),
    "a file at home": (after(lambda run: (Path.home() / "x").touch()), "nothing changes outside the run's directory"),
    "a file beside the run": (after(lambda run: Path("x").touch()), "nothing changes outside the run's directory"),
    "a number that nobody measured": (with_values(test_loss=9.0), "summary.json says what deeprob-evaluate says"),
    "no number": (with_values(test_loss=float("nan")), "summary.json has finite numbers"),
    "an accuracy of 2": (with_values(test_accuracy=2.0), "an accuracy is in [0, 1]"),
    "a status that is none": (with_values(status="x"), "a run of a command that ends well is completed or stopped"),
    "no JSON": (edited("summary.json", lambda text: text[:-9]), "summary.json is JSON"),
    "an epoch less": (edited("metrics.csv", lambda t: t[: t[:-2].rfind("\n") + 1]), "metrics.csv has a row an epoch"),
    "no checkpoint": (after(lambda run: (run / "checkpoints/best.pt").unlink()), CONTRACT),
    "no curves": (after(lambda run: next(run.glob("events*")).write_bytes(b"")), "TensorBoard's file has the curves"),
    "a lock": (after(lambda run: (run / ".lock").touch()), "a complete run has no half-written file and no lock"),
    "a damaged checkpoint": (
        after(lambda run: (run / "checkpoints/last.pt").write_bytes(b"x")),
        "the files of a complete run can be read",
    ),
    "no end": (lambda words, command: time.sleep(60) or 0, "a command ends in time"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_noticed(fuzzing, tmp_path, monkeypatch, name):
    monkeypatch.setattr(fuzzing.draw, "LIMIT", 1.0 if name == "no end" else 60.0)
    fault, rule = FAULTS[name]
    draw = fuzzing.draw.Draw(0, 0, "commands", tmp_path / "draw", fault, None)
    draw.run(*RUN)
    assert rule in {broken.rule for broken in draw.broken}, draw.broken


def test_a_run_without_a_fault_breaks_no_rule(fuzzing, tmp_path):
    draw = fuzzing.draw.Draw(0, 0, "commands", tmp_path / "draw", main, None)
    draw.run(*RUN)
    assert draw.broken == []
    assert [result.status for result in draw.ran] == [0, 0, 0]  # trained, loaded in Python, measured again


def test_numbers_that_are_none_are_noticed_in_a_table(fuzzing):
    ran = fuzzing.draw.Ran("", 0, "│ train │ nan │ 5.00 % │\n│ /a/nan/inf.csv │ information │", "", 0.0, 0.0, False)
    (broken,) = fuzzing.rules.of_tables(ran)
    assert broken.found == "│ train │ nan │ 5.00 % │"


def test_a_run_that_goes_on_with_other_numbers_is_noticed(fuzzing, tmp_path):
    draw = fuzzing.draw.Draw(0, 0, "interruptions", tmp_path / "draw", forgetful, None)
    for name in ("whole", "cut"):
        (draw.work / name).mkdir()
        draw.run(*RUN, folder=draw.work / name)
    fuzzing.interruptions.compare_runs(draw, draw.work / "whole", draw.work / "cut")
    assert draw.broken == []
    draw.run(*RUN, "resume=auto", folder=draw.work / "cut")
    fuzzing.interruptions.compare_runs(draw, draw.work / "whole", draw.work / "cut")
    assert [broken.rule for broken in draw.broken] == ["what was interrupted and goes on ends with the same bits"]


def test_root_obeys_permissions_in_a_command(fuzzing, tmp_path):
    def read(words: Sequence[str], command: str) -> int:
        with contextlib.suppress(PermissionError):
            Path("secret").read_text()
            return 7
        return 0

    draw = fuzzing.draw.Draw(0, 0, "commands", tmp_path / "draw", read, None)
    (draw.work / "secret").write_text("x")
    os.chmod(draw.work / "secret", 0)  # noqa: PTH101
    assert draw.run(command="optimizers").status == 0
