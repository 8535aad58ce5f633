"""What a sweep is to run: every combination, once for each variant."""

import csv
from pathlib import Path

import pytest

VARIANTS = "sweep.variants=['optimizer=sgd optimizer.lr=0.1,0.3 optimizer.momentum=0.9','optimizer=lbfgs','']"


def rows() -> list[dict]:
    with Path("s/summary.csv").open() as file:
        return list(csv.DictReader(file))


def test_each_variant_is_crossed_with_all_else(deeprob, small):
    result = deeprob("-m", *small, VARIANTS, "seed=0,1", "hydra.sweep.dir=s")
    assert result.status == 0
    assert result.err == "note: jobs 4, 5: trained one by one, because optimizer=lbfgs does its own line searches\n"
    keys = ("optimizer", "optimizer.lr", "optimizer.momentum", "seed")
    assert [tuple(row[key] for key in keys) for row in rows()] == [
        ("sgd", "0.1", "0.9", "0"), ("sgd", "0.1", "0.9", "1"), ("sgd", "0.3", "0.9", "0"), ("sgd", "0.3", "0.9", "1"),
        ("lbfgs", "", "", "0"), ("lbfgs", "", "", "1"), ("", "", "", "0"), ("", "", "", "1"),
    ]  # fmt: skip
    names = sorted(path.name for path in Path("s").iterdir() if path.is_dir())
    assert names[4] == "004_optimizer=lbfgs,seed=0"
    assert "optimizer: adamw" in (Path("s") / names[6] / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["optimizer.lr=0.1", VARIANTS], "optimizer.lr: sweep.variants sets this key already; change it there"),
        (
            ["sweep.variants=['optimizer=sdg']"],
            "job 0 (optimizer=sdg sweep.variants=",
        ),
        (["sweep.variants=['optimizer.lr']"], "optimizer.lr: cannot be read as key=value (no =)"),
        (['sweep.variants=["a=\'1"]'], "sweep.variants: a='1: no closing quotation"),
        (
            ["sweep.variants=['seed=range(0)']"],
            "seed=range(0) sweep.variants=",
        ),
        (["sweep.folds=3,5"], "sweep.folds=3,5: a sweep has one number of folds"),
        (["sweep.folds=1"], "sweep.folds=1: expected 2 or more, or 0 for no folds"),
        (
            ["sweep.folds=3", "dataset.fold=0,1"],
            "sweep.folds=3 sets dataset.folds and dataset.fold; leave dataset.fold out",
        ),
        (["seed=1,2,1"], "seed=1: job 2 would repeat job 0; give each value once"),
        (["sweep.variants=3"], "3: cannot be read as key=value (no =)"),
        (["sweep.variants={a:3}"], "sweep.variants={a:3}"),
    ],
)
def test_variants_that_cannot_be(deeprob, words, error):
    status, out, err = deeprob("-m", *words, "hydra.sweep.dir=s")
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {error}")
    assert err.count("\n") == 1
    assert not Path("s").exists()


def test_folds_are_swept(deeprob):
    lines = [f"{number},{number % 7},{'ab'[number % 2]}" for number in range(20)]
    Path("table.csv").write_text("\n".join(["x,y,kind", *lines]))
    words = ("dataset=csv", "dataset.root=table.csv", "trainer.epochs=1", "hydra.sweep.dir=s")
    result = deeprob("-m", *words, "model=linear,mlp", "sweep.folds=4")
    assert result.status == 0
    assert [(row["model"], row["dataset.fold"]) for row in rows()] == [
        (model, str(fold)) for model in ("linear", "mlp") for fold in range(4)
    ]
    folder = Path("s/006_model=mlp,dataset.fold=2")
    assert "folds: 4" in (folder / "config.yaml").read_text()
    assert "mean ± standard deviation over folds\n" in result.out


def test_a_run_alone_has_no_folds_of_a_sweep(deeprob):
    status, out, err = deeprob("sweep.folds=5")
    message = "only a sweep makes all folds; add -m, or set dataset.folds=5 dataset.fold=0"
    assert (status, out, err) == (2, "", f"error: sweep.folds=5: {message}\n")
