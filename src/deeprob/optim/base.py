"""The base class of optimizer configs, and parameter groups for weight decay."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn
from torch.optim import Optimizer


@dataclass(kw_only=True, slots=True)
class OptimizerConfig:
    """Base class of optimizer configs.

    The fields of a config are the arguments of a class in torch.optim, with the same names and defaults.

    A subclass sets `torch_class` or overrides `build`. `deeprob.parts.protocols` says what an optimizer has to keep.

    Attributes
    ----------
    torch_class
        The class in torch.optim; not needed if `build` is overridden.
    pairs
        The arguments of the torch class that are pairs of numbers. A config has two fields for each pair. Example:
        ``{"betas": ("beta1", "beta2")}``.
    fused
        Whether the torch class has the argument ``fused``. With it, one kernel updates all tensors. It changes only the
        speed, so it is not a field of the config.
    lr
        The learning rate. Each step is multiplied by the learning rate, which the schedule changes during the run.
    weight_decay
        The weight decay λ. For each weight w, λw is added to its gradient. Biases and norm parameters are left out.
    momentum
        The share of the last step that is kept in the next one. Example: ``optimizer=sgd optimizer.momentum=0.9``.
    beta1
        The share of the running mean of gradients (first moment) that is kept at each update.
    beta2
        The share of the running mean of squared gradients (second moment) that is kept at each update.
    eps
        A small number that is added to the denominator, so that no step divides by 0.
    amsgrad
        Whether to divide by the largest second moment so far instead of the current one.
    decoupled_weight_decay
        Whether weight decay is a separate step, as in AdamW, instead of a part of the gradient.
    """

    torch_class: ClassVar[type[Optimizer]]
    pairs: ClassVar[Mapping[str, tuple[str, str]]] = {}
    fused: ClassVar[bool] = False

    def build(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """Return an optimizer of `parameters` whose `weight_decay` acts only on weight matrices."""
        without_compiler()
        arguments = self.arguments()
        if self.fused:
            arguments["fused"] = True
        if "weight_decay" not in arguments:
            return self.torch_class(list(parameters), **arguments)
        return self.torch_class(decay_groups(parameters, arguments.pop("weight_decay")), **arguments)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the torch class, taken from the fields."""
        arguments = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name, (first, second) in self.pairs.items():
            arguments[name] = (arguments.pop(first), arguments.pop(second))
        return arguments

    @property
    def deterministic(self) -> bool:
        """Whether the optimizer needs an L(W) without randomness: full batches and no dropout."""
        return False

    @property
    def scheduled(self) -> bool:
        """Whether the step length follows the learning-rate schedule."""
        return True


@functools.cache
def without_compiler() -> None:
    """Prevent torch's optimizers from importing the compiler (see `call_directly`)."""
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        call_directly(getattr(Optimizer, name, None))


def call_directly(wrapper: object) -> None:
    """Make a wrapper of torch call its method without importing the compiler ``torch._dynamo``.

    The import takes a second and 150 MB, and changes the random state. Torch wraps some methods so that
    ``torch.compile`` does not trace them. A wrapper imports the compiler at its first call. But if the method has an
    attribute ``__dynamo_disable``, the wrapper only calls this attribute. So it is set to the method itself. The only
    difference is inside functions that ``torch.compile`` has compiled.

    Other versions of torch may lack the wrapper or the attribute. Then the compiler is imported as usual.
    """
    method: Any = getattr(wrapper, "__wrapped__", None)
    if method is not None and not hasattr(method, "__dynamo_disable"):
        method.__dynamo_disable = method


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Return two parameter groups: weight matrices with weight decay, and all others without it."""
    everything = list(parameters)
    groups = [
        {"params": [p for p in everything if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in everything if p.dim() < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
