"""The memory of L-BFGS: the last steps and gradient changes, and the search direction computed from them."""

from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor


class Curvature:
    """The last m pairs (s, y), where s is a step and y is the change of the gradient in that step.

    A new pair overwrites the oldest pair.

    BFGS estimates the inverse Hessian H from these pairs. This class never forms H. It computes the product Hg with a
    gradient g:

        u  = R⁻¹Sᵀg
        Hg = γg + S·R⁻ᵀ(Du + γYᵀYu − γYᵀg) − γYu

    The columns of S and Y are the steps and the gradient changes, from old to new. R is the upper triangle of SᵀY, and
    D is the diagonal of SᵀY. γ is sᵀy/yᵀy of the newest pair.

    The computation reads S and Y twice, and solves small systems of equations in double precision. It never waits for
    the device (Byrd, Nocedal and Schnabel, "Representations of quasi-Newton matrices and
    their use in limited memory methods", 1994, equation 3.1).

    Parameters
    ----------
    memory
        The dict that holds all values; checkpoints save it. ``steps`` and ``changes`` (m, n) hold the vectors s and y
        of pair k in row k mod m. ``step_change`` and ``change_change`` (m, m) are SᵀY and YᵀY in double precision.
        ``pairs`` is the number of pairs that were added since the memory was empty.
    """

    def __init__(self, memory: MutableMapping[str, Any]) -> None:
        self.memory = memory

    def allocate(self, size: int, like: Tensor) -> None:
        """Allocate memory for `size` pairs of vectors like `like` (n,). If there is memory already, do nothing."""
        if "steps" not in self.memory:
            for name in ("steps", "changes"):
                self.memory[name] = like.new_zeros(size, like.numel())
            for name in ("step_change", "change_change"):
                self.memory[name] = like.new_zeros(size, size, dtype=torch.float64)
            self.memory["pairs"] = 0

    def __len__(self) -> int:
        count: int = min(self.memory["pairs"], self.memory["steps"].shape[0])
        return count

    def clear(self) -> None:
        """Remove all pairs."""
        self.memory["pairs"] = 0

    def add(self, step: Tensor, change: Tensor) -> bool:
        """Store the pair s = `step` (n,), y = `change` (n,) if sᵀy is positive. Return whether it was stored.

        Without this test, H might not be positive definite. Because of rounding, the test is sᵀy > ε‖s‖‖y‖, where ε is
        the machine epsilon of the vectors' dtype.
        """
        s, y = step.double(), change.double()
        products = torch.stack([s.dot(y), y.dot(y), s.dot(s)])
        curvature, changes, steps = products.tolist()
        if not curvature > torch.finfo(step.dtype).eps * (steps * changes) ** 0.5:
            return False
        row = self.memory["pairs"] % self.memory["steps"].shape[0]
        self.memory["steps"][row] = step
        self.memory["changes"][row] = change
        self.memory["pairs"] += 1
        rows = slice(0, len(self))
        self.memory["step_change"][rows, row] = self.memory["steps"][rows].mv(change).double()
        inner = self.memory["changes"][rows].mv(change).double()
        self.memory["change_change"][rows, row] = inner
        self.memory["change_change"][row, rows] = inner
        self.memory["step_change"][row, row] = products[0]
        self.memory["change_change"][row, row] = products[1]
        return True

    def direction(self, gradient: Tensor) -> Tensor:
        """Return the search direction −Hg (n,) for a gradient g (n,); if the memory is empty, return −g."""
        count = len(self)
        if count == 0:
            return gradient.neg()
        oldest = self.memory["pairs"] % count if self.memory["pairs"] > count else 0
        steps, changes = self.memory["steps"][:count], self.memory["changes"][:count]

        def by_age(products: Tensor) -> Tensor:
            return products[:count, :count].roll((-oldest, -oldest), (0, 1))

        upper, inner = by_age(self.memory["step_change"]).triu(), by_age(self.memory["change_change"])
        step_gradient, change_gradient = (
            rows.mv(gradient).double().roll(-oldest).unsqueeze(1) for rows in (steps, changes)
        )
        scale = upper[-1, -1] / inner[-1, -1]
        u = torch.linalg.solve_triangular(upper, step_gradient, upper=True)
        right = upper.diagonal().unsqueeze(1) * u + scale * (inner @ u - change_gradient)
        along_steps = torch.linalg.solve_triangular(upper.T, right, upper=False)

        def by_row(coefficients: Tensor) -> Tensor:
            return coefficients.squeeze(1).roll(oldest).to(gradient.dtype)

        direction = gradient * -scale.to(gradient.dtype)
        return direction.sub_(by_row(along_steps) @ steps).add_(by_row(scale * u) @ changes)
