"""Options from a module of the user or from an installed package, in every command."""

import json
import shlex
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

from deeprob.config import installed as rooms
from deeprob.config import option_names, options, register
from deeprob.config.own_modules import imported
from deeprob.optim import SGDConfig
from deeprob.running.resume import print_resume
from deeprob.running.stacked import StackedRuns

OPTIMIZER = """
from __future__ import annotations

from dataclasses import dataclass

import torch
from deeprob.config import register
from deeprob.optim import OptimizerConfig

class Signs(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure):
        loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(p.grad.sign(), alpha=group["lr"])
        return loss

@register("optimizer", "signs")
@dataclass
class SignsConfig(OptimizerConfig):
    lr: float = 0.01

    def build(self, params):
        return Signs(params, self.lr)
"""
FAILING = """
from dataclasses import dataclass

from deeprob.config import register
from deeprob.objective import LossConfig

@register("loss", "failing")
@dataclass
class FailingConfig(LossConfig):
    def losses(self, scores, targets):
        return {}["targets"]
"""
ALONE = ("trainer.epochs=1", "trainer.figures=[]", "hydra.run.dir=run")


def parts_in(directory: str) -> list[dict[str, str]]:
    return json.loads(Path(directory, "provenance.json").read_text())["parts"]


def test_an_optimizer_with_build_alone(deeprob, own, small):
    own("my_parts", OPTIMIZER)
    words = ("--import", "my_parts")
    done = deeprob(*words, "optimizer=signs", *small, "trainer.figures=[]", "hydra.run.dir=run")
    assert done.status == 0, done.err
    assert "again      deeprob-evaluate --import my_parts run\n" in done.out
    (part,) = parts_in("run")
    assert (part["option"], part["file"], part["import"]) == ("optimizer=signs", "my_parts.py", "my_parts")
    assert deeprob(*words, "run", command="evaluate").status == 0
    assert deeprob(*words, "resume=run").out == done.out

    options("optimizer").pop("signs")  # what a new process knows
    sys.modules.pop("my_parts")
    advice = "the run was trained with --import my_parts: add --import my_parts (in Python, import my_parts)"
    line = f"run/config.yaml: optimizer=signs: no such option; {advice}"
    assert deeprob("run", command="evaluate").err == f"error: {line}\n"
    assert deeprob("resume=run").err == f"error: {line}\n"
    assert deeprob("run", command="visualize").err == f"error: {line}\n"
    with Path("my_parts.py").open("a") as file:
        file.write("\n# another")
    assert "note: run: the module my_parts has changed since the run was trained" in deeprob(*words, "resume=run").err


def test_help_and_errors_know_own_options(deeprob, own):
    own("my_parts", OPTIMIZER)
    words = ("--import", "my_parts")
    assert "  signs\n" in deeprob(*words, "--help", "optimizer").out
    page = deeprob(*words, "--help", "optimizer=signs").out
    assert "* signs\n" in page
    assert "lr  0.01  The learning rate." in page
    assert "example  deeprob-train" not in deeprob(*words, "optimizer=signs", "--help", "optimizer.lr").out
    assert "optimizer:\n  lr: 0.02\n" in deeprob(*words, "optimizer=signs", "optimizer.lr=0.02", "--cfg", "job").out
    assert deeprob(*words, "optimizer=sings").err == "error: optimizer=sings: no such option; did you mean signs?\n"
    assert deeprob(*words, "optimizer=lion").err.endswith("sgd, signs\n")  # without advice to import a module
    wrong = deeprob(*words, "optimizer=signs", "optimizer.momentum=0.1").err
    assert wrong.startswith(
        "error: optimizer.momentum: belongs to optimizer=rmsprop or optimizer=sgd, not to optimizer=si"
    )
    assert deeprob(*words, "optimizer=signs", "optimizer.lr=fast").err.startswith("error: optimizer.lr=fast: ")


def test_an_error_in_training_is_one_line(deeprob, own, small):
    own("my_parts", FAILING)
    words = ("--import", "my_parts", "loss=failing", *small, "trainer.figures=[]")
    line = "loss=failing: losses() failed: my_parts.py, line 11: KeyError: 'targets'\n"
    alone, sweep = deeprob(*words), deeprob(*words, "-m", "seed=0,1")
    assert (alone.status, alone.err.splitlines(keepends=True)[-1]) == (2, f"error: {line}")
    assert f"error: job 0: {line}error: job 1: {line}" in sweep.err
    assert "Traceback" not in sweep.err


def test_completion_knows_own_options(deeprob, own, monkeypatch):
    own("my_parts", OPTIMIZER)
    monkeypatch.setenv("COMP_LINE", "deeprob-train optimizer=sig")
    monkeypatch.setenv("COMP_POINT", "27")
    assert deeprob("--import", "my_parts", "--shell-completion", "query=bash").out == "optimizer=signs\n"


def test_a_yaml_file_has_the_last_word(deeprob, own):
    own("my_parts", OPTIMIZER)
    Path("mine/optimizer").mkdir(parents=True)
    Path("mine/optimizer/signs.yaml").write_text("defaults: [/schema/optimizer/signs@_here_, _self_]\nlr: 0.5\n")
    shown = deeprob("--import", "my_parts", "--config-dir", "mine", "optimizer=signs", "--cfg", "job").out
    assert "optimizer:\n  lr: 0.5\n" in shown


def test_a_cell_that_runs_again_replaces_its_class(own):
    for rate in (0.1, 0.2):

        @register("optimizer", "of_cell")
        @dataclass
        class OfCellConfig(SGDConfig):
            lr: float = rate

        assert options("optimizer")["of_cell"] is OfCellConfig
    with pytest.raises(ValueError, match=r"optimizer=of_cell is .*OfCellConfig; choose another name"):
        register("optimizer", "of_cell")(type("Other", (OfCellConfig,), {}))


@pytest.fixture
def package(own, monkeypatch):
    """An installed package with an optimizer; a list of the times that packages were looked for."""
    file = own("site/packaged", OPTIMIZER)
    monkeypatch.syspath_prepend(str(file.parent))
    point = EntryPoint("optimizer.signs", "packaged:SignsConfig", "deeprob.parts")
    vars(point)["dist"] = SimpleNamespace(name="signs-for-all", version="1.2")
    looked = []
    monkeypatch.setattr(rooms, "entry_points", lambda group: looked.append(group) or [point])
    return looked


def test_an_option_of_an_installed_package_is_loaded_when_it_is_chosen(deeprob, package, small):
    assert "  signs      From the package signs-for-all 1.2.\n" in deeprob("--help", "optimizer").out
    assert "packaged" not in sys.modules
    assert deeprob("optimizer=signs", *small, *ALONE).status == 0
    (part,) = parts_in("run")
    assert (part["module"], part["package"], part["version"]) == ("packaged", "signs-for-all", "1.2")
    options("optimizer").pop("signs")
    assert deeprob("run", command="evaluate").status == 0  # what is installed is trusted


def test_built_in_options_need_no_look_at_packages(deeprob, package, small):
    assert deeprob(*small, *ALONE).status == 0
    assert deeprob("run", command="evaluate").status == 0
    assert deeprob("-m", "optimizer=sgd,adam", *small, "trainer.epochs=1", "hydra.sweep.dir=sweep").status == 0
    assert package == []
    assert "signs" in option_names("optimizer")


FIGURE = """
from dataclasses import dataclass
from matplotlib.figure import Figure
from deeprob.figures import FigureConfig

@dataclass
class DotConfig(FigureConfig):
    size_of_dot: int = 3

    def draw(self, run):
        figure = Figure((2, 2))
        figure.subplots().plot([0], [0], "o", markersize=self.size_of_dot)
        return figure

    def size(self, run):
        return 2.0, 2.0

    def panel(self, canvas, run):
        canvas.subplots().plot([0], [0], "o")
"""


def test_a_figure_of_an_installed_package(deeprob, own, small, monkeypatch):
    monkeypatch.syspath_prepend(own("site/dotted", FIGURE).parent)
    point = EntryPoint("figure.dot", "dotted:DotConfig", "deeprob.parts")
    vars(point)["dist"] = SimpleNamespace(name="dots", version="1.0")
    monkeypatch.setattr(rooms, "entry_points", lambda group: [point])
    assert "no figure is called dof; did you mean dot?" in deeprob("trainer.figures=[dof]").err
    assert "dotted" not in sys.modules
    words = (*small, "trainer.epochs=1", "trainer.figures=['dot size_of_dot=5']", "sweep.figure=dot")
    assert deeprob("-m", "seed=0,1", *words, "hydra.sweep.dir=sweep").status == 0
    assert len(list(Path("sweep").glob("*/figures/dot.png"))) == 2
    assert Path("sweep/figures/dot.png").is_file()
    job = next(Path("sweep").glob("000*"))
    assert [(part["option"], part["package"]) for part in parts_in(job)] == [("figure=dot", "dots")]


OBJECTIVE = """
from dataclasses import dataclass
import torch
from torch import nn
from deeprob.config import register
from deeprob.models import Model, ModelConfig
from deeprob.objective import Loss, LossConfig, Regularizer, RegularizerConfig

class Wide(Model):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)

    def forward(self, inputs, key=None):
        scores = self.layer(inputs)
        return scores{0}

    def stages(self, inputs):
        yield "scores", self(inputs)

    linear_layers = property(lambda self: [self.layer])

@register("model", "wide")
@dataclass
class WideConfig(ModelConfig):
    def build(self, inputs, outputs, rng):
        return Wide(inputs, outputs)

class Fourth(Loss):
    def losses(self, scores, targets):
        return (scores - nn.functional.one_hot(targets, scores.shape[1])).pow(4).sum(1)

@register("loss", "fourth")
@dataclass
class FourthConfig(LossConfig):
    def make(self):
        return Fourth()

class Quartic(Regularizer):
    def __call__(self, weights):
        return sum((w ** 4).sum() for w in weights)

@register("regularizer", "quartic")
@dataclass
class QuarticConfig(RegularizerConfig):
    def build(self):
        return Quartic()
"""


@pytest.mark.parametrize("batched", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_own_models_losses_and_regularizers_train_in_stacks(deeprob, own, monkeypatch, batched):
    own("my_parts", OBJECTIVE.format("" if batched else " * (1 if scores.sum().item() > 1e9 else 2)"))
    small = (
        "dataset.points_per_class=30",
        "dataset.test_points_per_class=20",
        "trainer.epochs=2",
        "trainer.figures=[]",
    )
    words = ("--import", "my_parts", "-m", "model=wide", "loss=fourth", "regularizer=quartic", "seed=0,1", *small)
    stacks = []
    begin = StackedRuns.train
    monkeypatch.setattr(StackedRuns, "train", lambda runs, told: (stacks.append(len(runs.setups)), begin(runs, told)))
    done = deeprob(*words, "hydra.sweep.dir=s", "hydra.launcher.workers=1")
    assert done.status == 0, done.err
    assert stacks == ([2] if batched else [])
    reason = "jobs 0, 1: trained one by one, because torch's vmap cannot batch an operation (vmap: It looks like "
    assert (reason in done.err) is not batched
    assert deeprob(*words, "hydra.sweep.dir=alone", "hydra.launcher.max_stack=1").status == 0
    one, other = (json.loads(next(Path(folder).glob("001*/summary.json")).read_text()) for folder in ("s", "alone"))
    assert one["train/loss"] == pytest.approx(other["train/loss"], rel=1e-5)


def test_printed_commands_import_the_module(deeprob, own, small, capsys):
    own("my_parts", OPTIMIZER)
    words = ("--import", "my_parts", "-m", "optimizer=signs", "seed=0,1", *small, "trainer.figures=[]")
    done = deeprob(*words, "hydra.sweep.dir=sweep")
    assert "compare    deeprob-compare --import my_parts sweep\n" in done.out
    told = deeprob("--import", "my_parts", "sweep", command="compare")
    assert told.status == 0, told.err
    command = next(line for line in told.out.splitlines() if "deeprob-train" in line)
    assert "deeprob-train --import my_parts optimizer=signs " in command
    again = shlex.split(command[command.index("deeprob-train") :])[1:]
    assert deeprob(*again, "trainer.epochs=1", "trainer.figures=[]", "hydra.run.dir=again").status == 0
    with imported(["my_parts"]):
        print_resume(Path("again"))
    assert capsys.readouterr().out.endswith("go on      deeprob-train --import my_parts resume=again\n")


def test_classes_of_a_notebook_train_only_in_its_process(deeprob, own, small):
    cls = type("OfCellConfig", (SGDConfig,), {"__module__": "__main__"})
    register("optimizer", "of_cell")(dataclass(cls))
    words = ("-m", "optimizer=of_cell", "seed=0,1", *small, "trainer.figures=[]", "hydra.sweep.dir=sweep")
    for worker in ("workers=2", "workers=-1", "engine=ray"):
        done = deeprob(*words, f"hydra.launcher.{worker}", "hydra.launcher.max_stack=2")
        assert done.status == 2
        assert "workers cannot import optimizer=of_cell, because its class is in a notebook or a script; " in done.err
    done = deeprob(*words)
    assert done.status == 0, done.err


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher", [("hydra.launcher.workers=2",), ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")]
)
def test_worker_processes_know_own_options(deeprob, own, small, launcher):
    own("far/my_parts", OPTIMIZER)
    words = ("--import", "far/my_parts.py", "-m", "optimizer=signs", "seed=0,1", *small, "trainer.figures=[]")
    done = deeprob(*words, "hydra.sweep.dir=sweep", *launcher)
    assert done.status == 0, done.err
    assert deeprob(*words, "hydra.sweep.dir=here", "hydra.launcher.workers=1").status == 0
    for seed in (0, 1):
        one, other = (next(Path(folder).glob(f"00{seed}*")) for folder in ("sweep", "here"))
        assert parts_in(one) == parts_in(other) != []
        metrics = [(folder / "metrics.csv").read_text().splitlines()[0] for folder in (one, other)]
        assert metrics[0] == metrics[1]


@pytest.mark.parametrize("word", ["evil", "run/evil.py", "\x1b[31mevil; os"])
def test_a_run_of_a_stranger_imports_nothing(deeprob, one_run, monkeypatch, word):
    evil = one_run / "evil.py"
    evil.write_text("raise SystemError('it ran')")
    Path("evil.py").write_text(evil.read_text())
    config = one_run / "config.yaml"
    config.write_text(config.read_text().replace("override optimizer: adamw", "override optimizer: evil"))
    origin = json.loads((one_run / "provenance.json").read_text())
    part = {"option": "optimizer=evil", "module": "evil", "file": "evil.py", "sha256": "0", "import": word}
    command = f"deeprob-train --import {word}"
    (one_run / "provenance.json").write_text(json.dumps({**origin, "command": command, "parts": [part]}))
    path = list(sys.path)
    for words, name in (
        (("run",), "evaluate"),
        (("run",), "visualize"),
        (("resume=run",), "train"),
        (("resume=auto", "hydra.run.dir=run"), "train"),
        (("--config-dir", "run", "--config-name", "config"), "train"),
    ):
        done = deeprob(*words, command=name)
        assert done.status == 2, done
        assert "optimizer=evil: no such option; " in done.err
        assert "add --import" in done.err
        assert len(done.err.splitlines()) == 1
        assert "\x1b" not in done.err
    assert "evil" not in sys.modules
    assert sys.path == path
