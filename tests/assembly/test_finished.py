"""Finished runs: the same metrics again, and clear words about what is not a run."""

import dataclasses
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from deeprob import load_run
from deeprob.assembly.setup import Setup
from deeprob.errors import UserError
from deeprob.features.hog import Hog
from deeprob.tracking import checkpoint_file
from deeprob.training import Predictor


def test_evaluate_gives_the_test_metrics_back(one_run):
    run = load_run(one_run)
    for split in ("train", "val", "test"):
        measured = run.evaluate(split)
        assert {"auroc", "recall/arm_0"} < measured.keys()
        known = {name for name in run.metrics if name.startswith(f"{split}/")}
        assert {f"{split}/{name}": value for name, value in measured.items()} == {n: run.metrics[n] for n in known}


def test_class_weights_count_in_the_loss_of_every_split(deeprob, small):
    words = ("dataset.val_fraction=0.2", "dataset.limit=80", "loss.class_weights=[1,5,2]", "hydra.run.dir=run")
    assert deeprob(*small, *words).status == 0
    run = load_run("run")
    counts = torch.bincount(run.data().train.targets).double()
    weights = torch.tensor([1.0, 5, 2], dtype=torch.float64)
    weights *= counts.sum() / (weights @ counts)
    for split in ("train", "val", "test"):
        measured, targets = run.evaluate(split), run.examples(split).targets
        losses = torch.nn.functional.cross_entropy(run.scores(split), targets, reduction="none")
        assert measured["loss"] == pytest.approx((losses * weights[targets]).mean().item(), rel=1e-5)
        assert run.metrics[f"{split}/loss"] == measured["loss"]


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
    assert torch.equal(run.features_of(split), whole)
    assert torch.equal(run.features_of(split, slice(3)), whole[:3])
    assert torch.equal(run.features_of(split, torch.tensor([7, 0])), whole[[7, 0]])


def test_what_is_extracted_already_is_not_extracted_again(deeprob, pictures, monkeypatch):
    words = ("dataset=image_folder", f"dataset.root={pictures}", "dataset.val_fraction=0.25", "features=hog")
    assert deeprob(*words, "model=linear", "trainer.epochs=1", "hydra.run.dir=run").status == 0
    run = load_run("run")
    expected = run.features_of("train"), run.scores("val"), run.evaluate("test")
    splits = Setup.build(run.config).splits
    monkeypatch.setattr(Hog, "extract", None)
    with pytest.raises(TypeError):
        run.features_of("train")
    run = dataclasses.replace(run, extracted=splits)
    assert torch.equal(run.features_of("train"), expected[0])
    assert torch.equal(run.features_of("train", slice(1, None, 2)), expected[0][1::2])
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


def test_predicted_classes_and_probabilities(one_run, monkeypatch):
    run = load_run(one_run)
    inputs = run.examples("test").inputs
    scores = run(inputs).double().numpy()
    exponentials = np.exp(scores)
    shares = exponentials / exponentials.sum(1, keepdims=True)
    monkeypatch.setattr(type(run), "_chunk", 7)
    names = run.predict(inputs.numpy())
    assert names.tolist() == [run.classes[number] for number in scores.argmax(1)]
    np.testing.assert_allclose(run.probabilities(inputs), shares, rtol=1e-5)
    np.testing.assert_allclose(run.probabilities(inputs.tolist()).sum(1), 1, rtol=1e-12)
    assert run.predict(inputs[:0]).shape == (0,)


def test_predicted_numbers_are_in_the_units_of_the_table(deeprob):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 200))
    lines = [f"{a},{b},{1e6 + 1000 * (a + 2 * b)},{b}" for a, b in zip(first, second, strict=True)]
    Path("table.csv").write_text("\n".join(["a,b,sum,again", *lines]) + "\n", encoding="utf-8")
    words = ("dataset=csv", "dataset.root=table.csv", "dataset.task=regression", "loss=squared_error", "model=linear")
    lbfgs = ("optimizer=lbfgs", "trainer.epochs=5")
    assert deeprob(*words, *lbfgs, "dataset.targets=[sum]", "dataset.drop=[again]", "hydra.run.dir=one").status == 0
    assert deeprob(*words, *lbfgs, "dataset.targets=[sum,again]", "hydra.run.dir=two").status == 0
    new = {"b": [1.0, 0.0], "a": [1.0, 0.5]}  # the columns of a frame are found by name
    one, two = load_run("one").predict(new), load_run("two").predict(new)
    np.testing.assert_allclose(one, [1_003_000, 1_000_500], rtol=1e-6)
    np.testing.assert_allclose(two, [[1_003_000, 1], [1_000_500, 0]], rtol=1e-6, atol=1e-2)
    assert one.dtype == np.float64
    with pytest.raises(UserError, match="one: predicts numbers, which have no probabilities; use predict"):
        load_run("one").probabilities(new)


def test_a_loss_without_probabilities_is_named(deeprob, small):
    assert deeprob(*small, "loss=hinge", "trainer.epochs=1", "hydra.run.dir=run").status == 0
    run = load_run("run")
    assert run.predict([[0.0, 0.0]])[0] in run.classes
    line = "run: loss=hinge makes no probabilities; train with loss=cross_entropy or loss=focal, or use predict"
    with pytest.raises(UserError, match=line):
        run.probabilities([[0.0, 0.0]])


def test_float64_weights_come_back_whole(deeprob, small):
    assert deeprob(*small, "trainer.precision=float64", "hydra.run.dir=run").status == 0
    weights = checkpoint_file.load(Path("run/checkpoints/best.pt"))["model"]
    loaded = dict(load_run("run").model.named_parameters())
    assert all(torch.equal(weights[key], loaded[key]) for key in weights)


def test_of_a_folder_of_runs_some_are_named(tmp_path):
    for number in range(6):
        folder = tmp_path / "sweep" / f"00{number}_seed={number}"
        folder.mkdir(parents=True)
        (folder / "config.yaml").touch()
    names = ", ".join(f"{tmp_path}/sweep/00{number}_seed={number}" for number in range(5))
    for place in (tmp_path / "sweep", tmp_path):
        with pytest.raises(UserError) as caught:
            load_run(place)
        assert str(caught.value) == (
            f"{place}: no run, but a folder of runs; choose from {names} and 1 more, or try deeprob-compare {place}"
        )


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
        return f"{run / 'summary.json'}: damaged"
    return str(run / "config.yaml")


@pytest.mark.parametrize(
    "what",
    [
        "no directory", "config is no YAML", "config names an option that is not there",
        "config holds a value out of range", "no checkpoint", "checkpoint cut short", "checkpoint of another model",
        "summary is no JSON",
    ],
)  # fmt: skip
def test_what_is_damaged_is_named_in_one_line(one_run, what):
    expected = damaged(one_run, what)
    with pytest.raises(UserError) as caught:
        load_run(one_run)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


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
    with pytest.raises(UserError, match=r"summary\.json: damaged, or not a JSON file of a run"):
        load_run(one_run)


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


# ---------------------------------------------------------------- new inputs


def test_arrays_and_lists_have_the_scores_of_tensors(one_run):
    run = load_run(one_run)
    inputs = run.data().test.inputs
    scores = run(inputs)
    assert torch.equal(run(inputs.numpy()), scores)
    assert torch.equal(run.features(inputs.numpy()), run.features(inputs))
    torch.testing.assert_close(run(inputs.tolist()), scores)
    assert run(inputs[:0]).shape == (0, 3)


@pytest.mark.parametrize("inputs", [torch.zeros(5, 1), torch.zeros(2), torch.full((1, 2), torch.nan), "points"])
def test_inputs_of_another_kind_are_refused(one_run, inputs):
    run = load_run(one_run)
    for take in (run, run.features):
        with pytest.raises(UserError, match=r"^inputs.*: expected"):
            take(inputs)


@pytest.mark.parametrize("features", ["raw", "hog"])
def test_new_pictures(deeprob, pictures, features):
    words = (f"features={features}", "model.norm=batch", "model.activation=maxout", "trainer.epochs=1")
    assert deeprob("dataset=image_folder", f"dataset.root={pictures}", *words, "hydra.run.dir=run").status == 0
    run = load_run("run")
    inputs = run.data().test.inputs
    assert torch.equal(run(inputs.numpy().astype(int)), run(inputs))
    assert run(inputs[:0]).shape == (0, 2)
    with pytest.raises(UserError, match="inputs of float32: expected pictures of uint8"):
        run(inputs / 255)
    with pytest.raises(UserError, match="channels come before rows and columns"):
        run(inputs.permute(0, 2, 3, 1))


def test_features_learned_in_float32_by_earlier_versions(deeprob, small):
    words = ("dataset.val_fraction=0.2", "scheduler=constant", "hydra.run.dir=run")
    assert deeprob(*small, *words).status == 0
    expected = load_run("run")
    inputs = expected.data().test.inputs
    for path in Path("run/checkpoints").iterdir():
        content = checkpoint_file.load(path)
        content["features"] = {name: value.float() for name, value in content["features"].items()}
        path.unlink()
        checkpoint_file.save(content, path)
    torch.testing.assert_close(load_run("run")(inputs), expected(inputs))
    result = deeprob("resume=run", "trainer.epochs=4")
    assert result.status == 0, result.err
    assert load_run("run").metrics["epochs"] == 4


def test_data_that_changed_since_is_told(deeprob, pictures):
    words = (
        "dataset=image_folder",
        f"dataset.root={pictures}",
        "model=linear",
        "trainer.epochs=1",
        "hydra.run.dir=run",
    )
    assert deeprob(*words, "trainer.figures=[]").status == 0
    assert deeprob("run=run", command="evaluate").err == ""
    picture = next((pictures / "train/cats").iterdir())
    picture.write_bytes(next((pictures / "train/dogs").iterdir()).read_bytes())
    line = "note: run: the training inputs have changed since the run was trained\n"
    assert deeprob("run=run", command="evaluate").err == line
