"""A finished run: its files, tags and numbers, and the same again."""

import csv
import json
import math
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deeprob import config as configs
from deeprob import load_run
from deeprob.assembly.config import RunConfig
from deeprob.data import CSVConfig
from deeprob.errors import Superseded
from deeprob.running.run import run
from deeprob.tracking import checkpoint_file
from deeprob.tracking.events import FIRST
from deeprob.tracking.signals import Interruption
from deeprob.training.draws import Batch
from deeprob.training.update import Update


def summary(directory: Path) -> dict:
    return json.loads((directory / "summary.json").read_text())


def events(directory: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(directory))
    accumulator.Reload()
    return accumulator


def rows(directory: Path) -> list[dict]:
    with (directory / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


MEASURES = [
    "loss", "accuracy", "balanced_accuracy", "f1", "auroc", "ece", *(f"recall/arm_{number}" for number in range(3)),
]  # fmt: skip
TAGS = {
    "train/loss", "train/data_loss", "train/regularization", "train/accuracy", "optim/lr", "optim/grad_norm",
    "params/norm", "time/examples_per_second", *(f"{split}/{name}" for split in ("val", "test") for name in MEASURES),
}  # fmt: skip


def test_the_files_of_the_contract(one_run):
    names = {str(path.relative_to(one_run)) for path in one_run.rglob("*") if path.is_file()}
    event_files = {name for name in names if name.startswith("events.out.tfevents.")}
    assert len(event_files) == 1
    assert names - event_files == {
        "config.yaml", "provenance.json", "summary.json", "metrics.csv", "checkpoints/last.pt", "checkpoints/best.pt",
        "checkpoints/last.prev.pt", "checkpoints/best.prev.pt",
    }  # fmt: skip


def test_summary(one_run):
    content = summary(one_run)
    assert (content["status"], content["epochs"], content["steps"]) == ("completed", 3, 9)  # 72 points by 32
    assert [content[f"examples/{split}"] for split in ("train", "val", "test")] == [72, 18, 60]
    assert content["parameters"] == (2 * 8 + 8) + (8 * 8 + 8) + (8 * 3 + 3)
    assert content["device"] == "cpu"
    assert content["seconds"] > 0
    assert set(content) >= TAGS
    assert content["train/loss"] == pytest.approx(content["train/data_loss"] + content["train/regularization"])


def test_tags_and_values_in_the_event_file(one_run):
    accumulator = events(one_run)
    units = {f"units/relu_{layer}_{share}" for layer in (1, 2) for share in ("dead", "saturated", "zero")}
    best = {f"curves-best/{name}" for name in TAGS if name.endswith(("/loss", "/accuracy"))}
    assert set(accumulator.Tags()["scalars"]) == TAGS | units | best | set(FIRST.values())
    csv_rows, content = rows(one_run), summary(one_run)
    for tag in ("train/loss", "val/accuracy", "optim/lr", "params/norm"):  # one record an epoch: the same as the rows
        points = accumulator.Scalars(tag)
        assert [point.step for point in points] == [3, 6, 9]
        assert [point.value for point in points] == pytest.approx([float(row[tag]) for row in csv_rows], rel=1e-6)
    for tag, first in FIRST.items():
        both = [[(point.step, point.value) for point in accumulator.Scalars(name)] for name in (tag, first)]
        assert both[0] == both[1]
    for tag in (*best, "test/loss", "test/accuracy"):
        (final,) = accumulator.Scalars(tag)
        assert final.step == 3 * content["best_epoch"]
        assert final.value == pytest.approx(content[tag.removeprefix("curves-best/")])


def test_hyperparameters_in_the_same_event_file(one_run):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    metadata = events(one_run).summary_metadata
    start = HParamsPluginData.FromString(metadata["_hparams_/session_start_info"].plugin_data.content)
    values = start.session_start_info.hparams
    assert values["optimizer"].string_value == "adamw"
    assert values["optimizer.lr"].number_value == 1e-3
    assert values["optimizer.amsgrad"].bool_value is False
    assert "_hparams_/session_end_info" in metadata


def test_metrics_csv_has_a_row_an_epoch(one_run):
    content = rows(one_run)
    assert [(row["epoch"], row["step"]) for row in content] == [("1", "3"), ("2", "6"), ("3", "9")]
    counts = {"epoch", "step", "params/zeros", "optim/evaluations", "time/seconds"}
    assert set(content[0]) == counts | {name for name in TAGS if not name.startswith("test/")}
    assert all(value or name == "params/zeros" for row in content for name, value in row.items())


def test_config_holds_what_was_resolved_and_is_enough_to_run_again(one_run, deeprob):
    content = yaml.safe_load((one_run / "config.yaml").read_text())
    assert content["trainer"]["batch_size"] == 32
    assert content["optimizer"]["lr"] == 1e-3
    result = deeprob("--config-dir", str(one_run), "--config-name", "config", "hydra.run.dir=again")
    assert result.status == 0, result.err
    assert (Path("again") / "config.yaml").read_text() == (one_run / "config.yaml").read_text()
    first, again = (checkpoint_file.load(d / "checkpoints/last.pt")["model"] for d in (one_run, Path("again")))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_provenance(one_run):
    content = json.loads((one_run / "provenance.json").read_text())
    assert content["command"].startswith("deeprob-train dataset.points_per_class=30")
    assert content["seed"] == 0
    assert content["packages"]["torch"] == torch.__version__.split("+")[0]


def test_the_final_table_says_where_to_look(deeprob, small):
    result = deeprob(*small, "hydra.run.dir=run")
    assert "test" in result.out
    assert result.out.splitlines()[-3:] == [
        "run        run", "curves     tensorboard --logdir run", "again      deeprob-evaluate run"
    ]  # fmt: skip


def test_an_interrupted_run_says_how_to_go_on(deeprob, small, monkeypatch):
    monkeypatch.setattr(Interruption, "__call__", lambda self: setattr(self, "number", signal.SIGINT) or True)
    result = deeprob(*small, 'hydra.run.dir="a run"')
    assert result.out.splitlines() == [
        "epoch 0 of 3; interrupted, and saved",
        "run        a run",
        """go on      deeprob-train 'resume="a run"'""",
    ]
    assert (result.status, result.err) == (130, "error: interrupted by SIGINT\n")


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lbfgs"])
def test_the_same_command_gives_the_same_bits(deeprob, small, optimizer):
    noise = () if optimizer == "lbfgs" else ("model.dropout=0.3",)
    for directory in ("a", "b"):
        assert deeprob(*small, *noise, f"optimizer={optimizer}", f"hydra.run.dir={directory}").status == 0
    a, b = (checkpoint_file.load(Path(d) / "checkpoints/last.pt") for d in "ab")
    assert all(torch.equal(a["model"][name], b["model"][name]) for name in a["model"])
    deeprob(*small, *noise, f"optimizer={optimizer}", "seed=1", "hydra.run.dir=c")
    c = checkpoint_file.load(Path("c/checkpoints/last.pt"))
    assert not any(torch.equal(a["model"][name], c["model"][name]) for name in a["model"] if "weight" in name)


def test_the_best_epoch_is_chosen_by_validation_and_tested(deeprob, small):
    words = ("dataset.val_fraction=0.4", "optimizer.lr=0.3", "trainer.epochs=12", "scheduler=constant")
    assert deeprob(*small, *words, "hydra.run.dir=run").status == 0
    ranked = [(-float(row["val/accuracy"]), float(row["val/loss"]), int(row["epoch"])) for row in rows(Path("run"))]
    content = summary(Path("run"))
    assert (-content["val/accuracy"], pytest.approx(content["val/loss"]), content["best_epoch"]) == min(ranked)
    assert checkpoint_file.load(Path("run/checkpoints/best.pt"))["step"] == content["best_epoch"] * 2


REST = {  # what measures the weights at rest differently from what an epoch measured on the way
    "early": ("dataset.val_fraction=0.4", "optimizer.lr=0.3", "trainer.epochs=20"),
    "noise": ("dataset.val_fraction=0.2", "model.dropout=0.3", "model.norm=batch", "loss.label_smoothing=0.1"),
    "l1": ("regularizer=l1", "regularizer.proximal=true", "regularizer.strength=0.1", "optimizer=sgd"),
    "full": ("dataset.val_fraction=0.4", "trainer.batch_size=full", "trainer.chunk_size=7"),
}


@pytest.mark.parametrize("words", REST.values(), ids=REST)
@pytest.mark.parametrize(
    "sweep", [(), ("-m", "seed=0,1", "hydra/launcher=basic"), ("-m", "seed=0,1", "hydra/launcher=auto")], ids=str
)
def test_a_summary_is_of_one_network_the_best_one(deeprob, small, words, sweep):
    words = ("regularizer=l2", "regularizer.strength=0.01", *words)
    assert deeprob(*small, *words, *sweep, "hydra.run.dir=run", "hydra.sweep.dir=s").status == 0
    directory = next(Path("s").glob("1_*"), None) or next(Path("s").glob("*seed=1"), None) if sweep else Path("run")
    content = summary(directory)
    best = load_run(directory)
    weights = [layer.weight.detach() for layer in best.model.linear_layers]
    penalty = sum((w.abs() if "regularizer=l1" in words else w.square()).sum().item() for w in weights)
    penalty *= best.config.regularizer.strength
    for split in ("train", *(("val",) if best.data().val else ()), "test"):
        examples = getattr(best.data(), split)
        scores, smoothing = best(examples.inputs), 0.1 if "loss.label_smoothing=0.1" in words else 0.0
        loss = torch.nn.functional.cross_entropy(scores, examples.targets, label_smoothing=smoothing).item()
        right = (scores.argmax(1) == examples.targets).float().mean().item()
        expected = {"loss": loss + penalty * (split == "train"), "accuracy": right}
        assert {name: content[f"{split}/{name}"] for name in expected} == pytest.approx(expected, rel=1e-5)
        if split == "train":
            assert content["train/data_loss"] == pytest.approx(loss, rel=1e-5)
            assert content["train/regularization"] == pytest.approx(penalty, rel=1e-5)
        assert best.evaluate(split)["loss"] == pytest.approx(content[f"{split}/loss"], rel=1e-6)
    norm = sum(parameter.detach().square().sum().item() for parameter in best.model.parameters()) ** 0.5
    assert content["params/norm"] == pytest.approx(norm, rel=1e-6)
    if "regularizer=l1" in words:
        assert content["params/zeros"] == pytest.approx(
            (torch.cat([w.flatten() for w in weights]) == 0).float().mean().item()
        )
    row = rows(directory)[(content["best_epoch"] or content["epochs"]) - 1]
    for name in ("optim/lr", "optim/grad_norm"):  # which the weights do not have, but the epoch that led to them
        assert content[name] == pytest.approx(float(row[name]))
    for name in ("optim/evaluations", "time/seconds"):  # what the whole run took
        assert content[name] == pytest.approx(float(rows(directory)[-1][name]))


def test_the_summary_of_an_unfinished_run_is_of_its_last_whole_epoch(deeprob, small, monkeypatch):
    def stop(interruption: Interruption) -> bool:
        calls.append(1)
        if len(calls) == 11:
            interruption.number = signal.SIGINT
        return len(calls) >= 11

    calls = []
    monkeypatch.setattr(Interruption, "__call__", stop)
    words = ("dataset.val_fraction=0.2", "trainer.log_every=1", "trainer.epochs=9", "hydra.run.dir=run")
    assert deeprob(*small, *words).status == 130
    content, row = summary(Path("run")), rows(Path("run"))[-1]
    assert (content["status"], content["steps"], row["step"]) == ("interrupted", 11, "9")
    for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "params/norm"):
        assert content[name] == pytest.approx(float(row[name]))


HEADINGS = {
    "epoch 3 of 3; completed": (),
    "epoch 1 of 20, the best by val/accuracy; stopped: val/loss no better for 2 epochs": (
        "dataset.val_fraction=0.4", "optimizer.lr=3", "trainer.epochs=20", "trainer.patience=2",
    ),
    "epoch 3 of 3, the best by val/loss; completed": ("dataset.val_fraction=0.2", "trainer.monitor=val/loss"),
}  # fmt: skip


@pytest.mark.parametrize("line", HEADINGS)
def test_the_table_says_of_which_epoch_it_is_and_why_the_run_ended(deeprob, small, line):
    assert deeprob(*small, *HEADINGS[line], "hydra.run.dir=run").out.splitlines()[0] == line
    assert deeprob("resume=run").out.splitlines()[0] == line


def test_patience_waits_for_the_loss_which_falls_when_accuracy_does_not_rise(deeprob, small):
    words = (*small, "dataset.val_fraction=0.4", "optimizer.lr=0.003", "trainer.epochs=30", "trainer.patience=5")
    by_accuracy = "trainer.patience_monitor=val/accuracy"
    for name, more in (("loss", ()), ("accuracy", (by_accuracy,))):
        assert deeprob(*words, *more, f"hydra.run.dir={name}").status == 0
    losses = [float(row["val/loss"]) for row in rows(Path("loss"))]
    assert losses == sorted(losses, reverse=True)
    assert (summary(Path("loss"))["status"], len(losses)) == ("completed", 30)
    stopped = summary(Path("accuracy"))
    assert (stopped["status"], stopped["epochs"]) == ("stopped", 6)
    assert stopped["reason"] == "val/accuracy no better for 5 epochs"
    config = load_run("loss").config.trainer
    assert (config.monitor, config.patience_monitor) == ("val/accuracy", "val/loss")


def test_early_stopping(deeprob, small):
    words = ("dataset.val_fraction=0.4", "optimizer.lr=0.3", "trainer.epochs=200", "trainer.patience=4")
    assert deeprob(*small, *words, "hydra.run.dir=run").status == 0
    content = summary(Path("run"))
    assert content["status"] == "stopped"
    losses = [float(row["val/loss"]) for row in rows(Path("run"))]
    assert content["epochs"] == len(losses) == losses.index(min(losses)) + 1 + 4
    assert content["reason"] == "val/loss no better for 4 epochs"


def test_a_val_folder_is_what_patience_waits_for(deeprob, validated_pictures):
    words = ("dataset=image_folder", f"dataset.root={validated_pictures}", "model.width=4", "optimizer.lr=0.3")
    words += ("trainer.epochs=40", "trainer.patience=2")
    status, _, err = deeprob(*words, "hydra.run.dir=run")
    assert (status, err) == (0, "")
    content = summary(Path("run"))
    assert content["status"] == "stopped"
    assert content["epochs"] == content["best_epoch"] + 2 < 40
    assert content["val/loss"] == pytest.approx(content["test/loss"])  # the same pictures
    shutil.rmtree(validated_pictures / "val")
    assert load_run("run").config.trainer.patience == 2
    assert deeprob(*words, "hydra.run.dir=other") == (
        2,
        "",
        "error: trainer.patience needs a validation split: set dataset.val_fraction=0.1, say\n",
    )
    assert not Path("other").exists()


def test_a_run_that_overflows_at_once_keeps_its_initial_weights(deeprob, small):
    status, _, err = deeprob(*small, "optimizer=sgd", "optimizer.lr=1e30", "hydra.run.dir=run")
    assert status == 3
    assert err.startswith("error: diverged: the updated parameters became NaN or infinite at step 1 (epoch 1, batch 1)")
    assert summary(Path("run"))["status"] == "diverged"
    last = checkpoint_file.load(Path("run/checkpoints/last.pt"))
    assert last["step"] == summary(Path("run"))["steps"] == 0
    assert all(tensor.abs().max() < 10 for tensor in last["model"].values())


def test_divergence_keeps_the_last_finite_state_and_the_best(deeprob, small, monkeypatch):
    update = Update.__call__

    def poisoned(self: Update, batch: Batch, step: int) -> None:
        update(self, batch, step)
        if step == 7:
            self.stack.sums.fill_(math.nan)

    monkeypatch.setattr(Update, "__call__", poisoned)
    words = ("dataset.val_fraction=0.2", "trainer.epochs=9", "hydra.run.dir=run")
    status, _, err = deeprob(*small, *words)
    assert (status, err.split(";")[0]) == (
        3,
        "error: diverged: the updated parameters became NaN or infinite at step 8 (epoch 3, batch 2)",
    )
    last, best = (checkpoint_file.load(Path(f"run/checkpoints/{name}.pt")) for name in ("last", "best"))
    assert (last["step"], best["step"] > 0, best["best"][2] > 0) == (7, True, True)
    assert all(tensor.isfinite().all() for tensor in last["model"].values())


def test_a_last_update_that_was_too_large_is_noticed(deeprob, small):
    words = ("optimizer=sgd", "optimizer.lr=1e15", "trainer.batch_size=full", "trainer.epochs=1", "hydra.run.dir=run")
    status, _, err = deeprob(*small, *words)
    assert status == 3
    assert "loss on the train split became NaN or infinite at step 1" in err
    content, last = summary(Path("run")), checkpoint_file.load(Path("run/checkpoints/last.pt"))
    assert (content["status"], content["steps"], last["step"]) == ("diverged", 1, 1)  # which is the state that it is in
    again = deeprob("resume=run")
    assert (again.status, again.err) == (3, err)


def table_with(split: str) -> str:
    """Write a table of which one row, of the test or the validation split, is infinite once it is standardised."""
    rng = random.Random(0)
    rows = [(rng.gauss(0, 1e-3), rng.gauss(0, 1)) for _ in range(60)]
    config = CSVConfig(root="huge.csv", val_fraction=0.2)
    lines = [f"{a!r},{b!r},{'ab'[a + b / 1e3 > 0]}" for a, b in rows]
    Path("huge.csv").write_text("\n".join(["x,y,c", *lines]))
    first = getattr(config.load(), split).inputs[0, 0].item()
    (place,) = [place for place, (a, _) in enumerate(rows) if a == first]
    lines[place] = "3e38," + lines[place].partition(",")[2]
    Path("huge.csv").write_text("\n".join(["x,y,c", *lines]))
    return "huge.csv"


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("sweep", [(), ("-m", "seed=0"), ("-m", "seed=0,1", "hydra/launcher=auto")], ids=str)
def test_a_split_that_overflows_leaves_the_state_as_it_was_and_says_the_same_again(deeprob, split, sweep):
    words = (
        *sweep, "dataset=csv", f"dataset.root={table_with(split)}", "dataset.val_fraction=0.2", "model.width=4",
        "trainer.batch_size=8", "scheduler=constant", "trainer.epochs=6", "hydra.run.dir=run", "hydra.sweep.dir=s",
    )  # fmt: skip
    results = [deeprob(*words), deeprob(*words, "resume=auto")]
    assert [result.status for result in results] == [4 if sweep else 3] * 2
    if "hydra/launcher=auto" not in words or split == "test":  # a stack writes no checkpoint before its first update
        assert results[0].err == results[1].err
    assert f"the input of the {split} split became NaN or infinite" in results[0].err
    assert "correct the data" in results[0].err
    directory = next(Path("s").glob("0*")) if sweep else Path("run")
    last, content = (checkpoint_file.load(directory / f"checkpoints/{name}.pt") for name in ("last", "best"))
    assert summary(directory)["status"] == "diverged"
    if split == "test":
        assert last["step"] == summary(directory)["steps"] == 5 * 6
        assert f"at step {content['step']};" in results[0].err  # that of the best weights, which were measured
        plain = [word for word in words if not word.startswith(("hydra", "-m", "seed", "dataset.root"))]
        Path("huge.csv").write_text(Path("huge.csv").read_text().replace("3e38", "1.0"))
        assert deeprob(*plain, "dataset.root=huge.csv", "hydra.run.dir=other").status == 0
        other = checkpoint_file.load(Path("other/checkpoints/last.pt"))["model"]
        for name, tensor in other.items():
            torch.testing.assert_close(last["model"][name], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_with_a_checkpoint(tmp_path, number, status):
    script = Path(__file__).parents[2] / "scripts" / "train.py"
    process = subprocess.Popen(
        [sys.executable, script, "trainer.epochs=100000", "trainer.log_every=7", "hydra.run.dir=run"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert err.decode() == f"error: interrupted by {signal.Signals(number).name}\n"
    content = summary(tmp_path / "run")
    assert content["status"] == "interrupted"
    assert checkpoint_file.load(tmp_path / "run" / "checkpoints" / "last.pt")["step"] == content["steps"] > 0


def test_full_batch_by_word(deeprob, small):
    assert deeprob(*small, "trainer.batch_size=full", "hydra.run.dir=run").status == 0
    assert summary(Path("run"))["steps"] == 3
    assert configs.read(RunConfig, Path("run/config.yaml")).trainer.batch_size == "full"


def test_pictures_end_to_end(deeprob, pictures):
    result = deeprob(
        "dataset=image_folder", f"dataset.root={pictures}", "model=linear", "trainer.epochs=40",
        "optimizer.lr=1e-2", "hydra.run.dir=run",
    )  # fmt: skip
    assert result.status == 0, result.err
    assert summary(Path("run"))["test/accuracy"] == 1.0
    assert summary(Path("run"))["parameters"] == 3 * 8 * 8 * 2 + 2


def test_float64(deeprob, small):
    assert deeprob(*small, "trainer.precision=float64", "hydra.run.dir=run").status == 0
    model = checkpoint_file.load(Path("run/checkpoints/last.pt"))["model"]
    assert {tensor.dtype for tensor in model.values()} == {torch.float64}


def test_bf16_trains_float32_parameters_and_is_measured_again_the_same(deeprob, small):
    from deeprob import load_run

    assert deeprob(*small, "trainer.precision=bf16", "hydra.run.dir=run").status == 0
    model = checkpoint_file.load(Path("run/checkpoints/last.pt"))["model"]
    assert {tensor.dtype for tensor in model.values()} == {torch.float32}
    assert deeprob(*small, "hydra.run.dir=fine").status == 0
    fine = checkpoint_file.load(Path("fine/checkpoints/last.pt"))["model"]
    assert not torch.equal(model["layers.0.weight"], fine["layers.0.weight"])
    assert load_run("run").evaluate()["loss"] == summary(Path("run"))["test/loss"]


def test_progress_in_plain_lines_without_a_terminal(deeprob, small, monkeypatch):
    from deeprob.tracking import console

    monkeypatch.setattr(console, "_LINE_EVERY", 0.0)
    out = deeprob(*small, "hydra.run.dir=run").out
    lines = [line for line in out.splitlines() if line.startswith("spirals-mlp-adamw")]
    assert len(lines) == 3
    assert "examples/s" in lines[0]
    assert "left" in lines[0]
    assert "train/loss" in lines[0]
    assert "\x1b" not in out
    assert not any(line.startswith("spirals") for line in deeprob(*small, "trainer.progress=false").out.splitlines())


def test_a_run_leaves_no_file_open(deeprob, small):
    def descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    before = descriptors()
    deeprob(*small)
    assert descriptors() == before


def test_an_older_attempt_stops_while_a_newer_one_trains_and_changes_nothing(one_run, monkeypatch):
    config = load_run(one_run).config
    config.trainer.checkpoint_steps = 2
    run(config, Path("whole"), job="job 0")
    begun, ended, updates = threading.Event(), threading.Event(), Counter()
    words = {"config": config, "directory": Path("shared"), "job": "job 0"}
    newer = threading.Thread(target=run, kwargs={**words, "resume": True, "attempt": 1})

    def count(interruption: Interruption) -> bool:
        """Let the newer attempt train 2 updates after 5 of the older one, and the rest when the older one has ended."""
        thread = threading.current_thread()
        updates[thread] += 1
        if thread is newer and updates[thread] == 2:
            begun.set()
            assert ended.wait(60)
        elif thread is not newer and updates[thread] == 5:
            newer.start()
            assert begun.wait(60)
        return False

    monkeypatch.setattr(Interruption, "__call__", count)
    try:
        with pytest.raises(Superseded, match=r"^shared now belongs to process \d+ on .+, attempt 1; this older"):
            run(**words)
        assert updates[threading.current_thread()] < 8
        assert not Path("shared/summary.json").exists()
    finally:
        ended.set()
        newer.join()

    def timeless(values: dict) -> dict:
        return {key: value for key, value in values.items() if key != "seconds" and not key.startswith("time/")}

    def losses(directory: Path) -> list:
        return [(point.step, point.value) for point in events(directory).Scalars("train/loss")]

    one, other = Path("shared"), Path("whole")
    assert list(map(timeless, rows(one))) == list(map(timeless, rows(other)))
    assert timeless(summary(one)) == timeless(summary(other))
    assert losses(one) == losses(other)
    weights = [checkpoint_file.load(directory / "checkpoints/last.pt")["model"] for directory in (one, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not list(one.glob(".*"))


@pytest.mark.parametrize(("monitor", "choose"), [("val/auroc", max), ("val/ece", min), ("val/recall/arm_1", max)])
def test_any_measure_of_the_validation_split_chooses_the_best_epoch(deeprob, small, monitor, choose):
    words = ("dataset.val_fraction=0.3", "trainer.epochs=8", f"trainer.monitor={monitor}", "hydra.run.dir=run")
    assert f"the best by {monitor}; completed" in deeprob(*small, *words, "optimizer.lr=0.1").out
    values = [float(row[monitor]) for row in rows(Path("run"))]
    content = summary(Path("run"))
    assert len(set(values)) > 1
    assert values[content["best_epoch"] - 1] == choose(values)
    assert content[monitor] == pytest.approx(choose(values), abs=1e-6)


def test_errors_of_numbers_have_the_units_of_the_table(deeprob):
    lines = [f"{n / 10},{60000 + 3000 * (n % 7)},{n * n}" for n in range(60)]
    Path("table.csv").write_text("\n".join(["x,price,area", *lines]))
    words = ("dataset=csv", "dataset.root=table.csv", "dataset.task=regression", "dataset.targets=[price,area]")
    more = ("dataset.val_fraction=0.2", "loss=squared_error", "trainer.epochs=2", "trainer.monitor=val/mae")
    assert deeprob(*words, *more, "hydra.run.dir=run").status == 0
    run = load_run("run")
    errors = run.scores("test") - run.data().test.targets
    assert run.metrics["test/mae"] == pytest.approx(errors.abs().mean().item(), rel=1e-5)
    assert run.metrics["test/rmse"] == pytest.approx(errors.square().mean(0).sqrt().mean().item(), rel=1e-5)
    assert run.metrics["test/mae"] > 100
    assert {"val/r2", "val/rmse", "train/mae"} < run.metrics.keys()
    assert "classes/imbalance" not in run.metrics
