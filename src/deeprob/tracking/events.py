"""TensorBoard's event file, written directly: one file a run, several values an event."""

import os
import socket
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar import metadata as layout_metadata
from tensorboard.plugins.custom_scalar.layout_pb2 import Category, Chart, Layout, MultilineChartContent
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

CHARTS = {
    "accuracy": ["train/accuracy", "val/accuracy", "test/accuracy"],
    "data loss": ["train/data_loss", "val/loss", "test/loss"],
    "L(W) = data loss + regularization": ["train/loss", "train/data_loss", "train/regularization"],
    "optimization": ["optim/grad_norm", "params/norm"],
}
"""The custom scalars tab: charts that show several curves of a run together."""


class EventFile:
    """The event file of a run.

    Parameters
    ----------
    directory
        The run directory.
    length
        Go on in the newest event file there, which is cut to so many bytes; 0 begins a new one.
    """

    def __init__(self, directory: Path, length: int = 0) -> None:
        files = sorted(directory.glob("events.out.tfevents.*"))
        if length and files and files[-1].stat().st_size >= length:
            os.truncate(files[-1], length)
            self._file = files[-1].open("ab")
            self._writer = RecordWriter(self._file)
            return
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self._file = (directory / name).open("wb")
        self._writer = RecordWriter(self._file)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.close()

    def _write(self, event: Event) -> None:
        self._writer.write(event.SerializeToString())

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write a point of several curves."""
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def layout(self, without: Collection[str] = ()) -> None:
        """Write which curves share a chart in the custom scalars tab, `without` charts that will have none."""
        charts = [
            Chart(title=title, multiline=MultilineChartContent(tag=tags))
            for title, tags in CHARTS.items()
            if title not in without
        ]
        layout = Layout(category=[Category(title="together", chart=charts)])
        value = Summary.Value(
            tag=layout_metadata.CONFIG_SUMMARY_TAG, metadata=layout_metadata.create_summary_metadata()
        )
        value.tensor.CopyFrom(tensor_util.make_tensor_proto(layout.SerializeToString(), dtype=DT_STRING))
        self._write(Event(wall_time=time.time(), summary=Summary(value=[value])))

    def hyperparameters(self, values: Mapping[str, Any]) -> None:
        """Write what the run was started with, for the HParams tab."""
        start = SessionStartInfo(start_time_secs=time.time())
        for key, value in values.items():
            if isinstance(value, bool):
                start.hparams[key].bool_value = value
            elif isinstance(value, int | float):
                start.hparams[key].number_value = value
            else:
                start.hparams[key].string_value = "none" if value is None else str(value)
        self._session(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))

    def finished(self, completed: bool) -> None:
        """Write how the run ended, for the HParams tab."""
        status = Status.STATUS_SUCCESS if completed else Status.STATUS_FAILURE
        end = SessionEndInfo(status=status, end_time_secs=time.time())
        self._session(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))

    def _session(self, tag: str, content: HParamsPluginData) -> None:
        value = Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(content))
        value.tensor.CopyFrom(metadata.NULL_TENSOR)
        self._write(Event(wall_time=time.time(), summary=Summary(value=[value])))

    def flush(self) -> None:
        """Let TensorBoard see what was written."""
        self._writer.flush()

    def synced_length(self) -> int:
        """Return the file's length once all of it is on the disk."""
        self._writer.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()
