"""The house stands: each floor imports only from floors below it, rooms on one floor do not know each other, and the
tests mirror the source.
"""

import ast
import re
from pathlib import Path

import deeprob

SOURCE = Path(deeprob.__file__).parent

FLOORS = [
    {"errors", "randomness"},
    {"config", "tracking"},
    {"data", "features", "models", "objective", "optim"},
    {"analysis", "training"},
    {"assembly"},
    {"compare", "exports", "figures"},
    {"running"},
    {"parts", "sweeps"},
    {"api", "commands"},
    {"sklearn"},
]
TESTS = Path(__file__).parent
SERVED = {
    # one test file holds every option of a kind to the same contract
    "analysis/surfaces/test_surfaces.py": [
        f"analysis/surfaces/{name}.py"
        for name in ("base", "beale", "bowl", "local_minima", "ravine", "rosenbrock", "saddle")
    ],
    "data/test_csv.py": ["data/table_dataset.py"],
    "data/test_planar.py": [f"data/{name}.py" for name in ("chevrons", "circles", "moons", "xor")],
    "exports/test_c_header.py": ["exports/c_functions.py"],
    "optim/test_base.py": [
        f"optim/{name}.py"
        for name in (
            "adadelta", "adafactor", "adagrad", "adam", "adamax", "asgd", "nadam", "radam", "rmsprop", "rprop",
        )
    ],
    "optim/test_rules.py": [f"optim/rules/{name}.py" for name in ("adaptive", "base", "gradient_descent", "moments")],
    # one test file tries planted mistakes in parts of every group
    "parts/test_contract.py": [
        "parts/part_trial.py",
        *(
            f"parts/checks/of_{group}.py"
            for group in (
                "dataset", "features", "figure", "loss", "model", "optimizer", "regularizer", "runs", "scheduler",
                "surface",
            )
        ),
    ],
    # all that a command does, and all that a run leaves, is theirs
    "commands/test_main.py": ["commands/command.py"],
}  # fmt: skip
"""Files without a test file of their own, under the test file that serves them."""

OF_MANY = {
    "commands/test_own_parts.py",  # options from modules of the user, in every command
    "commands/test_planted_errors.py",  # check_gradients.py with an error in each formula of the model and the loss
    "features/test_bad_input.py",  # what every feature does with such pictures
    "features/test_weights.py",  # what features learn from weighted examples
    "training/test_company.py",  # runs alone against stacks of any size
    "training/test_weights.py",  # weighted losses and gradients, in every engine
}
"""Test files in rooms that are about no single source file."""

FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("deeprob.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "deeprob":
            rooms |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("deeprob."):
            rooms.add(node.module.split(".")[1])
    return rooms


def test_every_room_has_a_floor():
    assert {room_of(path) for path in SOURCE.rglob("*.py")} - {"__init__"} == set(FLOOR_OF)


def test_imports_go_down():
    upward = [
        f"{path.relative_to(SOURCE)} imports {room}"
        for path in SOURCE.rglob("*.py")
        if room_of(path) != "__init__"
        for room in imported_rooms(path) - {room_of(path)}
        if FLOOR_OF[room] >= FLOOR_OF[room_of(path)]
    ]
    assert upward == []


def arrows() -> set[tuple[str, str]]:
    """Return which room imports which."""
    return {
        (room_of(path), room)
        for path in SOURCE.rglob("*.py")
        if room_of(path) != "__init__"
        for room in imported_rooms(path) - {room_of(path)}
    }


def test_the_house_stays_small(capsys):
    entries = {path.name for path in SOURCE.iterdir() if path.name not in ("__init__.py", "__pycache__", "py.typed")}
    files = {name for name in entries if name.endswith(".py")}
    with capsys.disabled():
        print(f" {len(FLOOR_OF)} rooms, {len(FLOORS)} floors, {len(arrows())} arrows between rooms ", end="")
    assert len(entries) <= 21
    assert len(files) <= 4
    assert len(arrows()) <= 130


def test_the_page_for_contributors_draws_this_house():
    page = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawn: list[set[str]] = []
    for number, room in re.findall(r"^(\d+| ) ?│ (\w+) ", page, re.MULTILINE):
        if number != " ":
            drawn.insert(0, set())
        drawn[0].add(room)
    assert drawn == FLOORS


def test_an_upward_import_would_be_seen(tmp_path):
    (tmp_path / "a.py").write_text(
        "from deeprob import randomness\nimport deeprob.config\nfrom deeprob.sweeps.sweep import x\n"
    )
    assert imported_rooms(tmp_path / "a.py") == {"randomness", "config", "sweeps"}


def twin(source: str) -> str:
    """Return the test file of a source file."""
    folder, _, name = source.rpartition("/")
    return f"{folder}/test_{name}".removeprefix("/")


SOURCES = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if path.name != "__init__.py"}
TESTED = {str(path.relative_to(TESTS)) for path in TESTS.rglob("test_*.py")}


def test_every_file_has_its_tests():
    served = {source for sources in SERVED.values() for source in sources}
    assert sorted(source for source in SOURCES - served if twin(source) not in TESTED) == []


def test_every_test_file_has_its_source():
    in_rooms = {path for path in TESTED if path.partition("/")[0] in FLOOR_OF}
    assert sorted(in_rooms - set(map(twin, SOURCES)) - set(SERVED) - OF_MANY) == []


def test_the_exceptions_are_some():
    served = [source for sources in SERVED.values() for source in sources]
    assert [source for source in served if source not in SOURCES or twin(source) in TESTED] == []
    assert sorted((set(SERVED) | OF_MANY) - TESTED) == []
