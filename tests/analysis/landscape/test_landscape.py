from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.func import functional_call

from deeprob import randomness
from deeprob.analysis.landscape import landscape as module
from deeprob.analysis.landscape.landscape import Landscape
from deeprob.data import Examples
from deeprob.models import LinearConfig, MLPConfig
from deeprob.objective import (
    CrossEntropyConfig,
    ElasticNetConfig,
    HingeConfig,
    L2Config,
    NoneConfig,
    Objective,
    OneVsAllHingeConfig,
    SquaredErrorConfig,
    SquaredHingeConfig,
)

MODELS = {
    "linear": LinearConfig(),
    "linear without bias": LinearConfig(bias=False),
    "one layer": MLPConfig(layers=1, output_activation="sigmoid"),
    "deep": MLPConfig(layers=4, width=7),
    "tanh without bias": MLPConfig(layers=2, width=5, activation="tanh", bias=False),
    "maxout": MLPConfig(layers=3, width=4, activation="maxout", pieces=3),
    "layer norm": MLPConfig(layers=3, width=6, norm="layer"),
    "batch norm and dropout": MLPConfig(layers=3, width=6, norm="batch", dropout=0.5),
}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def made(model, loss=None, regularizer=None, dtype=torch.float64, examples=30):
    rng = torch.Generator().manual_seed(0)
    network = model.build(6, 4, randomness.generator(0, "weights")).to(dtype)
    inputs = torch.randn(examples, 2, 3, generator=rng, dtype=torch.float64).to(dtype)
    network.train()
    network(inputs)  # running means that are not those of a start
    targets = torch.randint(4, (examples,), generator=rng)
    objective = Objective((loss or CrossEntropyConfig()).build(), (regularizer or NoneConfig()).build())
    return Landscape(network.eval(), objective, Examples(inputs, targets))


def directions(landscape, count, seed=1):
    rng = torch.Generator().manual_seed(seed)
    return [
        {
            name: torch.randn(tensor.shape, generator=rng, dtype=torch.float64).to(tensor)
            for name, tensor in here.items()
        }
        for here in [landscape.here] * count
    ]


@torch.no_grad()
def loop(landscape, spanning, steps):
    """One point after the other, by calling the whole model with the weights loaded."""
    values = []
    for step in steps.tolist():
        point = {
            name: tensor + sum(a * direction[name] for a, direction in zip(step, spanning, strict=True))
            for name, tensor in landscape.here.items()
        }
        scores = functional_call(landscape.model, point, (landscape.examples.inputs,))
        values.append(landscape.objective(scores, landscape.examples.targets, point).loss.item())
    return values


STEPS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.3, -0.7], [-2.0, 1.5], [0.0, 1e-3]], dtype=torch.float64)


@pytest.mark.parametrize("name", MODELS)
def test_a_plane_equals_the_loop(name):
    landscape = made(MODELS[name], regularizer=L2Config(strength=0.01))
    spanning = directions(landscape, 2)
    found = landscape.losses(landscape.here, spanning, STEPS)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, loop(landscape, spanning, STEPS), rtol=1e-12)


@pytest.mark.parametrize(
    "loss",
    [CrossEntropyConfig(label_smoothing=0.1), HingeConfig(), SquaredHingeConfig(), OneVsAllHingeConfig(),
     SquaredErrorConfig()],
    ids=lambda loss: type(loss).__name__,
)  # fmt: skip
def test_every_loss_with_l1_and_l2(loss):
    landscape = made(MODELS["deep"], loss, ElasticNetConfig(strength=0.1))
    spanning = directions(landscape, 2)
    np.testing.assert_allclose(
        landscape.losses(landscape.here, spanning, STEPS), loop(landscape, spanning, STEPS), rtol=1e-12
    )


def test_numbers_as_targets():
    landscape = made(MODELS["deep"], SquaredErrorConfig())
    targets = torch.randn(30, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    landscape = Landscape(landscape.model, landscape.objective, Examples(landscape.examples.inputs, targets))
    spanning = directions(landscape, 2)
    np.testing.assert_allclose(
        landscape.losses(landscape.here, spanning, STEPS), loop(landscape, spanning, STEPS), rtol=1e-12
    )


def test_it_is_the_same_in_chunks(monkeypatch):
    landscape = made(MODELS["deep"], regularizer=L2Config(strength=0.1))
    spanning = directions(landscape, 1)
    steps = torch.linspace(-1, 1, 11, dtype=torch.float64)[:, None]
    whole = landscape.losses(landscape.here, spanning, steps)
    monkeypatch.setattr(module, "EXAMPLES", 7)
    monkeypatch.setattr(module, "CHUNK", 7 * 7 * 2)
    monkeypatch.setattr(module, "MEMORY", 300)
    torch.testing.assert_close(landscape.losses(landscape.here, spanning, steps), whole, rtol=1e-13, atol=0)


def test_float32_agrees_to_its_rounding():
    landscape = made(MODELS["deep"], dtype=torch.float32)
    spanning = directions(landscape, 2)
    found = landscape.losses(landscape.here, spanning, STEPS)
    np.testing.assert_allclose(found, loop(landscape, spanning, STEPS), rtol=1e-5)
    double = landscape.to(torch.float64)
    wide = [{name: tensor.double() for name, tensor in direction.items()} for direction in spanning]
    np.testing.assert_allclose(found, double.losses(double.here, wide, STEPS), rtol=1e-5)


def test_a_linear_models_plane_by_hand():
    landscape = made(LinearConfig(bias=False), SquaredErrorConfig(), L2Config(strength=0.5))
    x = landscape.examples.inputs.flatten(1).numpy()
    y = np.eye(4)[landscape.examples.targets.numpy()]
    weight = landscape.here["layer.weight"].numpy()
    (direction,) = directions(landscape, 1)
    (found,) = landscape.losses(landscape.here, [direction], torch.tensor([[0.7]])).tolist()
    moved = weight + 0.7 * direction["layer.weight"].numpy()
    assert found == pytest.approx(((x @ moved.T - y) ** 2).sum(1).mean() + 0.5 * (moved**2).sum(), rel=1e-6)


def test_the_model_is_left_as_it_was():
    landscape = made(MODELS["batch norm and dropout"])
    before = {name: tensor.clone() for name, tensor in landscape.model.state_dict().items()}
    landscape.losses(landscape.here, directions(landscape, 2), STEPS)
    landscape.gradient()
    after = landscape.model.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert all(parameter.grad is None for parameter in landscape.model.parameters())


def test_the_gradient_is_the_slope():
    landscape = made(MODELS["deep"], regularizer=L2Config(strength=0.1))
    gradient = landscape.gradient()
    (direction,) = directions(landscape, 1)
    h = 1e-6
    below, above = landscape.losses(
        landscape.here, [direction], torch.tensor([[-h], [h]], dtype=torch.float64)
    ).tolist()
    slope = sum((gradient[name] * direction[name]).sum().item() for name in gradient)
    assert (above - below) / (2 * h) == pytest.approx(slope, rel=1e-6)


def test_what_overflows_is_not_finite_and_spoils_nothing_else():
    landscape = made(MODELS["deep"], dtype=torch.float32)
    found = landscape.losses(landscape.here, directions(landscape, 1), torch.tensor([[0.0], [1e30], [1.0]]))
    assert torch.isfinite(found).tolist() == [True, False, True]


def test_a_model_that_names_no_layers_has_the_same_losses():
    named = made(MODELS["deep"], regularizer=L2Config(strength=0.01))
    unnamed = made(MODELS["deep"], regularizer=L2Config(strength=0.01))
    unnamed.model.__class__ = type("Unnamed", (type(unnamed.model),), {"linear_layers": []})
    steps = torch.tensor([[0.0, 0.0], [0.5, -1.0], [-2.0, 0.3]], dtype=torch.float64)
    expected = named.losses(named.here, directions(named, 2), steps)
    np.testing.assert_allclose(unnamed.losses(unnamed.here, directions(named, 2), steps), expected, rtol=1e-12)


def test_weights_of_examples_are_copies():
    plain = made(MODELS["deep"], examples=300)
    copies = torch.randint(1, 4, (300,), generator=torch.Generator().manual_seed(2))
    weighted = replace(plain, examples=replace(plain.examples, weights=copies.double()))
    repeated = replace(plain, examples=plain.examples[torch.arange(300).repeat_interleave(copies)])
    direction, steps = directions(plain, 1), torch.tensor([[0.0], [0.5]])
    torch.testing.assert_close(*(one.losses(one.here, direction, steps) for one in (weighted, repeated)))
    for name, gradient in weighted.gradient().items():
        torch.testing.assert_close(gradient, repeated.gradient()[name])
