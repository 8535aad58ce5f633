import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.summary.writer.record_writer import RecordWriter

from deeprob.tracking.events import EventFile, tfrecord


@contextmanager
def event_file(directory: Path) -> Iterator[EventFile]:
    """Yield a new event file, and write it at the end."""
    events = EventFile(directory)
    yield events
    events.write()


def read(directory) -> EventAccumulator:
    accumulator = EventAccumulator(str(directory))
    accumulator.Reload()
    return accumulator


def test_scalars_come_back(tmp_path):
    with event_file(tmp_path) as events:
        events.scalars({"a": 1.5, "b/c": 2.0}, 3)
        events.scalars({"a": 2.5}, 7)
    assert len(list(tmp_path.iterdir())) == 1
    accumulator = read(tmp_path)
    assert [(point.step, point.value) for point in accumulator.Scalars("a")] == [(3, 1.5), (7, 2.5)]
    assert [(point.step, point.value) for point in accumulator.Scalars("b/c")] == [(3, 2.0)]


def test_what_is_flushed_can_be_read_while_the_run_goes_on(tmp_path):
    with event_file(tmp_path) as events:
        events.scalars({"a": 1.0}, 1)
        events.flush()
        assert read(tmp_path).Tags()["scalars"] == ["a"]


@pytest.mark.parametrize(("completed", "status"), [(True, Status.STATUS_SUCCESS), (False, Status.STATUS_FAILURE)])
def test_hyperparameters_and_end(tmp_path, completed, status):
    with event_file(tmp_path) as events:
        events.hyperparameters({"lr": 0.5, "layers": 2, "nesterov": True, "model": "mlp"})
        events.finished(completed)
    metadata = read(tmp_path).summary_metadata

    def content(tag: str) -> HParamsPluginData:
        return HParamsPluginData.FromString(metadata[tag].plugin_data.content)

    hparams = content("_hparams_/session_start_info").session_start_info.hparams
    assert (hparams["lr"].number_value, hparams["layers"].number_value) == (0.5, 2.0)
    assert (hparams["nesterov"].bool_value, hparams["model"].string_value) == (True, "mlp")
    assert content("_hparams_/session_end_info").session_end_info.status == status


def test_what_a_run_came_to_is_in_the_first_columns_of_the_hparams_tab(tmp_path, hparams_tab):
    metrics = {"optim/lr": 0.1, "params/norm": 2.0, "train/loss": 1.0, "val/accuracy": 0.75, "test/accuracy": 0.5}
    (tmp_path / "run").mkdir()
    with event_file(tmp_path / "run") as events:
        events.hyperparameters({"lr": 0.1})
        events.scalars(metrics, 3)
        events.best(metrics | {"val/accuracy": 0.875}, 3)
    experiment, listed = hparams_tab(tmp_path)
    tags = [info.name.tag for info in experiment.metric_infos]
    assert tags[:3] == [f"curves-best/{name}" for name in ("test/accuracy", "train/loss", "val/accuracy")]
    assert sorted(tags[3:]) == sorted([*metrics, "curves/loss/train", "curves/accuracy/val"])
    (run,) = listed()
    assert [value.value for value in run.metric_values][:3] == [0.5, 1.0, 0.875]


@pytest.mark.parametrize(
    ("classes", "validation", "further"),
    [
        (True, False, []),
        (True, True, ["validation: balanced accuracy, F1, AUROC", "validation: recall of each class"]),
        (False, True, ["validation: R²", "validation: errors"]),
    ],
)
def test_curves_that_belong_together_share_a_chart(tmp_path, classes, validation, further):
    with event_file(tmp_path) as events:
        events.layout(classes=classes, validation=validation)
    accumulator = read(tmp_path)
    (point,) = accumulator.Tensors("custom_scalars__config__")
    (category,) = Layout.FromString(point.tensor_proto.string_val[0]).category
    charts = {chart.title: list(chart.multiline.tag) for chart in category.chart}
    assert list(charts)[3 + classes :] == further
    if classes:
        assert charts["accuracy"] == ["train/accuracy", "val/accuracy", "test/accuracy"]
    assert charts["L(W) = data loss + regularization"] == ["train/loss", "train/data_loss", "train/regularization"]
    metadata = accumulator.SummaryMetadata("custom_scalars__config__")
    assert metadata.plugin_data.plugin_name == "custom_scalars"


def test_pictures_texts_and_histograms_are_what_their_tabs_expect(tmp_path):
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (30).to_bytes(4, "big") + (20).to_bytes(4, "big")
    with event_file(tmp_path) as events:
        events.image("figures/x", png, 5)
        events.text("config", "**bold**")
        events.histogram("weights/w", np.array([[0.0, 1.0], [1.0, 4.0]]), 3, bins=4)
    accumulator = read(tmp_path)
    plugins = {tag: accumulator.SummaryMetadata(tag).plugin_data.plugin_name for tag in accumulator.Tags()["tensors"]}
    assert plugins == {"figures/x": "images", "config": "text", "weights/w": "histograms"}
    (picture,) = accumulator.Tensors("figures/x")
    assert (picture.step, list(picture.tensor_proto.string_val)) == (5, [b"30", b"20", png])
    (text,) = accumulator.Tensors("config")
    assert list(text.tensor_proto.string_val) == [b"**bold**"]
    (histogram,) = accumulator.Tensors("weights/w")
    table = np.frombuffer(histogram.tensor_proto.tensor_content).reshape(-1, 3)
    assert histogram.step == 3
    assert table.tolist() == [[0, 1, 1], [1, 2, 2], [2, 3, 0], [3, 4, 1]]


@pytest.mark.parametrize("values", [[2.0, 2.0], [1.0, 1.0 + 1e-7], [0.0], [0.0, 5e-324], [-1e30, -1e30]])
def test_values_that_are_all_but_equal_have_a_histogram(tmp_path, values):
    with event_file(tmp_path) as events:
        events.histogram("x", np.array(values, np.float32), 0)
    (point,) = read(tmp_path).Tensors("x")
    table = np.frombuffer(point.tensor_proto.tensor_content).reshape(-1, 3)
    assert table[:, 2].sum() == len(values)
    assert table[0, 0] <= min(values) <= max(values) <= table[-1, 1]


def test_of_values_that_are_not_finite_there_is_no_histogram(tmp_path):
    with event_file(tmp_path) as events:
        events.histogram("none", np.array([np.nan, np.inf]), 0)
        events.histogram("some", np.array([np.nan, 1.0]), 0)
    assert read(tmp_path).Tags()["tensors"] == ["some"]


def test_a_frame_is_that_of_tensorboards_own_writer():
    for event in (b"", b"x", bytes(range(256)) * 3):
        file = io.BytesIO()
        RecordWriter(file).write(event)
        assert tfrecord(event) == file.getvalue()
