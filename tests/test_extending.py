"""The examples of docs/guide/extending.md and of examples/own_parts: they keep their contracts, and every command
knows them.
"""

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/guide/extending.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = "".join(re.findall(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)).splitlines()
OPTIONS = ["=".join(re.search(r'@register\("(\w+)", "(\w+)"\)', block).groups()) for block in EXAMPLES]
IN_RUNS = [option for option in OPTIONS if not option.startswith(("figure", "surface"))]
PARTS = ("--import", "my_parts")
PACKAGE = ROOT / "examples/own_parts"
SETTINGS = (PACKAGE / "pyproject.toml").read_text(encoding="utf-8")
SMALL = ("dataset.examples=120", "trainer.epochs=4", "trainer.figures=[]")


@pytest.fixture
def my_parts(own):
    """The module that a reader of the page writes."""
    return own("my_parts", "\n\n".join(EXAMPLES))


def test_one_example_of_each_group_in_at_most_40_lines():
    groups = ["model", "optimizer", "loss", "regularizer", "dataset", "features", "scheduler", "figure", "surface"]
    assert [option.partition("=")[0] for option in OPTIONS] == groups
    assert max(len(block.splitlines()) for block in EXAMPLES) <= 40


def test_a_run_of_own_parts_alone(deeprob, my_parts):
    status, out, err = deeprob(*PARTS, *IN_RUNS, *SMALL, "hydra.run.dir=run")
    lacking = "model=resmlp and loss=brier and regularizer=group_lasso"
    assert (status, err) == (0, f"note: {lacking}: no formula for the derivative, so autograd computes the gradients\n")
    assert "again      deeprob-evaluate --import my_parts run\n" in out
    recorded = json.loads(Path("run/provenance.json").read_text())["parts"]
    assert {part["option"] for part in recorded} == set(IN_RUNS)


@pytest.mark.slow
def test_other_commands_know_such_a_run(deeprob, my_parts):
    assert deeprob(*PARTS, *IN_RUNS, *SMALL, "hydra.run.dir=run").status == 0
    assert deeprob(*PARTS, "run", command="evaluate").status == 0
    assert deeprob(*PARTS, "run", "figure=margins", command="visualize").out == "figure     run/figures/margins.png\n"
    assert deeprob(*PARTS, "run", command="visualize").status == 0


@pytest.mark.slow
def test_a_resumed_run_has_the_same_bits(deeprob, my_parts):
    words = (*PARTS, *(option for option in IN_RUNS if "scheduler" not in option), "scheduler=constant", *SMALL)
    assert deeprob(*words, "hydra.run.dir=whole").status == 0
    assert deeprob(*words, "trainer.epochs=2", "hydra.run.dir=parted").status == 0
    assert deeprob(*PARTS, "resume=parted", "trainer.epochs=4").status == 0
    whole, parted = (json.loads(Path(name, "summary.json").read_text()) for name in ("whole", "parted"))
    for name in ("train/loss", "test/loss", "test/accuracy", "params/norm"):
        assert whole[name] == parted[name]


@pytest.mark.slow
@pytest.mark.parametrize("option", OPTIONS)
def test_the_examples_keep_their_contracts(deeprob, my_parts, option):
    status, out, err = deeprob(*PARTS, option, command="check_part")
    assert (status, err) == (0, ""), out


@pytest.mark.slow
@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_page(deeprob, my_parts, line):
    name, *words = shlex.split(line)
    if name == "deeprob-train" and "--help" not in words:
        words += ["dataset.points_per_class=30", "trainer.epochs=2"]
    if name == "deeprob-visualize":
        assert deeprob("trainer.epochs=1", "hydra.run.dir=run").status == 0
        words = [re.sub("^outputs/.*", "run", word) for word in words]
    status, _, err = deeprob(*words, command=name.removeprefix("deeprob-").replace("-", "_"))
    assert status == 0, err


@pytest.mark.slow
def test_a_sweep_stacks_own_models(deeprob, my_parts):
    result = deeprob(*PARTS, "-m", "model=resmlp", "loss=brier", "seed=0,1,2", "trainer.epochs=2", "hydra.sweep.dir=s")
    assert result.status == 0, result.err
    assert "one by one" not in result.err
    with Path("s/summary.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["completed"] * 3


@pytest.mark.slow
def test_the_package_to_copy(tmp_path):
    """Installed without a network: its module and its entry points lie on the path, as pip would put them."""
    site = tmp_path / "site"
    shutil.copytree(PACKAGE / "src/own_parts", site / "own_parts")
    _, _, entries = SETTINGS.partition('[project.entry-points."deeprob.parts"]\n')
    about = site / "own_parts-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-parts\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text("[deeprob.parts]\n" + entries.replace('"', ""))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(PACKAGE / "tests")],
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": f"{ROOT / 'src'}:{site}", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package_has_the_parts_of_the_page():
    entries = dict(re.findall(r'^"(\w+\.\w+)" = "own_parts.parts:(\w+)"$', SETTINGS, re.MULTILINE))
    assert len(entries) == 2
    text = (PACKAGE / "src/own_parts/parts.py").read_text()
    for option, cls in entries.items():
        group, _, name = option.partition(".")
        assert f'@register("{group}", "{name}")\n@dataclass(kw_only=True)\nclass {cls}(' in text
        assert f"{group}={name}" in OPTIONS
