"""Minimize a smooth loss by L-BFGS."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from deeprob.optim.lbfgs import LBFGSConfig


def minimize(loss: Callable[[], Tensor], parameters: Iterable[nn.Parameter], iterations: int) -> None:
    """Minimize a smooth loss with L-BFGS. The parameters change in place.

    Parameters
    ----------
    loss
        Returns the loss as a 0-d tensor. It must not be random: equal parameters give equal losses.
    parameters
        Parameters of any shapes. If a parameter gets no gradient, it stays unchanged.
    iterations
        The maximum number of L-BFGS iterations. If L-BFGS converges sooner, it stops.
    """
    optimizer = LBFGSConfig(max_iter=iterations).build(parameters)

    def closure() -> Any:  # a 0-d tensor, which torch's type hints do not allow
        optimizer.zero_grad()
        value = loss()
        torch.autograd.backward(value)
        return value

    optimizer.step(closure)
