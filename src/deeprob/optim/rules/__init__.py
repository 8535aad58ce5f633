"""Update rules as formulas: (parameter, gradient, state, lr, hyper-parameters) → (parameter, state).

Each is a pure function in plain tensor operations, for one parameter of one dimension or more (its shape never
matters but to Adafactor). A number among the hyper-parameters is a float or a 0-d float64 tensor, so that under
``torch.func.vmap`` every run of a stack has its own; a flag is a bool, the same for all. The state is a dict under
torch's own names, with its numbers as 0-d tensors in float64 (torch has NAdam's ∏μ and ASGD's η and μ in the default
precision). `weight_decay` is that of the parameter: the caller gives 0 for all but weight matrices, as
`deeprob.optim.base.decay_groups` does. Every rule is torch.optim's, step by step.

In the formulas w is the parameter, ∇L or g its gradient (with the decay, where that is a part of it), α the rate `lr`,
t the number of the update, counted from 1; squares, roots and quotients are of each entry.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

import torch

from deeprob.optim.base import OptimizerConfig
from deeprob.optim.rules.adaptive import (
    adadelta,
    adafactor,
    adagrad,
    init_adadelta,
    init_adafactor,
    init_adagrad,
    init_rmsprop,
    init_rprop,
    rmsprop,
    rprop,
)
from deeprob.optim.rules.base import Rule, Scalar, State
from deeprob.optim.rules.gradient_descent import asgd, init_asgd, init_sgd, sgd
from deeprob.optim.rules.moments import adam, adamax, adamw, init_adam, init_adamax, init_nadam, nadam, radam

__all__ = ["RULES", "Rule", "Scalar", "State", "hyper_of"]

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "adadelta": Rule(init_adadelta, adadelta),
        "adafactor": Rule(init_adafactor, adafactor, shaped=True),
        "adagrad": Rule(init_adagrad, adagrad),
        "adam": Rule(init_adam, adam, flags=("amsgrad", "decoupled_weight_decay")),
        "adamax": Rule(init_adamax, adamax),
        "adamw": Rule(init_adam, adamw, flags=("amsgrad",)),
        "asgd": Rule(init_asgd, asgd),
        "nadam": Rule(init_nadam, nadam, flags=("decoupled_weight_decay",)),
        "radam": Rule(init_adam, radam, flags=("decoupled_weight_decay",)),
        "rmsprop": Rule(init_rmsprop, rmsprop, flags=("centered",)),
        "rprop": Rule(init_rprop, rprop),
        "sgd": Rule(init_sgd, sgd, flags=("nesterov",)),
    }
)


def hyper_of(config: OptimizerConfig, dtype: torch.dtype = torch.float32) -> dict[str, float | bool]:
    """Return a config's fields but `lr` as its rule's hyper-parameters.

    Where null stands for the smallest step of the parameters' precision (Adafactor's `eps1`), it is that of `dtype`.
    """
    fields = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name != "lr"}
    smallest = torch.finfo(dtype).eps
    return {
        name: value if isinstance(value, bool) else float(smallest if value is None else value)
        for name, value in fields.items()
    }
