"""Update rules as formulas: (parameter, gradient, state, lr, hyperparameters) → (parameter, state).

Each rule is a pure function in plain tensor operations. It gives the same steps as torch.optim. It updates one
parameter, which has at least one dimension. Only Adafactor depends on the parameter's shape.

Runs that train together form a stack, and ``torch.func.vmap`` applies the rule to all of them. Numeric hyperparameters
are floats or 0-d float64 tensors, so each run of a stack can have its own values. Flags are bools, which all runs of a
stack share. The state is a dict, whose keys are torch's names. Scalars in the state are 0-d tensors in float64, but
torch keeps NAdam's ∏μ and ASGD's η and μ in the default precision. The caller passes `weight_decay` 0 for all
parameters except weight matrices, as `deeprob.optim.base.decay_groups` does.

In the formulas w is the parameter, and ∇L or g is its gradient. If weight decay is part of the gradient, ∇L includes
it. α is the learning rate `lr`, and t is the number of the update, counted from 1. Squares, roots and quotients are
computed for each entry.
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
    """Return the hyperparameters of a config's update rule: all fields of the config except `lr`.

    A field that is null (Adafactor's `eps1`) becomes the machine epsilon of `dtype`.
    """
    fields = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name != "lr"}
    smallest = torch.finfo(dtype).eps
    return {
        name: value if isinstance(value, bool) else float(smallest if value is None else value)
        for name, value in fields.items()
    }
