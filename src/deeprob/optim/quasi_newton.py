"""L-BFGS that reports why it stops, accepts only finite points, and clears its memory when a line search fails."""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from deeprob.optim.curvature import Curvature
from deeprob.optim.line import Line
from deeprob.optim.wolfe import Trial, finite_step, wolfe_search

GRADIENT, CHANGE, SEARCH, NOT_FINITE, MAX_ITER, MAX_EVAL = range(1, 7)
REASONS = {
    GRADIENT: "gradient small",
    CHANGE: "objective no longer falls",
    SEARCH: "line search failed",
    NOT_FINITE: "loss or gradient not finite",
    MAX_ITER: "max_iter",
    MAX_EVAL: "max_eval",
}
FINAL = (GRADIENT, CHANGE, SEARCH)
ROUNDING = 4  # two evaluations of L at one point may differ by this many spacings of floating-point numbers


class QuasiNewton(torch.optim.LBFGS):
    """Limited-memory BFGS with the arguments of torch's LBFGS: each iteration is x ← x − tHg.

    x holds all parameters, g is the gradient, and t is the step. H is an estimate of the inverse Hessian, computed from
    the last pairs of steps and gradient changes (`Curvature`). torch's own class has three problems. Parameters may
    become NaN. Without a line search, it may stop after a step that is too long. Its tolerances are absolute. So in
    single precision, or for a large L, rounding decides whether it stops. This class works as follows:

    * If the memory is empty, a search first tries t = lr/‖g‖, as in SciPy.
    * A search looks for a step that meets both strong Wolfe conditions. If it finds none, a step that meets the first
      condition is enough (`wolfe_search`). L and its gradient must be finite after the step.
    * The pair of the step is stored if its curvature is positive (`Curvature.add`).
    * If a search finds no step, the memory is cleared and steepest descent is tried. If steepest descent also
      fails, the parameters stay at the last accepted point. This is the best point, up to rounding.
    * If a decision depends on a dot product, the dot product is computed in double precision.
    * Each evaluation waits for the device once.

    Parameters
    ----------
    lr
        The first step t that a line search tries. Without a line search, every step has this t.
    max_iter
        Maximum number of iterations per call of `step`.
    max_eval
        Maximum number of evaluations per call of `step`. None: 5/4 of `max_iter`. The last line search may exceed this
        number.
    tolerance_grad
        Stop when max|gᵢ| ≤ tolerance_grad·size. Here size = max(|L|, min(1, |L₀|)), and L₀ is the first value of L.
    tolerance_change
        Stop when an iteration lowers L by tolerance_change·size or less. If the decrease of L is smaller than the
        rounding error of L, the decrease is computed from the slopes instead, as −½t(φ'(0) + φ'(t)).
    history_size
        Maximum number of pairs in the memory.
    line_search_fn
        ``strong_wolfe``, or None for fixed steps t = `lr`. While the memory is empty, the fixed step is
        lr·min(1, 1/‖g‖₁), as in torch. A fixed step is shortened only if L or its gradient is not finite.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = "strong_wolfe",
    ) -> None:
        super().__init__(params, lr, max_iter, max_eval, tolerance_grad, tolerance_change, history_size, line_search_fn)

    @property
    def reason(self) -> str:
        """The reason why the last call of `step` ended; empty before the first call."""
        return REASONS.get(self.state.get(self._params[0], {}).get("ended", 0), "")

    @property
    def finished(self) -> bool:
        """Whether the last call of `step` changed nothing. Then further calls would change nothing either."""
        return bool(self.state.get(self._params[0], {}).get("finished", 0))

    @property
    def _memory(self) -> dict[str, Any]:
        """The state of the optimizer. torch stores it under the first parameter."""
        memory: dict[str, Any] = self.state[self._params[0]]
        return memory

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Do up to `max_iter` iterations.

        Parameters
        ----------
        closure
            Computes L, leaves its gradient in the parameters, and returns L.

        Returns
        -------
        Tensor or float
            The first return value of the closure: the value of L at the parameters before the call.
        """
        group, memory = self.param_groups[0], self._memory
        line = Line(self._params, torch.enable_grad()(closure))
        now, first_loss = line.evaluate()
        if not now.finite:
            memory["ended"], memory["finished"] = NOT_FINITE, 0
            return first_loss
        if memory.get("ended") in FINAL and memory["loss"] == now.value:
            memory["finished"] = 1
            return first_loss
        memory.setdefault("first_loss", now.value)
        curvature = Curvature(memory)
        curvature.allocate(group["history_size"], now.gradient)
        iterations, ended = 0, GRADIENT if self._small(now) else 0
        while not ended:
            with_memory = len(curvature) > 0
            found = self._next(line, curvature, now)
            if found is None and with_memory:
                curvature.clear()
                continue
            iterations += 1
            if found is None:
                ended = SEARCH
                break
            added = curvature.add(line.moved(), found.gradient - now.gradient)
            fall, now = self._fall(line, now, found), found
            if self._small(now):
                ended = GRADIENT
            elif fall <= group["tolerance_change"] * self._size(now) and (with_memory or not added):
                ended = CHANGE
            elif iterations >= group["max_iter"]:
                ended = MAX_ITER
            elif line.evaluations >= group["max_eval"]:
                ended = MAX_EVAL
        memory["ended"], memory["loss"] = ended, now.value
        memory["finished"] = int(ended in FINAL and iterations == 0)
        return first_loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state without changing the precision of its tensors.

        torch's own method would convert the tensors to the precision of the parameters.
        """
        super().load_state_dict(state_dict)
        for values in state_dict["state"].values():
            device = self._params[0].device
            self._memory.update({k: v.to(device, copy=True) for k, v in values.items() if isinstance(v, Tensor)})

    def _next(self, line: Line, curvature: Curvature, now: Trial) -> Trial | None:
        """Move the parameters to the next accepted point and return its trial. If there is none, return None."""
        group = self.param_groups[0]
        norm_1, norm_2 = line.aim(curvature.direction(now.gradient), now.gradient)
        if not line.slope < 0:
            return None
        step, fixed = float(group["lr"]), group["line_search_fn"] is None
        if len(curvature) == 0:
            step *= min(1.0, 1 / norm_1) if fixed else 1 / norm_2
        start = dataclasses.replace(now, step=0.0, slope=line.slope)
        found = finite_step(line, step) if fixed else wolfe_search(line, start, step, self._rounding(now))
        if found is None or line.at != found.step:
            line.move(0.0 if found is None else found.step)
        return found

    def _fall(self, line: Line, now: Trial, found: Trial) -> float:
        """Return the decrease of L from `now` to `found`.

        Without a line search, return the absolute change of L. With a line search, if the change of L is within the
        rounding error, compute the decrease from the slopes.
        """
        fall = now.value - found.value
        if self.param_groups[0]["line_search_fn"] is None:
            return abs(fall)
        if abs(fall) > self._rounding(now):
            return fall
        return -0.5 * found.step * (line.slope + found.slope)

    def _rounding(self, now: Trial) -> float:
        """Return the largest difference that rounding may cause between two evaluations of L at one point."""
        return ROUNDING * torch.finfo(self._params[0].dtype).eps * abs(now.value)

    def _size(self, now: Trial) -> float:
        """Return max(|L|, min(1, |L₀|)). Both tolerances are multiplied by this number."""
        first: float = abs(self._memory["first_loss"])
        return max(abs(now.value), min(1.0, first))

    def _small(self, now: Trial) -> bool:
        """Return whether the gradient is small enough to stop (`tolerance_grad`)."""
        small: bool = now.largest <= self.param_groups[0]["tolerance_grad"] * self._size(now)
        return small
