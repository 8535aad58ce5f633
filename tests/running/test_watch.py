"""What is seen of a run while it trains, and what it costs."""

import dataclasses
import json
import signal
import struct
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator

from deeprob import load_run
from deeprob.assembly.setup import Setup
from deeprob.features.hog import Hog
from deeprob.running import watch
from deeprob.running.watch import Watch, suited
from deeprob.tracking.signals import Interruption

LIVE = ("trainer.figures=[decision_boundary]", "trainer.epochs=7", "trainer.figures_every=2")


SHOWN = SimpleNamespace(take_snapshots=True)
"""Trackers that take what a snapshot gives."""


def read(directory: str) -> EventAccumulator:
    events = EventAccumulator(directory, size_guidance={TENSORS: 0})
    events.Reload()
    return events


def strings(events: EventAccumulator, tag: str) -> dict[int, list[bytes]]:
    return {event.step: list(event.tensor_proto.string_val) for event in events.Tensors(tag)}


def test_pictures_share_the_steps_of_the_curves(deeprob, small):
    assert deeprob(*small, *LIVE, "hydra.run.dir=run").status == 0
    pictures = strings(read("run"), "figures/decision_boundary")
    assert list(pictures) == [0, 6, 12, 18, 21]  # three updates an epoch
    assert read("run").Scalars("train/loss")[-1].step == 21
    for width, height, png in pictures.values():
        assert struct.unpack(">II", png[16:24]) == (int(width), int(height))
    assert len({png for _, _, png in pictures.values()}) == 5  # learning moves the boundary
    assert [path.name for path in Path("run/figures").iterdir()] == ["decision_boundary.png"]


def test_the_interval_may_be_chosen(deeprob, small):
    assert deeprob(*small, *LIVE, "trainer.figures_every=3", "hydra.run.dir=run").status == 0
    assert list(strings(read("run"), "figures/decision_boundary")) == [0, 9, 18, 21]


@pytest.mark.parametrize("epochs", [7, 10])  # the last of 10 epochs is the last look, too
def test_a_short_run_is_drawn_once_at_its_end(deeprob, small, epochs):
    words = ("trainer.figures=[decision_boundary]", f"trainer.epochs={epochs}", "model.activation=tanh")
    assert deeprob(*small, *words, "hydra.run.dir=run").status == 0
    events = read("run")
    assert list(strings(events, "figures/decision_boundary")) == [3 * epochs]
    for tag in ("weights/layers.0.weight", "units/scores"):
        assert [event.step for event in events.Tensors(tag)] == [3 * epochs]
    assert [event.step for event in events.Scalars("units/tanh_1_dead")] == [3 * epochs]
    assert Path("run/figures/decision_boundary.png").exists()


def test_a_short_run_is_drawn_once_also_with_checkpoints_or_if_it_is_resumed(deeprob, small, monkeypatch):
    calls = []

    def fourteenth(interruption: Interruption) -> bool:
        calls.append(1)
        if len(calls) == 14:
            interruption.number = signal.SIGINT
        return len(calls) == 14

    words = ("trainer.figures=[decision_boundary]", "trainer.epochs=7", "trainer.checkpoint_steps=4")
    with monkeypatch.context() as patched:
        patched.setattr(Interruption, "__call__", fourteenth)
        assert deeprob(*small, *words, "hydra.run.dir=run").status == 130
    assert "figures/decision_boundary" not in read("run").Tags()["tensors"]
    assert deeprob("resume=run").status == 0
    assert [event.step for event in read("run").Tensors("figures/decision_boundary")] == [21]


def test_histograms_count_every_weight_and_activation(deeprob, small):
    assert deeprob(*small, *LIVE, "hydra.run.dir=run").status == 0
    events = read("run")
    tags = {tag for tag in events.Tags()["tensors"] if tag.startswith(("weights/", "units/"))}
    assert tags == {
        *(f"weights/layers.{layer}.{kind}" for layer in range(3) for kind in ("weight", "bias")),
        *(f"units/{name}" for name in ("linear_1", "relu_1", "linear_2", "relu_2", "scores")),
    }
    last = events.Tensors("weights/layers.1.weight")[-1]
    table = np.frombuffer(last.tensor_proto.tensor_content).reshape(-1, 3)
    weights = load_run("run").model.layers[1].weight.detach().numpy()
    assert last.step == 21
    assert table[:, 2].sum() == weights.size
    np.testing.assert_allclose((table[0, 0], table[-1, 1]), (weights.min(), weights.max()))
    counted = events.Tensors("units/relu_1")[0].tensor_proto.tensor_content
    assert np.frombuffer(counted).reshape(-1, 3)[:, 2].sum() == 90 * 8


def test_dead_and_saturated_units_are_curves(deeprob, small):
    assert deeprob(*small, *LIVE, "model.activation=tanh", "hydra.run.dir=run").status == 0
    events = read("run")
    tags = {tag for tag in events.Tags()["scalars"] if tag.startswith("units/")}
    assert tags == {f"units/tanh_{layer}_{share}" for layer in (1, 2) for share in ("dead", "saturated", "zero")}
    assert [event.step for event in events.Scalars("units/tanh_1_saturated")] == [0, 6, 12, 18, 21]


def test_a_film_is_played_by_the_slider_over_steps(deeprob, small):
    words = [word for word in small if not word.startswith("model")]
    assert (
        deeprob(*words, "model.layers=2", "model.width=2", "trainer.figures=[warp_film]", "hydra.run.dir=run").status
        == 0
    )
    frames = strings(read("run"), "figures/warp_film_frames")
    assert list(frames) == list(range(10))
    assert {(int(width), int(height)) for width, height, _ in frames.values()} == {(480, 480)}
    assert frames[0] != frames[4] != frames[9]
    assert Path("run/figures/warp_film.gif").read_bytes().startswith(b"GIF89a")


def test_config_and_provenance_are_texts(deeprob, small):
    assert deeprob(*small, "hydra.run.dir=run").status == 0
    events = read("run")
    (text,) = strings(events, "config")[0]
    assert text.decode() == f"```yaml\n{Path('run/config.yaml').read_text()}```"
    (text,) = strings(events, "provenance")[0]
    assert json.loads(text.decode().removeprefix("```json\n").removesuffix("```"))["seed"] == 0


ENDS = {  # that come before the last of 30 epochs, or between two looks
    "patience": ("dataset.val_fraction=0.4", "optimizer.lr=0.3", "trainer.patience=2", "trainer.epochs=30"),
    "converged": ("optimizer=lbfgs", "model=linear", "regularizer=l2", "trainer.epochs=30"),
    "diverged": ("optimizer=sgd", "optimizer.lr=10", "regularizer=l2", "regularizer.strength=100"),
    "too large": ("optimizer=sgd", "optimizer.lr=1e18", "trainer.epochs=30"),
}


@pytest.mark.parametrize("words", ENDS.values(), ids=ENDS)
def test_the_last_picture_is_of_the_state_that_training_left(deeprob, small, words):
    given = [word for word in small if not word.startswith("model.width") or "model=linear" not in words]
    assert deeprob(*given, "trainer.figures=[decision_boundary]", *words, "hydra.run.dir=run").status in (0, 3)
    content = json.loads(Path("run/summary.json").read_text())
    events = read("run")
    assert list(strings(events, "figures/decision_boundary"))[-1] == content["steps"]
    assert content["epochs"] < 30
    name, weights = next(iter(load_run("run", "last").model.state_dict().items()))
    table = events.Tensors(f"weights/{name}")[-1].tensor_proto.tensor_content
    table, weights = np.frombuffer(table).reshape(-1, 3), weights.numpy()
    np.testing.assert_allclose((table[0, 0], table[-1, 1]), (weights.min(), weights.max()))


def test_training_is_the_same_with_pictures_and_without(deeprob, small):
    for name, words in (("seen", LIVE), ("unseen", ("trainer.epochs=7", "trainer.figures=[]"))):
        assert deeprob(*small, *words, "dataset.val_fraction=0.2", f"hydra.run.dir={name}").status == 0
    one, other = (load_run(name).model.state_dict() for name in ("seen", "unseen"))
    assert all((one[name] == other[name]).all() for name in one)
    assert not Path("unseen/figures").exists()
    assert "figures/decision_boundary" not in read("unseen").Tags()["tensors"]


@pytest.mark.parametrize("step", [12, 21])  # of its last checkpoint: between two pictures, and after the last one
def test_a_run_that_goes_on_has_every_picture_once(deeprob, small, monkeypatch, step):
    from deeprob.training.checkpoint import Checkpoints

    words = (*small, *LIVE, "trainer.checkpoint_steps=4")
    assert deeprob(*words, "hydra.run.dir=whole").status == 0
    write = Checkpoints.write

    def die(checkpoints: Checkpoints, lengths: dict[str, int]) -> None:
        write(checkpoints, lengths)
        if checkpoints.state.step == step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "write", die)
        assert deeprob(*words, "hydra.run.dir=run").status == 130
    assert deeprob("resume=run").status == 0
    assert strings(read("run"), "figures/decision_boundary") == strings(read("whole"), "figures/decision_boundary")
    one, other = ([e.tensor_proto for e in read(d).Tensors("weights/layers.0.weight")] for d in ("run", "whole"))
    assert one == other


def test_drawing_waits_until_there_is_time(monkeypatch):
    """A look whose drawing would take more than its share of the time trained so far is drawn later."""
    shown = []

    class State:
        seconds, step = 0.0, 0

    class Trainer:
        figures, figures_every, epochs = None, 1, 9

    class Config:
        trainer = Trainer

    class Setup:
        config, state = Config, State

    monkeypatch.setattr(watch, "snapshot", lambda setup, directory: None)
    monkeypatch.setattr(Watch, "_show", lambda self, epoch, run: shown.append(epoch))
    looking = Watch(Setup, Path(), SHOWN, alone=True)
    for epoch, seconds in enumerate([0, 10, 19, 20, 30]):
        State.seconds, State.step = seconds, epoch
        looking.look(epoch)
        if seconds < 20:
            assert shown == []
    assert shown == [0, 1, 2, 3, 4]
    State.seconds, State.step = 0, 5
    looking.look(5)
    assert shown[-1] == 4
    looking.catch_up()
    assert shown[-1] == 5


@pytest.mark.parametrize(("every", "seconds", "expected"), [(0, 19, [9]), (0, 20, [0, 2, 9]), (2, 19, [0, 2, 9])])
def test_a_run_that_ends_before_there_is_time_for_a_picture_keeps_only_its_end(monkeypatch, every, seconds, expected):
    shown = []

    class State:
        seconds, step = 0.0, 0

    class Trainer:
        figures, figures_every, epochs = None, every, 10

    class Config:
        trainer = Trainer

    class Setup:
        config, state = Config, State

    def show(self, step, run):
        shown.append(step)
        self._spent += 1.0

    monkeypatch.setattr(watch, "snapshot", lambda setup, directory: None)
    monkeypatch.setattr(Watch, "_show", show)
    looking = Watch(Setup, Path(), SHOWN, alone=True)
    for State.step in (0, 2):
        looking.look(State.step)
    assert shown == []
    State.step, State.seconds = 9, seconds
    looking.look_at_end()
    looking.catch_up()
    assert shown == expected


@pytest.mark.parametrize(("seconds", "expected"), [(3.9, []), (4.0, [0, 2])])
def test_before_a_checkpoint_a_run_draws_if_it_will_have_time_for_a_picture(monkeypatch, seconds, expected):
    """If 2 of 10 updates take 4 seconds, the run takes 20 seconds."""
    shown = []

    class State:
        step = 0

    class Trainer:
        figures, figures_every, epochs = None, 0, 10

    class Config:
        trainer = Trainer

    class Setup:
        config, state, steps = Config, State, 10

    State.seconds = seconds
    monkeypatch.setattr(watch, "snapshot", lambda setup, directory: None)
    monkeypatch.setattr(Watch, "_show", lambda self, step, run: shown.append(step))
    looking = Watch(Setup, Path(), SHOWN, alone=True)
    for State.step in (0, 2):
        looking.look(State.step)
    looking.catch_up()
    assert shown == expected


def test_what_drawing_took_decides_when_there_is_time_again(one_run, monkeypatch):
    """Drawing takes a twentieth of the time trained, if the next look takes as long as the longest one so far."""
    clock, cost, shown = [0.0], [0.5], []

    class Shown:
        take_snapshots = True

        def image(self, tag, png, step):
            raise AssertionError("there are no figures here")

        def scalars(self, values, step):
            pass

        def histogram(self, tag, values, step):
            if tag == "units/scores":
                clock[0] += cost[0]
                shown.append(step)

    class Time:
        monotonic = staticmethod(time.monotonic)

        @staticmethod
        def perf_counter() -> float:
            return clock[0]

    config = load_run(one_run).config
    config = dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, epochs=9, figures_every=1))
    setup = Setup.build(config)
    monkeypatch.setattr(watch, "time", Time)
    looking = Watch(setup, one_run, Shown(), alone=True)

    def look(epoch: int, trained: float) -> list[int]:
        setup.state._began, setup.state.step = time.perf_counter() - trained, epoch
        before = len(shown)
        looking.look(epoch)
        assert setup.state.seconds == pytest.approx(trained - cost[0] * (len(shown) - before), abs=0.1)
        return shown[before:]

    assert look(0, 19.8) == []  # the first look is taken to last a second
    assert look(1, 20.5) == [0, 1]  # 0 + 1 ≤ 1.025; after half a second the next: 0.5 + 0.5 ≤ 1.025
    assert look(2, 29.5) == []  # 1 + 0.5 > 1.475
    cost[0] = 2.0
    assert look(3, 30.5) == [2]  # 1 + 0.5 ≤ 1.525, and it took two seconds: 3 + 2 > 1.525
    assert look(4, 99.0) == []  # 3 + 2 > 4.95
    cost[0] = 0.5
    assert look(5, 101.0) == [3]  # 3 + 2 ≤ 5.05, then 3.5 + 2 > 5.05: the longest counts, not the last
    assert look(6, 109.0) == []
    assert look(7, 111.0) == [4]
    looking.catch_up()
    assert shown == list(range(8))


def test_a_run_that_is_to_end_draws_for_a_moment_only(monkeypatch, capsys):
    shown, told = [], []

    class Trainer:
        figures, figures_every, epochs = None, 1, 9

    class Config:
        trainer = Trainer

    class State:
        seconds, step = 0.0, 0

    class Setup:
        config, state = Config, State

    def show(self, epoch, run):
        shown.append(epoch)
        told.append(15)

    monkeypatch.setattr(watch, "snapshot", lambda setup, directory: None)
    monkeypatch.setattr(Watch, "_show", show)
    monkeypatch.setattr(watch, "GRACE", -1.0)
    looking = Watch(Setup, Path(), SHOWN, alone=True, interrupted=lambda: bool(told))
    for State.step in range(3):
        looking.look(State.step)
    looking.catch_up()
    assert shown == [0]
    assert capsys.readouterr().err == "note: pictures of step 1, 2 left out: the run must end now\n"
    looking.catch_up()
    assert shown == [0]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("told", [True, False])
def test_a_run_that_is_to_end_draws_no_last_pictures(one_run, monkeypatch, told):
    config = load_run(one_run).config
    config = dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, figures=["confusion"]))
    monkeypatch.setattr(watch, "GRACE", -1.0)
    looking = Watch(Setup.build(config), Path("other"), SHOWN, alone=True, interrupted=lambda: told)
    looking.films()
    looking.draw_ending({})
    assert Path("other/figures/confusion.png").exists() is not told


def test_features_are_not_computed_for_pictures(deeprob, pictures, monkeypatch):
    extracted = []
    extract = Hog.extract

    def counted(self, inputs):
        extracted.append(len(inputs))
        return extract(self, inputs)

    monkeypatch.setattr(Hog, "extract", counted)
    figures = "trainer.figures=[activation_statistics,confusion,mistakes]"
    words = ("dataset=image_folder", f"dataset.root={pictures}", "features=hog", "trainer.epochs=2", figures)
    assert deeprob(*words, "hydra.run.dir=run").status == 0
    assert len(list(Path("run/figures").iterdir())) == 3
    assert "units/relu_1" in read("run").Tags()["tensors"]
    assert extracted == [24, 8]


def test_by_itself_a_run_shows_what_suits_it_and_a_job_of_a_sweep_nothing(deeprob, small, monkeypatch):
    monkeypatch.setattr(watch, "suited", suited)
    assert deeprob(*small, "hydra.run.dir=run").status == 0
    assert Path("run/figures/decision_boundary.png").exists()
    assert "figures/decision_boundary" in read("run").Tags()["tensors"]
    assert deeprob("-m", *small, "seed=0,1", "hydra.sweep.dir=s").status == 0
    assert not list(Path("s").glob("*/figures"))


def test_what_suits_a_run_depends_on_its_data(deeprob, small, pictures):
    assert deeprob(*small, "hydra.run.dir=plane").status == 0
    words = ("dataset=image_folder", f"dataset.root={pictures}", "model=linear", "trainer.epochs=1")
    assert deeprob(*words, "hydra.run.dir=pictures").status == 0
    names = {
        name: {type(figure).__name__ for figure in suited(load_run(name), live=True)} for name in ("plane", "pictures")
    }
    assert "DecisionBoundaryConfig" in names["plane"] - names["pictures"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("trainer.figures=[templats]", "error: trainer.figures: no figure is called templats; "),
        ("trainer.figures={a:1}", "error: trainer.figures={a:1}: expected a list of words"),
        (
            "trainer.figures=[decision_boundary] dataset.distractors=1",
            "error: trainer.figures: decision_boundary needs points of the plane, and the run's inputs have the shape",
        ),
        ("-m trainer.figures=[templats] seed=0,1", "error: job 0 (trainer.figures=[templats] seed=0): trainer.figures"),
    ],
)
def test_a_figure_that_cannot_be_is_refused_before_anything_is_written(deeprob, small, words, line):
    status, out, err = deeprob(*small, *words.split(" "))
    assert (status, out) == (2, "")
    assert line.split(": ", 2)[-1] in err
    assert err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


def test_a_picture_that_fails_costs_a_remark_and_not_the_run(deeprob, small, monkeypatch):
    from deeprob.figures import DecisionBoundaryConfig

    def fail(self, canvas, run):
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr(DecisionBoundaryConfig, "panel", fail)
    result = deeprob(*small, *LIVE, "hydra.run.dir=run")
    assert result.status == 0
    assert "note: figure=decision_boundary could not be drawn: of all things\n" in result.err
    assert json.loads(Path("run/summary.json").read_text())["status"] == "completed"
