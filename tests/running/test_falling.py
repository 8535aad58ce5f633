"""Whether the training loss was still falling fast when a run ended."""

import json
import math
from pathlib import Path

import pytest

from deeprob.running.falling import still_falling


def cosine(epochs: int) -> list[float]:
    return [0.5 * (1 + math.cos(math.pi * epoch / epochs)) for epoch in range(epochs)]


def course(loss, rates) -> list[tuple[float, float]]:
    """The loss as a function of the share of the way that is gone."""
    way, gone, rows = sum(rates), 0.0, []
    for rate in rates:
        gone += rate
        rows.append((loss(gone / way), rate))
    return rows


@pytest.mark.parametrize("rates", [cosine(10), cosine(30), [1e-3] * 30, cosine(3000)])
@pytest.mark.parametrize(
    ("loss", "falling"),
    [
        (lambda way: 2 - way, True),  # each fifth brings the same
        (lambda way: 1.1 - 0.1 * way, True),
        (lambda way: math.exp(-way), True),
        (lambda way: math.exp(-10 * way), False),
        (lambda way: 0.5 + math.exp(-10 * way), False),
        (lambda way: 1 / (1 + 20 * way), False),
        (lambda way: 1.0, False),
        (lambda way: 1 - 0.005 * way, False),  # less than a hundredth in the whole run
        (lambda way: 1 + way, False),  # the loss rises
        (lambda way: 1 + 0.5 * (way < 0.9), False),  # one step
    ],
)
def test_a_course(rates, loss, falling):
    assert still_falling(course(loss, rates)) is falling


def test_too_few_epochs_and_rates_of_zero():
    assert not still_falling([])
    assert not still_falling(course(lambda way: 2 - way, cosine(9)))
    assert not still_falling([(1 - 0.01 * epoch, 0.0) for epoch in range(30)])


# ---------------------------------------------------------------- whole runs


@pytest.fixture
def table(tmp_path):
    """Two classes that a line separates."""
    path = tmp_path / "line.csv"
    path.write_text("x,y,kind\n" + "".join(f"{n},{(7 * n) % 40},{'ab'[n >= 20]}\n" for n in range(40)))
    return ("dataset=csv", f"dataset.root={path}", "model=linear", "trainer.figures=[]")


LINE = "the training loss was still falling fast at the end; more epochs give better results"


def test_a_run_with_few_updates_says_so(deeprob, table):
    short = deeprob(*table, "trainer.epochs=30", "hydra.run.dir=short")
    assert short.err.endswith(f"note: trainer.epochs=30: {LINE}\n")
    assert json.loads(Path("short/summary.json").read_text())["still_falling"] is True
    assert LINE not in deeprob(*table, "trainer.epochs=30", "optimizer.lr=1", "hydra.run.dir=long").err
    assert "still_falling" not in json.loads(Path("long/summary.json").read_text())


def test_a_sweep_names_such_jobs(deeprob, table):
    done = deeprob("-m", *table, "trainer.epochs=30", "optimizer.lr=1e-3,1", "seed=0,1", "hydra.sweep.dir=sweep")
    assert done.status == 0, done.err
    assert f"note: trainer.epochs: in jobs 0, 1, {LINE}\n" in done.err
    claimed = deeprob("-m", *table, "trainer.epochs=30", "sweep.claims=['train/loss < 9']", "hydra.sweep.dir=claims")
    assert claimed.status == 0, claimed.err
    assert LINE not in claimed.err


def test_a_resumed_run_knows_its_whole_course(deeprob, table):
    words = (*table, "scheduler=constant", "hydra.run.dir=run")
    assert LINE not in deeprob(*words, "trainer.epochs=9").err
    assert f"note: trainer.epochs=12: {LINE}\n" in deeprob("resume=run", "trainer.epochs=12").err
