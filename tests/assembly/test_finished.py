"""Finished runs: the same metrics again, and clear words about what is not a run."""

import dataclasses
import json
import resource
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from deeprob import load_run
from deeprob.assembly.setup import Setup
from deeprob.errors import UserError
from deeprob.features.hog import Hog
from deeprob.tracking import checkpoint_file
from deeprob.training import Predictor


def test_evaluate_gives_the_test_metrics_back(one_run):
    run = load_run(one_run)
    measured = run.evaluate("test")
    assert measured == {"loss": run.metrics["test/loss"], "accuracy": run.metrics["test/accuracy"]}
    assert run.evaluate("val") == {"loss": run.metrics["val/loss"], "accuracy": run.metrics["val/accuracy"]}


def test_the_command_prints_them(one_run, deeprob):
    status, out, err = deeprob(f"run={one_run}", command="evaluate")
    assert (status, err) == (0, "")
    content = json.loads((one_run / "summary.json").read_text())
    assert f"{content['test/loss']:.4f}" in out
    assert f"{100 * content['test/accuracy']:.2f} %" in out


def test_scores_of_raw_inputs(one_run):
    run = load_run(one_run)
    data = run.data()
    seen = run.features(data.test.inputs)
    mean, deviation = data.train.inputs.mean(0), data.train.inputs.std(0, correction=0)
    torch.testing.assert_close(seen, (data.test.inputs - mean) / deviation)
    torch.testing.assert_close(run(data.test.inputs), run.model(seen))
    accuracy = (run(data.test.inputs).argmax(1) == data.test.targets).float().mean().item()
    assert accuracy == pytest.approx(run.metrics["test/accuracy"])
    assert run.classes == ("arm 0", "arm 1", "arm 2")


def test_scores_are_computed_in_chunks(one_run, monkeypatch):
    run = load_run(one_run)
    inputs = run.examples("test").inputs
    whole, sizes, scores = run(inputs), [], Predictor.scores

    def counted(self, extracted):
        sizes.append(len(extracted))
        return scores(self, extracted)

    monkeypatch.setattr(Predictor, "scores", counted)
    torch.testing.assert_close(run.scores("test"), whole)
    assert sizes == [60]
    trainer = dataclasses.replace(run.config.trainer, chunk_size=25)
    run = dataclasses.replace(run, config=dataclasses.replace(run.config, trainer=trainer))
    torch.testing.assert_close(run.scores("test"), whole)
    assert sizes == [60, 25, 25, 10]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_what_the_model_sees_of_a_split(one_run, split):
    run = load_run(one_run)
    inputs = run.examples(split).inputs
    whole = run.features(inputs)
    assert torch.equal(run.seen(split), whole)
    assert torch.equal(run.seen(split, slice(3)), whole[:3])
    assert torch.equal(run.seen(split, torch.tensor([7, 0])), whole[[7, 0]])


def test_what_is_extracted_already_is_not_extracted_again(deeprob, pictures, monkeypatch):
    words = ("dataset=image_folder", f"dataset.root={pictures}", "dataset.val_fraction=0.25", "features=hog")
    assert deeprob(*words, "model=linear", "trainer.epochs=1", "hydra.run.dir=run").status == 0
    run = load_run("run")
    expected = run.seen("train"), run.scores("val"), run.evaluate("test")
    splits = Setup.build(run.config).splits
    monkeypatch.setattr(Hog, "extract", None)
    with pytest.raises(TypeError):
        run.seen("train")
    run = dataclasses.replace(run, extracted=splits)
    assert torch.equal(run.seen("train"), expected[0])
    assert torch.equal(run.seen("train", slice(1, None, 2)), expected[0][1::2])
    assert torch.equal(run.scores("val"), expected[1])
    assert run.evaluate("test") == expected[2]


def test_best_and_last(one_run):
    for name in ("best", "last"):
        weights = checkpoint_file.load(one_run / "checkpoints" / f"{name}.pt")["model"]
        loaded = dict(load_run(one_run, name).model.named_parameters())
        assert all(torch.equal(weights[key], loaded[key]) for key in weights)


def test_pictures(deeprob, pictures):
    assert (
        deeprob("dataset=image_folder", f"dataset.root={pictures}", "trainer.epochs=2", "hydra.run.dir=run").status == 0
    )
    run = load_run("run")
    assert run.data().test.inputs.dtype == torch.uint8
    assert run(run.data().test.inputs).shape == (8, 2)
    assert run.evaluate()["accuracy"] == run.metrics["test/accuracy"]


def test_float64_weights_come_back_whole(deeprob, small):
    assert deeprob(*small, "trainer.precision=float64", "hydra.run.dir=run").status == 0
    weights = checkpoint_file.load(Path("run/checkpoints/best.pt"))["model"]
    loaded = dict(load_run("run").model.named_parameters())
    assert all(torch.equal(weights[key], loaded[key]) for key in weights)


def test_a_split_that_is_not_there(deeprob, small):
    deeprob(*small, "hydra.run.dir=run")
    status, _, err = deeprob("run=run", "split=val", command="evaluate")
    assert (status, err) == (2, "error: split=val: run held out none; choose train or test\n")


def damaged(run: Path, what: str) -> str:
    """Damage a run's directory, and return what the error must name."""
    if what == "no directory":
        shutil.rmtree(run)
        return f"{run}: no run there"
    if what == "config is no YAML":
        (run / "config.yaml").write_text("a: [")
    elif what == "config names an option that is not there":
        text = (run / "config.yaml").read_text()
        (run / "config.yaml").write_text(text.replace("override model: mlp", "override model: os.system"))
    elif what == "config holds a value out of range":
        text = (run / "config.yaml").read_text()
        (run / "config.yaml").write_text(text.replace("dropout: 0.0", "dropout: 7.0"))
        return f"{run / 'config.yaml'}: model.dropout=7.0: expected a number in [0, 1)"
    elif what == "no checkpoint":
        (run / "checkpoints/best.pt").unlink()
        (run / "checkpoints/best.prev.pt").unlink()
        return f"{run / 'checkpoints/best.pt'}: no such checkpoint"
    elif what == "checkpoint cut short":
        path = run / "checkpoints/best.pt"
        path.write_bytes(path.read_bytes()[:1000])
        (run / "checkpoints/best.prev.pt").unlink()
        return f"{path}: not a checkpoint, or a damaged one"
    elif what == "checkpoint of another model":
        text = (run / "config.yaml").read_text()
        (run / "config.yaml").write_text(text.replace("width: 8", "width: 9"))
        return f"{run / 'checkpoints/best.pt'}: does not belong to"
    elif what == "summary is no JSON":
        (run / "summary.json").write_text("{")
        return f"{run / 'summary.json'}: not JSON"
    return str(run / "config.yaml")


@pytest.mark.parametrize(
    "what",
    [
        "no directory", "config is no YAML", "config names an option that is not there",
        "config holds a value out of range", "no checkpoint", "checkpoint cut short", "checkpoint of another model",
        "summary is no JSON",
    ],
)  # fmt: skip
def test_what_is_damaged_is_named(one_run, deeprob, what):
    expected = damaged(one_run, what)
    status, out, err = deeprob(f"run={one_run}", command="evaluate")
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert expected in err
    with pytest.raises(UserError):
        load_run(one_run)


def test_a_config_of_a_huge_model_makes_none(one_run, deeprob):
    text = (one_run / "config.yaml").read_text()
    (one_run / "config.yaml").write_text(text.replace("width: 8", "width: 20000"))  # 1.6 GB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"best\.pt: does not belong to"):
        load_run(one_run)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB


@pytest.mark.parametrize("content", ["[]", "5", "[" * 100_000, '{"epochs": '])
def test_a_summary_that_is_none_is_named(one_run, content):
    (one_run / "summary.json").write_text(content)
    with pytest.raises(UserError, match=r"summary\.json: not JSON of a run, or damaged"):
        load_run(one_run)


def test_the_checkpoint_before_takes_the_place_of_a_damaged_one(one_run, deeprob):
    path = one_run / "checkpoints/best.pt"
    path.write_bytes(path.read_bytes()[:1000])
    status, out, err = deeprob(f"run={one_run}", command="evaluate")
    assert status == 0
    assert "accuracy" in out
    assert err == f"note: {path}: not a checkpoint, or a damaged one; using best.prev.pt, the generation before\n"


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


@pytest.mark.parametrize(("device", "line"), [("gpu", "device=gpu: expected one of"), ("cuda", "no CUDA device here")])
def test_a_device_that_is_not_there(one_run, device, line, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=line):
        load_run(one_run, device=device)


def test_the_package_offers_the_python_api():
    import deeprob

    assert deeprob.load_run is load_run
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = deeprob.nothing_like_it


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
        ((), "run is missing: add run=DIR to the command, or runs=[DIR,DIR] to fuse several"),
        (("runs=[run]",), "runs=[run]: expected two runs or more, each once; run=DIR measures one"),
        (("runs=run",), "runs=run: expected a list of words, as in [a,b]"),
        (("runs=[run,./run]",), "runs=[run,./run]: expected two runs or more, each once; run=DIR measures one"),
        (("run=run", "runs=[run,b]"), "run and runs exclude each other: run=DIR measures one, runs=[DIR,DIR] fuses"),
        (("runs=[run,none]",), "none: no run there (no config.yaml); expected a directory that deeprob-train made"),
        (("runs=[run,b]", "fusion=vote"), "fusion=vote: expected one of mean, weights"),
        (("runs=[run,b]", "fusion=weights", "split=val"), "split=val: fusion=weights fits the weights there; choose"),
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
