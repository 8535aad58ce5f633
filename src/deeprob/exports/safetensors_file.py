"""The numbers of a network, without its formulas: weights and learned features as safetensors."""

from pathlib import Path
from typing import Any

import torch

from deeprob.assembly.finished import Run
from deeprob.config import flat
from deeprob.exports.description import as_texts


def write_safetensors(run: Run, description: dict[str, Any], path: Path) -> None:
    """Write the tensors of the model (``model.*``), the features (``features.*``) and the scale of the targets.

    The metadata hold the description, the settings of the run (``settings``) and, of a table, what its columns became
    (``encoding``). So any feature can be written, but whoever reads the file brings the formulas.
    """
    from safetensors.torch import save_file

    predictor = run.predictor
    parts = {"model": predictor.model, "features": predictor.features, "targets": predictor.target_scale}
    tensors: dict[str, torch.Tensor] = {}
    for name, part in parts.items():
        state = {} if part is None else part.state_dict()
        tensors |= {f"{name}.{key}": value.contiguous().clone() for key, value in state.items()}
    encoding = None if run.encoding is None else run.encoding.to_json()
    save_file(tensors, path, as_texts({**description, "settings": flat(run.config), "encoding": encoding}))
