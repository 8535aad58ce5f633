"""The examples of CONTRIBUTING.md, written into a copy of the project: they train, and no other test has to change."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^`(\S+)`\n\n```(python|yaml|diff)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
WRITTEN = [path for path, *_ in EXAMPLES]
OWN_TESTS = [path for path in WRITTEN if path.startswith("tests/")]
COMMANDS = [
    line
    for block in re.findall(r"^Try it.*?:\n\n```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]

GENERIC = [
    "tests/test_floors.py",
    "tests/test_options.py",  # configs against schemas
    "tests/test_optimizers_on_spirals.py",
    "tests/analysis/surfaces/test_racers.py",
    "tests/commands/test_main.py::test_a_mistake_is_one_line_status_2_and_leaves_nothing",
    "tests/commands/test_main.py::test_help_shows_groups_values_and_flags",
    "tests/commands/test_visualize.py::test_every_figure_that_suits_a_run",
    "tests/commands/test_visualize.py::test_what_does_not_suit_a_run_is_left_out_or_refused",
    "tests/config/test_help.py::test_every_key_of_every_option_has_a_meaning",
    "tests/config/test_one_option.py",
    "tests/data/test_planar.py",
    "tests/figures/of_models/test_activations.py",
    "tests/models/test_activations.py",
    "tests/optim/test_base.py",
    "tests/optim/test_rules.py",
    "tests/running/test_watch.py::test_what_suits_a_run_depends_on_its_data",
    "tests/torture/test_fuzzed_overrides.py",
    "tests/training/test_company.py::test_every_optimizer",
    "tests/training/test_gradient.py::test_formulas_and_autograd_agree_over_20_updates",
    "tests/training/test_loop.py",
    "tests/training/test_stack.py::test_each_run_keeps_the_optimizer_state_that_torch_has",
    "tests/training/test_state.py::test_every_optimizer_goes_on_from_a_file_as_it_was",
]
"""What runs over every option, activation or figure, or says which there are."""


def write(root: Path, path: str, language: str, block: str) -> None:
    """Write an example: a new file, or lines marked + that go between lines of a file, in hunks parted by @@."""
    target = root / path
    if language != "diff":
        assert not target.exists(), f"{path} is there already"
        target.write_text(block, encoding="utf-8")
        return
    text = target.read_text(encoding="utf-8")
    for hunk in block.split("@@\n"):
        lines = hunk.splitlines(keepends=True)
        assert all(line[0] in " +" for line in lines)
        before, after = "".join(line[1:] for line in lines if line[0] == " "), "".join(line[1:] for line in lines)
        assert text.count(before) == 1, f"{path} has {text.count(before)} times:\n{before}"
        text = text.replace(before, after)
    target.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Iterator[Path]:
    """A copy of the project with every example in it."""
    root = tmp_path_factory.mktemp("contributing") / "copy"
    for name in ("src", "configs", "tests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, root)
    for example in EXAMPLES:
        write(root, *example)
    yield root
    shutil.rmtree(root)


def run(copy: Path, *words: str, folder: Path | None = None) -> str:
    """Run Python in a process of its own that imports deeprob from the copy; return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "OMP_NUM_THREADS": "1"}
    environment = {name: value for name, value in environment.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder or copy, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_page_has_one_example_of_each_kind():
    sections = re.findall(r"^## Add an? (.*)$", PAGE, re.MULTILINE)
    assert sections == ["activation", "optimizer", "data set", "figure"]
    assert len(OWN_TESTS) == len(sections)
    assert len(WRITTEN) == 2 + 3 * 4


def test_every_make_target_is_known():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", PAGE)) <= targets


def test_every_file_that_it_names_is_there():
    named = {path for path in re.findall(r"`([\w/]+\.(?:py|yaml|md))`", PAGE) if "/" in path}
    assert [path for path in named - set(WRITTEN) if not (ROOT / path).is_file()] == []


def test_the_examples_have_the_projects_style(copy):
    run(copy, "-m", "ruff", "check", *(path for path in WRITTEN if path.endswith(".py")))
    run(copy, "-m", "ruff", "format", "--check", *(path for path in WRITTEN if path.endswith(".py")))


def test_the_tests_of_the_examples_pass(copy):
    assert " passed" in run(copy, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *OWN_TESTS)


SMALL = "dataset.points_per_class=30 dataset.test_points_per_class=20 trainer.epochs=3 trainer.figures=[]"
DRIVER = """
import json, sys
from deeprob.commands.main import main
sys.exit(max(main(words, command) for command, *words in json.loads(sys.argv[1])))
"""


def test_the_commands_of_the_page_do_what_it_says(copy, tmp_path):
    commands = []
    for number, line in enumerate(COMMANDS):
        name, *words = shlex.split(line)
        words = [re.sub("^run=outputs/.*", "run=run_0", word) for word in words]
        if name == "deeprob-train":
            words += [*SMALL.split(), f"hydra.{'sweep' if '-m' in words else 'run'}.dir=run_{number}"]
        commands.append([name.removeprefix("deeprob-"), *words])
    said = run(copy, "-c", DRIVER, json.dumps(commands), folder=tmp_path)
    assert "one by one" not in said
    trained = [json.loads(path.read_text())["status"] for path in sorted(tmp_path.rglob("summary.json"))]
    assert trained == ["completed"] * 5  # activation, optimizer, two jobs of a sweep, data set
    drawn = {path.stem for path in tmp_path.rglob("*.png")}
    assert drawn == {"activations", "weight_norms"}


@pytest.mark.slow
def test_no_generic_test_has_to_change(copy):
    run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "auto", *GENERIC)


@pytest.mark.slow
def test_the_examples_are_typed(copy):
    run(copy, "-m", "mypy", *(path for path in WRITTEN if path.startswith("src/")))
