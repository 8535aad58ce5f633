from pathlib import Path

import pytest
import torch

from deeprob.tracking import checkpoint_file

NAMES = (
    "output is writable",
    "data is complete",
    "device works",
    "initial loss",
    "gradient is finite",
    "learns a few examples",
)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("model=linear",),
        ("dataset=xor", "model=linear"),
        ("model.norm=batch", "model.dropout=0.5", "loss=squared_hinge"),
        ("dataset=random_regression", "loss=squared_error"),
        ("dataset=random_regression", "loss=huber"),
        ("loss=focal", "loss.class_weights=[1,100,1]"),
        ("optimizer=lbfgs", "trainer.precision=float64", "dataset.val_fraction=0.2"),
    ],
)
def test_a_sound_run_passes_every_check_and_only_leaves_nothing(deeprob, words):
    result = deeprob("trainer.preflight=only", *words)
    assert (result.status, result.err) == (0, "")
    lines = result.out.splitlines()
    assert [line[:4] for line in lines] == ["ok  "] * 6
    assert all(name in line for name, line in zip(NAMES, lines, strict=True))
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("model.init=standard_normal",), "initial loss"),
        (
            ("model.activation=sigmoid", "model.output_activation=sigmoid", "model.init=standard_normal"),
            "learns a few examples",
        ),
    ],
)
def test_a_check_that_fails_is_named_and_nothing_is_trained(deeprob, words, name):
    status, out, err = deeprob("trainer.preflight=true", *words)
    assert status == 4
    assert err.startswith("error: preflight: ")
    assert name in err
    assert any(line.startswith(f"FAIL  {name}") for line in out.splitlines())
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "formula"),
    [
        ((), "ln 3 = 1.0986"),
        (("loss=focal", "loss.gamma=3"), "(1 − 1/3)^3 · ln 3 = 0.3255"),
        # 300 examples per class: the weights are 0.5, 2 and 0.5, and the whole split has the mean weight 1
        (("loss.class_weights=[1,4,1]", "trainer.batch_size=full"), "mean weight · ln 3 = 1.0986"),
        # the only example of the batch has the first class, which has the weight 3/(1 + 0.01 + 0.01)
        (("loss.class_weights=[1,0.01,0.01]", "trainer.batch_size=1"), "mean weight · ln 3 = 3.2312"),
    ],
)
def test_the_initial_loss_is_compared_with_that_of_equal_scores(deeprob, words, formula):
    result = deeprob("trainer.preflight=only", "dataset.points_per_class=300", *words)
    (line,) = (line for line in result.out.splitlines() if "initial loss" in line)
    assert line.startswith("ok  "), line
    assert line.endswith(f", {formula}")


def test_a_class_without_an_example_is_named(deeprob, pictures):
    result = deeprob("trainer.preflight=only", "dataset=image_folder", f"dataset.root={pictures}", "dataset.limit=1")
    assert result.status == 4
    assert "no example of" in result.out


def test_it_changes_nothing_of_the_run_after_it(deeprob, small):
    for directory, flag in (("a", "false"), ("b", "true")):
        assert deeprob(*small, f"trainer.preflight={flag}", f"hydra.run.dir={directory}").status == 0
    a, b = (checkpoint_file.load(Path(d) / "checkpoints/last.pt") for d in "ab")
    assert all(torch.equal(a["model"][name], b["model"][name]) for name in a["model"])
    assert a["evaluations"] == b["evaluations"]


@pytest.mark.parametrize("launcher", ["basic", "auto"])
def test_the_jobs_of_a_sweep_are_checked(deeprob, small, launcher):
    words = ("-m", *small, "seed=0,1", "trainer.preflight=only", f"hydra/launcher={launcher}", "hydra.sweep.dir=s")
    result = deeprob(*words)
    assert result.status == 0, result.err
    assert result.out.count("ok    learns a few examples") == 2
    rows = [line.split(",")[:3] for line in Path("s/summary.csv").read_text().splitlines()]
    assert rows == [["seed", "status", "error"], ["0", "checked", ""], ["1", "checked", ""]]
    assert [line.split()[:5] for line in result.out.splitlines() if " of 2" in line] == [
        ["0", "of", "2,", "2", "checked"]
    ]


def test_it_computes_with_the_threads_of_the_run(deeprob, small, monkeypatch):
    from deeprob.running import run

    seen = []
    monkeypatch.setattr(run, "preflight", lambda setup, directory: seen.append(torch.get_num_threads()))
    for threads in (1, 2):
        assert deeprob(*small, "trainer.preflight=only", f"trainer.threads={threads}").status == 0
    assert seen == [1, 2]
