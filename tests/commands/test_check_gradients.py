"""The gradient check from the command line."""

import itertools
import re
from pathlib import Path

import pytest
import torch

from deeprob.analysis.gradients.differences import check_entries
from deeprob.commands.check_gradients import (
    CheckConfig,
    CheckGradientsConfig,
    check_gradients,
    tabulated,
)
from deeprob.config import options
from deeprob.data import SpiralsConfig
from deeprob.errors import CheckFailed
from deeprob.features import RawConfig
from deeprob.models import LinearConfig, MLPConfig
from deeprob.models.activations import ACTIVATIONS
from deeprob.objective import CrossEntropyConfig, HingeConfig, L1Config, NoneConfig, losses, regularizers
from deeprob.optim import AdamWConfig, ConstantConfig
from deeprob.training import TrainerConfig

CONFIGS = [
    "model=linear",
    "model.activation=maxout regularizer=l2",
    "model.norm=batch model.dropout=0.3 loss=squared_hinge",
    "loss=hinge regularizer=l1",
    "loss=one_vs_all_hinge regularizer=elastic_net model.activation=tanh",
    "loss=squared_error model=linear regularizer=l1",
    "loss=focal loss.gamma=0.5 loss.class_weights=[1,4,2]",
    "loss=cross_entropy loss.class_weights=balanced dataset.limit=40",
    "dataset=random_regression loss=huber loss.delta=0.5 model.width=5",
    "dataset=random_regression loss=squared_error model.layers=2 model.width=5",
]


@pytest.mark.parametrize("words", CONFIGS)
def test_the_configured_gradient_is_right(deeprob, words):
    few = ["check.entries=12", "check.examples=16", "check.curve=false"]
    width = [] if "linear" in words or "width" in words else ["model.width=9"]
    status, out, err = deeprob(*words.split(), *few, *width, command="check_gradients")
    assert (status, err) == (0, "")
    assert "worst  " in out
    assert "wrong" not in out
    assert all(f"\n{name:9}  " in out for name in ("numeric", "autograd", "formula"))  # the times
    assert list(Path.cwd().iterdir()) == []


def test_the_error_against_h_is_drawn(deeprob):
    assert deeprob("model=linear", command="check_gradients").status == 0
    assert Path("outputs/figures/gradient_check.png").read_bytes().startswith(b"\x89PNG")


class Wrong(torch.autograd.Function):
    """The identity, with a gradient that is 1 % too large."""

    @staticmethod
    def forward(context, values):
        return values.clone()

    @staticmethod
    def backward(context, gradient):
        return 1.01 * gradient


def wrong_rows(out):
    """The tensors whose row says wrong, with this verdict."""
    return {line.split()[0]: line.split("  ")[-1] for line in out.splitlines() if line.endswith(" wrong")}


def test_a_planted_wrong_gradient_of_the_loss_is_status_4(deeprob, monkeypatch):
    call = losses.CrossEntropy.__call__
    monkeypatch.setattr(losses.CrossEntropy, "__call__", lambda self, s, *rest: call(self, Wrong.apply(s), *rest))
    status, out, err = deeprob("model=linear", "check.curve=false", command="check_gradients")
    assert status == 4
    assert err.count("\n") == 1
    assert err.startswith("error: wrong gradient by autograd (")
    assert "layer.weight" in err
    assert wrong_rows(out) == {"layer.weight": "autograd 6 wrong", "layer.bias": "autograd 3 wrong"}


def test_a_planted_wrong_gradient_of_the_regularizer_is_status_4(deeprob, monkeypatch):
    call = regularizers.ElasticNet.__call__
    monkeypatch.setattr(regularizers.ElasticNet, "__call__", lambda self, ws: call(self, [-Wrong.apply(w) for w in ws]))
    words = ("model=linear", "regularizer=l2", "regularizer.strength=1", "check.curve=false")
    assert deeprob(*words, command="check_gradients").status == 4


def test_both_gradients_wrong_in_different_places(deeprob, monkeypatch):
    call, with_gradient = losses.CrossEntropy.__call__, regularizers.ElasticNet.with_gradient
    monkeypatch.setattr(losses.CrossEntropy, "__call__", lambda self, s, *rest: call(self, Wrong.apply(s), *rest))
    monkeypatch.setattr(
        regularizers.ElasticNet, "with_gradient", lambda self, w, g: with_gradient(self, w, g.mul_(1.01))
    )
    words = ("model=linear", "regularizer=l2", "check.curve=false")
    status, out, err = deeprob(*words, command="check_gradients")
    assert status == 4
    assert err.startswith("error: wrong gradient by autograd (9 of 9 checked) and by formula (6 of 9 checked), worst ")
    assert wrong_rows(out) == {"layer.weight": "autograd 6, formula 6 wrong", "layer.bias": "autograd 3 wrong"}


@pytest.mark.parametrize("gradient", ["auto", "autograd"])
def test_a_part_without_a_formula_leaves_its_columns_empty(deeprob, monkeypatch, gradient):
    monkeypatch.setattr(MLPConfig, "has_formulas", False)
    words = (f"trainer.gradient={gradient}", "model.layers=1", "check.examples=16")
    status, out, err = deeprob(*words, command="check_gradients")
    assert status == 0
    assert err == "note: model=mlp: no formula for the derivative, so autograd computes the gradients\n"
    rows = [re.split(r"  +", line) for line in out.splitlines() if line.startswith(("tensor", "layers."))]
    assert [len(row) for row in rows] == [9, 7, 7]  # without the columns formula and apart
    assert "formula  " not in out.split("verdict")[1]
    assert "formula 0" not in out


def test_formulas_that_the_config_asks_for_and_that_are_missing_are_a_mistake(deeprob, monkeypatch):
    monkeypatch.setattr(MLPConfig, "has_formulas", False)
    status, out, err = deeprob("trainer.gradient=formulas", command="check_gradients")
    assert (status, out) == (2, "")
    assert err.startswith("error: trainer.gradient=formulas: no formula for the derivative of model=mlp")


def test_errors_at_a_kink_are_in_no_column(capsys):
    def loss(point):
        return 1 + point["w"].relu().sum()

    def slopes(at_zero):
        return lambda point: {"w": (point["w"] > 0).double() + at_zero * (point["w"] == 0).double()}

    point = {"w": torch.tensor([0.0, 1.0], dtype=torch.float64)}
    for at_zero, row in ((1.0, ["1", "ok"]), (7.0, ["0", "formula", "1", "wrong"])):
        tabulated(check_entries(loss, slopes(0.0), point, slopes(at_zero)), point)
        cells = capsys.readouterr().out.splitlines()[1].split()
        assert cells[:4] == ["w", "2", "all", "2"]
        autograd, formula, apart, one_sided = map(float, cells[4:8])
        assert max(autograd, one_sided) < 1e-9  # of the smooth entry alone
        assert apart == 0
        assert formula == pytest.approx(1.0 if at_zero == 7.0 else 0.0, abs=0.5)
        assert cells[8:] == row


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("check.entries=0", "error: check.entries=0: expected a whole number at least 1 or all"),
        ("check.tolerance=1e-12", "error: check.tolerance=1e-12: expected a number in [1e-08, 1)"),
        ("check.step=0", "error: check.step=0.0: expected a number in (0, 1) or null"),
        ("optimizer.lrr=1", "error: optimizer.lrr: no such key in optimizer; did you mean lr?"),
        ("-m seed=0,1", "error: -m: deeprob-check-gradients has no sweeps; call it once for each run"),
    ],
)
def test_mistakes(deeprob, words, line):
    status, out, err = deeprob(*words.split(), command="check_gradients")
    assert (status, out) == (2, "")
    assert err.startswith(line)
    assert err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


MODELS = {
    "linear": LinearConfig(),
    "relu": MLPConfig(layers=2, width=6),
    "maxout": MLPConfig(layers=2, width=4, activation="maxout"),
    "batch norm": MLPConfig(layers=2, width=6, norm="batch"),
}


def config(model=None, loss=None, regularizer=None, seed=0, **check):
    return CheckGradientsConfig(
        dataset=SpiralsConfig(points_per_class=10, test_points_per_class=2),
        features=RawConfig(),
        model=model or MLPConfig(width=8),
        loss=loss or CrossEntropyConfig(),
        regularizer=regularizer or NoneConfig(),
        optimizer=AdamWConfig(),
        scheduler=ConstantConfig(),
        trainer=TrainerConfig(),
        seed=seed,
        check=CheckConfig(**{"entries": 2, "examples": 12, "curve": False} | check),
    )


def sound(comparisons):
    smooth = [comparison for comparison in comparisons if comparison.verdict == "ok"]
    assert max(comparison.error for comparison in smooth) < 1e-6
    assert max(comparison.apart for comparison in smooth) < 1e-10
    assert all(comparison.formula is not None for comparison in comparisons)
    return len(smooth) > 0.7 * len(comparisons)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("loss", "regularizer"), list(itertools.product(options("loss"), options("regularizer"))))
def test_every_loss_with_every_regularizer(model, loss, regularizer):
    assert sound(check_gradients(config(MODELS[model], options("loss")[loss](), options("regularizer")[regularizer]())))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
def test_every_activation_with_every_norm(activation, norm):
    assert sound(check_gradients(config(MLPConfig(width=6, activation=activation, norm=norm))))


def test_every_entry_and_a_batch_of_one():
    found = check_gradients(config(MLPConfig(width=5, norm="batch"), entries="all", examples=1))
    assert len(found) == 2 * 5 + 5 + 25 + 5 + 15 + 3 + 4 * 5
    assert all(comparison.place is not None for comparison in found)


def test_the_same_twice_and_another_by_seed():
    def slopes(seed):
        model = MLPConfig(width=8, dropout=0.4)
        found = check_gradients(config(model, seed=seed))
        return [(entry.where, entry.autograd.analytic, entry.formula.analytic, entry.error) for entry in found]

    assert slopes(0) == slopes(0) != slopes(1)


def test_units_silenced_at_once_leave_kinks_and_no_errors():
    model = MLPConfig(layers=4, width=2, dropout=0.6, activation="leaky_relu")
    found = [entry for seed in range(3) for entry in check_gradients(config(model, seed=seed, entries=9, examples=30))]
    assert {entry.verdict for entry in found} == {"ok", "kink"}


def test_l1_left_out_of_the_gradient_is_wrong_unless_it_has_its_own_step(monkeypatch, capsys):
    assert sound(check_gradients(config(regularizer=L1Config(proximal=True))))
    assert capsys.readouterr().err.startswith("note: regularizer.proximal=true: λ₁Σ|W| is left out")
    monkeypatch.setattr("deeprob.commands.check_gradients.differentiable", lambda objective: objective)
    with pytest.raises(CheckFailed):
        check_gradients(config(regularizer=L1Config(proximal=True)))


def test_a_loss_that_is_not_finite_is_not_checked(monkeypatch):
    call = losses.Hinge.__call__
    monkeypatch.setattr(losses.Hinge, "__call__", lambda self, *given: call(self, *given) / 0)
    with pytest.raises(CheckFailed, match="inf at the initial weights: there is no gradient to check"):
        check_gradients(config(loss=HingeConfig()))


def test_threads_are_as_before():
    torch.set_num_threads(2)
    check_gradients(config(LinearConfig()))
    assert torch.get_num_threads() == 2


def test_an_experiment_that_is_a_sweep_is_checked_at_its_base(deeprob):
    result = deeprob("experiment=l1_selects", "check.curve=false", "check.entries=3", command="check_gradients")
    assert result.status == 0
    assert "3/200" in result.out
    assert result.err.startswith(
        "note: experiment=l1_selects is a sweep of regularizer.strength=0,0.001,0.003,0.01,0.03,0.1,0.3; "
        "the check takes regularizer.strength=0.001, unless you type other values\n"
    )


@pytest.mark.parametrize(
    ("words", "note"),
    [
        ("experiment=linear_vs_mlp", "a sweep of model=linear,mlp; the check takes model=mlp, unless"),
        ("experiment=optimizer_race", "a sweep of sweep.variants; the check takes its base, unless"),
        ("experiment=linear_vs_mlp model=linear", ""),
        ("experiment=twenty_lines", ""),
    ],
)
def test_the_run_of_a_sweep_that_is_checked_is_named_unless_it_was_typed(deeprob, words, note):
    words = [*words.split(), "dataset.limit=30", "check.curve=false", "check.entries=1"]
    result = deeprob(*words, command="check_gradients")
    assert result.status == 0
    assert note in result.err
    assert bool(note) == ("is a sweep" in result.err)
