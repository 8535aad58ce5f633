"""A network as a graph of ONNX."""

from pathlib import Path
from typing import Any

import torch

from deeprob.exports.description import as_texts
from deeprob.exports.network import Network
from deeprob.exports.torch_file import traced


def write_onnx(network: Network, description: dict[str, Any], path: Path) -> None:
    """Write the graph with one input, ``input``, and the outputs ``scores`` and ``probabilities``, if there are any.

    The first dimension of each is the size of the batch. The description is in the metadata of the model.

    Raises
    ------
    UserError
        See `traced`.
    """
    import onnx

    program = torch.onnx.export(
        traced(network), dynamo=True, input_names=["input"], output_names=list(network.outputs), verbose=False
    )
    assert program is not None
    model = program.model_proto
    model.producer_name, model.producer_version = "deeprob", description["deeprob"]
    onnx.helper.set_model_props(model, as_texts(description))
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
