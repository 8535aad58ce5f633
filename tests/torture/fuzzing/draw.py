"""One draw: random numbers that follow from seed and number, a folder, the commands run there, what was found."""

import json
import os
import random
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from fuzzing import rules
from fuzzing.process import Ran, ran
from fuzzing.rules import Broken
from fuzzing.stock import Stock

from deeprob import load_run
from deeprob.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
LIMIT = 120.0  # seconds a draw
OWN = ("cache", "tmp", "streams")  # folders of the draw in which a command may write as it likes
LOCKS = (".lock", ".owner")
SPLITS = ("train", "val", "test")

IDLE = re.compile(r"-c|-h|--(?!config-|multirun)|\+*(resume=|trainer.preflight=only)")
"""Words beside which a command may have nothing to train."""

Main = Callable[[Sequence[str], str], int]


class Draw:
    """A draw of a kind.

    Parameters
    ----------
    seed, number, kind
        Its name.
    folder
        Where all of it lies; made.
    main
        Runs a command: `deeprob.commands.main.main`, or for a test of the fuzzer one with faults.
    stock
        Runs, a table and pictures to copy.
    """

    def __init__(self, seed: int, number: int, kind: str, folder: Path, main: Main, stock: Stock) -> None:
        self.seed, self.number, self.kind, self.folder = seed, number, kind, folder
        self.main, self.stock = main, stock
        self.rng = random.Random(f"{seed} {number}")
        self.ran: list[Ran] = []
        self.broken: list[Broken] = []
        for name in ("work", "home", "data", *OWN):
            (folder / name).mkdir(parents=True)
        self.work, self.data = folder / "work", folder / "data"
        self.encoding = self.rng.choice(["utf-8"] * 19 + ["ascii"])
        self.environment = {
            "HOME": str(folder / "home"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_CONFIG_HOME": str(folder / "home/.config"),
            "TMPDIR": str(folder / "tmp"),
            "MPLCONFIGDIR": str(folder.parent / "matplotlib"),  # it would lie in HOME, and take seconds to make
            "COLUMNS": self.rng.choice(["80", "80", "200", "40", "20", "1"]),
            "PYTHONIOENCODING": self.encoding,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")])),
        }

    # ------------------------------------------------------------ commands

    def run(
        self,
        *words: str,
        command: str = "train",
        within: Iterable[str | Path] | None = None,
        signals: Sequence[tuple[float, int]] = (),
        folder: Path | None = None,
        whole: bool = True,
        real: bool = False,
    ) -> Ran:
        """Run a command and check what must hold.

        Parameters
        ----------
        words, command
            What is typed.
        within
            The paths below which it may change something, those of its words unless given.
        signals
            What it is sent, each after so many seconds.
        folder
            Where it is started.
        whole
            Whether runs that it leaves behind are to be complete and to say what `deeprob-evaluate` says.
        real
            Whether it gets a process that imports all anew.
        """
        folder = folder or self.work
        name = f"deeprob-{command.replace('_', '-')}"
        script = [sys.executable, str(ROOT / f"scripts/{command}.py"), *words]

        def task() -> int:
            if real:
                os.execv(sys.executable, script)
            return self.main(words, command)

        before = rules.listing(self.folder)
        result = self._timed(task, shlex.join([name, *words]), folder, signals)
        changed = rules.changes(before, rules.listing(self.folder))
        self.ran.append(result)
        self.broken += rules.of_ending(result, frozenset(number for _, number in signals))
        if command in ("train", "evaluate", "compare") and whole:
            self.broken += rules.of_tables(result)
        places = [folder / place for place in (written(words, command) if within is None else within)]
        self._check_changes(result, changed, places)
        if command == "train" and result.status == 0 and whole:
            runs = [path.parent for path in changed if path.name == "summary.json"]
            if not runs and not any(map(IDLE.match, words)):
                self.find("a command that trains leaves a run", last_words(result))
            for run in runs:
                self.check_run(self.folder / run)
        return result

    def call(self, task: Callable[[], object], line: str) -> Ran:
        """Run Python as a command is run: what a command refuses, it refuses with status 2."""

        def guarded() -> int:
            try:
                task()
            except (UserError, PermissionError) as error:
                print(f"error: {error}", file=sys.stderr)
                return 2
            return 0

        before = rules.listing(self.folder)
        result = self._timed(guarded, line, self.work, ())
        self.ran.append(result)
        self.broken += rules.of_ending(result)
        self._check_changes(result, rules.changes(before, rules.listing(self.folder)), [])
        return result

    def _timed(self, task: Callable[[], int], line: str, folder: Path, signals: Sequence[tuple[float, int]]) -> Ran:
        left = max(1.0, LIMIT - sum(result.seconds - result.starved for result in self.ran))
        return ran(task, line, folder, self.folder / "streams", self.environment, left, signals, self.encoding)

    def _check_changes(self, result: Ran, changed: list[Path], places: list[Path]) -> None:
        """Check where a command has changed files, and that it has left all as it was if it refuses to work."""
        real = [Path(os.path.realpath(place)) for place in places]
        foreign, own = [], []
        for relative in changed:
            path = self.folder / relative
            lock_gone = path.name in LOCKS and not path.exists()  # that of a process that was killed
            if relative.parts[0] in OWN or ".deeprob-cache" in relative.parts or lock_gone:
                continue
            inside = any(path == place or place in path.parents or path in place.parents for place in [*places, *real])
            (own if inside else foreign).append(str(relative))
        if foreign:
            self.find("nothing changes outside the run's directory", ", ".join(foreign[:5]))
        if own and result.status == 2:
            self.find("a command that is refused leaves all as it was", ", ".join(own[:5]))

    # ------------------------------------------------------------ what was found

    def find(self, rule: str, found: str) -> None:
        """Note that a rule does not hold."""
        self.broken.append(Broken(rule, found))

    def check_run(self, run: Path) -> None:
        """Check a run that has ended well, and measure it again."""
        try:
            broken = [*rules.of_run(run)]
        except Exception as error:  # of whatever library reads a damaged file
            broken = [Broken("the files of a complete run can be read", f"{run.name}: {type(error).__name__}: {error}")]
        self.broken += broken
        if broken:
            return
        summary = json.loads((run / "summary.json").read_text())
        answer = self.folder / "streams/measured.json"
        result = self.call(lambda: answer.write_text(json.dumps(measured(run))), f"load_run({str(run)!r})(x)")
        if result.status:
            self.find("a complete run can be loaded", last_words(result))
            return
        self.broken += rules.of_measured(summary, json.loads(answer.read_text()))
        self.check_evaluate(run, summary)

    def check_evaluate(self, run: Path, summary: dict[str, Any]) -> None:
        """Check that `deeprob-evaluate` prints the numbers of ``summary.json``."""
        split = self.rng.choice([split for split in SPLITS if f"{split}/loss" in summary])
        result = self.run(f"run={quoted(str(run))}", f"split={split}", command="evaluate")
        if result.status:
            self.find("a complete run can be measured again", last_words(result))
            return
        if self.encoding == "ascii" or int(self.environment["COLUMNS"]) < 80:
            return  # cells are folded
        printed = dict(re.findall(r"^│ (loss|accuracy) +│ +(\S+)(?: %)? │$", result.out, re.MULTILINE))
        told = [summary[f"{split}/loss"], 100 * summary.get(f"{split}/accuracy", 0.0)]
        numbers = [float(printed.get(name, 0)) for name in ("loss", "accuracy")]
        rounding = [max(5.1e-5, 6e-4 * abs(told[0])), 5.1e-3]
        if not printed or any(abs(a - b) > c for a, b, c in zip(numbers, told, rounding, strict=True)):
            self.find("deeprob-evaluate prints what summary.json says", f"{split}: {numbers} and {told}")


def last_words(result: Ran) -> str:
    """Return what a command said last."""
    return (result.err.splitlines() or [f"status {result.status}"])[-1]


def measured(run: Path) -> dict[str, float]:
    """Return what a run's network gives on each split, and check that it takes raw inputs."""
    loaded = load_run(run)
    numbers = {}
    for split in SPLITS:
        if getattr(loaded.data(), split) is not None:
            numbers |= {f"{split}/{name}": value for name, value in loaded.evaluate(split).items()}
    inputs = loaded.data().test.inputs
    scores = loaded(inputs)
    assert scores.shape == (len(inputs), loaded.predictor.outputs)
    assert scores.isfinite().all()
    return numbers


def quoted(text: str) -> str:
    """Return a word's value as Hydra reads any text."""
    if re.fullmatch(r"[\w./:-]+", text, re.ASCII):
        return text
    text = re.sub(r'(\\*)"', r'\1\1\\"', text)
    return '"' + re.sub(r"(\\+)$", r"\1\1", text) + '"'


def unquoted(value: str) -> str:
    """Return the text of a word's value."""
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def written(words: Sequence[str], command: str) -> list[str]:
    """Return the paths below which a command may change something."""
    values = {key.lstrip("+"): unquoted(value) for key, _, value in (word.partition("=") for word in words)}
    if command == "train":
        named = [values[key] for key in ("hydra.run.dir", "hydra.sweep.dir", "resume") if values.get(key)]
        return [*named, "outputs"]
    if command == "visualize":
        return [f"{values['run']}/figures"] if "run" in values else ["outputs/figures"]
    if command == "compare":
        return [values.get("out") or f"{values.get('sweep', '')}/compare.html"]
    return ["outputs/figures"] if command in ("check_gradients", "optimizer_paths") else []
