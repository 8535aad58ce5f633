"""Weights and learned features as safetensors: exactly those of the run."""

import json
from pathlib import Path

import pytest
import torch

from deeprob import load_run
from deeprob.exports.description import described
from deeprob.exports.safetensors_file import write_safetensors

safetensors = pytest.importorskip("safetensors")


def test_tensors_and_metadata_are_those_of_the_run(one_run):
    run = load_run(one_run)
    write_safetensors(run, described(run), Path("run.safetensors"))
    with safetensors.safe_open("run.safetensors", "pt") as file:
        found, about = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    expected = {f"model.{name}": value for name, value in run.model.state_dict().items()}
    expected |= {f"features.{name}": value for name, value in run.predictor.features.state_dict().items()}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert json.loads(about["settings"])["model.width"] == 8
    # the loader of the guide: the scores from the file alone
    inputs = torch.tensor([[0.3, -0.2]])
    hidden = (inputs - found["features.standardize.mean"]) / found["features.standardize.deviation"]
    for layer in range(3):
        hidden = hidden.float() @ found[f"model.layers.{layer}.weight"].T + found[f"model.layers.{layer}.bias"]
        hidden = hidden.relu() if layer < 2 else hidden
    torch.testing.assert_close(hidden, run(inputs))
