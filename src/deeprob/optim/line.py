"""The loss L along a direction, as a function of the step length."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deeprob.optim.wolfe import Trial


class Line:
    """The function φ(t) = L(x + t·d), where x (n,) holds all parameters as one vector and d (n,) is a direction.

    Parameters
    ----------
    parameters
        The parameters. They are changed in place.
    closure
        Computes L at the parameters and leaves its gradient in them.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], closure: Callable[[], Any]) -> None:
        self.parameters = list(parameters)
        self.closure = closure
        self.evaluations = 0
        self.slope = self.at = 0.0
        self._place = torch.cat([parameter.detach().flatten() for parameter in self.parameters])
        self._direction = torch.zeros_like(self._place)

    def __call__(self, step: float) -> Trial:
        """Move the parameters to x + `step`·d, evaluate L there, and return the trial."""
        self.move(step)
        return self.evaluate(step)[0]

    def evaluate(self, step: float = 0.0) -> tuple[Trial, Any]:
        """Evaluate L at the current parameters, which must be x + `step`·d.

        Return the trial, and the value that the closure returned.
        """
        self.evaluations += 1
        loss = self.closure()
        gradient = self._gradient()
        slope = gradient.double().dot(self._direction.double())
        value = torch.as_tensor(loss, dtype=torch.float64, device=gradient.device).detach()
        known = torch.stack([value, slope, gradient.abs().max().double()])  # the only wait for the device
        height, slope_there, largest = known.tolist()
        return Trial(step, height, slope_there, largest, gradient), loss

    def aim(self, direction: Tensor, gradient: Tensor) -> tuple[float, float]:
        """Start a new line: x is the vector of the current parameters, and d is `direction` (n,).

        Store φ'(0), the slope of L along the line. Return the 1-norm and the 2-norm of d.
        """
        self._direction, self.at = direction, 0.0
        self._place = self._current()
        d = direction.double()
        self.slope, one, two = torch.stack([gradient.double().dot(d), d.abs().sum(), d.norm()]).tolist()
        return one, two

    def move(self, step: float) -> None:
        """Set the parameters to x + `step`·d."""
        self.at = step
        place = self._place if step == 0 else self._place.add(self._direction, alpha=step)
        parts = torch.split(place, [parameter.numel() for parameter in self.parameters])
        with torch.no_grad():
            for parameter, part in zip(self.parameters, parts, strict=True):
                parameter.copy_(part.view_as(parameter))

    def moved(self) -> Tensor:
        """Return the current parameters minus x: a vector (n,) that is equal to t·d up to rounding."""
        return self._current() - self._place

    def _current(self) -> Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in self.parameters])

    def _gradient(self) -> Tensor:
        return torch.cat(
            [
                torch.zeros_like(parameter).flatten() if parameter.grad is None else parameter.grad.flatten()
                for parameter in self.parameters
            ]
        )
