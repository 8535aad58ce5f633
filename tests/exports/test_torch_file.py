"""A program of PyTorch: it loads without deeprob, and computes what the run computes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deeprob import load_run
from deeprob.errors import UserError
from deeprob.exports.description import described
from deeprob.exports.network import Network, network_of
from deeprob.exports.torch_file import traced, write_torch
from deeprob.models import Model

LOAD = """
import sys, torch
extra = {"deeprob.json": ""}
network = torch.export.load("run.pt2", extra_files=extra).module()
torch.save((network(torch.load("inputs.pt")), extra["deeprob.json"]), "outputs.pt")
assert not [name for name in sys.modules if name.startswith("deeprob")]
"""


def test_a_program_takes_batches_of_any_size(one_run):
    network = network_of(load_run(one_run))
    program = traced(network).module()
    for count in (1, 7):
        inputs = torch.randn(count, 2)
        with torch.no_grad():
            assert all(map(torch.equal, program(inputs), network(inputs)))


@pytest.mark.slow
def test_a_program_runs_without_deeprob(one_run):
    run = load_run(one_run)
    inputs = run.examples("test").inputs
    expected = run(inputs)
    torch.save(inputs, "inputs.pt")
    write_torch(network_of(run), described(run), Path("run.pt2"))
    subprocess.run([sys.executable, "-c", LOAD], check=True)
    (scores, _), about = torch.load("outputs.pt")
    torch.testing.assert_close(scores, expected)
    assert json.loads(about)["classes"] == ["arm 0", "arm 1", "arm 2"]


class Residual(Model):
    """A model of one's own, without formulas."""

    linear_layers = ()
    stages = None

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, inputs, key=None):
        return inputs + self.layer(inputs).relu()


def test_a_model_of_ones_own_is_traced():
    network = Network([], Residual(), None, (2,), torch.float32, True)
    inputs = torch.randn(5, 2)
    with torch.no_grad():
        scores, probabilities = traced(network).module()(inputs)
        expected = inputs + (inputs @ network.model.layer.weight.T + network.model.layer.bias).relu()
    torch.testing.assert_close(scores, expected)
    torch.testing.assert_close(probabilities, expected.softmax(1))


class Choosy(Model):
    """A model that looks at the values of its inputs."""

    linear_layers = ()
    stages = None

    def forward(self, inputs, key=None):
        return inputs if inputs.sum() > 0 else -inputs


def test_a_model_that_cannot_be_traced_is_one_line():
    network = Network([], Choosy(), None, (2,), torch.float32, False)
    with pytest.raises(UserError, match=r"^Choosy: cannot be traced .* its forward may use operations of torch alone"):
        traced(network)
