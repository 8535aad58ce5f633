"""What a part of each group has to keep: its methods, the shapes of tensors, and the meaning of `rng` and `key`.

A part is a dataclass with the settings of an option. It is registered under a name, and its method `build` returns the
object that works. The base classes in `deeprob.parts` satisfy these protocols, and have a default for everything that a
part need not define. ``deeprob-check-part model=NAME`` tries whether a part keeps what is written here.

Letters of shapes: N examples of a split, B examples of a batch, C classes or predicted numbers, D inputs of a model.

`rng` is a `torch.Generator` on the CPU that a seed and the name ``weights`` have seeded. Initial weights are drawn from
it, and nothing else is. `key` is a 0-d int64 tensor that selects the random numbers of one update, such as a dropout
mask (see `deeprob.parts.randomness`): the same key always gives the same numbers. If it is None, noise is off. A part
draws no random numbers from anywhere else. So a run has the same bits again, and after resumption. In a stack it has
the same bits if all its parts have formulas, and else the same numbers up to rounding.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from deeprob.analysis.surfaces import SurfaceConfig
    from deeprob.assembly.finished import Run
    from deeprob.data import DatasetConfig, Splits
    from deeprob.features import Features, FeaturesConfig
    from deeprob.figures import FigureConfig
    from deeprob.models import Model, ModelConfig
    from deeprob.objective import Loss, LossConfig, Regularizer, RegularizerConfig
    from deeprob.optim import OptimizerConfig, Schedule, SchedulerConfig


class DatasetPart(Protocol):
    """A dataset. It must define `load`, and `regression` if it predicts numbers.

    All random choices depend on `seed` and on a name, as in ``randomness.generator(self.seed, "rings/train")``.
    """

    seed: int
    limit: int | None
    val_fraction: float

    @property
    def regression(self) -> bool:
        """Whether targets are numbers instead of classes."""

    def load(self) -> "Splits":
        """Return the splits, always with the same examples.

        Inputs are finite floats (N, …), or uint8 pictures (N, channels, height, width). Class targets are int64 (N,),
        each the position of a name in `Splits.classes`. Numbers are floats (N, C), and `Splits.classes` is empty.
        `DatasetConfig.hold_out` and `DatasetConfig.finish` make splits that obey `limit`, `val_fraction` and folds.
        """

    def augmentation(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """Return a function of training inputs (B, …) and a key that changes the inputs; None if there is none."""

    def noise_sources(self) -> list[str]:
        """Return the words that switch `augmentation` off, such as ``["dataset.flip=false"]``."""


class FeaturesPart(Protocol):
    """Features. They must define `build`."""

    def build(self, input_shape: tuple[int, ...]) -> "Features":
        """Return features that are not fitted yet, for raw inputs (N, *input_shape).

        Raises
        ------
        UserError
            If inputs of this shape have no such features.
        """


class BuiltFeatures(Protocol):
    """Features at work. They must define `extract`. What they learn in `fit` is kept in buffers, which are saved."""

    output_shape: tuple[int, ...]

    def extract(self, inputs: Tensor) -> Tensor:
        """Return the features (N, *output_shape) of raw inputs (N, …). Each row depends on its own input alone."""

    def fit(self, inputs: Tensor) -> Tensor:
        """Learn from the raw training inputs (N, …), and return their features. Nothing else is seen while fitting."""


class ModelPart(Protocol):
    """A model. It must define `build`."""

    @property
    def has_formulas(self) -> bool:
        """Whether the built model has `formulas` for its gradient. If not, autograd computes the gradient."""

    @property
    def linear(self) -> bool:
        """Whether scores are a linear function of the inputs."""

    @property
    def compares_examples(self) -> bool:
        """Whether the scores of an example depend on the rest of the batch in training, as with batch norm."""

    def build(self, inputs: int, outputs: int, rng: torch.Generator) -> "Model":
        """Return a model with D = `inputs` and C = `outputs`. Initial weights are drawn from `rng`.

        Layers of torch draw their weights from torch's global generator. This is allowed here: it has been seeded.
        """

    def noise_sources(self) -> list[str]:
        """Return the words that switch noise in training off, such as ``["model.dropout=0"]``."""


class BuiltModel(Protocol):
    """A model at work, an ``nn.Module``. It must define `forward`. At least one parameter is a matrix."""

    noisy: bool
    """Whether training uses random numbers. Only then `forward` gets a key."""

    def forward(self, inputs: Tensor, key: Tensor | None = None) -> Tensor:
        """Return scores (B, C) of inputs (B, …) with D numbers per example, in the dtype of the inputs."""

    def stages(self, inputs: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield the name and the output (B, H) of each step that figures show. The last one is ``scores``."""

    @property
    def linear_layers(self) -> Sequence[nn.Linear]:
        """The layers Wx + b from input to output, if the model is a chain of them; else empty."""


class LossPart(Protocol):
    """A loss. It must define `losses`, or a `make` that returns a `BuiltLoss`."""

    @property
    def regression(self) -> bool:
        """Whether targets may also be numbers (B, C)."""

    def build(self, counts: Tensor | None = None) -> "Loss":
        """Return the loss. `counts` (C,) are the training examples per class, to which class weights are scaled."""


class BuiltLoss(Protocol):
    """A loss at work."""

    def losses(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return one loss per example (B,), of scores (B, C) and targets (B,) or (B, C). No example affects another.

        The mean over the batch is taken elsewhere.
        """


class RegularizerPart(Protocol):
    """A regularizer. It must define `penalty`, or a `build` that returns a `BuiltRegularizer`."""

    @property
    def has_proximal_step(self) -> bool:
        """Whether `BuiltRegularizer.shrink` changes weights."""

    def build(self) -> "Regularizer":
        """Return the regularizer."""


class BuiltRegularizer(Protocol):
    """A regularizer at work."""

    def __call__(self, weights: Iterable[Tensor]) -> Tensor | None:
        """Return λR(W) as a 0-d tensor, of all parameters with two dimensions or more. Biases are not among them."""

    def shrink(self, weight: Tensor, lr: float | Tensor) -> Tensor:
        """Return a weight matrix after the proximal step that follows each update, with the scheduled learning rate."""


class OptimizerPart(Protocol):
    """An optimizer. It must define `build`.

    The optimizer that `build` returns keeps all of its state in ``optimizer.state[parameter]``, as tensors and numbers,
    so that checkpoints hold it. Each step reads ``group["lr"]``, which the schedule changes, calls its closure with
    autograd on, and writes into the parameters in place.
    """

    @property
    def deterministic(self) -> bool:
        """Whether it needs the full batch and no noise, because it compares losses."""

    @property
    def scheduled(self) -> bool:
        """Whether the schedule changes the length of its steps."""

    def build(self, parameters: Iterable[nn.Parameter], /) -> Optimizer:
        """Return the optimizer. Each parameter is in one group, and each group has a learning rate ``lr``."""


class SchedulerPart(Protocol):
    """A schedule. It must define `factor`, or a `build` that returns another schedule."""

    @property
    def extendable(self) -> bool:
        """Whether the factors do not depend on the length of the run, so that a run can be made longer."""

    def factor(self, progress: float) -> float:
        """Return the number, 0 or more, by which ``lr`` is multiplied. `progress` is in [0, 1)."""

    def build(self, steps: int) -> "Schedule":
        """Return the schedule of a run with `steps` updates."""


class BuiltSchedule(Protocol):
    """A schedule at work. What it learns in `observe` is all of its state."""

    def __call__(self, step: int) -> float:
        """Return the factor of update number `step`, counted from 0. Other calls do not affect it."""

    def observe(self, loss: float) -> None:
        """Take the loss of an epoch: of the validation split, or of the training split if there is none."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""


class FigurePart(Protocol):
    """A figure. It must define `draw`, or `size` and `panel`. It changes neither the run nor matplotlib's settings."""

    @property
    def of_run(self) -> bool:
        """Whether it shows a run."""

    def unsuited(self, run: "Run") -> str:
        """Return why it cannot show `run`, as in ``needs points of the plane``; an empty text if it can."""

    def draw(self, run: "Run | None") -> "Figure":
        """Return the figure of a run. The figure is made with ``matplotlib.figure.Figure``, not with pyplot."""


class SurfacePart(Protocol):
    """A function f on the plane, for ``deeprob-optimizer-paths``. It must define all that is here."""

    @property
    def start(self) -> tuple[float, float]:
        """The point where optimizers start."""

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """The part of the plane that is shown: left, right, bottom, top."""

    @property
    def steps(self) -> int:
        """The number of updates of each optimizer."""

    @property
    def lrs(self) -> Mapping[str, float]:
        """A good learning rate for each optimizer, such as ``{"sgd momentum=0.9": 0.02}``."""

    def value(self, points: Tensor) -> Tensor:
        """Return f (…) at points (…, 2). Autograd computes its gradient."""

    def minima(self) -> list[tuple[float, float]]:
        """Return the global minima."""


if TYPE_CHECKING:
    # mypy refuses this function if a base class does not satisfy its protocol
    def _satisfied(
        dataset: DatasetConfig,
        features: tuple[FeaturesConfig, Features],
        model: tuple[ModelConfig, Model],
        loss: tuple[LossConfig, Loss],
        regularizer: tuple[RegularizerConfig, Regularizer],
        optimizer: OptimizerConfig,
        scheduler: tuple[SchedulerConfig, Schedule],
        figure: FigureConfig,
        surface: SurfaceConfig,
    ) -> tuple[
        DatasetPart,
        tuple[FeaturesPart, BuiltFeatures],
        tuple[ModelPart, BuiltModel],
        tuple[LossPart, BuiltLoss],
        tuple[RegularizerPart, BuiltRegularizer],
        OptimizerPart,
        tuple[SchedulerPart, BuiltSchedule],
        FigurePart,
        SurfacePart,
    ]:
        return dataset, features, model, loss, regularizer, optimizer, scheduler, figure, surface
