import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from deeprob.tracking.events import EventFile


def read(directory) -> EventAccumulator:
    accumulator = EventAccumulator(str(directory))
    accumulator.Reload()
    return accumulator


def test_scalars_come_back(tmp_path):
    with EventFile(tmp_path) as events:
        events.scalars({"a": 1.5, "b/c": 2.0}, 3)
        events.scalars({"a": 2.5}, 7)
    assert len(list(tmp_path.iterdir())) == 1
    accumulator = read(tmp_path)
    assert [(point.step, point.value) for point in accumulator.Scalars("a")] == [(3, 1.5), (7, 2.5)]
    assert [(point.step, point.value) for point in accumulator.Scalars("b/c")] == [(3, 2.0)]


def test_what_is_flushed_can_be_read_while_the_run_goes_on(tmp_path):
    with EventFile(tmp_path) as events:
        events.scalars({"a": 1.0}, 1)
        events.flush()
        assert read(tmp_path).Tags()["scalars"] == ["a"]


@pytest.mark.parametrize(("completed", "status"), [(True, Status.STATUS_SUCCESS), (False, Status.STATUS_FAILURE)])
def test_hyperparameters_and_end(tmp_path, completed, status):
    with EventFile(tmp_path) as events:
        events.hyperparameters({"lr": 0.5, "layers": 2, "nesterov": True, "model": "mlp", "hidden": [3], "limit": None})
        events.finished(completed)
    metadata = read(tmp_path).summary_metadata

    def content(tag: str) -> HParamsPluginData:
        return HParamsPluginData.FromString(metadata[tag].plugin_data.content)

    hparams = content("_hparams_/session_start_info").session_start_info.hparams
    assert (hparams["lr"].number_value, hparams["layers"].number_value) == (0.5, 2.0)
    assert (hparams["nesterov"].bool_value, hparams["model"].string_value) == (True, "mlp")
    assert (hparams["hidden"].string_value, hparams["limit"].string_value) == ("[3]", "none")
    assert content("_hparams_/session_end_info").session_end_info.status == status


def test_curves_that_belong_together_share_a_chart(tmp_path):
    with EventFile(tmp_path) as events:
        events.layout()
    accumulator = read(tmp_path)
    (point,) = accumulator.Tensors("custom_scalars__config__")
    (category,) = Layout.FromString(point.tensor_proto.string_val[0]).category
    charts = {chart.title: list(chart.multiline.tag) for chart in category.chart}
    assert charts["accuracy"] == ["train/accuracy", "val/accuracy", "test/accuracy"]
    assert charts["L(W) = data loss + regularization"] == ["train/loss", "train/data_loss", "train/regularization"]
    metadata = accumulator.SummaryMetadata("custom_scalars__config__")
    assert metadata.plugin_data.plugin_name == "custom_scalars"
