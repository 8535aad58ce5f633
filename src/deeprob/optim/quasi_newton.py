"""L-BFGS that says why it stops, never accepts what is not finite, and starts afresh when a line search fails."""

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
ROUNDING = 4  # spacings of floating-point numbers by which two evaluations of the same L may differ


class QuasiNewton(torch.optim.LBFGS):
    """Limited-memory BFGS with torch's arguments: x ← x − tHg with H an inverse Hessian made of the last pairs.

    Torch's own class may end in NaN, and without a line search at a step that is too long; its criteria are absolute,
    so that in single precision, or for a large L, it goes on or stops by chance. Here

    * the first step is 1/‖g‖ long, as SciPy's is, and so is the first after the memory was cleared;
    * a step is accepted where L and its gradient are finite and the strong Wolfe conditions hold (`wolfe.search`), and
      a pair is remembered where its curvature is positive (`Curvature.add`);
    * when a search finds no such step the memory is cleared and steepest descent tried; when this finds none either,
      the parameters stay at the last point, the best one up to rounding;
    * products that decide something are computed in double precision; an evaluation waits for the device once.

    Parameters
    ----------
    lr
        What the first trial of each search is multiplied by; without a search, the step length.
    max_iter
        Iterations a call of `step`.
    max_eval
        Evaluations a call of `step`, which a line search under way may exceed (default: 5/4 of `max_iter`).
    tolerance_grad
        Stop when max|gᵢ| ≤ tolerance_grad·size, with size = max(|L|, min(1, |L₀|)) and L₀ the first value ever.
    tolerance_change
        Stop when an iteration lowers L by tolerance_change·size or less. A fall that is smaller than L's rounding is
        taken from the slopes instead, −½t(φ'(0) + φ'(t)).
    history_size
        Pairs in the memory.
    line_search_fn
        ``strong_wolfe``, or None for steps of fixed length `lr` (the first one lr·min(1, 1/‖g‖₁), as torch's), which
        are made shorter only where L is not finite.
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
        """Why the last step ended; empty before the first."""
        return REASONS.get(self.state.get(self._params[0], {}).get("ended", 0), "")

    @property
    def finished(self) -> bool:
        """Whether the last step found nothing to do, as another one would."""
        return bool(self.state.get(self._params[0], {}).get("finished", 0))

    @property
    def _memory(self) -> dict[str, Any]:
        """The state, which torch keeps for the first parameter."""
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
            What the closure returned first, at the parameters as they were.
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
        """Take a state, every number in its own precision, where torch would take the parameters'."""
        super().load_state_dict(state_dict)
        for values in state_dict["state"].values():
            device = self._params[0].device
            self._memory.update({k: v.to(device, copy=True) for k, v in values.items() if isinstance(v, Tensor)})

    def _next(self, line: Line, curvature: Curvature, now: Trial) -> Trial | None:
        """Return the accepted point along the next direction, where the parameters are then; None if there is none."""
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
        """Return by how much L fell from a point to the next, or by how much it changed where no search saw to it."""
        fall = now.value - found.value
        if self.param_groups[0]["line_search_fn"] is None:
            return abs(fall)
        if abs(fall) > self._rounding(now):
            return fall
        return -0.5 * found.step * (line.slope + found.slope)

    def _rounding(self, now: Trial) -> float:
        """Return by how much two evaluations of L at one point may differ."""
        return ROUNDING * torch.finfo(self._params[0].dtype).eps * abs(now.value)

    def _size(self, now: Trial) -> float:
        """Return what a change of L is compared with."""
        first: float = abs(self._memory["first_loss"])
        return max(abs(now.value), min(1.0, first))

    def _small(self, now: Trial) -> bool:
        """Tell whether the gradient is small."""
        small: bool = now.largest <= self.param_groups[0]["tolerance_grad"] * self._size(now)
        return small
