"""The Python face: the runs of the console commands, from Python, which leaves everything else as it was."""

import dataclasses
import gc
import logging
import os
import pickle
import random
import re
import shutil
import signal
import sys
import threading
import warnings
from pathlib import Path

import hydra
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import deeprob
from deeprob import api
from deeprob.config import register, schema
from deeprob.data.given import Given
from deeprob.errors import CheckFailed, Diverged, UserError
from deeprob.optim import OptimizerConfig
from deeprob.sweeps.table import SweepTable
from deeprob.training.update import Update

SMALL = "dataset.points_per_class=30 dataset.test_points_per_class=20 model.width=8 trainer.epochs=3"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = np.where(X[:, 0] > 0, "yes", "no")
FEW = "model=linear trainer.epochs=4 optimizer.lr=0.1"


@pytest.fixture(autouse=True)
def _folder(deeprob):
    """An empty folder, as for the commands."""


def test_a_run_from_python_is_the_run_of_the_command(deeprob, small):
    import deeprob as face

    assert deeprob(*small, "seed=3", "hydra.run.dir=run", "trainer.figures=[]").status == 0
    run, other = face.train(SMALL, seed=3), face.load_run("run")
    assert all(map(torch.equal, run.model.state_dict().values(), other.model.state_dict().values()))
    kept = {name: value for name, value in run.metrics.items() if "/" in name and not name.startswith("time/")}
    assert {name: other.metrics[name] for name in kept} == kept
    times = ["time/seconds", "time/examples_per_second"]
    pd.testing.assert_frame_equal(run.history.drop(columns=times), other.history.drop(columns=times))
    assert list(run.history.index) == [1, 2, 3]
    assert run.history["train/loss"].iloc[-1] == pytest.approx(run.metrics["train/loss"], rel=0.5)
    assert Path("run").is_dir()
    assert [path.name for path in Path().iterdir()] == ["run"]  # the other run left nothing


def test_words_are_a_text_or_a_list():
    text = api._typed(f"{SMALL} 'loss.class_weights=[1, 2, 3]'")
    assert api._composed(text) == api._composed([*SMALL.split(), "loss.class_weights=[1,2,3]"])


def test_data_from_python():
    run = deeprob.train(FEW, data=(X, Y), seed=3)
    assert (run.config.seed, run.classes) == (3, ("no", "yes"))
    assert (run.predict(X) == Y).mean() > 0.8
    assert run.predict(X.tolist()).tolist() == run.predict(torch.tensor(X)).tolist()
    assert run.probabilities(X).sum(1) == pytest.approx(np.ones(60))
    assert len(run.data().train) == 48
    with pytest.raises(UserError, match=r"^split=val: the run has no such split"):
        run.evaluate("val")
    assert run.evaluate("test") == pytest.approx(
        {name.removeprefix("test/"): value for name, value in run.metrics.items() if name.startswith("test/")}
    )
    assert torch.equal(run(run.data().test.inputs), run.scores("test"))


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([4, -1], int),
        (["1", "01"], str),
        pytest.param([True, False], bool, marks=pytest.mark.slow),
        pytest.param([-1.0, 2.0], float, marks=pytest.mark.slow),
    ],
)
def test_predictions_have_the_type_of_the_labels(labels, kind, tmp_path):
    given = [labels[int(value > 0)] for value in X[:, 0]]
    run = deeprob.train(FEW, data=(X, given), directory=tmp_path / "run")
    for again in (run, deeprob.load_run(tmp_path / "run")):  # the config knows the type, without the data
        predicted = again.predict(X).tolist()
        assert {type(label) for label in predicted} == {type(labels[0])}
        assert np.mean([label == right for label, right in zip(predicted, given, strict=True)]) > 0.8


def test_columns_of_texts_and_missing_cells_in_new_rows():
    frame = pd.DataFrame({"size": X[:, 0], "color": np.where(X[:, 1] > 0, "red", "blue"), "id": range(60)})
    frame.loc[::7, "size"] = np.nan
    words = f"{FEW} dataset.missing=mean"
    named = deeprob.train(f"{words} dataset.drop=[id]", data=(frame, Y))
    array = frame.to_numpy(object)
    plain = deeprob.train(f"{words} dataset.drop=[2]", data=(array, Y))
    assert plain.encoding.names == ("0", "1=blue", "1=red")
    assert plain.predict(array).tolist() == named.predict(frame).tolist()
    assert len(named.predict(frame.drop(columns="id"))) == 60


def test_numbers_to_predict():
    words = "model=linear dataset.task=regression loss=squared_error optimizer=lbfgs trainer.epochs=4"
    run = deeprob.train(words, data=(X, 100 + 10 * X[:, 0]))
    assert run.predict(X) == pytest.approx(100 + 10 * X[:, 0], abs=0.1)
    assert run.predict(X).shape == (60,)
    assert "test/r2" in repr(run)


def test_pictures():
    pictures = RNG.integers(0, 100, (40, 3, 8, 8)).astype(np.uint8)
    pictures[::2] += 100
    run = deeprob.train("model=linear trainer.epochs=30", data=(pictures, [1, 0] * 20))
    assert run.predict(pictures).tolist() == [1, 0] * 20


def test_test_and_validation_data_of_their_own():
    run = deeprob.train(f"{FEW} trainer.patience=2", data=(X, Y), test=(X[:7], Y[:7]), val=(X[:9], Y[:9]))
    assert [len(run.examples(split)) for split in ("train", "val", "test")] == [60, 9, 7]
    with pytest.raises(UserError, match="test: give data too"):
        deeprob.train(test=(X, Y))


def test_a_run_with_a_directory_is_loaded_again_with_and_without_its_data(tmp_path):
    run = deeprob.train(FEW, data=(X, Y), directory=tmp_path / "run")
    assert run.directory == tmp_path / "run"
    assert not list(tmp_path.glob("run/figures/*"))
    del run
    again = deeprob.load_run(tmp_path / "run")
    assert (again.predict(X) == Y).mean() > 0.8
    assert len(again.history) == 4
    with pytest.raises(UserError) as raised:
        again.data()
    needed = f"give them again: deeprob.load_run('{tmp_path / 'run'}', data=(X, y))"
    assert str(raised.value) == f"{tmp_path / 'run'}: the data were given from Python, and are not here; {needed}"
    assert len(deeprob.load_run(tmp_path / "run", data=(X, Y)).data().test) == 12
    with pytest.raises(UserError, match="run: the data are not those of the run, which had data-"):
        deeprob.load_run(tmp_path / "run", data=(X + 1, Y))
    with pytest.raises(UserError, match="exists already; give another directory"):
        deeprob.train(FEW, data=(X, Y), directory=tmp_path / "run")


def test_a_table_of_runs(one_run, capsys):
    Path("elsewhere/broken").mkdir(parents=True)
    Path("elsewhere/broken/config.yaml").write_text("a: [")
    shutil.copytree(one_run, "elsewhere/other")
    Path("elsewhere/other/summary.json").unlink()
    table = deeprob.runs(".")
    assert table["directory"].tolist() == ["elsewhere/other", "run"]
    assert table[["status", "model", "trainer.epochs"]].values.tolist() == [
        ["unfinished", "mlp", 3],
        ["completed", "mlp", 3],
    ]
    assert table["test/accuracy"][1] == deeprob.load_run("run").metrics["test/accuracy"]
    assert list(table.columns)[:2] == ["directory", "status"]
    assert "note: 1 run(s) left out: elsewhere/broken/config.yaml: not the config.yaml" in capsys.readouterr().err
    with pytest.raises(UserError, match="nowhere: no such folder; expected a folder with runs"):
        deeprob.runs("nowhere")


def test_data_for_a_run_that_needs_none(one_run):
    with pytest.raises(UserError, match="run: the run has dataset=spirals; leave data out"):
        deeprob.load_run(one_run, data=(X, Y))
    assert len(deeprob.load_run(one_run).history) == 3


MISTAKES = {
    "model.widht=3": "model.widht: no such key in model; did you mean width?",
    "model.width=-1": "model.width=-1: expected a whole number at least 1",
    "seed=1,2": "seed=1,2: several values make a sweep; call deeprob.sweep, or write a list as [a,b]",
    "sweep.folds=5": "sweep.folds=5: only a sweep makes all folds; call deeprob.sweep",
    "experiment=capacity": "experiment=capacity: makes a sweep; call deeprob.sweep",
    "hydra.run.dir=x": "hydra.run.dir=x: of the command line; from Python, directory= gives the directory",
    "hydra/launcher=joblib": "hydra/launcher=joblib: of the command line; from Python, directory= gives",
    "resume=auto": "resume=auto: runs are resumed on the command line: deeprob-train resume=auto",
    "-m": "-m: a flag of the command line; from Python, give words such as model.width=64",
    "--import homework model=mine": "--import: a flag of the command line; from Python, write import homework before",
    "--import parts/mine.py": "--import: a flag of the command line; from Python, write import mine before",
    "'a": "'a: a quote is not closed",
    "dataset=given dataset.digest=data-0": "dataset=given: the data were given from Python, and are not here",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_errors_are_exceptions_of_one_line(words):
    with pytest.raises(UserError) as raised:
        deeprob.train(words)
    assert str(raised.value).startswith(MISTAKES[words])
    assert raised.value.__suppress_context__
    frames = [entry.name for entry in raised.traceback]
    assert frames == ["test_errors_are_exceptions_of_one_line", "call"]


def test_one_seed():
    for words in ("seed=5", "seed=0,1"):
        with pytest.raises(UserError, match=f"^{words}: seed=3 is given too; leave one of both out$"):
            deeprob.train(words, seed=3)
    assert api._overrides("seed=3", {}, 3, True) == ["seed=3", "seed=3"]


def test_data_and_the_name_of_a_dataset():
    with pytest.raises(UserError, match="dataset=moons: data are given already; leave one of both out"):
        deeprob.train("dataset=moons", data=(X, Y))


def test_a_diverged_run_is_an_exception_that_has_the_run():
    with pytest.raises(Diverged, match=r"diverged: the .* became NaN or infinite at step") as raised:
        deeprob.train(f"{SMALL} optimizer=sgd optimizer.lr=1e30")
    assert raised.value.run.metrics["status"] == "diverged"
    assert raised.value.run.model.linear_layers


def interrupted_after(count: int, number: int, monkeypatch) -> None:
    """Send a signal to this process after some updates."""
    step, calls = Update.__call__, []

    def counted(self, *words, **named):
        calls.append(None)
        if len(calls) == count:
            os.kill(os.getpid(), number)
        return step(self, *words, **named)

    monkeypatch.setattr(Update, "__call__", counted)


def test_an_interrupt_returns_the_run_so_far(monkeypatch, capsys):
    interrupted_after(8, signal.SIGINT, monkeypatch)
    run = deeprob.train(f"{SMALL} trainer.epochs=10")
    assert run.metrics["status"] == "interrupted"
    assert list(run.history.index) == list(range(1, run.metrics["epochs"] + 1))
    assert 1 <= run.metrics["epochs"] < 10
    assert run.predict(run.data().test.inputs).shape == (60,)
    assert f"note: interrupted; this is the run after {run.metrics['epochs']} whole epochs" in capsys.readouterr().err


def test_a_request_to_end_ends_the_process(monkeypatch):
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        interrupted_after(2, signal.SIGTERM, monkeypatch)
        deeprob.train(SMALL)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]  # the handler of the process, after the run has ended


def test_a_run_shows_itself():
    run = deeprob.train(SMALL)
    accuracy = f"{100 * run.metrics['test/accuracy']:.2f} %"
    assert repr(run) == f"<Run spirals-mlp-adamw: completed, epoch 3, test/accuracy {accuracy}>"
    page = run._repr_html_()
    assert f"<td>{accuracy}</td></tr></table>" in page
    assert "<th>split</th><th>loss</th><th>accuracy</th>" in page


def test_nothing_is_printed_that_nobody_asked_for(capsys):
    deeprob.train(FEW, data=(X, Y))
    deeprob.train(SMALL, progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_threads_train_one_after_another():
    runs = {}

    def train(seed: int) -> None:
        runs[seed] = deeprob.train(SMALL, seed=seed)

    threads = [threading.Thread(target=train, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, run in runs.items():
        alone = deeprob.train(SMALL, seed=seed)
        assert torch.equal(alone.model.state_dict()["layers.0.weight"], run.model.state_dict()["layers.0.weight"])
    assert sorted(runs) == [0, 1, 2]


def test_a_run_can_be_pickled():
    run = deeprob.train(FEW, data=(X, Y))
    again = pickle.loads(pickle.dumps(run))
    assert again.predict(X).tolist() == run.predict(X).tolist()
    assert len(again.history) == 4
    assert dataclasses.asdict(again.config) == dataclasses.asdict(run.config)
    assert isinstance(again.given[0], Given)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep in memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("sweep"))
        yield deeprob.sweep(f"{FEW} model=linear,mlp optimizer.lr=1e-3,1e-1 sweep.folds=3", data=(X, Y))
        assert not list(Path().iterdir())


def test_a_sweep_from_python(swept):
    table = swept.table
    assert len(table) == len(swept.runs) == 12
    assert table["model"].tolist() == ["linear"] * 6 + ["mlp"] * 6
    assert table["dataset.fold"].tolist() == [0, 1, 2] * 4
    assert table["status"].unique().tolist() == ["completed"]
    assert swept.metric == "test/accuracy"
    assert swept.best.config.optimizer.lr == 0.1
    assert swept.best.predict(X).tolist() == swept.runs[-1].predict(X).tolist() or swept.best is not swept.runs[-1]
    assert "mean ± standard deviation over folds" in swept.report
    assert not re.search("deeprob-|sweep  |compare  ", swept.report)  # the folder is temporary
    for number in (0, 7):
        run = swept.runs[number]
        assert run.evaluate("test")["accuracy"] == table["test/accuracy"][number]
        assert len(run.history) == 4


def test_a_job_of_a_sweep_is_the_run_alone(swept):
    alone = deeprob.train(f"{FEW} model=linear optimizer.lr=1e-3 dataset.folds=3 dataset.fold=1", data=(X, Y))
    assert all(map(torch.equal, alone.model.state_dict().values(), swept.runs[1].model.state_dict().values()))


@pytest.mark.slow
def test_the_files_of_a_sweep_live_as_long_as_its_runs(tmp_path, capsys):
    words = "trainer.epochs=1 model=linear optimizer=sgd optimizer.lr=1e30,0.1"
    sweep = deeprob.sweep(words, data=(X, Y), progress=False)
    folder = sweep._rows.rows[0]["directory"].parent
    assert sweep.table["status"].tolist() == ["diverged", "completed"]
    assert len(sweep.runs[0].history) == 0  # the last finite state
    assert capsys.readouterr().err.endswith("note: 1 of 2 jobs failed: 0\n")
    assert folder.is_dir()
    del sweep
    gc.collect()
    assert not folder.exists()
    sweep = deeprob.sweep("trainer.epochs=1 model=linear seed=0,1", data=(X, Y), directory=tmp_path / "s")
    assert f"sweep      {tmp_path / 's'}" in sweep.report
    assert sweep.runs[1].directory == tmp_path / "s" / "001_seed=1"
    with pytest.raises(UserError, match="s exists already; give another directory"):
        deeprob.sweep("seed=0,1", data=(X, Y), directory=tmp_path / "s")


def test_mistakes_in_a_sweep(capsys):
    for words, line in {
        "seed=0,1 model.width=0": "job 0 (seed=0 model.width=0 trainer.trackers=[csv]): model.width=0: expected",
        "seed=0,1 hydra.sweep.dir=x": "hydra.sweep.dir=x: of the command line; from Python, directory= gives",
        "seed=0,1 resume=auto": "resume=auto: runs are resumed on the command line",
    }.items():
        with pytest.raises(UserError) as raised:
            deeprob.sweep(words)
        assert str(raised.value).startswith(line)
    with pytest.raises(CheckFailed, match="2 of 2 jobs failed: 0, 1"):
        deeprob.sweep("optimizer=sgd optimizer.lr=1e30 seed=0,1 trainer.epochs=1", data=(X, Y))
    assert "error: job 1: diverged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "statuses"),
    [
        ("model.width=4,8,12 hydra/launcher=basic", ["interrupted", "not started", "not started"]),
        pytest.param("seed=0,1,2 hydra.launcher.max_stack=3", ["interrupted"] * 3, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_sweep_returns_what_there_is(words, statuses, monkeypatch, capsys):
    interrupted_after(8, signal.SIGINT, monkeypatch)
    sweep = deeprob.sweep(f"{SMALL} {words}")  # a run has 9 updates
    assert sweep.table["status"].tolist() == statuses
    assert len(sweep.runs[0].history) == 2
    assert "note: interrupted; 0 of 3 jobs have ended" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:::optuna", "ignore:::hydra_plugins")
def test_workers_and_searches_get_the_data():
    sweep = deeprob.sweep(f"{FEW} sweep.folds=3 seed=0,1 hydra.launcher.workers=2", data=(X, Y))
    assert sweep.table["status"].tolist() == ["completed"] * 6
    words = f"{FEW} dataset.val_fraction=0.2 hydra/sweeper=optuna hydra.sweeper.n_trials=3"
    words += " hydra.sweeper.direction=maximize"
    sweep = deeprob.sweep(f"{words} optimizer.lr=interval(0.001,0.1)", data=(X, Y))
    assert len(sweep.table) == 3
    assert sweep.metric == "val/accuracy"
    sweep = deeprob.sweep(f"{FEW} seed=0,1 hydra/launcher=joblib", data=(X, Y))
    assert sweep.table["status"].tolist() == ["completed"] * 2


def test_a_text_in_a_column_of_numbers():
    run = deeprob.train(FEW, data=(pd.DataFrame({"x": X[:, 0]}), Y))
    with pytest.raises(UserError, match="inputs, row 0, column x: the cell is not a finite number; correct it"):
        run.predict(pd.DataFrame({"x": ["1.5"]}))


def test_a_column_that_new_rows_lack():
    run = deeprob.train(FEW, data=({"a": X[:, 0], "b": X[:, 1]}, Y))
    with pytest.raises(UserError, match=r"^inputs: no column b; the run takes a, b$"):
        run.predict(pd.DataFrame({"a": X[:, 0]}))


def state_of_the_process() -> dict:
    """What a call must leave as it was."""
    loggers = [logging.getLogger(name) for name in (None, *logging.root.manager.loggerDict)]
    return {
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)],
        "threads": torch.get_num_threads(),
        "dtype": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "draws": (torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()),
        "warnings": (list(warnings.filters), warnings.showwarning),
        "logging": [(logger.name, logger.level, list(logger.handlers), logger.disabled) for logger in loggers],
        "hydra": (GlobalHydra.instance().hydra, HydraConfig.instance().cfg, hydra.version.getbase()),
        "garbage": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()),
        "matplotlib": (
            mpl.get_backend(auto_select=False),
            {key: mpl.rcParams[key] for key in mpl.rcParams if key != "backend"},
            [] if "matplotlib.pyplot" not in sys.modules else sys.modules["matplotlib.pyplot"].get_fignums(),
        ),
        "system": (list(sys.path), dict(os.environ), Path.cwd(), sys.argv, sys.stdout, sys.stderr, sys.excepthook),
        "modules": set(sys.modules),
    }


def test_everything_else_is_as_it_was_before(tmp_path, monkeypatch, swept):
    def everything() -> None:
        run = deeprob.train(FEW, data=(X, Y))
        run.predict(X)
        repr((run, run.history, swept))
        with pytest.raises(UserError):
            deeprob.train("model.x=3")
        with pytest.raises(Diverged):
            deeprob.train(f"{SMALL} optimizer=sgd optimizer.lr=1e30")
        deeprob.sweep("model=linear trainer.epochs=1 seed=0,1", data=(X, Y))
        run.figure("confusion")

    everything()  # imports modules of torch and matplotlib, which have effects of their own
    monkeypatch.setenv("OWN", "1")
    torch.set_num_threads(2)
    (tmp_path / "own.yaml").write_text("a: 1\n")
    with hydra.initialize_config_dir(str(tmp_path), version_base="1.2"):
        before = state_of_the_process()
        everything()
        after = state_of_the_process()
        assert {name: value for name, value in after.items() if value != before[name]} == {}
        assert hydra.compose("own").a == 1


@pytest.mark.slow
def test_a_thread_leaves_signals_and_the_output_of_others_alone(capsys):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    seen, sweeps = [], []

    def watch(self, *words):
        seen.append([signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)])
        return take(self, *words)

    take = SweepTable.take
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SweepTable, "take", watch)
        thread = threading.Thread(
            target=lambda: sweeps.append(deeprob.sweep("model=linear trainer.epochs=1 seed=0,1", data=(X, Y)))
        )
        thread.start()
        print("mine")
        thread.join()
    assert seen == [handlers] * 2
    assert sweeps[0].table["status"].tolist() == ["completed"] * 2
    assert capsys.readouterr().out == "mine\n"


def test_an_option_that_is_registered_again_is_new(monkeypatch):
    monkeypatch.setattr(schema, "_OPTIONS", {group: dict(known) for group, known in schema._OPTIONS.items()})
    for rate in (0.25, 0.5):

        @register("optimizer", "of_a_cell")
        @dataclasses.dataclass(kw_only=True, slots=True)
        class OfACellConfig(OptimizerConfig):
            """Moves by the gradient."""

            lr: float = rate

            def build(self, params):
                return torch.optim.SGD(params, lr=self.lr)

        assert api._composed(["optimizer=of_a_cell"]).optimizer.lr == rate


def test_a_weight_of_3_is_three_rows():
    words = "model=linear optimizer=lbfgs trainer.epochs=2 trainer.batch_size=full"
    weights = np.where(np.arange(60) < 20, 3, 1)
    weighted = deeprob.train(words, data=(X, Y, weights), test=(X, Y))
    repeated = deeprob.train(words, data=(X.repeat(weights, 0), Y.repeat(weights)), test=(X, Y))
    assert weighted.probabilities(X) == pytest.approx(repeated.probabilities(X), abs=1e-3)
