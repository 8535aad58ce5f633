"""The arguments of the training loop: the objects of each run, and the settings that all runs share."""

from dataclasses import dataclass, field

from deeprob.objective import Objective
from deeprob.optim import OptimizerConfig
from deeprob.training.draws import Augment
from deeprob.training.ranks import Ranks
from deeprob.training.scoring import Scoring
from deeprob.training.state import TrainState


@dataclass(frozen=True)
class Learner:
    """The objects that belong to one run, which trains alone or in a stack.

    Attributes
    ----------
    state
        The training state. The loop updates it in place, and its tensors become views of the stack's tensors. The
        state can be saved at any record. A run that loads the saved state gets the same results, bit for bit, as a
        run without interruption.
    objective
        The function that computes L(W).
    optimizer
        The config of the state's optimizer.
    seed
        The seed. It decides the order of the examples, the dropout masks, and the random numbers of augmentation.
    zeros
        Whether to measure the share of weights that are exactly 0.
    """

    state: TrainState
    objective: Objective
    optimizer: OptimizerConfig
    seed: int
    zeros: bool = False


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """The settings of the training loop: its length, its batches, and the updates after which it yields records.

    A record with measurements is called a reading. An empty record lets the caller write a checkpoint.

    Attributes
    ----------
    epochs, batch_size, chunk_size, log_every
        See `TrainerConfig`. Here, numbers have replaced words such as ``auto``.
    formulas
        Whether formulas compute the gradient. If not, autograd does.
    bf16
        Whether to compute matrix products in bfloat16. Parameters, loss and updates keep their precision.
    pause_every
        The number of updates between two empty records. 0: there are no empty records. If an empty record and a reading
        are due after the same update, only the reading is yielded.
    augment
        The function that augments a batch of inputs. Its second argument is a key for random numbers. None: no
        augmentation.
    ranks
        The processes that train the run together. A stack of several runs trains in one process.
    scoring
        The function that measures the scores of the validation split.
    """

    epochs: int
    batch_size: int
    chunk_size: int
    log_every: int
    formulas: bool = True
    bf16: bool = False
    pause_every: int = 0
    augment: Augment | None = None
    ranks: Ranks = field(default_factory=Ranks)
    scoring: Scoring = field(default_factory=Scoring)

    def read_at(self, step: int, per_epoch: int) -> bool:
        """Return whether a reading is due after `step` updates."""
        return step % per_epoch == 0 or step % self.log_every == 0

    def paused_at(self, step: int) -> bool:
        """Return whether an empty record is due after `step` updates."""
        return self.pause_every > 0 and step % self.pause_every == 0

    def next_record(self, step: int, per_epoch: int) -> int:
        """Return the number of updates after which the next record is due. `step` updates have been made already."""
        step += 1
        while not (self.read_at(step, per_epoch) or self.paused_at(step)):
            step += 1
        return step
