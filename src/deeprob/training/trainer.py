"""Settings of the training loop: length, device, batches and checkpoints."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from deeprob.config import choice, number, one_word, register, some_words
from deeprob.errors import did_you_mean
from deeprob.tracking.metric_names import OF_CLASSES, OF_NUMBERS, SYNONYMS, is_recall

PRECISIONS = ("float32", "float64", "bf16")
DEVICES = ("auto", "cpu", "cuda")
MONITORS = ("auto", *(f"val/{measure}" for measure in ("loss", *OF_CLASSES, *OF_NUMBERS)))


@register("trainer", "default")
@dataclass(kw_only=True, slots=True)
class TrainerConfig:
    """Settings of the training loop.

    Attributes
    ----------
    epochs
        The number of passes over the training split. With the full batch, an epoch is one update. ``auto`` takes 30, or
        more on few examples, so that there are 1,000 updates, and 10,000 if the model is linear.
    batch_size
        The number of examples per update. ``full`` takes all examples. ``auto`` chooses a number for the dataset and
        the optimizer.
    chunk_size
        The number of examples of a batch that are in memory at once (a chunk). Gradients are summed over the chunks, so
        an update still uses the whole batch. But dropout draws other masks, and batch norm normalizes over a chunk.
        ``auto`` takes a number that needs about 256 MB, or one that gives all processes of torchrun the same work.
    device
        The device that computes. ``auto`` takes CUDA if there is a CUDA device.
    precision
        The precision of all numbers. ``bf16`` uses bfloat16 in matrix products (autocast) and float32 elsewhere.
    gradient
        The way to compute gradients. ``formulas`` uses the derivative of each part, written as a formula. ``autograd``
        uses PyTorch's automatic differentiation. ``auto`` takes formulas if all parts of the run have them.
    threads
        The number of CPU threads. ``auto`` takes one for small networks, which are slower with more threads, and for
        each of several processes.
    log_every
        The number of updates between two points of a training curve. The end of each epoch is always a point.
    checkpoint_minutes
        The number of minutes between two checkpoints. 0 turns this off. The start and the end of a run always write a
        checkpoint.
    checkpoint_epochs
        The number of epochs between two checkpoints. 0 turns this off. The start and the end of a run always write a
        checkpoint.
    checkpoint_steps
        The number of updates between two checkpoints. 0 turns this off. The start and the end of a run always write a
        checkpoint.
    monitor
        The validation metric that chooses the best checkpoint. ``auto`` takes the accuracy, or the loss if
        there are no classes. Classes have ``val/loss``, ``val/accuracy``, ``val/balanced_accuracy``, ``val/f1``,
        ``val/auroc``, ``val/top5``, ``val/ece`` and ``val/recall/NAME``. Numbers have ``val/loss``, ``val/r2``,
        ``val/mae`` and ``val/rmse``. Example: ``dataset.val_fraction=0.2 trainer.monitor=val/balanced_accuracy``.
    patience
        The number of epochs without a better validation metric after which the run stops. 0 never stops it. It
        needs a validation split. Example: ``dataset.val_fraction=0.2 trainer.patience=5``.
    patience_monitor
        The validation metric that `patience` watches. ``auto`` takes the loss, which may still fall when the
        accuracy no longer rises. Example: ``dataset.val_fraction=0.2
        trainer.patience_monitor=val/auroc``.
    progress
        Whether to show the progress of a run: a bar on a terminal, lines elsewhere.
    figures
        The figures that are drawn for TensorBoard and the run's figures folder. null draws all figures that suit
        the run, but none in a sweep. [] draws none. Example: ``trainer.figures=[decision_boundary,weights]``.
    figures_every
        The number of epochs between two drawings of the figures. 0 draws about five times in a run.
    trackers
        What writes the curves of a run. ``tensorboard`` writes an event file, ``csv`` metrics.csv, ``jsonl``
        metrics.jsonl, ``mlflow`` a run of MLflow. A tracker's settings follow its name. [] writes none.
        Example: ``trainer.trackers=[tensorboard,csv,jsonl]``.
    preflight
        Whether to check data, device, initial loss and gradient before the first update. ``only`` checks and does
        not train.
    """

    epochs: int | str = number("auto", minimum=1, words=("auto",))
    batch_size: int | str = number("auto", minimum=1, words=("full", "auto"))
    chunk_size: int | str = number("auto", minimum=1, words=("auto",))
    device: str = choice("auto", among=DEVICES)
    precision: str = choice("float32", among=PRECISIONS)
    gradient: str = choice("auto", among=("auto", "formulas", "autograd"))
    threads: int | str = number("auto", minimum=1, maximum=1024, words=("auto",))
    log_every: int = number(50, minimum=1)
    checkpoint_minutes: float = number(0.5, minimum=0)
    checkpoint_epochs: int = number(0, minimum=0)
    checkpoint_steps: int = number(0, minimum=0)
    monitor: str = one_word("auto", "auto, or a metric such as val/f1")
    patience: int = number(0, minimum=0)
    patience_monitor: str = one_word("auto", "auto, or a metric such as val/f1")
    progress: bool = True
    figures: list[str] | None = some_words(or_none=True)
    figures_every: int = number(0, minimum=0)
    trackers: list[str] = field(default_factory=lambda: ["tensorboard", "csv"])
    preflight: bool | str = choice(False, among=(False, True, "only"))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of parameters and features."""
        return torch.float64 if self.precision == "float64" else torch.float32

    def noise_sources(self) -> list[str]:
        """Return the config override that avoids the rounding of ``bf16``; empty if the precision is not ``bf16``."""
        return ["trainer.precision=float32"] if self.precision == "bf16" else []

    def problems(self) -> Iterator[str]:
        """Yield a message for each metric that does not exist, and each setting that this machine does not support."""
        for key, metric in (("monitor", self.monitor), ("patience_monitor", self.patience_monitor)):
            if metric not in MONITORS and not (is_recall(metric) and metric.startswith("val/")):
                yield f"{key}={metric}: no metric of the validation split; {did_you_mean(metric, MONITORS, SYNONYMS)}"
        if self.device == "cuda" and not torch.cuda.is_available():
            yield "device=cuda: no CUDA device here; use auto or cpu"
        if self.device not in DEVICES:
            yield f"device={self.device}: expected one of {', '.join(DEVICES)}"
