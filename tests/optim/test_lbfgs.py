import json
from pathlib import Path

import pytest
import torch
from torch import nn

from deeprob.optim import LBFGSConfig


def minimize(fields: dict[str, object]) -> tuple[list[float], int]:
    """Minimize ½(x − 1)² + 10(y + 3)² in one update; return the place and the number of evaluations."""
    place = nn.Parameter(torch.zeros(1, 2, dtype=torch.float64))
    optimizer = LBFGSConfig(**fields).build([place])
    evaluations = 0

    def closure() -> torch.Tensor:
        nonlocal evaluations
        evaluations += 1
        optimizer.zero_grad()
        x, y = place[0]
        loss = 0.5 * (x - 1) ** 2 + 10 * (y + 3) ** 2
        loss.backward()
        return loss

    optimizer.step(closure)
    return place[0].tolist(), evaluations


def test_one_update_finds_the_minimum_of_a_quadratic():
    place, _ = minimize({})
    assert place == pytest.approx([1, -3], abs=1e-6)


def test_max_eval_bounds_the_evaluations():
    assert minimize({"line_search_fn": None, "max_eval": 3})[1] == 3
    assert minimize({"line_search_fn": None})[1] > 3


def test_without_a_line_search_the_rate_is_the_step():
    # the first direction is −∇L = (1, −60), its first step shortened to min(1, 1/‖∇L‖₁)·lr = 0.5/61
    place, _ = minimize({"line_search_fn": None, "max_iter": 1, "lr": 0.5})
    assert place == pytest.approx([0.5 / 61, -60 * 0.5 / 61])


def test_it_needs_the_same_loss_at_each_call():
    assert LBFGSConfig().deterministic is True


@pytest.mark.parametrize(("line_search", "scheduled"), [("strong_wolfe", False), (None, True)])
def test_the_schedule_acts_only_without_a_line_search(line_search, scheduled):
    assert LBFGSConfig(line_search_fn=line_search).scheduled is scheduled


def test_the_line_search_is_on_unless_switched_off():
    assert LBFGSConfig().line_search_fn == "strong_wolfe"


WORDS = (
    "dataset.points_per_class=30", "optimizer=lbfgs", "model=linear", "regularizer=l2", "regularizer.strength=1e-2",
    "trainer.epochs=50", "hydra.run.dir=run",
)  # fmt: skip


def summary() -> dict[str, object]:
    return json.loads(Path("run/summary.json").read_text())


def test_a_run_ends_when_the_optimizer_has_converged_and_says_why(deeprob):
    result = deeprob(*WORDS)
    content = summary()
    assert (result.status, content["status"]) == (0, "stopped")
    assert content["reason"] in ("gradient small", "objective no longer falls")
    assert content["epochs"] == content["steps"] < 10
    end = f"stopped: {content['reason']} after {content['evaluations']} evaluations"
    assert result.out.splitlines()[0] == f"epoch {content['epochs']} of 50; {end}"
    again = deeprob("resume=run")
    assert (again.status, summary()) == (0, content)
    assert end in again.out


def test_a_run_that_was_killed_after_it_converged_does_nothing_more(deeprob):
    deeprob(*WORDS)
    content = summary()
    Path("run/summary.json").unlink()
    assert deeprob("resume=run").status == 0
    for name in ("status", "reason", "steps", "evaluations", "train/loss", "test/loss"):
        assert summary()[name] == content[name]


def test_a_run_whose_epochs_are_over_is_completed(deeprob):
    result = deeprob(*WORDS, "trainer.epochs=1", "optimizer.max_iter=2", "optimizer.max_eval=9")
    assert (summary()["status"], summary()["reason"]) == ("completed", "max_iter")
    assert "stopped" not in result.out
