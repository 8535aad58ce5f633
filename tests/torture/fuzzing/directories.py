"""Directories of runs in which something is gone, damaged, edited, mixed up or forbidden."""

import json
import os
import random
import re
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fuzzing.draw import Draw, quoted
from fuzzing.stock import ALONE, SWEEPS
from test_hostile_files import CASES

from deeprob import load_run

VALUES = [
    "null",
    "true",
    "0",
    "-1",
    "1.5",
    "1e999",
    ".nan",
    "[]",
    "{}",
    "x",
    "''",
    '"a\\nb"',
    "9" * 30,
    "mlp",
    "adam",
    "[1,2]",
    "~",
]
JSON_VALUES = [None, True, 0, -1, 1.5, [], {}, "x", "", 10**30, "completed", "stopped", "diverged", "interrupted", [1]]
FIGURES = ["learning_curves", "weights", "confusion", "decision_boundary", "loss_slice"]


def damage(rng: random.Random, path: Path) -> None:
    """Change the bytes of a file."""
    data = path.read_bytes()
    kind = rng.choice(["cut", "flip", "more", "empty", "random", "zeros"])
    place = rng.randrange(len(data)) if data else 0
    changed = {
        "cut": data[:place],
        "flip": data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :],
        "more": data + rng.randbytes(rng.randint(1, 100)),
        "empty": b"",
        "random": rng.randbytes(200),
        "zeros": data[:place] + bytes(len(data) - place),
    }
    path.write_bytes(changed[kind])


def edit(rng: random.Random, path: Path) -> None:
    """Change values of a file of text as a person would, or a careless program."""
    if not path.is_file():
        return  # an earlier change has put a pipe there, which would be waited for
    if path.suffix == ".json":
        content = json.loads(path.read_text())
        key = rng.choice([*content, "new"])
        content[key] = rng.choice(JSON_VALUES)
        if rng.random() < 0.3:
            del content[key]
        path.write_text(json.dumps(content))
        return
    lines = path.read_text().splitlines()
    place = rng.randrange(len(lines)) if lines else 0
    line = lines[place] if lines else ""
    if path.suffix == ".csv":
        cells = line.split(",")
        cells[rng.randrange(len(cells))] = rng.choice(["", "nan", "x", "1e999", "-1", '"'])
        changed = [",".join(cells)]
    else:
        value = re.sub(r": .*", lambda _: f": {rng.choice(VALUES)}", line)
        changed = [value]
    lines[place : place + 1] = rng.choice([changed, changed, changed, [], [line, line], ["  " + line]])
    path.write_text("\n".join(lines) + "\n")


def instead(path: Path, make: Callable[[Path], object]) -> None:
    """Put something else in the place of a file or a folder."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    make(path)


def mutate(draw: Draw, run: Path) -> None:
    """Change one thing in a run's directory."""
    rng = draw.rng
    everything = sorted(path for path in run.rglob("*"))
    files = [path for path in everything if path.is_file() and not path.is_symlink()]
    if not files:
        return
    file, any_of_them = rng.choice(files), rng.choice(everything)
    texts = [path for path in files if path.suffix in (".json", ".yaml", ".csv")] or [file]
    other = draw.stock.run(rng.choice([*ALONE])) / file.relative_to(run)
    actions = {
        "delete": lambda: instead(any_of_them, lambda path: None),
        "damage": lambda: damage(rng, file),
        "edit": lambda: edit(rng, rng.choice(texts)),
        "edit again": lambda: edit(rng, rng.choice(texts)),
        "edit the config": lambda: edit(rng, run / "config.yaml"),
        "swap": lambda: shutil.copy(other, file),
        "exchange": lambda: shutil.copy(rng.choice(files), file),
        "folder instead": lambda: instead(file, Path.mkdir),
        "pipe instead": lambda: instead(file, os.mkfifo),
        "link instead": lambda: instead(any_of_them, lambda path: path.symlink_to(draw.folder / "home")),
        "link to nothing": lambda: instead(file, lambda path: path.symlink_to("nowhere")),
        "rename": lambda: any_of_them.rename(any_of_them.with_name("renamed")),
        "read only": lambda: any_of_them.chmod(rng.choice([0o444, 0o555, 0])),
        "read only run": lambda: run.chmod(rng.choice([0o555, 0o444, 0])),
        "strange file": lambda: (
            run / rng.choice(["x.tmp", ".lock", ".owner", "events.out.tfevents.1", "a\nb"])
        ).write_text("x"),
        "same again": lambda: shutil.copytree(run, run / "copy", ignore=lambda *_: ["copy"]),
        "future": lambda: os.utime(any_of_them, (4e9, 4e9)),
    }
    with suppress(OSError, ValueError, shutil.Error):  # where the file is not there, or no longer what it was
        actions[rng.choice([*actions])]()


def spoil(rng: random.Random, run: Path) -> None:
    """Put one of the hostile files of ``test_hostile_files.py`` into a run's directory."""
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("figures: []", "figures: null"))  # as they expect
    CASES[rng.choice([*CASES])][1](run)


def loaded(run: Path, checkpoint: str, split: str) -> None:
    """Use a run in Python."""
    one = load_run(run, checkpoint)
    one(one.data().test.inputs)
    one.evaluate(split)
    one.features_of(split)


def use(draw: Draw, run: Path, name: str) -> None:
    """Do one of the things that can be done with a run, or a sweep."""
    rng, sweep = draw.rng, name in SWEEPS
    where, checkpoint = quoted(str(run.relative_to(draw.work))), rng.choice(["best", "best", "last"])
    split = rng.choice(["test", "train", "val"])
    actions = [
        lambda: draw.run(f"resume={where}", *(["trainer.epochs=4"] * (rng.random() < 0.5)), whole=False),
        lambda: draw.run(f"run={where}", f"checkpoint={checkpoint}", f"split={split}", command="evaluate", whole=False),
        lambda: draw.run(f"run={where}", f"figure={rng.choice(FIGURES)}", command="visualize", whole=False),
        lambda: draw.call(lambda: loaded(run, checkpoint, split), f"load_run({where}, {checkpoint!r})(x)"),
        lambda: draw.run("sweep=.", *(["html=false"] * (rng.random() < 0.5)), command="compare", whole=False),
    ]
    if not sweep:
        words = ["trainer.figures=[]", f"hydra.run.dir={where}", "resume=auto"]
        actions += [lambda: draw.run(*words, whole=False)]
    if sweep and rng.random() < 0.5:
        words = [*draw.stock.words(name), f"hydra.sweep.dir={where}", "resume=auto"]
        actions = [lambda: draw.run(*words, whole=False)]
    rng.choice(actions)()


def directories(draw: Draw) -> None:
    """Copy a run, spoil it, and use it as if nothing had happened."""
    rng = draw.rng
    name = rng.choice(["unfinished", "unfinished", *ALONE, *SWEEPS])
    run = draw.stock.copy(name, draw.work / rng.choice(["run", "a run", "ünï", "x=1", "[x]", "$x"]))
    if name in SWEEPS:
        jobs = sorted(path for path in run.iterdir() if path.is_dir())
        for _ in range(rng.randint(1, 2)):
            mutate(draw, rng.choice(jobs) if rng.random() < 0.8 else run)
    elif name == "unfinished" and rng.random() < 0.3:
        spoil(rng, run)
    else:
        for _ in range(rng.randint(1, 3)):
            mutate(draw, run)
    for _ in range(rng.randint(1, 3)):
        use(draw, run, name)
    if list(draw.folder.rglob("sang")):
        draw.find("nothing in a run's files is run", "sang")
    unlock(draw.folder)


def unlock(folder: Path) -> None:
    """Let everything in a folder be removed again."""
    for place, folders, _ in os.walk(folder):
        for name in folders:
            path = Path(place, name)
            if not path.is_symlink() and not path.stat().st_mode & stat.S_IWUSR:
                path.chmod(0o755)
