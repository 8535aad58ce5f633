"""A graph of ONNX: ONNX Runtime computes what the run computes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from deeprob import load_run
from deeprob.config import options
from deeprob.exports.description import described
from deeprob.exports.network import Network, network_of, steps_of
from deeprob.exports.onnx_file import write_onnx
from deeprob.features.parts import part_config
from deeprob.models.activations import ACTIVATIONS

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

RNG = np.random.default_rng(0)
POINTS = torch.from_numpy(RNG.normal(size=(1000, 2)).astype(np.float32))
ROWS = torch.from_numpy(np.round(RNG.normal(size=(1000, 3)) * 4 + 1e4, 1))
PICTURES = torch.from_numpy(RNG.integers(0, 256, (1000, 3, 6, 6), dtype=np.uint8))
FEATURES = [
    *((name, POINTS) for name in ("raw", "polar", "quantile", "piecewise_linear")),
    *((name, ROWS) for name in ("raw", "pca", "whiten", "whiten cholesky", "quantile", "piecewise_linear", "concat")),
    *((name, PICTURES) for name in ("raw", "pixels", "pixels grayscale", "pca", "whiten", "whiten cholesky", "chain")),
]
VALUES = {
    "pca": {"components": 2},
    "whiten cholesky": {"method": "cholesky"},
    "pixels grayscale": {"before": ["grayscale"]},
    "concat": {"parts": ["raw", "quantile"]},
    "chain": {"parts": ["pixels", "whiten"]},
}
MODELS = [
    ("linear", {}),
    *(("mlp", {"activation": name}) for name in (*ACTIVATIONS, "maxout")),
    ("mlp", {"norm": "batch"}),
    ("mlp", {"norm": "layer"}),
    ("mlp", {"bias": False, "dropout": 0.5, "output_activation": "tanh"}),
]


def answers(path, inputs):
    session = onnxruntime.InferenceSession(path)
    return session, session.run(None, {"input": inputs.numpy()})


def test_onnx_runtime_has_the_scores_of_the_run(one_run):
    run = load_run(one_run)
    inputs = run.examples("test").inputs
    expected, shares = run(inputs).numpy(), run.probabilities(inputs)
    write_onnx(network_of(run), described(run), Path("run.onnx"))
    session, (scores, probabilities) = answers("run.onnx", inputs)
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    np.testing.assert_allclose(probabilities, shares, atol=1e-6)
    np.testing.assert_allclose(answers("run.onnx", inputs[:1])[1][0], expected[:1], atol=1e-6)
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == ["arm 0", "arm 1", "arm 2"]
    assert about["model"] == "mlp"
    assert [output.name for output in session.get_outputs()] == ["scores", "probabilities"]


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=lambda model: " ".join([model[0], *map(str, model[1].values())]))
def test_every_model_with_every_feature(tmp_path, model):
    """The largest difference from deeprob's scores, over 1,000 inputs; weights are random."""
    name, values = model
    worst = {}
    for feature, inputs in FEATURES:
        config = part_config({"name": feature.split()[0], **VALUES.get(feature, {})}, "features", "feature")
        features = config.make(tuple(inputs.shape[1:]))
        features.fit(inputs[:500])
        own = options("model")[name](**values, **({"width": 32} if name == "mlp" else {}))
        with torch.random.fork_rng():
            built = own.build(features.output_count, 3, torch.Generator().manual_seed(0))
        if values.get("norm") == "batch":
            for part in built.norms:
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2)
        built.eval()
        with torch.no_grad():
            expected = built(features(features.extract(inputs)))
            expected = expected / (scale := expected.abs().max())  # so that large random weights do not count
        shape, dtype = tuple(inputs.shape[1:]), inputs.dtype
        network = Network(steps_of(features, shape), built, None, shape, dtype, True)
        write_onnx(network, {"deeprob": "1"}, tmp_path / "network.onnx")
        _, (scores, _) = answers(tmp_path / "network.onnx", inputs)
        worst[feature, dtype] = np.abs(scores / scale.numpy() - expected.numpy()).max()
    assert {case: error for case, error in worst.items() if error > 1e-5} == {}
