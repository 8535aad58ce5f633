"""Runs and sweeps that a signal ends at any moment, and that end, gone on with, as if nothing had happened."""

import csv
import json
import math
import signal
from pathlib import Path
from typing import Any

from fuzzing.draw import Draw
from fuzzing.process import Ran
from fuzzing.words import conclusion, filled, right_words
from test_kills import OFTEN, RUNS, differences, numbers

from deeprob.tracking import checkpoint_file

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
CLOSE = 1e-3  # relative, of a stack that goes on in other company


def interruptions(draw: Draw) -> None:
    """Interrupt a run or a sweep, go on with it, and compare it with the whole one."""
    rng = draw.rng
    sweep, real = rng.random() < 0.4, rng.random() < 0.15
    words = sweep_words(draw) if sweep else run_words(draw)
    folders = [draw.work / name for name in ("whole", "cut")]
    for folder in folders:
        folder.mkdir()
    whole = draw.run(*words, folder=folders[0], real=real)
    if whole.status not in (0, 3, 4):
        return
    for _ in range(rng.choice([1, 1, 2, 3])):
        if interrupted(draw, words, whole.seconds, folders[1], real).status == whole.status:
            break
    last = draw.run(*words, folder=folders[1], real=real and rng.random() < 0.3)
    if last.status != whole.status:
        draw.find("what was interrupted and goes on ends the same", f"{whole.status} whole, {last.status} cut")
        return
    if sweep:
        compare_sweeps(draw, *(folder / "run" for folder in folders), stacked="hydra/launcher=basic" not in words)
    elif whole.status == 0 and "trainer.preflight=only" not in words:
        compare_runs(draw, *folders)


def run_words(draw: Draw) -> list[str]:
    """Draw the words of a run."""
    if draw.rng.random() < 0.5:
        words = [filled(draw, word) for word in RUNS[draw.rng.choice([*RUNS])]]
    else:
        words = [*right_words(draw, draw.rng.randint(1, 4)), f"trainer.epochs={draw.rng.randint(1, 9)}"]
    often = [word for word in OFTEN if draw.rng.random() < 0.8]
    return [*words, *often, "hydra.run.dir=run", "resume=auto"]


def sweep_words(draw: Draw) -> list[str]:
    """Draw the words of a sweep."""
    rng = draw.rng
    words = [*right_words(draw, rng.randint(0, 2), ["optimizer", "trainer"]), f"trainer.epochs={rng.randint(1, 6)}"]
    words = [word for word in words if not word.startswith("seed=")]
    swept = [rng.choice(["optimizer=adam,sgd", "optimizer.lr=1e-3,1e-2", "model.width=3,8", "seed=3,4"]), "seed=0,1"]
    swept = swept[:1] if swept[0].startswith("seed") else swept
    if any(word.startswith(("model=linear", "model.width")) for word in words):
        swept = [word for word in swept if not word.startswith("model")]
    some = [word for word in conclusion(draw) if not word.startswith("sweep.variants")]
    return ["-m", *words, *swept, *some, *OFTEN, "hydra.sweep.dir=run", "resume=auto"]


def interrupted(draw: Draw, words: list[str], seconds: float, folder: Path, real: bool) -> Ran:
    """Let signals end a command, and check what they leave."""
    rng, number = draw.rng, draw.rng.choice(SIGNALS)
    moments = [rng.uniform(0.05, 1.0) * seconds]
    if number != signal.SIGKILL and rng.random() < 0.2:
        moments.append(moments[0] + rng.uniform(0.0, 0.2))  # whoever is impatient presses Ctrl-C twice
    result = draw.run(*words, folder=folder, signals=[(moment, number) for moment in moments], real=real)
    ends = {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}
    if result.status not in (0, 3, 4, ends[number], -number):
        draw.find("a signal has its own exit status", f"{result.status} after {number.name}")
    if result.status == ends[number] and result.status > 0:
        for run in folder.glob("run/**/checkpoints"):
            check_interrupted(draw, run.parent)
    return result


def check_interrupted(draw: Draw, run: Path) -> None:
    """Check what a run leaves that a signal ended, perhaps before its first checkpoint or in its first moments."""
    last, summary = run / "checkpoints/last.pt", run / "summary.json"
    try:
        status = json.loads(summary.read_text())["status"] if summary.exists() else "interrupted"
        if checkpoint_file.exists(last):
            checkpoint_file.load_newest(last)
    except Exception as error:
        draw.find("what a signal cut short can be read", f"{run.name}: {error}")
        return
    if status not in ("interrupted", "completed", "stopped", "diverged"):
        draw.find("a run that a signal ended says so", status)


# ---------------------------------------------------------------- the same as the whole


def compare_runs(draw: Draw, whole: Path, cut: Path) -> None:
    """Compare two runs in `run`, a folder of these folders, to the bit."""
    if found := differences(numbers(whole), numbers(cut)):
        draw.find("what was interrupted and goes on ends with the same bits", f"{len(found)}: {found[:5]}")


def compare_sweeps(draw: Draw, whole: Path, cut: Path, *, stacked: bool) -> None:
    """Compare the tables and the jobs of two sweeps; those of stacks nearly."""
    tables = [table(folder / "summary.csv") for folder in (whole, cut)]
    shapes = [
        [
            (row["status"], *(cell for name, cell in row.items() if "/" not in name and name != "seconds"))
            for row in rows
        ]
        for rows in tables
    ]
    if shapes[0] != shapes[1]:
        draw.find("a sweep that was interrupted has the same table", f"{shapes[0]} and {shapes[1]}"[:2000])
        return
    for job in sorted(path.parent.name for path in whole.glob("*/summary.json")):
        folders = [draw.work / f"{folder.parent.name} {job}" for folder in (whole, cut)]
        for folder, source in zip(folders, (whole, cut), strict=True):
            folder.mkdir()
            (folder / "run").symlink_to(source / job)
        status = json.loads((whole / job / "summary.json").read_text())["status"]
        if status not in ("completed", "stopped"):
            continue
        if stacked:
            compare_nearly(draw, *(json.loads((folder / "run/summary.json").read_text()) for folder in folders))
        else:
            compare_runs(draw, *folders)


def table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a sweep's table."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def compare_nearly(draw: Draw, whole: dict[str, Any], cut: dict[str, Any]) -> None:
    """Compare two summaries within rounding."""
    for name, value in whole.items():
        if name.endswith("/loss") and not math.isclose(value, cut.get(name, math.nan), rel_tol=CLOSE):
            draw.find("a stack that was interrupted ends nearly the same", f"{name}: {value} and {cut.get(name)}")
