"""A run that trains in memory: it writes no files, prints nothing, and can go on with further examples."""

from dataclasses import dataclass, field
from typing import Self

from torch import Tensor

from deeprob.assembly.config import RunConfig
from deeprob.assembly.prepare import Shared, for_training
from deeprob.assembly.setup import Setup
from deeprob.data import Examples
from deeprob.errors import memory_errors
from deeprob.optim import Schedule
from deeprob.tracking.checkpoint_file import copied
from deeprob.tracking.device import threads
from deeprob.training import Predictor
from deeprob.training.learner import Learner, LoopSettings
from deeprob.training.one_pass import one_pass

Row = dict[str, float]


class Quiet(Shared):
    """The data of one run, about which nothing is printed."""

    def note_once(self, line: str) -> None:
        """Print nothing."""


@dataclass
class RunInMemory:
    """A run that trains in memory. It can be pickled, and does not hold its data.

    Attributes
    ----------
    config, predictor
        The resolved config, and the features with the model.
    learner, settings, threads
        The parts of the training loop, and the number of CPU threads.
    rows
        The metrics of each epoch or pass so far.
    metrics
        The metrics of the training split at the end, and those of the last epoch.
    """

    config: RunConfig
    predictor: Predictor
    learner: Learner
    settings: LoopSettings
    threads: int
    rows: list[Row] = field(default_factory=list)
    metrics: Row = field(default_factory=dict)

    @classmethod
    def trained(cls, config: RunConfig) -> Self:
        """Return a run that is trained to its end.

        If there is a validation split, it has the weights of the best epoch, and stops as ``trainer.patience`` says.

        Raises
        ------
        UserError
            See `Setup.build`.
        Diverged
            If a number is not finite.
        """
        setup, run = cls._begun(config)
        best: dict[str, Tensor] | None = None
        with threads(run.threads), memory_errors(setup.batch_size):
            for record in setup.train(lambda: False):
                if record.epoch_metrics is None:
                    continue
                metrics, better = setup.end_epoch(record)
                run.rows.append({"epoch": record.epoch, "step": record.step, **metrics})
                if better:
                    best = copied(setup.state.model.state_dict())
                if setup.out_of_patience:
                    break
            if best is not None:
                setup.state.model.load_state_dict(best)
            run.metrics = {**run.rows[-1], **setup.measure("train", setup.splits.train)}
        run._end()
        return run

    @classmethod
    def passed_over(cls, config: RunConfig) -> Self:
        """Return a new run after one pass over the training examples of its config (see `pass_over`)."""
        setup, run = cls._begun(config)
        run._pass_over(setup.splits.train)
        return run

    @classmethod
    def _begun(cls, config: RunConfig) -> tuple[Setup, Self]:
        with memory_errors():
            setup = Setup.build(config.resolved(), Quiet())
        return setup, cls(setup.config, setup.predictor, setup.learner, setup.settings, setup.threads)

    def pass_over(self, inputs: Tensor, targets: Tensor, weights: Tensor | None = None) -> None:
        """Train on each of some further examples once, from the current weights and the optimizer's current state.

        Features, and the scale of the targets, stay as they were fitted on the first examples. The learning rate does
        not follow a schedule.

        Parameters
        ----------
        inputs, targets
            Raw inputs (N, …), and targets as in `Examples`.
        weights
            The weights (N,) of the examples (see `Examples.weighted`). None: each has the weight 1.

        Raises
        ------
        Diverged
            If a number is not finite afterwards.
        """
        features = self.predictor.features
        extracted = features.extract(inputs)
        examples = Examples(extracted, targets)
        if weights is not None:
            examples = Examples.weighted(extracted, targets, weights)
        like = features.like
        self._pass_over(for_training(examples, self.predictor.target_scale, like.dtype).to(like.device))

    def _pass_over(self, examples: Examples) -> None:
        self.learner.state.schedule = Schedule()  # nobody knows how many passes there will be
        with threads(self.threads), memory_errors(len(examples)):
            means = one_pass(self.learner, self.predictor.features, examples, self.settings, len(self.rows))
        self.rows.append({"epoch": len(self.rows) + 1, "step": self.learner.state.step, **means})
        self.metrics = self.rows[-1]
        self._end()

    def _end(self) -> None:
        """Give each tensor memory of its own, without gradients: a pickle of a view holds all that it is a view of."""
        state = self.learner.state
        state.schedule = Schedule()
        for parameter in state.model.parameters():
            parameter.data, parameter.grad = parameter.data.clone(), None
            kept = state.optimizer.state[parameter]
            kept |= {name: value.clone() for name, value in kept.items() if isinstance(value, Tensor)}
        for buffer in state.model.buffers():
            buffer.data = buffer.data.clone()
        state.model.eval()
