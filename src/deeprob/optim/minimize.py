"""The minimum of a smooth loss, by L-BFGS over as many evaluations as it takes."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from deeprob.optim.lbfgs import LBFGSConfig


def minimize(loss: Callable[[], Tensor], parameters: Iterable[nn.Parameter], iterations: int) -> None:
    """Move parameters to where a smooth loss is smallest, in place.

    Parameters
    ----------
    loss
        Returns a 0-d tensor that follows from the parameters, and the same one each time.
    parameters
        Of any shapes; those that need no gradient stay.
    iterations
        Of L-BFGS at most; it ends sooner where it has converged.
    """
    optimizer = LBFGSConfig(max_iter=iterations).build(parameters)

    def closure() -> Any:  # a 0-d tensor, which torch's own hints do not foresee
        optimizer.zero_grad()
        value = loss()
        torch.autograd.backward(value)
        return value

    optimizer.step(closure)
