"""Write TensorBoard's event file without TensorBoard's own writer. Each run has one file."""

import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.custom_scalar import metadata as layout_metadata
from tensorboard.plugins.custom_scalar.layout_pb2 import Category, Chart, Layout, MultilineChartContent
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.text import metadata as text_metadata
from tensorboard.util import tensor_util

from deeprob.tracking.appended_file import AppendedFile

CHARTS = {
    "accuracy": ["train/accuracy", "val/accuracy", "test/accuracy"],
    "data loss": ["train/data_loss", "val/loss", "test/loss"],
    "L(W) = data loss + regularization": ["train/loss", "train/data_loss", "train/regularization"],
    "optimization": ["optim/grad_norm", "params/norm"],
}
"""The charts of the custom scalars tab. Each chart shows several curves of a run together."""

VALIDATION_OF_CLASSES = {
    "validation: balanced accuracy, F1, AUROC": ["val/balanced_accuracy", "val/f1", "val/auroc"],
    "validation: recall of each class": ["val/recall/.*"],
}
VALIDATION_OF_NUMBERS = {"validation: R²": ["val/r2"], "validation: errors": ["val/mae", "val/rmse"]}
"""Further charts, if there is a validation split. A tag is a regular expression."""

FIRST = {f"{split}/{name}": f"curves/{name}/{split}" for name in ("accuracy", "loss") for split in ("train", "val")}
"""Curves that are written twice. The second tag makes TensorBoard show them first.

TensorBoard's time series tab sorts the groups of tags by name, and opens only the first two groups. Without the second
tags, these groups would be figures and learning rates.
"""

BEST = [f"{split}/{measure}" for split in ("train", "val", "test") for measure in ("accuracy", "loss")]
"""Metrics of the best checkpoint. When a run has ended well, they are written with tags that begin ``curves-best/``.

The HParams tab has one column per tag, in alphabetical order, and shows only the first five. Without these tags, the
tab would show norms and learning rates. It sorts ``-`` before ``/``, so ``curves-best/`` comes before ``curves/``. The
time series tab sorts ``/`` before ``-``, so the curves still come first there.

An experiment summary could set the order of the columns. But TensorBoard uses the summary of one run for all runs. Then
TensorBoard does not find keys that only other runs have, and does not find the keys in which runs differ.
"""


class EventFile(AppendedFile):
    """The event file of a run.

    Parameters
    ----------
    directory
        The run directory.
    length
        If 0, a new file is started. Otherwise the newest event file in the directory is shortened to this number of
        bytes, and further events are appended to it.
    """

    def __init__(self, directory: Path, length: int = 0) -> None:
        files = sorted(directory.glob("events.out.tfevents.*"))
        if length and files and files[-1].stat().st_size >= length:
            super().__init__(files[-1])
            self.cut(length)
            return
        super().__init__(directory / f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}")
        self.path.touch(exist_ok=False)
        self._event(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def _event(self, event: Event) -> None:
        self.append(tfrecord(event.SerializeToString()))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write one point of each curve. `values` has the tag of each curve and its value at `step`."""
        values = {**values, **{FIRST[tag]: value for tag, value in values.items() if tag in FIRST}}
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._event(Event(wall_time=time.time(), step=step, summary=summary))

    def layout(self, *, classes: bool, validation: bool) -> None:
        """Write the charts of the custom scalars tab that have curves.

        Parameters
        ----------
        classes
            Whether the targets are classes.
        validation
            Whether there is a validation split.
        """
        further = (VALIDATION_OF_CLASSES if classes else VALIDATION_OF_NUMBERS) if validation else {}
        charts = [
            Chart(title=title, multiline=MultilineChartContent(tag=tags))
            for title, tags in {**CHARTS, **further}.items()
            if classes or title != "accuracy"
        ]
        layout = Layout(category=[Category(title="together", chart=charts)]).SerializeToString()
        self._tensor(
            layout_metadata.CONFIG_SUMMARY_TAG, np.array(layout, object), layout_metadata.create_summary_metadata()
        )

    def text(self, tag: str, markdown: str) -> None:
        """Write a text for the text tab."""
        about = text_metadata.create_summary_metadata(None, None)
        self._tensor(tag, np.array([markdown.encode()], object), about)

    def image(self, tag: str, png: bytes, step: int) -> None:
        """Write a picture for the images tab. `png` is the content of a PNG file."""
        width, height = (str(int.from_bytes(png[place : place + 4], "big")).encode() for place in (16, 20))  # IHDR
        about = image_metadata.create_summary_metadata(None, None)
        self._tensor(tag, np.array([width, height, png], object), about, step)

    def histogram(self, tag: str, values: npt.NDArray[Any], step: int, bins: int = 30) -> None:
        """Write a histogram of the finite values, for the histograms and distributions tabs."""
        values = values[np.isfinite(values)]
        if values.size == 0:
            return
        low, high = float(values.min()), float(values.max())
        margin = 1e-6 * max(abs(low), abs(high), 1e-6)  # NumPy cannot make bins for almost equal values
        span = (low, high) if high - low > margin else (low - margin, high + margin)
        counts, edges = np.histogram(values.astype(np.float64), bins, span)
        table = np.stack([edges[:-1], edges[1:], counts], axis=1).astype(np.float64)
        self._tensor(tag, table, histogram_metadata.create_summary_metadata(None, None), step)

    def _tensor(self, tag: str, content: npt.NDArray[Any], about: Any, step: int = 0) -> None:
        """Write an array of numbers or strings for a plugin of TensorBoard. `about` is the metadata for the plugin."""
        value = Summary.Value(tag=tag, metadata=about)
        value.tensor.CopyFrom(tensor_util.make_tensor_proto(content))
        self._event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))

    def hyperparameters(self, values: Mapping[str, bool | float | str]) -> None:
        """Write the run's hyperparameters, for the HParams tab. A key must have the same type in all runs."""
        start = SessionStartInfo(start_time_secs=time.time())
        for key, value in values.items():
            if isinstance(value, bool):
                start.hparams[key].bool_value = value
            elif isinstance(value, str):
                start.hparams[key].string_value = value
            else:
                start.hparams[key].number_value = value
        self._session(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))

    def best(self, metrics: Mapping[str, float], step: int) -> None:
        """Write the metrics of the best checkpoint, for the first columns of the HParams tab."""
        self.scalars({f"curves-best/{name}": metrics[name] for name in BEST if name in metrics}, step)

    def finished(self, completed: bool) -> None:
        """Write whether the run was completed or failed, for the HParams tab."""
        status = Status.STATUS_SUCCESS if completed else Status.STATUS_FAILURE
        end = SessionEndInfo(status=status, end_time_secs=time.time())
        self._session(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))

    def _session(self, tag: str, content: HParamsPluginData) -> None:
        value = Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(content))
        value.tensor.CopyFrom(metadata.NULL_TENSOR)
        self._event(Event(wall_time=time.time(), summary=Summary(value=[value])))


def tfrecord(event: bytes) -> bytes:
    """Return an event in TensorBoard's file format.

    The format is: the length, a checksum of the length, the event, a checksum of the event. A checksum is a masked
    CRC-32C. TensorBoard's own writer computes checksums in Python, which takes most of its time.
    """
    length = struct.pack("<Q", len(event))
    return length + _checksum(length) + event + _checksum(event)


def _checksum(content: bytes) -> bytes:
    value = google_crc32c.value(content)
    return struct.pack("<I", (value >> 15 | value << 17 & 0xFFFFFFFF) + 0xA282EAD8 & 0xFFFFFFFF)
