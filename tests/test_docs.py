"""Every command of the README and the guide runs, and what the text says is then to be seen."""

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from deeprob import config as configs
from deeprob import load_run
from deeprob.assembly.config import RunConfig
from deeprob.commands.main import main
from deeprob.config.loader import BasicSweeper
from deeprob.config.overrides import parse
from deeprob.optim.tracks import table_text

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/guide").glob("*.md"))]
PYTHON = ROOT / "docs/guide/python.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCKS = [
    (page, language, block.replace("\\\n", " "))
    for page in PAGES
    for language, block in FENCE.findall(page.read_text(encoding="utf-8"))
]
LINES = list(dict.fromkeys(line for _, language, block in BLOCKS if not language for line in block.splitlines()))
TABLE_OF_EXPERIMENTS = re.findall(
    r"\| `deeprob-train experiment=(\w+)` \| (.+) \|$", (ROOT / "docs/guide/experiments.md").read_text(), re.MULTILINE
)
MISTAKES = re.findall(r"^\$ deeprob-train (.*)\n(error: .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
TORCHRUN = re.compile(r"torchrun --nproc-per-node=(\d) (?:scripts/train.py|--no-python deeprob-train) (.*)")
RUN, SWEEP = "outputs/spirals-mlp-adamw/2026-01-31_12-00-00", "outputs/sweeps/2026-01-31_12-00-00"


def starting(command: str) -> list[str]:
    """The lines of all pages that call a command, without its name."""
    return [line.removeprefix(command).strip() for line in LINES if re.match(rf"{command}( |$)", line)]


TRAIN = starting("deeprob-train")
HELP = [words for words in TRAIN if "--help" in words]
RESUME = [words for words in TRAIN if words.startswith("resume=")]
EXPERIMENTS = [words for words in TRAIN if "experiment=" in words and words not in HELP]
OTHERS = [words for words in TRAIN if words not in [*HELP, *RESUME, *EXPERIMENTS]]
SWEEPS = [words for words in OTHERS if words.startswith("-m ")]
RUNS = [words for words in OTHERS if words not in SWEEPS]


@pytest.fixture
def own(pictures) -> dict[str, str]:
    """A table and a folder of pictures in place of those that the pages speak of."""
    rows = [f"{i % 7},{i % 5},{'ab'[i % 2]}\n" for i in range(30)]
    Path("TABLE.csv").write_text("length,width,kind\n" + "".join(rows))
    return {"FOLDER": str(pictures)}


def words_of(line: str, own: dict[str, str]) -> list[str]:
    """The words of a line, and those that make it quick, with the test's own pictures, which are small and few."""
    words = shlex.split(line.replace("FOLDER", own["FOLDER"]))
    if "features=whitened_words" in words:
        words.append("features.parts=[{name:bag_of_words,words:8,patch:3},{name:whiten,method:cholesky}]")
    if "hydra/sweeper=optuna" in words:
        words += ["hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=2"]
    return words


def test_every_command_was_found():
    assert len(RUNS) >= 30
    assert len(SWEEPS) >= 9
    assert len(MISTAKES) == 2
    known = (
        "deeprob-",
        "make ",
        "torchrun ",
        "tensorboard ",
        "$ deeprob-train",
        "error: ",
        "python3 -m venv",
        ".venv/bin/",
    )
    assert [line for line in LINES if not line.startswith(known)] == []


@pytest.mark.parametrize("line", RUNS)
def test_a_run_has_the_values_of_its_words(deeprob, own, line):
    words = words_of(line, own)
    result = deeprob(*words, "trainer.epochs=1", *(["hydra.run.dir=r"] if "hydra.run.dir" not in line else []))
    told = [text for text in result.err.splitlines() if not text.startswith((f"note: {Path.cwd()}/TABLE.csv", "  "))]
    assert (result.status, told) == (0, [])  # a run says how it has read a table
    if "preflight=only" in line:
        assert all(f" {check} " in result.out for check in ("output", "data", "loss", "gradient", "learns"))
        return
    (directory,) = re.findall(r"^run        (.+)$", result.out, re.MULTILINE)
    values = configs.flat(configs.read(RunConfig, Path(directory, "config.yaml")))
    for override in parse(words):
        key, value = override.key_or_group, override.value()
        if key in ("trainer.epochs", "resume", "dataset.root", "features.parts", "features.before"):
            continue
        if key.startswith("hydra."):
            continue
        if key == "features" and value.startswith("whitened_"):
            value = "chain"  # of two features, under a name of its own
        assert values[key] == ([value] if isinstance(values[key], list) and not isinstance(value, list) else value), key
    assert f"again      deeprob-evaluate {directory}" in result.out


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("torchrun ")])
def test_several_processes_train_a_run(deeprob, own, on_ranks, line):
    count, words = TORCHRUN.fullmatch(line).groups()
    results = on_ranks(int(count), lambda rank: main([*words_of(words, own), "trainer.epochs=1"]))
    assert [(result.status, result.err) for result in results] == [(0, "")] * int(count)
    assert len(re.findall("^run        ", "".join(result.out for result in results), re.MULTILINE)) == 1


@pytest.mark.filterwarnings("ignore:::optuna", "ignore:::hydra_plugins")
@pytest.mark.parametrize("line", SWEEPS)
def test_a_sweep_has_a_row_for_each_combination(deeprob, own, line):
    words = words_of(line, own)
    place = [] if "hydra.sweep.dir" in line else ["hydra.sweep.dir=s"]
    result = deeprob(*words, "trainer.epochs=1", *place)
    failed = "claims failed" in result.err  # after one epoch; test_experiments.py checks what whole runs claim
    notes = [text for text in result.err.splitlines() if not text.startswith(("note: ", "  "))]
    assert (result.status, len(notes)) == ((4, 1) if failed else (0, 0)), result.err
    (directory,) = re.findall(r"^sweep      (.+)$", result.out, re.MULTILINE)
    assert f"compare    deeprob-compare {directory}" in result.out
    with Path(directory, "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["status"] for row in rows} == {"completed"}
    swept = [override for override in parse(words[1:]) if override.is_sweep_override()]
    if "hydra/sweeper=optuna" not in words and "sweep.variants" not in line:
        jobs = BasicSweeper.split_arguments(swept, None)[0]
        folds = int(found[1]) if (found := re.search(r"sweep\.folds=(\d+)", line)) else 1
        assert len(rows) == len(jobs) * folds + (2 if "sweep.fuse" in line else 0)  # a row of the fused for each seed
    assert all(override.key_or_group in rows[0] for override in swept)
    for figure in re.findall(r"sweep\.figure=(\w+)", line):
        assert Path(directory, "figures", f"{figure}.png").is_file()
    for measure in re.findall(r"\w+", "".join(re.findall(r"sweep\.measures=\[(.*?)\]", line))):
        assert any(column.startswith(f"{measure}/") for column in rows[0])
    if "sweep.claims" in line:
        assert "\nclaims " in result.out


@pytest.mark.parametrize("line", HELP)
def test_help_helps(deeprob, line):
    result = deeprob(*shlex.split(line))
    assert (result.status, result.err) == (0, "")
    about = {"--help": "trainer.patience", "--help model": "dropout", "--help optimizer.lr": "earning rate"}
    assert about.get(line, "claim") in result.out


@pytest.mark.parametrize("line", RESUME)
def test_what_is_resumed_goes_on(deeprob, small, line):
    directory = line.partition("=")[2]
    sweep = "sweeps" in directory
    place = ("-m", "seed=0,1", f"hydra.sweep.dir={directory}") if sweep else (f"hydra.run.dir={directory}",)
    assert deeprob(*small, *place).status == 0
    result = deeprob(*shlex.split(line))
    assert (result.status, directory in result.out + result.err) == (0, True)


@pytest.mark.parametrize("line", EXPERIMENTS)
def test_experiments_are_there(deeprob, monkeypatch, line):
    """And test_experiments.py trains them."""
    if "--config-dir" in line:
        monkeypatch.chdir(ROOT)
    status, out, err = deeprob("--cfg", "job", *shlex.split(line))
    assert (status, err) == (0, "")
    assert "\noptimizer:\n" in out


def test_the_table_of_experiments_is_true():
    there = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "configs/experiment").glob("*.yaml")}
    assert {name for name, _ in TABLE_OF_EXPERIMENTS} == set(there)
    for name, time in TABLE_OF_EXPERIMENTS:
        assert f"Takes {time}" in " ".join(there[name].replace("\n#", "").split()), name


def test_the_claims_shown_are_those_of_the_experiment():
    claims = yaml.safe_load((ROOT / "configs/experiment/capacity.yaml").read_text())["sweep"]["claims"]
    (shown,) = [block for page, language, block in BLOCKS if language == "text" and block.startswith("claims")]
    assert [claim for claim in claims if f"\nholds      {claim} " not in shown] == []


@pytest.mark.parametrize(("command", "error"), MISTAKES)
def test_mistakes_are_explained_as_shown(deeprob, command, error):
    assert deeprob(*shlex.split(command)) == (2, "", error + "\n")


@pytest.mark.parametrize("line", starting("deeprob-evaluate"))
def test_evaluate_measures_again(deeprob, one_run, small, line):
    words = shlex.split(line)
    places = [word for word in words if "=" not in word]
    given = [str(one_run)]
    if len(places) > 1:
        for seed in (1, 2):
            run = f"hydra.run.dir=other{seed}"
            assert deeprob(*small, "dataset.val_fraction=0.2", f"seed={seed}", run).status == 0
        given += ["other1", "other2"]
    result = deeprob(*given, *words[len(places) :], command="evaluate")
    assert (result.status, result.err) == (0, "")
    split = "train" if "split=train" in words else "test"
    if len(places) > 1:
        assert "fusion     weights of 3 runs on test" in result.out
    else:
        measured = load_run(one_run, "last" if "checkpoint=last" in words else "best").evaluate(split)
        assert f"{100 * measured['accuracy']:.2f} %" in result.out


@pytest.mark.parametrize("line", [line for line in starting("deeprob-visualize") if "figure=" in line])
def test_visualize_draws(deeprob, one_run, small, line):
    """One figure; test_visualize.py draws all that suit a run, as the command without a figure does."""
    words = shlex.split(line)
    if SWEEP in words:
        assert deeprob("-m", *small, "seed=0,1", f"hydra.sweep.dir={SWEEP}").status == 0
    words = [str(one_run) if word == RUN else word for word in words]
    result = deeprob(*words, command="visualize")
    assert (result.status, result.err) == (0, "")
    (path,) = re.findall(r"^figure     (.+)$", result.out, re.MULTILINE)
    assert Path(path).stem == re.search(r"figure=(\w+)", line)[1]
    with Image.open(path) as picture:
        assert min(picture.size) > 100


@pytest.mark.parametrize("line", starting("deeprob-compare"))
def test_compare_compares(deeprob, small, line):
    words = [word for word in small if not word.startswith("model.width")]
    sweep = ("-m", "optimizer.lr=1e-3,1e-2", "model.width=4,8", "dataset.val_fraction=0.2", f"hydra.sweep.dir={SWEEP}")
    assert deeprob(*words, *sweep).status == 0
    result = deeprob(*shlex.split(line), command="compare")
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("4 runs in 4 groups: 4 completed\n")
    for beginning in ("model.width ", "best       ", "again      deeprob-train ", f"page       {SWEEP}/compare.html"):
        assert f"\n{beginning}" in result.out
    assert ("highest" in result.out) == ("sort=val/loss" not in line)
    assert Path(SWEEP, "compare.html").is_file()


@pytest.mark.parametrize("line", starting("deeprob-check-gradients"))
def test_the_gradient_check_checks(deeprob, line):
    result = deeprob(*shlex.split(line), command="check_gradients")
    assert result.status == 0
    assert all(f"layers.{layer}.{kind}" in result.out for layer in (0, 1) for kind in ("weight", "bias"))


@pytest.mark.parametrize("line", starting("deeprob-optimizer-paths"))
def test_optimizers_walk(deeprob, line):
    result = deeprob(*shlex.split(line), "steps=5", "remarks=false", command="optimizer_paths")
    assert result.status == 0
    assert ("beale" in result.out) == ("surface=beale" in line or not line)


def test_the_table_of_optimizers_is_as_shown(deeprob):
    assert table_text() in deeprob(command="optimizers").out
    (shown,) = [block for _, language, block in BLOCKS if language == "text" and "first moments" in block]
    assert shown == f"{table_text()}\n"


def shape(text: str) -> list[str]:
    """The lines of a text with 0 for each number, and no more than one space or line of a frame in a row."""
    numbers = re.sub(r"\d[\d_.:-]*", "0", text)
    return [re.sub(r"([ ━─])\1+", r"\1", line).strip() for line in numbers.splitlines() if line.strip()]


def test_the_default_run_prints_what_the_readme_shows(tmp_path):
    script = [sys.executable, str(ROOT / "scripts/train.py")]
    out = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    (shown,) = [block for _, language, block in BLOCKS if language == "text" and block.startswith("epoch")]
    assert shape(out)[-len(shape(shown)) :] == shape(shown)
    (figures,) = tmp_path.glob("outputs/*/*/figures")
    assert (figures / "decision_boundary.png").is_file()
    assert json.loads((figures.parent / "summary.json").read_text())["test/accuracy"] > 0.99


def test_the_sweep_prints_what_the_readme_shows(deeprob):
    (line,) = [line for line in starting("deeprob-train") if line.startswith("-m model.width=4,64")]
    (shown,) = [block for _, language, block in BLOCKS if language == "text" and block.startswith("job  model.width")]
    out = deeprob(*shlex.split(line)).out
    assert shape(out)[: len(shape(shown))] == shape(shown)
    for mine, theirs in zip(out.splitlines(), shown.splitlines(), strict=False):
        pairs = zip(re.findall(r"([\d.]+) %", mine), re.findall(r"([\d.]+) %", theirs), strict=True)
        assert all(abs(float(one) - float(other)) < 5 for one, other in pairs)


@pytest.fixture
def leaves(deeprob, own) -> None:
    """Runs on a table and on pictures, and new rows, under the names that the page about exporting has for them."""
    words = ("model.width=8", "trainer.epochs=2", "trainer.figures=[]")
    for seed, run in enumerate(("RUN", "RUN2")):
        table = ("dataset=csv", "dataset.root=TABLE.csv", f"seed={seed}", f"hydra.run.dir={run}")
        assert deeprob(*table, *words).status == 0
    pictures = ("dataset=image_folder", f"dataset.root={own['FOLDER']}", "hydra.run.dir=PICTURES")
    assert deeprob(*pictures, *words).status == 0
    Path("NEW.csv").write_text("width,length\n2,1\n4,3\n")


def test_predict_answers(deeprob, leaves, own):
    (shown,) = [block for _, language, block in BLOCKS if language == "text" and block.startswith("row,class")]
    for line in starting("deeprob-predict"):
        result = deeprob(*shlex.split(line.replace("FOLDER", own["FOLDER"])), command="predict")
        assert (result.status, result.err) == (0, ""), line
        if "output=" in line:
            assert Path(re.search(r"output=(\S+)", line)[1]).is_file()
        else:
            assert result.out.splitlines()[0] == shown.splitlines()[0]
            assert len(result.out.splitlines()) == len(shown.splitlines())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
def test_what_is_exported_runs(deeprob, leaves):
    """The commands of the page, one after the other, and then its programs."""
    for line in starting("deeprob-export"):
        result = deeprob(*shlex.split(line), command="export")
        assert (result.status, result.err) == (0, ""), line
    run = load_run("RUN")
    expected = run({"length": [1.0], "width": [2.0]})[0].tolist()
    seen: dict[str, object] = {}
    for page, language, block in BLOCKS:
        if page.stem == "exporting" and language == "python":
            exec(block, seen := {})
            if "scores" in seen:
                assert seen["scores"][0].tolist() == pytest.approx(expected, abs=1e-5)
    (program,) = [block for _, language, block in BLOCKS if language == "c"]
    Path("main.c").write_text(program)
    subprocess.run(["cc", "-std=c99", "-Wall", "-Werror", "main.c", "-o", "main", "-lm"], check=True)
    told = subprocess.run([Path("main").resolve()], capture_output=True, text=True, check=True).stdout
    assert told.strip() == run.predict({"length": [1.0], "width": [2.0]})[0]


def test_the_python_examples_run(one_run, own, deeprob):
    words = ("dataset=csv", "dataset.root=TABLE.csv", "trainer.epochs=1", "trainer.figures=[]", "hydra.run.dir=table")
    assert deeprob(*words).status == 0
    Path("NEW.csv").write_text("length,width\n1,2\n3,4\n")
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 2))
    given = {"X": points, "y": (points[:, 0] > 0).astype(int), "X_new": points[:3]}
    pages = ("README", "data")
    blocks = [block for page, language, block in BLOCKS if language == "python" and page.stem in pages]
    assert len(blocks) == 2
    for block in blocks:
        names: dict[str, object] = dict(given)
        run, shape = ("table", (2, 2)) if "NEW.csv" in block else (str(one_run), (60, 3))
        exec(re.sub(r'load_run\(".*"\)', f"load_run({run!r})", block), names)
        assert names["scores"].shape == shape
        if "sweep" in names:
            assert len(names["sweep"].table) == 10


def test_the_page_about_python_runs(deeprob):
    names: dict[str, object] = {}
    for page, language, block in BLOCKS:
        if page == PYTHON and language == "python":
            exec(block, names)
    assert names["labels"].dtype.kind == "U"
    assert names["shares"].sum(axis=1) == pytest.approx(1)
    assert (len(names["sweep"].table), len(names["table"]), len(names["means"])) == (6, 1, 2)
    assert names["best"].metrics["status"] == "completed"


def test_every_make_target_is_known():
    makefile = (ROOT / "Makefile").read_text()
    used = {word for page in PAGES for word in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)}
    assert used <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def test_tensorboard_is_a_command():
    assert "tensorboard" in {script.name for script in entry_points(group="console_scripts")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_links_to_is_there(page):
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_readme_is_short_and_names_every_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert [page.name for page in PAGES[1:] if f"docs/guide/{page.name}" not in text] == []


@pytest.mark.parametrize(
    ("script", "seen", "told"),
    [
        ("own_table.py", "  birch  (", "examples/leaves.csv: 96 train, 24 test rows, 3 inputs"),
        pytest.param("own_pictures.py", "pictures   outputs/own_pictures/unsure.png", "", marks=pytest.mark.slow),
        pytest.param("sweep_analysis.py", " (best)", "", marks=pytest.mark.slow),
    ],
)
def test_examples_run(tmp_path, script, seen, told):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    command = [sys.executable, f"examples/{script}"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    first, *rest = result.stderr.splitlines() or [""]
    assert first.endswith(told)
    assert all(line.startswith("  ") for line in rest)
    assert bool(first) == bool(told)
    assert seen in result.stdout


def test_the_experiment_to_copy_says_what_it_is(deeprob, monkeypatch):
    monkeypatch.chdir(ROOT)
    words = shlex.split(next(line for line in EXPERIMENTS if "--config-dir" in line))
    monkeypatch.setenv("PWD", str(ROOT))
    result = deeprob(*words, "--cfg", "job")
    assert "test/accuracy falls with dataset.noise" in result.out
