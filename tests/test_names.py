"""One concept, one name: no public name is defined twice, no file name has two meanings, options and files agree."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import deeprob

SOURCE = Path(deeprob.__file__).parent

DEFINED_TWICE = {
    "AllConfig": "the option `all` of the groups figure and surface, each beside its command",
    "capacity": "of the chosen engine of workers, and of Ray",
    "check_cluster": "of Ray, and of submitit",
    "check_gradients": "the console command in main.py, and what it does in a file of its own",
    "compare": "the console command, and what it does",
    "draw": "of two commands: pictures of runs, and of paths on surfaces",
    "evaluate": "the console command, and loss and accuracy of a model on examples",
    "launch": "of a sweep: all of its jobs, or those of one stack",
    "load_run": "what Python users call, and the same without given data",
    "load": "a dataclass from a composed config, and always as checkpoint_file.load the content of a checkpoint",
    "optimizer_paths": "the console command, and what it does",
    "read": "config.read takes a config.yaml back, and claims.read what an experiment claims",
    "report": "prints what one command, or one run, has to say at its end",
    "start": "of the chosen engine of workers, and of each engine",
    "sweep": "what Python users call, and the sweeper's work",
    "train": "the console command, the same from Python, the launcher's work, and the loop that trains",
    "visualize": "the console command, and what it does",
}
"""Public functions and classes that two modules define, and why they may."""

FILES_TWICE = {
    "activations": "the functions of models/, and the figure of them that is an option",
    "base": "what all modules of a folder share",
    "color_histogram": "the feature, and the figure of it: options of one name",
    "convexity": "the search for a violation, and the figure of it that is an option",
    "csv": "the tables of a dataset, and the table that a tracker writes: options of one name",
    "hog": "the feature, and the figure of it: options of one name",
}
"""File names that occur twice, and why they may."""

SEVERAL_OPTIONS = {
    "objective/losses.py": "the losses, a few lines each",
    "objective/regularizers.py": "the regularizers, a few lines each",
    "optim/schedules.py": "the schedules, a few lines each",
}
"""Files that define several tiny options of a group."""

OTHER_FILE = {
    ("trainer", "default"): "training/trainer.py: the group has one option, which is the trainer",
    ("figure", "all"): "commands/visualize.py: all figures are drawn by the command",
    ("surface", "all"): "commands/optimizer_paths.py: all surfaces are raced on by the command",
    ("", "train"): "assembly/config.py: the config of a run, which more than the command reads",
}
"""Options that another file than the one of their name defines."""


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE), ast.parse(path.read_text(encoding="utf-8"))


def definitions(module: ast.Module) -> set[str]:
    return {node.name for node in module.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def registered(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Group and name of each option that a module registers."""
    for node in module.body:
        for call in getattr(node, "decorator_list", ()):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "register":
                group, name = (ast.literal_eval(argument) for argument in call.args)
                yield group, name


def test_public_names_are_defined_once_or_listed_with_a_reason():
    places = defaultdict(list)
    for path, module in modules():
        for name in definitions(module):
            if not name.startswith("_"):
                places[name].append(path.as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1 and name not in DEFINED_TWICE} == {}
    assert [name for name in DEFINED_TWICE if len(places[name]) < 2] == []


def test_file_names_are_there_once_or_listed_with_a_reason():
    places = defaultdict(list)
    for path, _ in modules():
        if path.stem != "__init__":
            places[path.stem].append(path.as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1 and name not in FILES_TWICE} == {}
    assert [name for name in FILES_TWICE if len(places[name]) < 2] == []


def test_an_option_is_in_the_file_of_its_name():
    elsewhere = {
        (group, name): path.as_posix()
        for path, module in modules()
        for group, name in registered(module)
        if path.stem != name and path.as_posix() not in SEVERAL_OPTIONS
    }
    assert {option: path for option, path in elsewhere.items() if option not in OTHER_FILE} == {}
    assert set(OTHER_FILE) == set(elsewhere)


def test_a_misplaced_option_and_a_second_definition_would_be_seen():
    module = ast.parse('@register("loss", "hinge")\n@dataclass(slots=True)\nclass A:\n    x = 1\ndef f():\n    pass\n')
    assert list(registered(module)) == [("loss", "hinge")]
    assert definitions(module) == {"A", "f"}
