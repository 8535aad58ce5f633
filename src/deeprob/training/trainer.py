"""How long to train, on what, in which batches, and what to keep."""

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
    """Fields of the training loop.

    Attributes
    ----------
    epochs
        Passes over the training split; with a full batch, updates.
    batch_size
        Examples an update; ``full``, or ``auto`` for what suits dataset and optimizer.
    chunk_size
        Examples in memory at once within a batch (the gradient is summed over chunks); ``auto`` for about 256 MB. The
        result is that of the whole batch; but dropout draws other masks for another size, and batch norm sees a chunk.
    device
        ``auto`` takes CUDA where there is one.
    precision
        Of all numbers; ``bf16`` keeps float32 but for products of matrices (autocast).
    threads
        CPU threads; ``auto`` takes one for small networks, where two are slower.
    log_every
        Updates between two points of a training curve; the end of an epoch always is one.
    checkpoint_minutes, checkpoint_epochs, checkpoint_steps
        A checkpoint is written when the last one is so many minutes old, every so many epochs, and every so many
        updates (0: not for that reason); the start and the end of a run always write one.
    monitor
        The validation metric that chooses the best checkpoint; ``auto``: accuracy, where there are classes.
    patience, patience_monitor
        The epochs without a better value of a validation metric after which the run stops (0: never), and that metric;
        ``auto``: the loss, which still falls when accuracy has reached its highest value.
    figures, figures_every
        Pictures for TensorBoard and the run's ``figures`` folder, by name (null: those that suit the run, but none in a
        sweep; ``[]``: none), and the epochs between two looks at the run (0: a fifth of the run).
    preflight
        Check data, device, initial loss and gradient before the first update; ``only`` does not train after it.
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
        """The type of parameters and features."""
        return torch.float64 if self.precision == "float64" else torch.float32

    def noise_sources(self) -> list[str]:
        """Return the override that makes rounding finer, if products are rounded to 8 bits."""
        return ["trainer.precision=float32"] if self.precision == "bf16" else []

    def problems(self) -> Iterator[str]:
        """Yield what cannot be done on this machine."""
        if self.device == "cuda" and not torch.cuda.is_available():
            yield "device=cuda: no CUDA device here; use auto or cpu"
        if self.device not in DEVICES:
            yield f"device={self.device}: expected one of {', '.join(DEVICES)}"
