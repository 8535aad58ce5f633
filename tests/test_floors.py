"""The house stands: each floor imports only from floors below it, and rooms on one floor do not know each other."""

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
    {"compare", "figures"},
    {"running"},
    {"sweeps"},
    {"commands"},
]
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


def test_the_page_for_contributors_draws_this_house():
    page = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawn: list[set[str]] = []
    for number, room in re.findall(r"^([1-9 ]) │ (\w+) ", page, re.MULTILINE):
        if number != " ":
            drawn.insert(0, set())
        drawn[0].add(room)
    assert drawn == FLOORS


def test_an_upward_import_would_be_seen(tmp_path):
    (tmp_path / "a.py").write_text(
        "from deeprob import randomness\nimport deeprob.config\nfrom deeprob.sweeps.sweep import x\n"
    )
    assert imported_rooms(tmp_path / "a.py") == {"randomness", "config", "sweeps"}
