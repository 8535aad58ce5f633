"""A fuzzer of deeprob: draws command lines, tables, folders of pictures, directories of runs and signals at random.

    make fuzz ARGS="--minutes 60 --seed 7"

Each draw follows from the seed and its number, and has a folder of its own in which commands run one after the other,
each in a process forked from one that has imported all. What must always hold is in ``fuzzing/rules.py`` and
``fuzzing/draw.py``: a status of the list, one line or a complete run, no traceback, nothing changed outside the run's
directory, a summary that says what ``deeprob-evaluate`` says, and after a signal the same bits as without.

A rule that does not hold is printed with the commands and their last lines, and how to repeat the draw; its folder is
kept. The exit status is 1 if there was one.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from importlib import import_module
from itertools import count
from multiprocessing import get_context
from pathlib import Path

import nursery
import torch
from fuzzing.directories import directories, unlock
from fuzzing.draw import Draw, Main
from fuzzing.interruptions import interruptions
from fuzzing.pictures import pictures
from fuzzing.process import Ran
from fuzzing.rules import Broken
from fuzzing.stock import Stock
from fuzzing.tables import tables
from fuzzing.words import commands

KINDS: dict[str, Callable[[Draw], None]] = {
    "commands": commands, "tables": tables, "pictures": pictures, "directories": directories,
    "interruptions": interruptions,
}  # fmt: skip
LINES = 12  # of each command's output that are shown


@dataclass(frozen=True)
class Plan:
    """What all draws share."""

    seed: int
    kinds: list[str]
    root: Path
    main: str
    repeat: str

    def kind(self, number: int) -> str:
        return self.kinds[number % len(self.kinds)]


@dataclass
class Result:
    """What came of a draw."""

    number: int
    kind: str
    seconds: float
    folder: Path
    ran: list[Ran] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    own_fault: str = ""


STOCK: dict[int, Stock] = {}
"""The stock of this process."""


def draw(plan: Plan, number: int) -> Result:
    """Make a draw, in this process, and remove its folder unless something was found."""
    began, kind = time.monotonic(), plan.kind(number)
    folder = plan.root / f"{number}-{kind}"
    if os.getpid() not in STOCK:
        STOCK[os.getpid()] = Stock(plan.root / f"stock-{os.getpid()}")
    module, _, name = plan.main.partition(":")
    main: Main = getattr(import_module(module), name)
    one, fault = Draw(plan.seed, number, kind, folder, main, STOCK[os.getpid()]), ""
    try:
        KINDS[kind](one)
    except Exception:
        fault = traceback.format_exc()
    if not one.broken and not fault:
        unlock(folder)
        shutil.rmtree(folder)
    return Result(number, kind, time.monotonic() - began, folder, one.ran, one.broken, fault)


def numbers(arguments: argparse.Namespace) -> Iterator[int]:
    """Yield the numbers of draws as long as there are to be more."""
    if arguments.one is not None:
        yield arguments.one
        return
    end = time.monotonic() + 60 * arguments.minutes
    for number in range(arguments.draws) if arguments.draws else count():
        if not arguments.draws and time.monotonic() > end:
            return
        yield number


def results(plan: Plan, arguments: argparse.Namespace) -> Iterator[Result]:
    """Yield what comes of draws, in the order in which they end."""
    with ProcessPoolExecutor(
        arguments.workers, get_context("fork"), signal.signal, (signal.SIGINT, signal.SIG_IGN)
    ) as pool:
        waiting: set[Future[Result]] = set()
        for number in numbers(arguments):
            waiting.add(pool.submit(draw, plan, number))
            if len(waiting) > arguments.workers:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in wait(waiting).done)


def show(result: Result, plan: Plan) -> None:
    """Print what was found in a draw."""
    print(f"\n{'=' * 100}\ndraw       {result.number} ({result.kind}, {result.seconds:.1f} s)")
    print(f"repeat     {plan.repeat} --one {result.number}")
    for rule, found in dict.fromkeys(result.broken):
        print(f"broken     {rule}\n           {found}")
    if result.own_fault:
        print(f"broken     the fuzzer itself\n{result.own_fault}")
    print(f"folder     {result.folder}")
    for ran in result.ran:
        print(f"\n$ {ran.line}")
        lines = [*ran.out.splitlines()[-LINES:], *ran.err.splitlines()[-LINES:]]
        print(*(f"    {line[:500]}" for line in lines), f"    status {ran.status}, {ran.seconds:.1f} s", sep="\n")
    sys.stdout.flush()


def report(all_results: list[Result], seconds: float) -> None:
    """Print how many draws there were of each kind, how their commands ended, and what was found."""
    print(f"\n{len(all_results)} draws in {seconds / 60:.1f} minutes")
    for kind in KINDS:
        if not (of_kind := [result for result in all_results if result.kind == kind]):
            continue
        statuses = Counter(ran.status for result in of_kind for ran in result.ran)
        ended = "  ".join(f"{status}: {times}" for status, times in sorted(statuses.items()))
        found = sum(bool(result.broken or result.own_fault) for result in of_kind)
        print(f"{kind:14} {len(of_kind):5} draws  {found:3} with findings   statuses  {ended}")
    for rule, times in Counter(rule for r in all_results for rule in {b.rule for b in r.broken}).most_common():
        print(f"{times:5} × {rule}")


def parsed(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="for how long to draw (10)")
    parser.add_argument("--draws", type=int, help="how many draws to make, instead")
    parser.add_argument("--one", type=int, metavar="DRAW", help="the number of the one draw to make, instead")
    parser.add_argument("--seed", type=int, default=0, help="of all draws (0)")
    parser.add_argument("--workers", type=int, default=2, help="draws at the same time (2)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of draws, of which each has its turn (%(default)s)")
    parser.add_argument("--main", default="deeprob.commands.main:main", help="what runs a command (%(default)s)")
    return parser.parse_args(words)


def fuzz(words: list[str]) -> int:
    """Draw, print what was found, and return the exit status."""
    arguments = parsed(words)
    root = Path(tempfile.mkdtemp(prefix="deeprob-fuzz-"))
    repeat = f"python tests/torture/fuzzer.py --seed {arguments.seed}"
    repeat += f" --kinds {arguments.kinds}" * (arguments.kinds != ",".join(KINDS))
    plan = Plan(arguments.seed, arguments.kinds.split(","), root, arguments.main, repeat)
    torch.set_num_threads(1)
    nursery.train_one()
    began, everything = time.monotonic(), []
    try:
        for result in results(plan, arguments):
            everything.append(result)
            if result.broken or result.own_fault:
                show(result, plan)
    except KeyboardInterrupt:
        print("interrupted")
    report(everything, time.monotonic() - began)
    found = any(result.broken or result.own_fault for result in everything)
    for folder in root.glob("stock-*"):
        shutil.rmtree(folder)
    if not any(root.iterdir()):
        root.rmdir()
    return int(found)


if __name__ == "__main__":
    sys.exit(fuzz(sys.argv[1:]))
