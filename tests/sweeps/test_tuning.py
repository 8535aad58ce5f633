import pytest

from deeprob.sweeps.tuning import Tuning

SWEPT = ("optimizer", "optimizer.lr", "seed")


def row(optimizer, lr, seed, loss, error=""):
    return {
        "optimizer": optimizer,
        "optimizer.lr": lr,
        "seed": seed,
        "train/loss": loss,
        "error": error,
        "status": error or "completed",
    }


ROWS = [
    row("sgd", "0.1", "0", 0.5), row("sgd", "0.1", "1", 0.3),  # mean 0.4
    row("sgd", "1", "0", 0.1), row("sgd", "1", "1", 0.6),  # mean 0.35: the best
    row("sgd", "10", "0", 0.0), row("sgd", "10", "1", 0.0, "diverged"),
    row("adam", "0.1", "0", 0.2), row("adam", "0.1", "1", 0.2), row("adam", "1", "0", 0.3), row("adam", "1", "1", 0.3),
]  # fmt: skip


def test_the_best_mean_over_seeds_stays():
    kept, excused, remarks = Tuning(["optimizer.lr"], "train/loss").best(ROWS, SWEPT)
    assert kept == [2, 3, 6, 7]
    assert excused == [5]
    assert remarks == ["adam: optimizer.lr=0.1 is the smallest value tried; a better value may lie beyond it"]


def test_a_remark_about_the_only_candidate_does_not_name_it():
    rows = [{"seed": "0", "lr": lr, "error": "", "train/loss": loss} for lr, loss in (("1", 0.2), ("2", 0.1))]
    assert Tuning(["lr"], "train/loss").best(rows, ["lr", "seed"]).remarks == [
        "lr=2 is the largest value tried; a better value may lie beyond it"
    ]


def test_the_highest_accuracy_is_the_best():
    rows = [{**r, "val/accuracy": r["train/loss"]} for r in ROWS]
    kept, _, remarks = Tuning(["optimizer.lr"], "val/accuracy").best(rows, SWEPT)
    assert kept == [0, 1, 8, 9]
    assert remarks == [
        "sgd: optimizer.lr=0.1 is the smallest value tried; a better value may lie beyond it",
        "adam: optimizer.lr=1 is the largest value tried; a better value may lie beyond it",
    ]


def test_the_direction_is_that_of_the_metric():
    for metric, best in (("val/auroc", [1]), ("val/ece", [0]), ("val/recall/a", [1])):
        rows = [{"lr": lr, "error": "", metric: value} for lr, value in (("1", 0.2), ("2", 0.4))]
        assert Tuning(["lr"], metric).best(rows, ["lr"]).kept == best


def test_what_never_ended_well_or_has_no_finite_value_does_not_stay():
    rows = [row("sgd", "1", "0", 0.1, "diverged"), row("adam", "1", "0", float("nan")), row("adam", "2", "0", 0.5)]
    assert Tuning(["optimizer.lr"], "train/loss").best(rows, SWEPT)[:2] == ([2], [])
    assert Tuning(["optimizer.lr"], "test/loss").best(rows, SWEPT) == ([], [], [])


def test_a_candidate_without_values_to_try_stays():
    rows = [{**row("lbfgs", "", "0", 0.1)}, *ROWS]
    kept, _, remarks = Tuning(["optimizer.lr"], "train/loss").best(rows, SWEPT)
    assert kept == [0, 3, 4, 7, 8]
    assert len(remarks) == 1


def test_the_table_of_the_best_is_printed_and_claims_are_about_it(deeprob, small):
    claims = "sweep.claims=['optim/lr of optimizer=sgd equals optimizer=sgd']"
    words = ("sweep.tune=[optimizer.lr]", "optimizer=sgd,adam", "optimizer.lr=1e-9,1e-2", "scheduler=constant", claims)
    columns = "sweep.columns=[train/loss,optim/evaluations,optim/lr]"
    status, out, err = deeprob("-m", *small, *words, columns, "seed=0,1", "hydra.sweep.dir=s")
    assert (status, err) == (0, "")
    best = out.split("the best optimizer.lr of each by train/loss; mean ± standard deviation over seeds\n")[1]
    header, *lines = best.splitlines()[:5]
    assert header.split() == [
        "optimizer", "optimizer.lr", "completed", "train/loss", "optim/evaluations", "optim/lr",
    ]  # fmt: skip
    assert [line.split()[:2] for line in lines[:2]] == [["sgd", "0.01"], ["adam", "0.01"]]
    assert lines[0].split()[-2:] == ["9", "0.0100"]  # the same for both seeds
    assert lines[2].startswith("sgd: optimizer.lr=0.01 is the largest value tried")


def test_a_rate_that_diverges_is_excused_where_another_goes_well(deeprob, small):
    words = ("-m", *small, "optimizer=sgd", "sweep.tune=[optimizer.lr]", "seed=0,1")
    status, out, err = deeprob(*words, "optimizer.lr=1e-2,1e30", "hydra.sweep.dir=s")
    assert status == 0
    assert err.count("diverged") == 2  # it is said all the same
    best = out.split("the best optimizer.lr of each by train/loss")[1].splitlines()
    assert best[2].split()[:4] == ["0.01", "2", "of", "2"]
    status, _, err = deeprob(*words, "optimizer.lr=1e30,2e30", "hydra.sweep.dir=t")
    assert status == 4
    assert err.endswith("error: 4 of 4 jobs failed: 0, 1, 2, 3\n")


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("sweep.tune=[optimizer.rate]", "sweep.tune: no key optimizer.rate; "),
        ("sweep.tune_by=val/los", "sweep.tune_by: no metric val/los; did you mean val/loss"),
        ("sweep.columns=[test/acuracy]", "sweep.columns: no metric test/acuracy; did you mean test/accuracy"),
    ],
)
def test_what_there_is_not(deeprob, word, error):
    status, out, err = deeprob("-m", "seed=0,1", word, "hydra.sweep.dir=s")
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {error}")


def test_the_validation_split_decides_where_there_is_one(deeprob, small):
    words = ("-m", *small, "sweep.tune=[optimizer.lr]", "optimizer.lr=1e-9,1e-2", "dataset.val_fraction=0.2")
    assert "the best optimizer.lr of each by val/accuracy" in deeprob(*words, "hydra.sweep.dir=s").out
    assert "of each by val/loss" in deeprob(*words, "trainer.monitor=val/loss", "hydra.sweep.dir=t").out
