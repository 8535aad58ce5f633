import math

import pytest
import torch

from deeprob.optim import PlateauConfig

LOSSES = [3.0, 2.0, 2.0, 1.9999, 2.5, 1.0, 1.0, 0.99999, 1.0, 1.0, 1.0, 0.5, 0.6, 0.7, 0.8, 0.9]


@pytest.mark.parametrize("patience", [0, 1, 3])
@pytest.mark.parametrize("losses", [LOSSES, LOSSES[::-1], [1.0] * 12])
def test_the_factor_is_torchs(patience, losses):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=patience)
    ours = PlateauConfig(gamma=0.5, patience=patience).build(steps=100)
    for step, loss in enumerate(losses):
        ours.observe(loss)
        theirs.step(loss)
        assert ours(step) == pytest.approx(optimizer.param_groups[0]["lr"])


def test_it_goes_on_from_its_state():
    whole, first, second = (PlateauConfig(patience=1).build(100) for _ in range(3))
    for loss in LOSSES:
        whole.observe(loss)
    for loss in LOSSES[:8]:
        first.observe(loss)
    second.load_state_dict(first.state_dict())
    for loss in LOSSES[8:]:
        second.observe(loss)
    assert second.state_dict() == whole.state_dict()
    assert whole.drops == 5


def test_it_may_warm_up():
    schedule = PlateauConfig(warmup=0.5, patience=0).build(8)
    assert [schedule(step) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_a_loss_that_is_not_finite_is_no_improvement():
    schedule = PlateauConfig(patience=0).build(8)
    schedule.observe(math.nan)
    assert schedule(0) == pytest.approx(0.1)


def test_the_rate_of_a_run_falls_when_the_validation_loss_does_not(deeprob, small):
    import csv
    from pathlib import Path

    words = ("scheduler=plateau", "scheduler.patience=0", "scheduler.threshold=0.5", "dataset.val_fraction=0.5")
    assert deeprob(*small, *words, "optimizer.lr=1e-3", "trainer.epochs=5", "hydra.run.dir=run").status == 0
    with Path("run/metrics.csv").open() as file:
        rates = [float(row["optim/lr"]) for row in csv.DictReader(file)]
    # the first epoch is the lowest so far, the second waits, and none halves the loss
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5, 1e-6])
