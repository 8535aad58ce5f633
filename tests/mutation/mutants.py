"""Mutation testing: change the source in one place, run the tests about it, and list the changes no test noticed.

    make mutants ARGS="--count 400 --seed 0"

Cosmic-ray makes the mutants. The sample is drawn over places, a kind of change at a position of a file, and then one
change for each place is drawn: an operator has eleven replacements and a ``True`` only one, so a sample over all
mutants would be three quarters arithmetic. The same seed, count and sources give the same sample.

Left out is what is no behaviour: annotations, unions of types with a name, ``@abstractmethod``, and what does not
compile. Cosmic-ray touches neither docstrings nor imports.

Mutants are written into copies of the project, one for each job. Every mutant is tested in a process forked from this
one, which has imported the libraries but nothing of deeprob. The tests of a room run without any mutant first: this
run must pass, and it gives the CPU time of each test. Then the fastest tests come first, tests that take longer than
`LONGEST` are left out, and a test that takes far longer than before counts as failed.
"""

import argparse
import ast
import compileall
import difflib
import importlib
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ("torch", "torchvision", "numpy", "scipy.optimize", "omegaconf", "matplotlib.pyplot", "rich", "tensorboard")
LONGEST = 3.0  # CPU seconds of one test
UNDERSTOOD = (0, 1, 2, 4)  # pytest's: all passed, one failed, a file of tests or conftest.py could not be imported


@dataclass(frozen=True)
class Room:
    """Sources and the tests that check them; `sources` are patterns below src/deeprob, `tests` paths below tests."""

    name: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]


QUASI_NEWTON = ("curvature", "lbfgs", "line", "quasi_newton", "wolfe")
ROOMS = (
    Room(
        "objective",
        ("objective/*.py",),
        ("objective", "test_fields.py", "training/test_gradient.py", "training/test_update.py"),
    ),
    Room("models", ("models/*.py",), ("models", "test_fields.py")),
    Room("training", ("training/*.py",), ("training",)),
    Room("randomness", ("randomness.py",), ("test_randomness.py",)),
    Room("grouping", ("sweeps/grouping.py",), ("sweeps/test_grouping.py",)),
    Room(
        "quasi-Newton",
        tuple(f"optim/{name}.py" for name in QUASI_NEWTON),
        (*(f"optim/test_{name}.py" for name in QUASI_NEWTON), "optim/test_base.py", "test_fields.py"),
    ),
    Room("rules", ("optim/rules/*.py",), ("optim/test_rules.py", "optim/test_tracks.py")),
    Room(
        "optim",
        ("optim/*.py",),
        (
            *(
                f"optim/test_{name}.py"
                for name in ("adamw", "base", "minimize", "plateau", "rules", "schedules", "sgd", "tracks")
            ),
            "test_fields.py",
            "training/test_state.py",
        ),
    ),
)  # a source belongs to the first room that has it


@dataclass(frozen=True)
class Mutant:
    """A changed source: the room, the path below the project, the text as it is and as it was changed."""

    room: Room
    path: Path
    source: str
    text: str

    @property
    def difference(self) -> str:
        """The change, as a diff without context."""
        lines = difflib.unified_diff(self.source.splitlines(), self.text.splitlines(), str(self.path), n=0, lineterm="")
        return "\n".join(line for line in lines if not line.startswith("+++"))


class Behaviour(ast.NodeTransformer):
    """Take annotations, unions of types with a name and ``@abstractmethod`` out of a syntax tree."""

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_AnnAssign(self, node):
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node):
        node.returns = None
        node.decorator_list = [one for one in node.decorator_list if ast.unparse(one) != "abstractmethod"]
        return self.generic_visit(node)

    def visit_Module(self, node):
        def union(line):
            return isinstance(line, ast.Assign) and isinstance(line.value, ast.BinOp) and names(line.value)

        def names(value):
            return isinstance(value, ast.Name) or (
                isinstance(value, ast.BinOp) and names(value.left) and names(value.right)
            )

        node.body = [line for line in node.body if not union(line)]
        return self.generic_visit(node)


def behaviour(text: str) -> str:
    """Return what a source does, as text that can be compared."""
    return ast.dump(Behaviour().visit(ast.parse(text)))


def places(path: Path) -> list[list[tuple[str, int]]]:
    """Return the changes that cosmic-ray can make in a file, by place: names of operators and numbers of occurrences.

    Operators that need arguments are left out.
    """
    nodes = list(ast_nodes(get_ast(path.read_text())))
    found = defaultdict(list)
    for name in operator_names():
        if get_operator(name).arguments():
            continue
        operator = get_operator(name)()
        positions = (start for node in nodes for start, _ in operator.mutation_positions(node))
        for occurrence, position in enumerate(positions):
            found[name.split("_")[0], position].append((name, occurrence))
    return [found[place] for place in sorted(found)]


def sample(count: int, seed: int, rooms: Collection[str] = ()) -> Iterator[Mutant]:
    """Yield `count` mutants, or as many as there are, of the rooms with these names or of all."""
    rng = random.Random(seed)
    taken: dict[Path, Room] = {}
    for room in ROOMS:
        for pattern in room.sources if not rooms or room.name in rooms else ():
            for path in sorted((ROOT / "src/deeprob").glob(pattern)):
                taken.setdefault(path, room)
    everything = [(path, place) for path in sorted(taken) for place in places(path)]
    for path, place in rng.sample(everything, len(everything)):
        if count == 0:
            return
        source = path.read_text()
        for name, occurrence in rng.sample(place, len(place)):
            text = mutate_code(source, get_operator(name)(), occurrence)
            try:
                compile(text, path, "exec")
            except SyntaxError:
                continue
            if behaviour(text) != behaviour(source):
                count -= 1
                yield Mutant(taken[path], path.relative_to(ROOT), source, text)
                break


class Timed:
    """A plugin of pytest: sort tests by the CPU time they took, leave out long ones, end one that takes far longer."""

    def __init__(self, times: dict[str, float]) -> None:
        self.before = times
        self.times: dict[str, float] = {}

    def pytest_collection_modifyitems(self, items):
        """Put the fastest test first."""
        if self.before:
            took = {item: self.before.get(item.nodeid, 0.0) for item in items}  # a mutant may give a test another name
            items[:] = sorted((item for item in items if took[item] <= LONGEST), key=took.__getitem__)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        """Measure a test; the process is killed by a signal (SIGPROF) at its limit of CPU time."""
        start = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, 5 + 10 * self.before.get(item.nodeid, 0.0) if self.before else 0)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self.times[item.nodeid] = time.process_time() - start


def run_tests(copy: Path, room: Room, path: Path | None, times: dict[str, float], send: Callable[[Any], None]) -> None:
    """Run a room's tests in a copy of the project; send pytest's exit status and the CPU time of each test."""
    os.chdir(copy)
    os.environ["PYTHONPATH"] = str(copy / "src")
    sys.path.insert(0, str(copy / "src"))
    sys.dont_write_bytecode = path is not None  # no bytecode of a mutant must outlive it
    with Path("output.txt").open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    signal.setitimer(signal.ITIMER_PROF, 60 if times else 0)  # for import and collection
    plugin = Timed(times)
    options = ("-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--tb=short")
    status = int(pytest.main([*options, *(f"tests/{test}" for test in room.tests)], plugins=[plugin]))
    if path is not None and status == 0:
        name = ".".join(path.relative_to("src").with_suffix("").parts).removesuffix(".__init__")
        assert sys.modules[name].__file__ == str(copy / path), f"{name} is not the mutant"
    send((status, plugin.times))
    os._exit(0)  # other threads and what tests left behind do not matter


def start(copy: Path, room: Room, path: Path | None, times: dict[str, float]) -> tuple:
    """Start `run_tests` in a process of its own; return the process and where its result comes."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=run_tests, args=(copy, room, path, times, sender.send))
    process.start()
    sender.close()
    return process, receiver


def result(receiver: Connection) -> tuple[int | None, dict[str, float]]:
    """Return what `run_tests` sent; no status if it ended before that."""
    try:
        return receiver.recv()
    except EOFError:
        return None, {}


def unchanged(copy: Path, room: Room) -> dict[str, float]:
    """Run a room's tests without any mutant; return the CPU time of each."""
    process, receiver = start(copy, room, None, {})
    status, times = result(receiver)
    process.join()
    if status != 0:
        raise SystemExit(f"the tests of {room.name} fail without any mutant:\n{(copy / 'output.txt').read_text()}")
    kept = [seconds for seconds in times.values() if seconds <= LONGEST]
    print(f"{room.name}: {len(kept)} of {len(times)} tests, {sum(kept):.0f} s", flush=True)
    return times


def survivors(mutants: list[Mutant], copies: list[Path]) -> Iterator[int]:
    """Yield the number of each mutant that no test noticed."""
    times = {room: unchanged(copies[0], room) for room in ROOMS if any(mutant.room == room for mutant in mutants)}
    free, waiting, running = list(copies), list(enumerate(mutants))[::-1], {}
    while waiting or running:
        while waiting and free:
            number, mutant = waiting.pop()
            copy = free.pop()
            (copy / mutant.path).write_text(mutant.text)
            process, receiver = start(copy, mutant.room, mutant.path, times[mutant.room])
            running[receiver] = process, copy, number
        for receiver in wait(list(running)):  # a process with many tests ends only when its result is received
            process, copy, number = running.pop(receiver)
            status, _ = result(receiver)
            process.join()
            if status not in UNDERSTOOD and process.exitcode != -signal.SIGPROF:
                output = (copy / "output.txt").read_text()
                raise SystemExit(f"mutant {number}: status {status}, exit {process.exitcode}:\n{output}")
            (copy / mutants[number].path).write_text(mutants[number].source)
            free.append(copy)
            if status == 0:
                yield number


def main() -> None:
    """Sample mutants, run their tests, print what survived."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=400, help="mutants in the sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--rooms", nargs="+", choices=[room.name for room in ROOMS], default=[])
    parser.add_argument("--only", type=int, nargs="+", help="numbers of mutants in the sample")
    words = parser.parse_args()
    chosen = dict(enumerate(sample(words.count, words.seed, words.rooms)))
    numbers = list(chosen) if words.only is None else words.only
    for name in LIBRARIES:
        importlib.import_module(name)
    survived: dict[str, int] = defaultdict(int)
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(folder).resolve() / str(job) for job in range(words.jobs)]
        for copy in copies:
            ignore = shutil.ignore_patterns("__pycache__")
            for name in ("src", "tests", "configs", "scripts"):
                shutil.copytree(ROOT / name, copy / name, ignore=ignore)
            shutil.copy(ROOT / "pyproject.toml", copy)
            compileall.compile_dir(copy / "src", quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        for place in survivors([chosen[number] for number in numbers], copies):
            mutant = chosen[numbers[place]]
            survived[mutant.room.name] += 1
            print(f"\n{numbers[place]} survived\n{mutant.difference}", flush=True)
    print(f"\n{'room':14}{'mutants':>9}{'killed':>9}{'survived':>9}")
    for name in [*(room.name for room in ROOMS), "all"]:
        total = sum(name in ("all", chosen[number].room.name) for number in numbers)
        lost = sum(survived.values()) if name == "all" else survived[name]
        print(f"{name:14}{total:9}{total - lost:9}{lost:9}")


if __name__ == "__main__":
    main()
