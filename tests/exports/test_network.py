"""A run as one module: the same scores, from raw inputs on."""

import pytest
import torch

from deeprob import load_run
from deeprob.errors import UserError
from deeprob.exports.network import network_of, steps_of
from deeprob.features.parts import part_config

PICTURES = torch.randint(0, 256, (60, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
POINTS = torch.randn(60, 2, generator=torch.Generator().manual_seed(1))
ROWS = (POINTS.double() * 3 + 1e6 + 1 / 3).round(decimals=1)  # float64 alone has all digits, and some are equal

SAME = 0.0
CASES = {
    "raw": (POINTS, SAME),
    "raw of rows": (ROWS, SAME),
    "raw of pictures": (PICTURES, SAME),
    "polar": (POINTS, 1e-6),
    "pca": (ROWS, SAME),
    "pca of pictures": (PICTURES, SAME),
    "whiten": (ROWS, SAME),
    "whiten cholesky": (PICTURES, 1e-5),
    "quantile": (ROWS, 1e-6),
    "piecewise_linear": (ROWS, SAME),
    "pixels grayscale": (PICTURES, SAME),
    "pixels": (PICTURES, SAME),
    "concat": (ROWS, 1e-6),
    "chain": (PICTURES, SAME),
}
VALUES = {
    "pca": {"components": 2},
    "whiten cholesky": {"method": "cholesky"},
    "quantile": {"quantiles": 20},
    "piecewise_linear": {"bins": 4},
    "pixels grayscale": {"before": ["grayscale"]},
    "concat": {"parts": ["raw", {"name": "quantile", "standardize": "none"}]},
    "chain": {"parts": [{"name": "pixels", "before": ["grayscale"]}, "whiten"]},
}


@pytest.mark.parametrize("standardize", ["feature", "channel", "none"])
@pytest.mark.parametrize("case", CASES)
def test_steps_give_what_features_give(case, standardize):
    inputs, most = CASES[case]
    values = VALUES.get(case, VALUES.get(case.split()[0], {}))
    features = part_config({"name": case.split()[0], **values}, "features", standardize).make(inputs.shape[1:])
    features.fit(inputs[:40])
    expected = features(features.extract(inputs)).flatten(1)
    found = inputs.flatten(1)
    for step in steps_of(features, tuple(inputs.shape[1:])):
        assert (found.shape[1], step.inputs) == (step.inputs, found.shape[1])
        found = step(found)
    assert found.float().shape == expected.shape
    assert (found.float() - expected).abs().max() <= most * max(1, expected.abs().max())


@pytest.mark.parametrize("words", ["hog", "pixels equalize", "concat"])
def test_what_cannot_be_exported_is_one_line(words):
    values = {"before": ["equalize"]} if "equalize" in words else {"parts": ["raw", "color_histogram"]}
    name = words.split()[0]
    features = part_config({"name": name, **(values if name != "hog" else {"cell": 2})}, "features", "feature")
    of = "color_histogram" if name == "concat" else name
    line = rf"^features={of} cannot be exported; raw, pixels .* quantile and piecewise_linear can, and chain and concat"
    with pytest.raises(UserError, match=line):
        steps_of(features.make((3, 8, 8)), (3, 8, 8))


def test_a_run_as_a_module_has_its_scores_and_probabilities(one_run):
    run = load_run(one_run)
    inputs = run.examples("test").inputs
    expected, shares = run(inputs), run.probabilities(inputs)
    network = network_of(run)
    assert (network.outputs, network.example.shape) == (("scores", "probabilities"), (2, 2))
    with torch.no_grad():
        scores, probabilities = network(inputs)
    assert torch.equal(scores, expected)
    torch.testing.assert_close(probabilities, torch.from_numpy(shares).float())


def test_a_module_of_a_table_predicts_numbers_in_its_units(deeprob, tmp_path):
    table = tmp_path / "table.csv"
    lines = [f"{'red' if i % 3 else 'blue'},{i % 7},{1e6 + 50 * (i % 7) + 100 * (i % 3 > 0)}" for i in range(60)]
    table.write_text("\n".join(["color,size,price", *lines]))
    words = ("dataset=csv", f"dataset.root={table}", "dataset.task=regression", "loss=squared_error", "model.width=4")
    assert deeprob(*words, "trainer.precision=float64", "trainer.epochs=2", "hydra.run.dir=run").status == 0
    run = load_run("run")
    expected = run({"color": ["blue", "red"], "size": [1.0, 5.0]})
    network = network_of(run)
    with torch.no_grad():
        (numbers,) = network(torch.tensor([[0.0, 1.0], [1.0, 5.0]], dtype=torch.float64))
    torch.testing.assert_close(numbers, expected, rtol=1e-7, atol=0)
    assert (network.outputs, network.dtype) == (("scores",), torch.float64)
