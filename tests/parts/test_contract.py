"""Right parts keep every clause, and each planted mistake is found by the clause that it is about."""

import math
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from deeprob.config import options
from deeprob.parts import contract
from deeprob.parts.checks import of_model
from deeprob.parts.contract import CLAUSES, judge, line_in
from deeprob.parts.part_trial import Broken, Clause, PartTrial, expect, expect_same

PLANTED = Path(__file__).with_name("planted.py").read_text(encoding="utf-8")
RIGHT = {
    "model=gated": {"A model that calls itself linear is"},
    "loss=softplus": {"Class weights multiply", "The attributes in `numbers`"},
    "regularizer=fourth_powers": set(),
    "regularizer=cut": {"Its gradient, by autograd"},
    "optimizer=signum": {"Weight decay acts"},
    "optimizer=decaying_weights": set(),
    "scheduler=square_root": {"A schedule that says extendable"},
    "dataset=corners": {"augmentation() keeps"},
    "features=products": set(),
    "figure=margins": set(),
    "surface=cup": set(),
}
"""Right parts, and the clauses that do not concern them."""

OF_PICTURES = "dataset=image_folder dataset.root=pictures"
WITH = {
    "dataset=random_regression": "loss=squared_error",
    "dataset=csv": "dataset.root=table.csv",
    "dataset=image_folder": "dataset.root=pictures",
    "features=fisher_vector": f"{OF_PICTURES} features.samples=500 features.gaussians=2 features.components=4",
    "features=chain": "features.parts=[polar,whiten]",
    "features=concat": f"{OF_PICTURES} features.parts=[hog,color_histogram]",
    "features=pca": "features.components=2",
    "loss=huber": "dataset=random_regression",
    "figure=color_histogram": f"{OF_PICTURES} features=color_histogram",
    "figure=hog": f"{OF_PICTURES} features=hog",
    "figure=palette": f"{OF_PICTURES} features=color_quantization",
    "figure=predicted_against_true": "dataset=random_regression loss=squared_error",
    "figure=residuals": "dataset=random_regression loss=squared_error",
}
"""Further words that a part of deeprob needs, or is better tried with."""

FEW = "features.samples=200 features.words=4 features.patch=3"
LEFT_OUT = {"cifar10", "given", "all"}
"""Parts without a check here: a dataset of a large file, one of arrays from Python, and names for several parts."""


@pytest.fixture
def planted(own):
    """The module with the planted parts, imported."""
    own("planted", PLANTED)
    return ("--import", "planted")


def failures(out: str) -> list[str]:
    return [line.removeprefix("failed").strip() for line in out.splitlines() if line.startswith("failed ")]


def clause_of(group: str, beginning: str) -> Clause:
    (found,) = [clause for clause in CLAUSES[group] if clause.text.startswith(beginning)]
    return found


def test_a_planted_mistake_is_found_by_the_clause_that_it_is_about(deeprob, planted, monkeypatch):
    """The first mistake of each group; the slow tests try all mistakes, and the groups left out here."""
    assert deeprob(*planted, "--help", "seed", command="check_part").status == 0
    mistakes = sys.modules["planted"].MISTAKES
    assert len(mistakes) == 44
    first = {option.partition("=")[0]: option for option in reversed(mistakes)}
    assert set(first) == set(CLAUSES)
    for group in set(first) - {"figure", "surface"}:
        option = first[group]
        beginning, says = mistakes[option]
        with monkeypatch.context() as patch:
            patch.setitem(contract.CLAUSES, group, [clause_of(group, beginning)])
            status, out, err = deeprob(*planted, option, command="check_part")
        (failed,) = failures(out)
        assert failed.startswith(beginning)
        assert says in failed
        assert (status, err) == (4, f"error: {option}: 1 of 1 checks failed\n")


@pytest.mark.slow
def test_each_planted_mistake_is_found_by_the_command(deeprob, planted):
    assert deeprob(*planted, "--help", "seed", command="check_part").status == 0
    for option, (beginning, says) in sys.modules["planted"].MISTAKES.items():
        status, out, err = deeprob(*planted, option, command="check_part")
        assert status == 4, option
        assert any(line.startswith(beginning) and says in line for line in failures(out)), (option, out)
        assert err.startswith(f"error: {option}: ")


@pytest.mark.slow
@pytest.mark.parametrize("option", RIGHT)
def test_a_right_part_keeps_every_clause(deeprob, planted, option):
    status, out, err = deeprob(*planted, option, command="check_part")
    assert (status, err) == (0, ""), out
    left_out = {line.removeprefix("left out").strip() for line in out.splitlines() if line.startswith("left out")}
    assert len(left_out) == len(RIGHT[option])
    assert all(any(line.startswith(beginning) for line in left_out) for beginning in RIGHT[option])
    assert [path.name for path in Path.cwd().iterdir() if path.name != "__pycache__"] == ["planted.py"]


OWN = [f"{group}={name}" for group in CLAUSES for name in sorted(options(group)) if name not in LEFT_OUT]


@pytest.mark.slow
@pytest.mark.parametrize("option", OWN)
def test_the_parts_of_deeprob_keep_every_clause(deeprob, pictures, option):
    pictures.rename("pictures")
    rows = [f"{i % 7},{i % 5},{'ab'[i % 7 > 3]}\n" for i in range(40)]
    Path("table.csv").write_text("length,width,kind\n" + "".join(rows))
    words = WITH.get(option, "").split()
    result = deeprob(option, *words, command="check_part")
    for more in (OF_PICTURES, f"{OF_PICTURES} {FEW}", f"{OF_PICTURES} features=bag_of_words {FEW}"):
        if result.status == 2:  # the default points, or these words, do not suit it
            result = deeprob(option, *more.split(), command="check_part")
    assert (result.status, result.err) == (0, ""), result.out


def test_a_part_that_is_not_built_is_not_tried_further(deeprob, planted):
    status, out, _ = deeprob(*planted, "scheduler=dividing", command="check_part")
    assert (status, len(out.splitlines())) == (4, 1)
    assert out.endswith(f"ZeroDivisionError: division by zero (planted.py, line {line_of('step / (steps - 1)')})\n")


def line_of(text: str) -> int:
    (number,) = [number for number, line in enumerate(PLANTED.splitlines(), 1) if text in line]
    return number


@pytest.mark.parametrize(
    ("one", "other", "came"),
    [
        (torch.ones(2), torch.zeros(2), "others"),
        ([torch.ones(2), 1.0], [torch.ones(2), 2.0], "others in number 1"),
        ([1], [1, 2], "others"),
        ({"model": {"bias": [0, 1]}}, {"model": {"bias": [1, 1]}}, "others in model.bias[0]"),
        ({"a": 1}, {"b": 1}, "others in (a, b)"),
        ({"a": [math.nan, torch.ones(1)]}, {"a": [math.inf, torch.ones(1)]}, "others in a[0]"),
    ],
)
def test_what_differs_is_told_in_words(one, other, came):
    with pytest.raises(Broken) as caught:
        expect_same(one, other, "twice")
    assert str(caught.value) == f"expected the same bits twice, came {came}"
    expect_same(other, other, "twice")


def test_what_a_model_with_batch_norm_is_told():
    model = nn.BatchNorm1d(2)
    with pytest.raises(Broken, match=r"^expected scores of a single example: let no example .* compares_examples, as "):
        of_model._of_one(model, torch.ones(1, 2))
    assert of_model._of_one(model.eval(), torch.ones(1, 2)).shape == (1, 2)


def test_what_was_expected_and_what_came():
    trial = PartTrial("model", None, None)
    verdict = judge(Clause("A clause", lambda trial: expect(False, "3 rows", 4)), trial)
    assert verdict == ("A clause", "failed", "expected 3 rows, came 4")
    assert judge(Clause("A clause", lambda trial: expect(True, "3 rows", 4)), trial) == ("A clause", "ok", "")
    assert line_in(ValueError(), object()) == ""
