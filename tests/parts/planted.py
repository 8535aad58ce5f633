"""A right part of each group, and beside it parts with one planted mistake each: what ``deeprob-check-part`` is for."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import nn
from torch.nn import functional as F

from deeprob.parts import (
    ClassLossConfig,
    DatasetConfig,
    Examples,
    Features,
    FeaturesConfig,
    FigureConfig,
    Loss,
    LossConfig,
    Model,
    ModelConfig,
    OptimizerConfig,
    Regularizer,
    RegularizerConfig,
    Schedule,
    SchedulerConfig,
    Splits,
    SurfaceConfig,
    decay_groups,
    drawn,
    number,
    randomness,
    register,
)

MISTAKES: dict[str, tuple[str, str]] = {}
"""From a wrong part to the beginning of the clause that it does not keep, and to what the check says."""


def mistake(option: str, clause: str, says: str) -> Callable[[type], type]:
    """Register a wrong part."""

    def decorate(cls: type) -> type:
        MISTAKES[option] = (clause, says)
        return register(*option.split("="))(dataclass(kw_only=True, slots=True)(cls))

    return decorate


# ---------------------------------------------------------------- models


class Gated(Model):
    """W₂(tanh(W₁x) · σ(W₃x)), with dropout before the last layer."""

    def __init__(self, inputs: int, outputs: int, width: int, rate: float) -> None:
        super().__init__()
        self.first, self.gate = nn.Linear(inputs, width), nn.Linear(inputs, width)
        self.last = nn.Linear(width, outputs)
        self.rate = rate
        self.noisy = rate > 0

    def hidden(self, inputs):
        return self.first(inputs).tanh() * self.gate(inputs).sigmoid()

    def forward(self, inputs, key=None):
        hidden = self.hidden(inputs.flatten(1))
        if key is not None and self.rate > 0:
            rate = torch.tensor(self.rate, device=hidden.device)
            hidden = hidden * randomness.keep_mask(key, hidden.shape, rate) / (1 - self.rate)
        return self.last(hidden)


@register("model", "gated")
@dataclass(kw_only=True, slots=True)
class GatedConfig(ModelConfig):
    width: int = number(8, minimum=1)
    rate: float = number(0.2, minimum=0, below=1)
    Made: ClassVar[type[Model]] = Gated

    def build(self, inputs, outputs, rng):
        return self.Made(inputs, outputs, self.width, self.rate)

    def noise_sources(self):
        return ["model.rate=0"] * (self.rate > 0)


@mistake("model=detached", "The gradient of L(W)", "as by differences, came 0 by autograd")
class DetachedConfig(GatedConfig):
    class Made(Gated):
        def hidden(self, inputs):
            return self.first(inputs).tanh() * self.gate(inputs).detach().sigmoid()


@mistake("model=unregistered", "The state is complete", "the same bits of the scores after load_state_dict()")
class UnregisteredConfig(GatedConfig):
    class Made(Gated):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            self.others = [nn.Linear(sizes[0], sizes[2], dtype=torch.float64)]

        def hidden(self, inputs):
            return super().hidden(inputs) + self.others[0](inputs.double()).to(inputs)


@mistake(
    "model=torchs_dropout",
    "Without a key two calls",
    "(training=True): draw random numbers from the key (deep",
)
class TorchsDropoutConfig(GatedConfig):
    class Made(Gated):
        def hidden(self, inputs):
            return F.dropout(super().hidden(inputs), 0.3, self.training)


@mistake("model=centred", "The scores of an example", "alone and in a batch: let no example affect another, or")
class CentredConfig(GatedConfig):
    class Made(Gated):
        def hidden(self, inputs):
            return super().hidden(inputs - inputs.mean(0))


@mistake("model=by_numpy", "The same seed gives the same weights", "draw all from rng")
class ByNumpyConfig(GatedConfig):
    def build(self, inputs, outputs, rng):
        model = GatedConfig.build(self, inputs, outputs, rng)
        with torch.no_grad():
            model.last.weight += torch.from_numpy(np.random.randn(*model.last.weight.shape))
        return model


@mistake("model=squeezed", "A batch of one", "expected scores (1, C), came [3]")
class SqueezedConfig(GatedConfig):
    class Made(Gated):
        def forward(self, inputs, key=None):
            return super().forward(inputs, key).squeeze()


@mistake("model=silent", "The key alone decides", "expected noisy=True, because the key changes the scores")
class SilentConfig(GatedConfig):
    class Made(Gated):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            self.noisy = False


@mistake("model=in_place", "The forward pass does not change", "of the inputs after the forward pass")
class InPlaceConfig(GatedConfig):
    class Made(Gated):
        def hidden(self, inputs):
            return super().hidden(inputs.mul_(0.5))


# ---------------------------------------------------------------- losses


@register("loss", "softplus")
@dataclass(kw_only=True, slots=True)
class SoftplusConfig(LossConfig):
    """L_i = Σ_{j≠y} ln(1 + exp(s_j − s_y))."""

    def losses(self, scores, targets):
        right = scores.gather(1, targets[:, None])
        return F.softplus(scores - right).sum(1) - math.log(2)


@mistake("loss=averaged", "Losses are one number per example", "expected losses (B,) = [9], came []")
class AveragedConfig(LossConfig):
    def losses(self, scores, targets):
        return F.cross_entropy(scores, targets)


@mistake("loss=overflowing", "Losses and slopes of scores up to 1,000", "NaN or infinite")
class OverflowingConfig(LossConfig):
    def losses(self, scores, targets):
        powers = scores.exp()
        return -(powers.gather(1, targets[:, None])[:, 0] / powers.sum(1)).log()


@mistake("loss=maximized", "A better score lowers the loss", "a higher score of the right class to lower the loss")
class MaximizedConfig(LossConfig):
    def losses(self, scores, targets):
        return scores.log_softmax(1).gather(1, targets[:, None])[:, 0]


@mistake("loss=of_the_batch", "The loss of an example does not depend", "the same losses alone and in a batch")
class OfTheBatchConfig(LossConfig):
    def losses(self, scores, targets):
        losses = F.cross_entropy(scores, targets, reduction="none")
        return losses / losses.detach().max()


class Doubled(Loss):
    """Cross-entropy, and slopes that are twice the right ones."""

    def losses(self, scores, targets):
        return F.cross_entropy(scores, targets, reduction="none")

    def losses_and_slopes(self, scores, targets):
        logs = scores.log_softmax(-1)
        losses = -logs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        return losses, 2 * logs.exp().scatter_(-1, targets.unsqueeze(-1), -1.0, reduce="add")


@mistake("loss=doubled", "Its slopes", "by formula")
class DoubledConfig(LossConfig):
    def make(self):
        return Doubled()


class Unweighted(Loss):
    """Cross-entropy that forgets the class weights."""

    def __call__(self, scores, targets, weights=None):
        losses = self.losses(scores, targets)
        return losses if weights is None else losses * weights.to(losses)

    def losses(self, scores, targets):
        return F.cross_entropy(scores, targets, reduction="none")


@mistake("loss=unweighted", "Class weights multiply", "expected w_y times the loss")
class UnweightedConfig(ClassLossConfig):
    def make(self):
        return Unweighted()


class Even(Unweighted):
    """Cross-entropy that takes the weights of examples, and forgets them."""

    def __call__(self, scores, targets, weights=None):
        return self.losses(scores, targets)


@mistake("loss=even", "Weights of examples multiply", "expected the weight times the loss")
class EvenConfig(LossConfig):
    def make(self):
        return Even()


# ---------------------------------------------------------------- regularizers


@register("regularizer", "fourth_powers")
@dataclass(kw_only=True, slots=True)
class FourthPowersConfig(RegularizerConfig):
    strength: float = number(1e-2, minimum=0)

    def penalty(self, weights):
        return self.strength * sum(weight.pow(4).sum() for weight in weights)


class Cut(Regularizer):
    """No penalty, but small weights become 0 after each update."""

    def __call__(self, weights):
        return None

    def shrink(self, weight, lr):
        return weight * (weight.abs() > 5 * lr)


@register("regularizer", "cut")
@dataclass(kw_only=True, slots=True)
class CutConfig(RegularizerConfig):
    has_proximal_step: ClassVar[bool] = True

    def build(self):
        return Cut()


@mistake("regularizer=unannounced", "shrink() does nothing", "expected has_proximal_step=True, because shrink() acts")
class UnannouncedConfig(CutConfig):
    has_proximal_step: ClassVar[bool] = False

    def build(self):
        return Unannounced()


class Unannounced(Cut):
    def shrink(self, weight, lr):
        return weight - 10 * lr * weight


@mistake("regularizer=clipped", "R(W) does not change the weights", "of the weights after the call")
class ClippedConfig(RegularizerConfig):
    def penalty(self, weights):
        return sum(weight.clamp_(-1, 1).square().sum() for weight in weights)


class Overwritten(Regularizer):
    """ΣW², and a formula that overwrites the gradient in place of adding to it."""

    def __call__(self, weights):
        return sum(weight.square().sum() for weight in weights)

    def with_gradient(self, weights, gradient):
        gradient.copy_(2 * weights)
        return weights.square().sum(-1)


@mistake("regularizer=overwritten", "Its gradient", "by formula")
class OverwrittenConfig(RegularizerConfig):
    def build(self):
        return Overwritten()


# ---------------------------------------------------------------- optimizers


class Signum(torch.optim.Optimizer):
    """w ← w − lr·sign(m), where m is the running mean of gradients."""

    def __init__(self, params, lr: float, momentum: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure):
        with torch.enable_grad():
            loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.move(p, p.grad + group["weight_decay"] * p, group)
        return loss

    def move(self, p, gradient, group):
        mean = self.state[p].setdefault("mean", torch.zeros_like(p))
        mean.lerp_(gradient, 1 - group["momentum"])
        p.sub_(mean.sign(), alpha=group["lr"])


@register("optimizer", "signum")
@dataclass(kw_only=True, slots=True)
class SignumConfig(OptimizerConfig):
    lr: float = number(1e-2, above=0)
    Made: ClassVar[type[Signum]] = Signum

    def build(self, params):
        return self.Made(params, self.lr)


@mistake("optimizer=climbing", "The first step goes against the gradient", "expected a step against the gradient")
class ClimbingConfig(SignumConfig):
    class Made(Signum):
        def move(self, p, gradient, group):
            super().move(p, -gradient, group)


@mistake("optimizer=forgetful", "Its state is complete", "keep all state in self.state")
class ForgetfulConfig(SignumConfig):
    class Made(Signum):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.means = {}

        def move(self, p, gradient, group):
            self.means[p] = group["momentum"] * self.means.get(p, 0) + gradient
            p.sub_(self.means[p], alpha=group["lr"])


@mistake("optimizer=stubborn", "The lr of the groups counts", "after a step with group['lr'] = 0")
class StubbornConfig(SignumConfig):
    class Made(Signum):
        def __init__(self, params, lr):
            super().__init__(params, lr)
            self.lr = lr

        def move(self, p, gradient, group):
            super().move(p, gradient, {**group, "lr": self.lr})


@mistake("optimizer=replacing", "A step writes into the parameters in place", "expected the same memory after a step")
class ReplacingConfig(SignumConfig):
    class Made(Signum):
        def move(self, p, gradient, group):
            p.data = p.data - group["lr"] * gradient


@mistake("optimizer=without_autograd", "step(closure) calls the closure", "called under torch.enable_grad()")
class WithoutAutogradConfig(SignumConfig):
    class Made(Signum):
        @torch.no_grad()
        def step(self, closure):
            return super().step(torch.no_grad()(closure))


@mistake("optimizer=decaying_all", "Weight decay acts on weight matrices", "weight_decay=0 in the group of biases")
class DecayingAllConfig(SignumConfig):
    weight_decay: float = 0.1

    def build(self, params):
        return Signum([{"params": list(params), "weight_decay": self.weight_decay}], self.lr)


@register("optimizer", "decaying_weights")
@dataclass(kw_only=True, slots=True)
class DecayingWeightsConfig(SignumConfig):
    weight_decay: float = 0.1

    def build(self, params):
        return Signum(decay_groups(params, self.weight_decay), self.lr)


@mistake("optimizer=jittery", "Two optimizers make the same steps", "of the parameters after the same steps")
class JitteryConfig(SignumConfig):
    class Made(Signum):
        def move(self, p, gradient, group):
            super().move(p, gradient * random.random(), group)


# ---------------------------------------------------------------- schedules


@register("scheduler", "square_root")
@dataclass(kw_only=True, slots=True)
class SquareRootConfig(SchedulerConfig):
    def factor(self, progress):
        return math.sqrt(1 - progress)


class Counting(Schedule):
    calls = 0

    def __call__(self, step):
        self.calls += 1
        return 1 / self.calls


@mistake("scheduler=counting", "The factor depends on the number of the update", "in another order of calls")
class CountingConfig(SchedulerConfig):
    def build(self, steps):
        return Counting()


@mistake("scheduler=dividing", "The factor of each update", "ZeroDivisionError")
class DividingConfig(SchedulerConfig):
    def build(self, steps):
        return Schedule(lambda step: 1 - step / (steps - 1))


class Halving(Schedule):
    """Half the rate after each epoch that is no better, and no state_dict()."""

    best, rate = math.inf, 1.0

    def __call__(self, step):
        return self.rate

    def observe(self, loss):
        self.rate = self.rate / 2 if loss >= self.best else self.rate
        self.best = min(loss, self.best)


@mistake("scheduler=halving", "Its state is complete", "after load_state_dict()")
class HalvingConfig(SchedulerConfig):
    def build(self, steps):
        return Halving()


# ---------------------------------------------------------------- data sets


@register("dataset", "corners")
@dataclass(kw_only=True, slots=True)
class CornersConfig(DatasetConfig):
    examples: int = number(90, minimum=3)
    test_fraction: float = number(0.3, above=0, below=1)

    def points(self):
        rng = randomness.generator(self.seed, "corners")
        classes = torch.arange(self.examples) % 3
        corners = torch.tensor([[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])
        return Examples(corners[classes] + 0.3 * torch.randn(self.examples, 2, generator=rng), classes)

    def load(self):
        return self.hold_out(self.points(), self.test_fraction, ("top", "right", "left"))


@mistake("dataset=drifting", "The same settings give the same examples", "expected the same bits")
class DriftingConfig(CornersConfig):
    def points(self):
        made = CornersConfig.points(self)
        return Examples(made.inputs + 0.1 * torch.rand(made.inputs.shape), made.targets)


@mistake("dataset=from_one", "Targets are int64", "expected targets from 0 to 2 in train, came 1 to 3")
class FromOneConfig(CornersConfig):
    def points(self):
        made = CornersConfig.points(self)
        return Examples(made.inputs, made.targets + 1)


@mistake("dataset=leaking", "Examples for validation and test", "expected no training examples in test, came 100%")
class LeakingConfig(CornersConfig):
    def load(self):
        made = self.points()
        return self.finish(made, made[slice(0, 30)], ("top", "right", "left"))


@mistake("dataset=unlimited", "dataset.limit and dataset.val_fraction hold", "training examples with limit=")
class UnlimitedConfig(CornersConfig):
    def load(self):
        made = self.points()
        return Splits(made[slice(0, 60)], None, made[slice(60, None)], ("top", "right", "left"))


@mistake("dataset=infinite", "load() returns Splits", "expected finite inputs in")
class InfiniteConfig(CornersConfig):
    def points(self):
        made = CornersConfig.points(self)
        return Examples(made.inputs.log(), made.targets)


# ---------------------------------------------------------------- features


class Products(Features):
    """The inputs, and the product of the first two, minus its mean over the training split."""

    def __init__(self, inputs: int, standardize: str) -> None:
        super().__init__((inputs + 1,), standardize)
        self.register_buffer("mean", torch.zeros(()))

    def fit(self, inputs):
        self.mean.copy_(inputs[:, :2].prod(1).mean())
        return super().fit(inputs)

    def extract(self, inputs):
        return torch.cat([inputs, inputs[:, :2].prod(1, keepdim=True) - self.mean], 1)


@register("features", "products")
@dataclass(kw_only=True, slots=True)
class ProductsConfig(FeaturesConfig):
    Made: ClassVar[type[Features]] = Products

    def build(self, input_shape):
        return self.Made(input_shape[0], self.standardize)


@mistake("features=of_the_batch", "The features of an example", "the same features alone and among others")
class OfTheBatchFeaturesConfig(ProductsConfig):
    class Made(Products):
        def extract(self, inputs):
            return super().extract(inputs - inputs.mean(0))


@mistake("features=unsaved", "Its state is complete", "keep all that is fitted in buffers")
class UnsavedConfig(ProductsConfig):
    class Made(Products):
        scale = 1.0

        def fit(self, inputs):
            self.scale = inputs.std().item()
            return super().fit(inputs)

        def extract(self, inputs):
            return super().extract(inputs / self.scale)


@mistake("features=miscounted", "extract() returns finite numbers", "RuntimeError: The size of tensor a (3) must match")
class MiscountedConfig(ProductsConfig):
    class Made(Products):
        def extract(self, inputs):
            return super().extract(inputs)[:, :-1]


# ---------------------------------------------------------------- figures


@register("figure", "margins")
@dataclass(kw_only=True, slots=True)
class MarginsConfig(FigureConfig):
    def unsuited(self, run):
        return "" if run.classes else "needs classes, and the run predicts numbers"

    def draw(self, run):
        return drawn((4, 3), lambda canvas: self.content(canvas.subplots(), run))

    def content(self, axes, run):
        largest = run.scores("train").topk(2).values
        axes.hist((largest[:, 0] - largest[:, 1]).numpy(), 10)


@mistake("figure=of_pyplot", "draw(run) returns a Figure", "1 open figures of pyplot")
class OfPyplotConfig(MarginsConfig):
    def draw(self, run):
        figure, axes = plt.subplots()
        self.content(axes, run)
        return figure


@mistake("figure=training", "Drawing changes neither", "expected the model in evaluation mode")
class TrainingConfig(MarginsConfig):
    def content(self, axes, run):
        MarginsConfig.content(self, axes, run)
        run.model.train()


@mistake("figure=restyled", "Drawing changes neither", "draw within deeprob.parts.drawn), came another font.size")
class RestyledConfig(MarginsConfig):
    def draw(self, run):
        mpl.rcParams["font.size"] = 7.0
        figure = Figure()
        self.content(figure.subplots(), run)
        return figure


@mistake("figure=scattered", "Drawing twice gives the same picture", "expected the same picture twice")
class ScatteredConfig(MarginsConfig):
    def content(self, axes, run):
        axes.plot(np.random.rand(5), ".")


@mistake("figure=unaware", "unsuited() gives a reason", "for a run with numbers to predict, came none, and")
class UnawareConfig(MarginsConfig):
    def unsuited(self, run):
        return ""

    def content(self, axes, run):
        axes.bar(run.classes, run.scores("train").mean(0).numpy()[: len(run.classes)])
        axes.set_title(run.classes[0])


# ---------------------------------------------------------------- surfaces


@register("surface", "cup")
@dataclass(kw_only=True, slots=True)
class CupConfig(SurfaceConfig):
    """f = (x − 1)² + y⁴."""

    start: ClassVar = (-1.0, 1.0)
    limits: ClassVar = (-2.0, 2.0, -1.5, 1.5)
    steps: ClassVar = 50
    lrs: ClassVar[Mapping[str, float]] = {"sgd": 0.1, "adam": 0.2}

    def value(self, points):
        x, y = points.unbind(-1)
        return (x - 1).square() + y.pow(4)

    def minima(self):
        return [(1.0, 0.0)]


@mistake("surface=misplaced", "minima() are where f is lowest", "expected no point lower than the minimum, f = 4")
class MisplacedConfig(CupConfig):
    def minima(self):
        return [(-1.0, 0.0)]


@mistake("surface=cut_off", "Its gradient by autograd", "as by differences, came 0 by autograd")
class CutOffConfig(CupConfig):
    def value(self, points):
        x, y = points.unbind(-1)
        return (x - 1).square().detach() + y.pow(4)


@mistake("surface=hasty", "Each optimizer of lrs", "expected a lower f after 50 updates of sgd lr=2")
class HastyConfig(CupConfig):
    lrs: ClassVar[Mapping[str, float]] = {"sgd": 2.0}
