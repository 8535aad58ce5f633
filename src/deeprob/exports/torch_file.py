"""A network as a program of PyTorch (``.pt2``), which runs without deeprob."""

import json
from pathlib import Path
from typing import Any

import torch

from deeprob.errors import UserError, one_line
from deeprob.exports.network import Network


def traced(network: Network) -> torch.export.ExportedProgram:
    """Return a network as a program of tensor operations, for batches of any size.

    Raises
    ------
    UserError
        If the model's ``forward`` cannot be traced: if, for example, it depends on the values of its inputs.
    """
    batch = {0: torch.export.Dim("batch")}
    try:
        return torch.export.export(network, (network.example,), dynamic_shapes={"input": batch})
    except Exception as error:  # of many types, all from the model's forward
        name = type(network.model).__name__
        raise UserError(
            f"{name}: cannot be traced ({one_line(error)}); its forward may use operations of torch alone, and no "
            "values of its inputs in if, for or len()"
        ) from error


def write_torch(network: Network, description: dict[str, Any], path: Path) -> None:
    """Write the program and its description. ``torch.export.load`` reads both, the latter as ``deeprob.json``."""
    texts = {"deeprob.json": json.dumps(description, ensure_ascii=False)}
    torch.export.save(traced(network), path, extra_files=texts)
