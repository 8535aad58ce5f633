"""Measures of regression. They are computed for all runs of a stack together, from predictions and targets."""

import torch
from torch import Tensor


def of_numbers(predictions: Tensor, targets: Tensor, deviation: Tensor | None = None) -> dict[str, Tensor]:
    """Return the measures of predicted numbers: a tensor (R,) of float64 for each. Undefined values are NaN.

    - ``r2``: the coefficient of determination, 1 − Σ(t − p)²/Σ(t − mean t)², where t is the target and p the
      prediction. It is the mean over the outputs whose targets are not all equal.
    - ``mae``: the mean absolute error |t − p|.
    - ``rmse``: the root of the mean squared error, of each output; then the mean over the outputs.

    Parameters
    ----------
    predictions
        (R, N, K) for R runs and K outputs.
    targets
        (N, K), or (R, N, K) if the runs have different examples.
    deviation
        The numbers (K,) by which the targets of each output were divided, or (R, K) if they differ between runs.
        ``mae`` and ``rmse`` are multiplied by them, so that they have the units of the data. None: nothing was divided.
    """
    targets = targets.view(-1, *predictions.shape[1:]).double().transpose(1, 2).contiguous()
    errors = predictions.double().transpose(1, 2).contiguous() - targets
    squares = errors.square().mean(2)
    spread = (targets - targets.mean(2, keepdim=True)).square().mean(2)
    spread = torch.where(targets.amax(2) > targets.amin(2), spread, torch.nan)
    unit = 1.0 if deviation is None else deviation
    return {
        "r2": (1 - squares / spread).nanmean(1),
        "mae": (errors.abs().mean(2) * unit).mean(1),
        "rmse": (squares.sqrt() * unit).mean(1),
    }
