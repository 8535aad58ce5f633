"""Update rules as formulas that change parameters and states in place, for one run or a stack of runs.

Each `Rule` consists of three functions. The first returns the state before the first update. The second returns the
numbers that update t needs. The third makes the update with tensor operations. Parameters are (R, P) with one row per
run. Only Adafactor depends on the shape of a parameter. Hyperparameters are floats, or arrays (R,) with one number per
run. Flags are bools, and all runs of a stack have the same flags. The keys of the state are torch's names. Every rule
makes the same steps as torch.optim, and a run has the same bits in any stack. `step` makes one whole update:

>>> w, g = torch.ones(2, 3), torch.ones(2, 3)  # two runs with three weights each
>>> step(RULES["sgd"], w, g, {}, 1, np.array([0.1, 0.2]))
>>> w
tensor([[0.9000, 0.9000, 0.9000],
        [0.8000, 0.8000, 0.8000]])

In the formulas, w is the parameter, and ∇L or g is its gradient. The gradient may include weight decay (see `decay`). α
is the learning rate `lr`, and t is the number of the update, counted from 1. Squares, roots and quotients are computed
for each entry.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

import torch

from deeprob.optim.base import OptimizerConfig
from deeprob.optim.rules.adaptive import ADADELTA, ADAFACTOR, ADAGRAD, RMSPROP, RPROP
from deeprob.optim.rules.base import Number, Rule, State, columns, decay, step
from deeprob.optim.rules.gradient_descent import ASGD, SGD
from deeprob.optim.rules.moments import ADAM, ADAMAX, ADAMW, NADAM, RADAM

__all__ = ["RULES", "Number", "Rule", "State", "columns", "decay", "hyper_of", "step"]

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "adadelta": ADADELTA,
        "adafactor": ADAFACTOR,
        "adagrad": ADAGRAD,
        "adam": ADAM,
        "adamax": ADAMAX,
        "adamw": ADAMW,
        "asgd": ASGD,
        "nadam": NADAM,
        "radam": RADAM,
        "rmsprop": RMSPROP,
        "rprop": RPROP,
        "sgd": SGD,
    }
)


def hyper_of(config: OptimizerConfig, dtype: torch.dtype = torch.float32) -> dict[str, float | bool]:
    """Return the hyperparameters of a rule: all fields of `config` except `lr`.

    A field that is null (Adafactor's `eps1`) becomes the machine epsilon of `dtype`.
    """
    fields = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name != "lr"}
    smallest = torch.finfo(dtype).eps
    return {
        name: value if isinstance(value, bool) else float(smallest if value is None else value)
        for name, value in fields.items()
    }
