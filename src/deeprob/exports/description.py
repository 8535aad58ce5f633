"""What a file of a network tells about it: the meaning of its inputs and outputs, and where it comes from."""

import json
from importlib.metadata import version
from typing import Any

from deeprob.assembly.finished import Run
from deeprob.config import digest, name_of
from deeprob.data.encoding import CategoryInput, Encoding


def described(run: Run) -> dict[str, Any]:
    """Return the description of a run's network, made of lists, numbers and texts.

    - ``inputs``: of a table, one entry for each column; otherwise, the shape of an input.
    - ``outputs``: the number of scores. ``probabilities``: whether their softmax gives probabilities.
    - ``classes``: the names of the classes, in the order of the scores; empty for regression.
    - ``targets``: the names of the predicted columns, if the run was trained on a table.
    - ``model``, ``features``, ``loss``: the names of the options.
    - ``deeprob``: the version. ``config``: a hash of the run's settings. ``data``: a hash of its training inputs.
    """
    shape = run.predictor.input_shape
    inputs: Any = columns_described(run.encoding) if run.encoding is not None else {"shape": list(shape)}
    if len(shape) == 3:
        inputs |= {"levels": [0, 255]}
    return {
        "inputs": inputs,
        "outputs": run.predictor.outputs,
        "probabilities": run.has_probabilities,
        "classes": list(run.classes),
        "targets": [] if run.encoding is None else list(run.encoding.targets),
        **{group: name_of(getattr(run.config, group)) for group in ("model", "features", "loss")},
        "deeprob": version("deeprob"),
        "config": digest(run.config),
        "data": run.seal,
    }


def columns_described(encoding: Encoding) -> list[dict[str, Any]]:
    """Return what each number of a raw row means, in the order of the row.

    A number is the number in the table. A category is the place of its level in ``levels``. Any other place is a level
    that no training row has; the rare levels in ``other`` count as such too. NaN is a missing cell: a number becomes
    ``fill``, and a category is missing if ``missing`` says that some training rows were, else of an unknown level.
    """
    columns: list[dict[str, Any]] = []
    for column in encoding.inputs:
        if isinstance(column, CategoryInput):
            levels = {"levels": list(column.levels), "other": list(column.pooled), "missing": column.missing}
            columns.append({"name": column.name, "kind": "category", **levels})
        else:
            columns.append({"name": column.name, "kind": "number", "fill": column.mean if column.fill else None})
    return columns


def as_texts(description: dict[str, Any]) -> dict[str, str]:
    """Return a description whose values are texts: JSON, unless they are texts already."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in description.items()
        if value is not None
    }
