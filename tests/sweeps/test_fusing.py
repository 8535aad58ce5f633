"""The jobs of a sweep fused: which, and what comes of them."""

import csv
from pathlib import Path

import pytest

from deeprob.assembly.finished import load_run
from deeprob.assembly.fusion import fuse_runs
from deeprob.sweeps.fusing import Fusing, quality

SWEPT = ("features", "model", "seed")


def row(features, model, seed, accuracy):
    return {"features": features, "model": model, "seed": seed, "val/accuracy": accuracy}


ROWS = [
    row("raw", "linear", "0", 0.4), row("raw", "mlp", "0", 0.6), row("hog", "mlp", "0", 0.5),
    row("raw", "linear", "1", 0.7), row("raw", "mlp", "1", 0.3), row("hog", "mlp", "1", 0.5),
]  # fmt: skip


def parts(rows, numbers=None, key="features"):
    found = Fusing(key, "cpu").parts(rows, SWEPT, range(len(rows)) if numbers is None else numbers)
    return [(list(seed.values()), best) for seed, best in found]


def test_the_best_of_each_value_is_a_part_seed_by_seed():
    assert parts(ROWS) == [(["0"], {"raw": 1, "hog": 2}), (["1"], {"raw": 3, "hog": 5})]


def test_only_jobs_that_ended_well_take_part():
    assert parts(ROWS, [0, 2, 5]) == [(["0"], {"raw": 0, "hog": 2}), (["1"], {"hog": 5})]


def test_a_job_without_a_seed_goes_with_every_seed():
    rows = [row("hog", "", "", 0.5), row("raw", "", "0", 0.5), row("raw", "", "1", 0.5)]
    assert parts(rows) == [(["0"], {"hog": 0, "raw": 1}), (["1"], {"hog": 0, "raw": 2})]
    assert parts(rows[:1]) == [([""], {"hog": 0})]


def test_seeds_themselves_may_be_fused():
    assert parts(ROWS, key="seed") == [([], {"0": 1, "1": 3})]


def test_without_classes_the_smallest_loss_is_best():
    assert quality({"val/loss": 0.1}) > quality({"val/loss": 0.2})
    assert quality({"val/loss": 0.1, "val/accuracy": 0.5}) < quality({"val/loss": 0.2, "val/accuracy": 0.6})


# ---------------------------------------------------------------- a whole sweep

SWEEP = ("-m", "features=raw,polar", "seed=0,1", "dataset.val_fraction=0.2", "hydra.sweep.dir=s")


def table():
    with Path("s/summary.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_seed(deeprob, small):
    claims = "sweep.claims=['test/loss <= 9 for features=fused','features/count >= 4 for features=fused']"
    columns = "sweep.columns=[test/loss,test/accuracy,features/count]"
    status, out, err = deeprob(*small, *SWEEP, "sweep.fuse=features", columns, claims)
    assert (status, err) == (0, "")
    rows = table()
    assert [(row["features"], row["seed"], row["status"]) for row in rows[4:]] == [
        ("fused", "0", "completed"),
        ("fused", "1", "completed"),
    ]
    for seed in (0, 1):
        runs = [
            load_run(f"s/00{2 * place + seed}_features={name},seed={seed}")
            for place, name in enumerate(("raw", "polar"))
        ]
        *alone, _, fused = fuse_runs(runs, "test", "weights")
        assert float(rows[4 + seed]["test/accuracy"]) == fused.measured["accuracy"]
        assert float(rows[4 + seed]["test/loss"]) == fused.measured["loss"]
        assert f"fused      seed={seed}: raw {alone[0].weight:.2f}  polar {alone[1].weight:.2f}\n" in out
        assert rows[4 + seed]["val/accuracy"] == ""
        assert int(rows[4 + seed]["features/count"]) == 4
    below = out.split("mean ± standard deviation over seeds\n")[1]
    assert [line.split()[0] for line in below.splitlines()[1:4]] == ["raw", "polar", "fused"]
    assert "features=fused: 4\n" in out


def test_what_was_tuned_is_fused_with_its_best_values(deeprob, small):
    words = ("sweep.tune=[optimizer.lr]", "sweep.tune_by=val/loss", "optimizer.lr=1e-9,1e-2", "sweep.fuse=features")
    status, out, err = deeprob(*small, *SWEEP, *words)
    assert (status, err) == (0, "")
    rows = table()
    assert len(rows) == 10
    best = out.split("the best optimizer.lr of each by val/loss")[1]
    assert [line.split()[0] for line in best.splitlines()[2:5]] == ["raw", "polar", "fused"]
    assert [line.split()[1] for line in best.splitlines()[2:4]] == ["0.01", "0.01"]


def test_numbers_are_fused_too(deeprob):
    words = ("dataset=random_regression", "loss=squared_error", "dataset.val_fraction=0.2", "trainer.epochs=2")
    shape = ("model.layers=2", "model.width=4,8", "sweep.fuse=model.width")
    status, _, err = deeprob("-m", *words, *shape, "hydra.sweep.dir=s")
    assert (status, err) == (0, "")
    fused = table()[-1]
    assert fused["model.width"] == "fused"
    assert float(fused["test/loss"]) > 0


def test_weights_are_fitted_on_a_val_folder(deeprob, validated_pictures):
    words = ("-m", "dataset=image_folder", f"dataset.root={validated_pictures}", "model=linear", "trainer.epochs=2")
    status, out, err = deeprob(*words, "features=raw,color_histogram", "sweep.fuse=features", "hydra.sweep.dir=s")
    assert (status, err) == (0, "")
    assert "fused      raw " in out
    assert table()[-1]["features"] == "fused"


def test_nothing_to_fuse_is_a_remark(deeprob, small):
    words = ("-m", "seed=0,1", "dataset.val_fraction=0.2", "sweep.fuse=features", "hydra.sweep.dir=s")
    status, _, err = deeprob(*small, *words)
    assert (status, len(table())) == (0, 2)
    assert err == "".join(
        f"note: sweep.fuse: nothing to fuse: features has fewer than two values of seed={n}\n" for n in (0, 1)
    )


def test_jobs_of_different_data_cannot_be_fused_and_stay(deeprob, small):
    words = ("-m", "dataset.noise=0.1,0.2", "dataset.val_fraction=0.2", "sweep.fuse=dataset.noise", "hydra.sweep.dir=s")
    status, _, err = deeprob(*small, *words)
    assert (status, len(table())) == (2, 2)
    assert err.startswith(
        "error: s/001_dataset.noise=0.2: its test split is not that of s/000_dataset.noise=0.1 (dataset"
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["sweep.fuse=featurs", "dataset.val_fraction=0.2"],
            "error: sweep.fuse: no key featurs; did you mean features?\n",
        ),
        (
            ["sweep.fuse=features"],
            "error: sweep.fuse fits weights on a validation split: set dataset.val_fraction=0.1, say\n",
        ),
    ],
)
def test_what_cannot_be_is_named_before_anything_starts(deeprob, small, words, line):
    status, out, err = deeprob("-m", *small, "features=raw,polar", *words)
    assert (status, out, err) == (2, "", line)
    assert list(Path.cwd().iterdir()) == []
