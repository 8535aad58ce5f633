import json
import re

import markdown
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from deeprob import config as configs
from deeprob.assembly.config import RunConfig
from deeprob.config import options
from deeprob.training.trackers import TensorBoardConfig

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (30).to_bytes(4, "big") + (20).to_bytes(4, "big")


def read(directory) -> EventAccumulator:
    events = EventAccumulator(str(directory))
    events.Reload()
    return events


def text(events: EventAccumulator, tag: str) -> str:
    (event,) = events.Tensors(tag)
    return event.tensor_proto.string_val[0].decode()


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("completed", Status.STATUS_SUCCESS),
        ("stopped", Status.STATUS_SUCCESS),
        ("diverged", Status.STATUS_FAILURE),
        ("interrupted", Status.STATUS_FAILURE),
    ],
)
def test_everything_has_its_place_in_the_file(about, status, expected):
    tracker = TensorBoardConfig().build()
    tracker.begin(about())
    tracker.scalars({"train/loss": 0.5}, 3, 1)
    tracker.epoch({"epoch": 1, "step": 3, "optim/evaluations": 3})
    tracker.image("figures/x", PNG, 3)
    tracker.histogram("weights/x", np.ones(4), 3)
    tracker.best({"test/accuracy": 0.75}, 3)
    tracker.finished({"status": status})
    tracker.close()
    events = read(about().directory)
    assert set(events.Tags()["scalars"]) == {"train/loss", "curves/loss/train", "curves-best/test/accuracy"}
    assert (events.Scalars("train/loss")[0].step, events.Scalars("train/loss")[0].value) == (3, 0.5)
    assert {"figures/x", "weights/x", "custom_scalars__config__"} <= set(events.Tags()["tensors"])
    assert text(events, "config") == "```yaml\nseed: 3\n```"
    assert json.loads(text(events, "provenance").removeprefix("```json\n").removesuffix("```")) == about().provenance
    content = events.summary_metadata["_hparams_/session_end_info"].plugin_data.content
    assert HParamsPluginData.FromString(content).session_end_info.status == expected
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    hparams = HParamsPluginData.FromString(content).session_start_info.hparams
    assert hparams["optimizer.lr"].number_value == 0.5


def test_events_after_the_checkpoint_are_cut(about):
    tracker = TensorBoardConfig().build()
    tracker.begin(about())
    tracker.scalars({"train/loss": 0.5}, 3, 1)
    position = tracker.position()
    (path,) = about().directory.glob("events.*")
    content = path.read_bytes()
    tracker.scalars({"train/loss": 0.25}, 6, 2)
    tracker.flush()
    assert position == {"length": len(content)}
    assert path.stat().st_size > len(content)
    later = TensorBoardConfig().build()
    later.go_on(about(), position)
    later.scalars({"train/loss": 0.25}, 6, 2)
    later.discard()
    later.close()
    assert path.read_bytes() == content


CHOICES = {
    "dataset": "csv", "features": "raw", "model": "mlp", "loss": "cross_entropy", "regularizer": "none",
    "optimizer": "adamw", "scheduler": "constant", "trainer": "default",
}  # fmt: skip


def test_no_value_leaves_its_text(about):
    """A value that ends the block of code would be Markdown, with links and pictures from elsewhere."""
    loose = "x\n```\n\n# big\r```\r[click](http://a.b)\u2028```\u2028<img src=http://a.b/c.png>\n```\n~~~\n"
    long = "    ```\n" + 100 * "a " + loose
    for value in (loose, loose.lstrip("x"), "```\n[click](http://a.b)", long, "\x02```\n\x03"):
        config = RunConfig(**{group: options(group)[name]() for group, name in CHOICES.items()}, seed=0)
        config.dataset.root, config.dataset.targets = value, [value, "y"]
        tracker = TensorBoardConfig().build()
        tracker.begin(about(config=configs.to_yaml(config).decode(), provenance={"command": value, value: [value]}))
        tracker.close()
        events = read(about().directory)
        next(about().directory.glob("events.*")).unlink()
        for tag in ("config", "provenance"):
            shown = markdown.markdown(text(events, tag), extensions=["tables", "fenced_code"])  # as TensorBoard does
            assert re.match('<pre><code class="language-(yaml|json)">', shown)
            assert shown.endswith("</code></pre>")
            assert shown.count("<") == 4
