import pytest
import torch

from deeprob.training import scoring as module
from deeprob.training.scoring import Scoring, tag_names

NAMES = ["a", "b", "c", "d", "e", "f"]


def test_the_names_by_the_task():
    classes = torch.tensor([0, 1, 2, 3, 4, 5])
    recalls = [f"recall/{name}" for name in NAMES]
    usual = ["accuracy", "balanced_accuracy", "f1", "auroc"]
    assert Scoring(NAMES, probabilities=True).names(classes, 6) == [*usual, "top5", "ece", *recalls]
    assert Scoring(NAMES).names(classes, 6) == [*usual, "top5", *recalls]
    assert Scoring(NAMES[:3]).names(classes[:3], 3) == [*usual, *recalls[:3]]
    assert Scoring().names(torch.tensor([[1.0], [2.0]]), 1) == ["r2", "mae", "rmse"]


def test_what_is_not_defined_is_left_out():
    assert Scoring(NAMES[:2]).names(torch.tensor([1, 1]), 2) == ["accuracy", "balanced_accuracy", "f1", "recall/b"]
    assert Scoring().names(torch.tensor([[1.0], [1.0]]), 1) == ["mae", "rmse"]


def test_many_classes_have_no_recalls():
    names = [str(number) for number in range(21)]
    assert "recall/0" in Scoring(names[:20]).names(torch.arange(20), 20)
    assert "recall/0" not in Scoring(names).names(torch.arange(21), 21)


@pytest.mark.parametrize("targets", [torch.arange(61) % 7, torch.linspace(0, 1, 61 * 7).view(61, 7)])
def test_a_run_has_the_same_bits_in_any_stack(targets, monkeypatch):
    monkeypatch.setattr(module, "_AT_ONCE", {"cpu": 61 * 7 * 5})  # 5 runs at once
    scores = torch.randn(33, 61, 7, generator=torch.Generator().manual_seed(0))
    score = Scoring([*NAMES, "g"], probabilities=True)
    together = score(scores, targets)
    assert len(together) == 33
    assert together == [score(scores[run : run + 1].clone(), targets)[0] for run in range(33)]
    own = targets.expand(33, *targets.shape)
    assert score(scores, own) == together


def test_errors_have_the_units_of_the_data():
    scores, targets = torch.tensor([[[1.0], [3.0]]]), torch.tensor([[0.0], [1.0]])
    plain, scaled = (Scoring(deviation=d)(scores, targets)[0] for d in (None, torch.tensor([10.0]).double()))
    assert (plain["mae"], scaled["mae"]) == (1.5, 15)
    assert scaled["rmse"] == pytest.approx(10 * plain["rmse"])
    assert scaled["r2"] == plain["r2"]


def test_the_name_of_a_class_is_one_word():
    assert tag_names(["arm 0", "a/b", "tab\there", "", "ä"]) == ["arm_0", "a/b", "tab_here", "_", "ä"]
    assert tag_names(["a b", "a_b", "c"]) == ["0", "1", "2"]
