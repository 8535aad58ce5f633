"""A header in C: a strict compiler takes it, and it computes what the network computes."""

import ctypes
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from deeprob import load_run
from deeprob.config import options
from deeprob.data.encoding import CategoryInput, Encoding, NumberInput
from deeprob.errors import UserError
from deeprob.exports.c_header import write_c
from deeprob.exports.description import described
from deeprob.exports.network import Network, network_of, steps_of
from deeprob.exports.tensor_steps import Encode, Step, Units
from deeprob.features import QuantileConfig, Standardize
from deeprob.features.parts import part_config
from deeprob.models import Model
from deeprob.models.activations import ACTIVATIONS

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
compiled = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")
GENERATOR = torch.Generator().manual_seed(0)
POINTS = torch.randn(1000, 2, generator=GENERATOR)
PICTURES = torch.randint(0, 256, (200, 3, 4, 4), dtype=torch.uint8, generator=GENERATOR)
DESCRIPTION = {"classes": [], "outputs": 3}


def built(name, inputs, outputs=3, **values):
    model = options("model")[name](**values).build(inputs, outputs, torch.Generator().manual_seed(1))
    if values.get("norm") == "batch":
        for part in model.norms:
            torch.nn.init.normal_(part.running_mean)
            torch.nn.init.uniform_(part.running_var, 0.5, 2)
            torch.nn.init.normal_(part.weight)
            torch.nn.init.normal_(part.bias)
    return model.eval()


def network(steps, model, inputs, units=None):
    return Network(steps, model, units, tuple(inputs.shape[1:]), inputs.dtype, False)


def answers(folder: Path, networks: dict[str, Network], inputs: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Write a header for each network, compile them together, and call each with its inputs."""
    lines = []
    for name, one in networks.items():
        outputs = one(inputs[name][:1])[0].shape[1]
        write_c(one, {**DESCRIPTION, "outputs": outputs}, folder / f"{name}.h")
        sizes = f"{name.upper()}_INPUTS", f"{name.upper()}_OUTPUTS"
        loop = f"for (int i = 0; i < n; i++) {name}_predict(x + i * {sizes[0]}, y + i * {sizes[1]});"
        lines += [f'#include "{name}.h"', f"void call_{name}(const float *x, float *y, int n);"]
        lines += [f"void call_{name}(const float *x, float *y, int n) {{ {loop} }}"]
    (folder / "all.c").write_text("\n".join(lines) + "\n")
    subprocess.run(["cc", *STRICT, "-O1", "-shared", "-fPIC", "all.c", "-o", "all.so", "-lm"], cwd=folder, check=True)
    library, pointer = ctypes.CDLL(folder / "all.so"), ctypes.POINTER(ctypes.c_float)
    found = {}
    for name, one in networks.items():
        x = np.ascontiguousarray(inputs[name].flatten(1).numpy(), np.float32)
        found[name] = np.zeros((len(x), one(inputs[name][:1])[0].shape[1]), np.float32)
        getattr(library, f"call_{name}")(x.ctypes.data_as(pointer), found[name].ctypes.data_as(pointer), len(x))
    return found


@torch.no_grad()
def errors(folder, networks, inputs):
    """The largest difference from each network's scores, as a share of its largest score."""
    expected = {name: one(inputs[name])[0].numpy() for name, one in networks.items()}
    found = answers(folder, networks, inputs)
    return {name: np.abs(found[name] - want).max() / np.abs(want).max() for name, want in expected.items()}


@compiled
def test_every_model_in_c(tmp_path):
    models = {name: built("mlp", 2, hidden=[9, 16], activation=name) for name in (*ACTIVATIONS, "maxout")}
    models |= {
        "linear": built("linear", 2, bias=False),
        "batch": built("mlp", 2, width=8, norm="batch"),
        "layer": built("mlp", 2, width=8, norm="layer", dropout=0.5),
        "bare": built("mlp", 2, width=8, norm="batch", bias=False, output_activation="tanh"),
        "pieces": built("mlp", 2, hidden=[5], activation="maxout", pieces=3),
    }
    found = errors(tmp_path, {k: network([], v, POINTS) for k, v in models.items()}, dict.fromkeys(models, POINTS))
    assert {name: error for name, error in found.items() if error > 1e-6} == {}


CASES = {
    "raw": (POINTS, {}),
    "polar": (POINTS, {}),
    "pca": (POINTS, {"components": 2}),
    "quantile": (POINTS, {"quantiles": 50}),
    "piecewise_linear": (POINTS, {"bins": 4}),
    "whiten": (PICTURES, {"method": "cholesky"}),
    "pixels": (PICTURES, {"before": ["grayscale"]}),
    "concat": (POINTS, {"parts": ["raw", {"name": "quantile", "distribution": "uniform"}, "polar"]}),
    "chain": (POINTS, {"parts": ["whiten", {"name": "concat", "parts": ["raw", "polar"]}]}),
}


@compiled
def test_every_feature_in_c(tmp_path):
    networks, inputs = {}, {}
    for name, (values, settings) in CASES.items():
        features = part_config({"name": name, **settings}, "features", "feature").make(tuple(values.shape[1:]))
        features.fit(values[:100])
        steps = steps_of(features, tuple(values.shape[1:]))
        networks[name] = network(steps, built("mlp", features.output_count, hidden=[8]), values)
        inputs[name] = values
    assert {name: error for name, error in errors(tmp_path, networks, inputs).items() if error > 2e-6} == {}


@compiled
def test_rows_of_a_table_in_c(tmp_path):
    encoding = Encoding(
        (
            NumberInput("length", 10.0, 2.0, fill=True, indicator=True),
            CategoryInput("color", ("blue", "red"), (5, 4), pooled=("gold", "grey"), missing=True),
            CategoryInput("size", ("big", "small"), (5, 4), pooled=("huge", "tiny")),
            NumberInput("width", 1.0, 1.0),
        ),
        ("price",),
    )
    nan = math.nan
    rows = [[3, 1, 0, 1], [nan, 2, 1, 2], [5, nan, nan, 3], [6, -1, 0.5, 4], [7, 0, 2, 5]]
    inputs = torch.tensor(rows, dtype=torch.float64)
    scale = Standardize((2,), "feature")
    scale.take(torch.tensor([1e3, 0.0]), torch.tensor([50.0, 2.0]))
    one = network([Encode(encoding)], built("linear", 10, 2), inputs, Units(scale))
    assert errors(tmp_path, {"table": one}, {"table": inputs})["table"] < 1e-6


@compiled
def test_equal_numbers_of_the_training_rows_are_met_in_float_too(tmp_path):
    """The share of a number that many rows have is the middle of its range; 0.1 in float is not 0.1 in double."""
    quantile = QuantileConfig(quantiles=50, distribution="uniform").make((1,))
    rows = torch.tensor([[0.0], *[[0.1]] * 3, [0.3]], dtype=torch.float64)
    quantile.fit(rows)
    model = built("linear", 1, 1, bias=False)
    torch.nn.init.ones_(model.layer.weight)
    one = network([step for step in steps_of(quantile, (1,)) if type(step).__name__ != "Scale"], model, rows)
    found = answers(tmp_path, {"ties": one}, {"ties": torch.tensor([[0.1], [0.2], [0.3]])})
    np.testing.assert_allclose(found["ties"].flatten(), [0.5, 0.875, 1], rtol=1e-6)


@compiled
def test_the_networks_of_the_figures(tmp_path):
    """2-32-32-3 and 784-128-10: at most 1e-6 of the largest score."""
    levels = torch.randint(0, 256, (100, 784), generator=GENERATOR).float()
    features = part_config("raw", "features", "feature").make((784,))
    features.fit(levels)
    networks = {
        "small": network([], built("mlp", 2, hidden=[32, 32]), POINTS),
        "large": network(steps_of(features, (784,)), built("mlp", 784, 10, hidden=[128]), levels),
    }
    found = errors(tmp_path, networks, {"small": POINTS, "large": levels})
    assert max(found.values()) < 1e-6, found


@compiled
def test_a_program_that_uses_a_header(one_run, tmp_path):
    run = load_run(one_run)
    about = {**described(run), "classes": ['arm "0" ??/', "ä */ 1", "arm 2"]}
    write_c(network_of(run), about, tmp_path / "3 arms.h")
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "3 arms.h"\nint main(void)\n{\n'
        "    const float input[NETWORK_3_ARMS_INPUTS] = {0.3f, -0.2f};\n    float output[NETWORK_3_ARMS_OUTPUTS];\n"
        "    network_3_arms_predict(input, output);\n    network_3_arms_probabilities(output, output);\n"
        '    for (int i = 0; i < 3; i++)\n        printf("%s\\n%.7f\\n", network_3_arms_classes[i], output[i]);\n'
        '    printf("%d\\n", network_3_arms_class(output));\n    return 0;\n}\n'
    )
    subprocess.run(["cc", *STRICT, "main.c", "-o", "main", "-lm"], cwd=tmp_path, check=True)
    *told, best = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout.splitlines()
    shares = run.probabilities([[0.3, -0.2]])[0]
    assert told[::2] == about["classes"]
    np.testing.assert_allclose([float(share) for share in told[1::2]], shares, atol=1e-6)
    assert int(best) == shares.argmax()


class Own(Model):
    """A model without formulas."""

    linear_layers = ()
    stages = None

    def forward(self, inputs, key=None):
        return inputs


def test_what_has_no_c_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"^Own: format=c needs a model with formulas; take format=onnx or"):
        write_c(network([], Own(), POINTS), DESCRIPTION, tmp_path / "own.h")
    model = built("linear", 2)
    torch.nn.init.constant_(model.layer.weight, math.inf)
    with pytest.raises(UserError, match=r"^format=c: some weights are not finite numbers"):
        write_c(network([], model, POINTS), DESCRIPTION, tmp_path / "own.h")
    with pytest.raises(AssertionError, match="no C for Step"):
        write_c(network([Step(2, 2)], model, POINTS), DESCRIPTION, tmp_path / "own.h")
