"""Every command of the README does what the README says."""

import re
import shlex
from pathlib import Path

import pytest

import deeprob as package
from deeprob.optim.tracks import table_text

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = [
    block.replace("\\\n", " ")
    for block in re.findall(
        r"```\n(.*?)```", re.sub(r"```(text|python)\n.*?```", "", README, flags=re.DOTALL), re.DOTALL
    )
]
LINES = [line for block in BLOCKS for line in block.splitlines()]
COMMANDS = [
    line.removeprefix("deeprob-train ") if line.startswith("deeprob-train") else re.findall('ARGS="(.*)"', line)[0]
    for line in LINES
    if line.startswith(("deeprob-train", "make train ARGS"))
]
EXPERIMENTS = [command for command in COMMANDS if re.fullmatch(r"experiment=\w+", command)]
TRAIN = [command for command in COMMANDS if command not in EXPERIMENTS]
MISTAKES = re.findall(r"^\$ deeprob-train (.*)\n(error: .*)$", README, re.MULTILINE)


def test_the_commands_were_found():
    assert len(TRAIN) >= 10
    assert sum(line.startswith("deeprob-visualize") for line in LINES) >= 4
    assert len(MISTAKES) == 2


@pytest.mark.parametrize("command", EXPERIMENTS)
def test_experiments_are_there(deeprob, command):
    """And test_experiments.py trains them."""
    status, out, err = deeprob("--cfg", "job", command)
    assert (status, err) == (0, "")
    assert "\noptimizer:\n" in out


@pytest.mark.filterwarnings("ignore:::optuna", "ignore:::hydra_plugins")
@pytest.mark.parametrize("command", TRAIN)
def test_train_commands_train(deeprob, small, pictures, command):
    if "resume=outputs" in command:
        directory = command.split("=")[1]
        assert deeprob(*small, f"hydra.run.dir={directory}").status == 0
        assert deeprob(*shlex.split(command)).status == 0
        return
    Path("TABLE.csv").write_text("length,width,kind\n" + "".join(f"{i % 7},{i % 5},{'ab'[i % 2]}\n" for i in range(30)))
    words = shlex.split(command.replace("FOLDER", str(pictures)))
    if "features=whitened_words" in words:  # the test's pictures are small and few
        words.append("features.parts=[{name:bag_of_words,words:8,patch:3},{name:whiten,method:cholesky}]")
    if searches := "hydra/sweeper=optuna" in words:
        words += ["hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=2"]
    result = deeprob(*words, "trainer.epochs=1")
    if searches:
        assert (result.status, "error: " in result.err) == (0, False)  # besides what Optuna logs
    elif "claims failed" in result.err:  # after one epoch; test_experiments.py checks what whole runs claim
        assert result.status == 4
    else:
        assert (result.status, result.err) == (0, "")


@pytest.mark.parametrize(("command", "error"), MISTAKES)
def test_mistakes_are_explained_as_shown(deeprob, command, error):
    assert deeprob(*shlex.split(command)) == (2, "", error + "\n")


def test_evaluate_measures_again(deeprob, one_run):
    (command,) = [line for line in LINES if line.startswith("deeprob-evaluate run=")]
    key, _ = command.split()[1].split("=")
    assert deeprob(f"{key}={one_run}", command="evaluate").status == 0


def test_evaluate_fuses(deeprob, one_run, small):
    (command,) = [line for line in LINES if line.startswith("deeprob-evaluate runs=")]
    assert deeprob(*small, "dataset.val_fraction=0.2", "seed=1", "hydra.run.dir=other").status == 0
    words = [re.sub(r"\[.*\]", f"[{one_run},other]", word) for word in command.split()[1:]]
    assert deeprob(*words, command="evaluate").status == 0


@pytest.mark.parametrize("command", [line for line in LINES if re.match("deeprob-visualize .*figure=", line)])
def test_visualize_draws(deeprob, one_run, command):
    """One figure; test_visualize.py draws all that suit a run, as the command without a figure does."""
    words = command.split()[1:]
    words = [f"run={one_run}" if word.startswith("run=outputs/") else word for word in words]
    assert deeprob(*words, command="visualize").status == 0


@pytest.mark.parametrize("command", [line for line in LINES if line.startswith("deeprob-compare")])
def test_compare_compares(deeprob, small, command):
    folder = re.search(r"sweep=(\S+)", command)[1]
    words = [word for word in small if not word.startswith("model.width")]
    sweep = ("-m", "optimizer.lr=1e-3,1e-2", "model.width=4,8", f"hydra.sweep.dir={folder}")
    assert deeprob(*words, *sweep).status == 0
    assert deeprob(*shlex.split(command)[1:], command="compare").status == 0


def test_the_gradient_check_checks(deeprob):
    (command,) = [line for line in LINES if line.startswith("deeprob-check-gradients")]
    assert deeprob(*command.split()[1:], command="check_gradients").status == 0


@pytest.mark.parametrize("command", [line for line in LINES if line.startswith("deeprob-optimizer-paths")])
def test_optimizers_walk(deeprob, command):
    assert deeprob(*shlex.split(command)[1:], "steps=5", "remarks=false", command="optimizer_paths").status == 0


def test_the_table_of_optimizers_is_as_shown(deeprob):
    assert "deeprob-optimizers" in LINES
    assert table_text() in deeprob(command="optimizers").out
    assert f"```text\n{table_text()}\n```" in README


def test_the_python_example_runs(one_run):
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    block = re.sub(r'load_run\(".*"\)', f"load_run({str(one_run)!r})", block)
    names: dict[str, object] = {}
    exec(block, names)
    assert names["scores"].shape == (60, 3)
    assert names["load_run"] is package.load_run


def test_every_make_target_is_known():
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    used = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert used <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def test_its_pictures_exist():
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", README, re.DOTALL)
    assert pictures
    assert all((Path(__file__).parents[1] / picture).is_file() for picture in pictures)
