"""``deeprob-evaluate``: the metrics of a run again, and several runs fused."""

import json
import shutil

import pytest
from PIL import Image

from deeprob import load_run


def test_the_command_prints_them(one_run, deeprob):
    status, out, err = deeprob(f"run={one_run}", command="evaluate")
    assert (status, err) == (0, "")
    content = json.loads((one_run / "summary.json").read_text())
    assert f"{content['test/loss']:.4f}" in out
    assert f"{100 * content['test/accuracy']:.2f} %" in out
    assert out.endswith(f"run        {one_run} (best checkpoint)\n")


def test_without_a_validation_split_no_checkpoint_is_the_best(deeprob, small):
    assert deeprob(*small, "hydra.run.dir=run").status == 0
    assert deeprob("run=run", command="evaluate").out.endswith("run        run\n")


def test_a_split_that_is_not_there(deeprob, small):
    deeprob(*small, "hydra.run.dir=run")
    status, _, err = deeprob("run=run", "split=val", command="evaluate")
    assert (status, err) == (2, "error: split=val: run has no such split; choose train or test\n")


def test_a_damaged_run_is_one_line_and_status_2(one_run, deeprob):
    (one_run / "config.yaml").write_text("a: [")
    status, out, err = deeprob(f"run={one_run}", command="evaluate")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {one_run / 'config.yaml'}")


def test_the_checkpoint_before_takes_the_place_of_a_damaged_one(one_run, deeprob):
    path = one_run / "checkpoints/best.pt"
    path.write_bytes(path.read_bytes()[:1000])
    status, out, err = deeprob(f"run={one_run}", command="evaluate")
    assert status == 0
    assert "accuracy" in out
    assert err == f"note: {path}: not a checkpoint, or a damaged one; using best.prev.pt, the checkpoint before it\n"


@pytest.mark.parametrize("change", ["a class more", "another size"])
def test_data_that_changed_since_the_run_are_noticed(deeprob, pictures, change):
    words = ("dataset=image_folder", f"dataset.root={pictures}", "trainer.epochs=1", "hydra.run.dir=run")
    assert deeprob(*words).status == 0
    size = 8
    if change == "another size":
        size = 6
        shutil.rmtree(pictures)
    for split in ("train", "test"):
        for name in ("cats", "dogs", "eels") if change == "a class more" else ("cats", "dogs"):
            (pictures / split / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (size, size)).save(pictures / split / name / "new.png")
    status, _, err = deeprob("run=run", command="evaluate")
    assert status == 2
    assert err.startswith("error: run: the dataset is no longer that of the run, which had 2 classes (cats, dogs, …)")
    assert err.count("\n") == 1


def test_it_has_no_sweeps(deeprob):
    status, _, err = deeprob("-m", "run=a,b", command="evaluate")
    assert (status, err) == (2, "error: -m: deeprob-evaluate has no sweeps; call it once for each run\n")


def test_help_needs_no_run(deeprob):
    status, out, _ = deeprob("--help", command="evaluate")
    assert status == 0
    assert "deeprob-evaluate run=" in out


# ---------------------------------------------------------------- several runs fused


@pytest.fixture
def two_runs(one_run, deeprob, small) -> str:
    """The runs' directories as a word: other features, another loss, the same splits."""
    words = ("features=polar", "loss=hinge", "seed=1", "dataset.val_fraction=0.2", "hydra.run.dir=other")
    assert deeprob(*small, *words).status == 0
    return "runs=[run,other]"


@pytest.mark.parametrize("how", ["mean", "weights"])
def test_runs_are_fused_whatever_their_features_and_loss(two_runs, deeprob, how):
    status, out, err = deeprob(two_runs, f"fusion={how}", command="evaluate")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    header = ["run", "features", *["weight"] * (how == "weights"), "cross-entropy", "accuracy"]
    assert lines[0].split() == header
    names = ["run", "other", "mean", *["weights"] * (how == "weights"), "fusion"]
    assert [line.split()[0] for line in lines[1:]] == names
    for name, features, line in zip(("run", "other"), ("raw", "polar"), lines[1:3], strict=True):
        accuracy = load_run(name).metrics["test/accuracy"]
        assert line.split()[1] == features
        assert line.endswith(f"{100 * accuracy:.2f} %")
    if how == "weights":
        weights = [float(line.split()[2]) for line in lines[1:3]]
        assert sum(weights) == pytest.approx(1, abs=2e-3)
    assert lines[-1] == f"fusion     {how} of 2 runs on test (best checkpoints)"


def test_the_mean_of_runs_without_validation_split(deeprob, small):
    for seed in (0, 1):
        assert deeprob(*small, f"seed={seed}", f"hydra.run.dir=r{seed}").status == 0
    runs, data = [load_run(f"r{seed}") for seed in (0, 1)], load_run("r0").data().test
    mean = (sum(run.scores().double() for run in runs) / 2).softmax(1)
    loss = -mean[range(len(data)), data.targets].log().mean().item()
    status, out, _ = deeprob("runs=[r0,r1]", command="evaluate")
    assert status == 0
    assert f"{loss:.4f}" in out.splitlines()[3]
    assert out.endswith("fusion     mean of 2 runs on test\n")
    status, _, err = deeprob("runs=[r0,r1]", "fusion=weights", command="evaluate")
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(
        "error: r0: held out no validation split, and fusion fits numbers on one: train with dataset."
    )


def test_regressions_are_averaged(deeprob):
    words = ("dataset=random_regression", "loss=squared_error", "dataset.val_fraction=0.2", "trainer.epochs=1")
    for seed in (0, 1):
        result = deeprob(*words, f"seed={seed}", f"hydra.run.dir=r{seed}")
        assert result.status == 0, result.err
    status, out, err = deeprob("runs=[r0,r1]", "fusion=weights", command="evaluate")
    assert (status, err) == (0, "")
    assert out.splitlines()[0].split() == ["run", "features", "weight", "squared", "error"]
    losses = [float(line.split()[-1]) for line in out.splitlines()[1:5]]
    metrics = [load_run(f"r{seed}").metrics["test/loss"] for seed in (0, 1)]
    assert losses[:2] == pytest.approx(metrics, abs=1e-4)
    assert losses[2] < max(metrics)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "run is missing: add its directory to the command, or several to fuse"),
        (("runs=[run]",), "runs=[run]: expected two runs or more, each once; run=DIR measures one"),
        (("runs=run",), "runs=[run]: expected two runs or more, each once; run=DIR measures one"),
        (("runs=[run,./run]",), "runs=[run,./run]: expected two runs or more, each once; run=DIR measures one"),
        (("run=run", "runs=[run,b]"), "run and runs exclude each other: run=DIR measures one, runs=[DIR,DIR] fuses"),
        (("runs=[run,none]",), "none: no run there (no config.yaml); expected a directory that deeprob-train made"),
        (("runs=[run,b]", "fusion=vote"), "fusion=vote: expected one of mean, weights"),
        (("runs=[run,b]", "fusion=weights", "split=val"), "split=val: fusion=weights fits its weights on this"),
    ],
)
def test_fusions_that_make_no_sense(one_run, deeprob, words, line):
    status, out, err = deeprob(*words, command="evaluate")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {line}")


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (("dataset.seed=3",), "b: its test split is not that of run (dataset.seed=3 differs); fusion needs the same"),
        (("dataset.classes=2",), "b: has 2 classes (arm 0, arm 1), and run has 3 classes (arm 0, arm 1, arm 2) (datas"),
        (("dataset=moons",), "b: has 2 classes ("),
    ],
)
def test_runs_of_other_data_are_named(one_run, deeprob, other, line):
    words = ("dataset.points_per_class=30", "dataset.test_points_per_class=20", "trainer.epochs=1")
    assert deeprob(*words, *other, "dataset.val_fraction=0.2", "hydra.run.dir=b").status == 0
    status, out, err = deeprob("runs=[run,b]", command="evaluate")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {line}")
