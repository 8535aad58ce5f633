"""Settings of the training loop: length, device, batches and checkpoints."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from deeprob.config import choice, number, register, some_words

PRECISIONS = ("float32", "float64", "bf16")
DEVICES = ("auto", "cpu", "cuda")
MONITORS = ("auto", "val/accuracy", "val/loss")


@register("trainer", "default")
@dataclass(kw_only=True, slots=True)
class TrainerConfig:
    """Settings of the training loop.

    Attributes
    ----------
    epochs
        Passes over the training split. With a full batch, each epoch is one update.
    batch_size
        Examples per update; ``full`` for the whole training split; ``auto`` chooses by dataset and optimizer.
    chunk_size
        Examples in memory at once within a batch; ``auto`` for about 256 MB. The gradients of the chunks are summed, so
        the result is that of the whole batch. Two exceptions: another chunk size gives other dropout masks, and batch
        norm takes its statistics from one chunk.
    device
        ``cpu``, ``cuda``, or ``auto`` for CUDA if the machine has it.
    precision
        The precision of all numbers. ``bf16`` computes matrix products in bfloat16 (autocast), all else in float32.
    threads
        CPU threads; ``auto`` chooses one thread for small networks, where two are slower.
    log_every
        Updates between two points of a training curve. The end of an epoch always adds a point.
    checkpoint_minutes, checkpoint_epochs, checkpoint_steps
        Write a checkpoint when the last one is this many minutes old, and after every this many epochs or updates; 0
        switches a rule off. The start and the end of a run always write one.
    monitor
        The validation metric that chooses the best checkpoint; ``auto``: accuracy if there are classes, else loss.
    patience, patience_monitor
        Stop after `patience` epochs without a better value of the validation metric `patience_monitor`; 0 never stops.
        ``auto`` is the loss, which may still fall when accuracy no longer rises.
    figures, figures_every
        The names of figures for TensorBoard and the run's ``figures`` folder; null: those that suit the run, and none
        in a sweep; ``[]``: none. `figures_every`: epochs between two snapshots of the run; 0: a fifth of the run.
    preflight
        Check data, device, initial loss and gradient before the first update; ``only`` checks and does not train.
    """

    epochs: int = number(30, minimum=1)
    batch_size: int | str = number("auto", minimum=1, words=("full", "auto"))
    chunk_size: int | str = number("auto", minimum=1, words=("auto",))
    device: str = choice("auto", among=DEVICES)
    precision: str = choice("float32", among=PRECISIONS)
    threads: int | str = number("auto", minimum=1, maximum=1024, words=("auto",))
    log_every: int = number(50, minimum=1)
    checkpoint_minutes: float = number(0.5, minimum=0)
    checkpoint_epochs: int = number(0, minimum=0)
    checkpoint_steps: int = number(0, minimum=0)
    monitor: str = choice("auto", among=MONITORS)
    patience: int = number(0, minimum=0)
    patience_monitor: str = choice("auto", among=MONITORS)
    progress: bool = True
    figures: list[str] | None = some_words(or_none=True)
    figures_every: int = number(0, minimum=0)
    preflight: bool | str = choice(False, among=(False, True, "only"))

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of parameters and features."""
        return torch.float64 if self.precision == "float64" else torch.float32

    def noise_sources(self) -> list[str]:
        """Return the override that gives finer rounding, if products are rounded to 8 bits (bfloat16)."""
        return ["trainer.precision=float32"] if self.precision == "bf16" else []

    def problems(self) -> Iterator[str]:
        """Yield a message for each setting that this machine does not support."""
        if self.device == "cuda" and not torch.cuda.is_available():
            yield "device=cuda: no CUDA device here; use auto or cpu"
        if self.device not in DEVICES:
            yield f"device={self.device}: expected one of {', '.join(DEVICES)}"
