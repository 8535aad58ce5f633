"""Formulas against autograd and against each other: every model, activation, norm, loss, regularizer and dropout."""

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from deeprob import randomness
from deeprob.models import LinearConfig, MLPConfig
from deeprob.models.activations import ACTIVATIONS
from deeprob.models.backpropagation import Backpropagation, product, sum_plus_product
from deeprob.models.base import Model
from deeprob.models.norms import NORMS
from deeprob.objective import (
    CrossEntropyConfig,
    ElasticNetConfig,
    FocalConfig,
    HingeConfig,
    HuberConfig,
    L1Config,
    L2Config,
    NoneConfig,
    Objective,
    OneVsAllHingeConfig,
    SquaredErrorConfig,
    SquaredHingeConfig,
    weights,
)

LOSSES = {
    "cross_entropy": CrossEntropyConfig(),
    "smoothed": CrossEntropyConfig(label_smoothing=0.1),
    "hinge": HingeConfig(margin=0.7),
    "squared_hinge": SquaredHingeConfig(margin=1.5),
    "one_vs_all_hinge": OneVsAllHingeConfig(),
    "squared_error": SquaredErrorConfig(),
    "focal": FocalConfig(gamma=1.5, class_weights=[1, 2, 3, 4, 5]),
    "huber": HuberConfig(delta=0.3),
}
REGULARIZERS = {
    "none": NoneConfig(),
    "l2": L2Config(strength=0.01),
    "l1": L1Config(strength=0.01),
    "proximal": L1Config(strength=0.01, proximal=True),
    "elastic_net": ElasticNetConfig(strength=0.01, l1_ratio=0.3),
}
INPUTS, OUTPUTS, EXAMPLES = 7, 5, 11


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def example(model: Model, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """A batch; the parameters of the model move away from their special initial values (biases 0, scales 1)."""
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=rng, dtype=dtype))
    inputs = torch.randn(EXAMPLES, INPUTS, generator=rng, dtype=dtype)
    return inputs, torch.randint(OUTPUTS, (EXAMPLES,), generator=rng)


def by_formulas(model: Model, objective: Objective, inputs: Tensor, targets: Tensor, key: Tensor | None):
    """L(W), its gradients by name, and the buffers after the pass."""
    tensors = {name: p.detach() for name, p in model.named_parameters()}
    gradients = {name: torch.full_like(p, torch.nan) for name, p in tensors.items()}
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    chain = Backpropagation(model.formulas())
    scores, saved = chain.forward(inputs, tensors | buffers, model.training, key)
    losses, slopes = objective.loss.with_slopes(scores, targets)
    chain.backward(slopes / len(inputs), saved, tensors | buffers, gradients)
    loss = losses.mean()
    for name, weight in weights(tensors).items():
        flat = gradients[name].flatten()
        cost = objective.regularizer.with_gradient(weight.flatten(), flat)
        gradients[name] = flat.view(weight.shape)
        loss = loss if cost is None else loss + cost
    return loss, gradients, buffers


def by_autograd(model: Model, objective: Objective, inputs: Tensor, targets: Tensor, key: Tensor | None):
    parameters = dict(model.named_parameters())
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    scores = functional_call(model, {**parameters, **buffers}, (inputs, key))
    loss = objective(scores, targets, parameters).loss
    return (
        loss.detach(),
        dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values())), strict=True)),
        buffers,
    )


def assert_equal(found, expected, tolerance=1e-12):
    """L, the gradient as one vector, and the buffers agree within a relative tolerance."""
    for one, other in ((found[0], expected[0]), *((found[2][name], expected[2][name]) for name in expected[2])):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=0)
    flat, wanted = (torch.cat([part[1][name].flatten() for name in expected[1]]) for part in (found, expected))
    assert (flat - wanted).norm() <= tolerance * wanted.norm()


def networks():
    yield "linear", LinearConfig()
    yield "linear without bias", LinearConfig(bias=False)
    yield "one layer", MLPConfig(layers=1, output_activation="sigmoid")
    for activation, norm, dropout in itertools.product([*ACTIVATIONS, "maxout"], NORMS, (0.0, 0.4)):
        config = MLPConfig(hidden=[6, 4], activation=activation, norm=norm, dropout=dropout, pieces=3)
        yield f"{activation} {norm} {dropout}", config
    for activation in ACTIVATIONS:
        yield f"scores by {activation}", MLPConfig(hidden=[6], output_activation=activation)
    yield "without bias", MLPConfig(hidden=[6, 4], bias=False)


@pytest.mark.parametrize(("name", "config"), [pytest.param(n, c, id=n) for n, c in networks()])
@pytest.mark.parametrize("training", [True, False])
def test_the_formulas_of_every_model_agree_with_autograd(name, config, training):
    model = config.build(INPUTS, OUTPUTS, torch.Generator().manual_seed(0)).double().train(training)
    inputs, targets = example(model)
    key = randomness.key(3, "dropout") if model.noisy and training else None
    for loss, regularizer in itertools.product(LOSSES.values(), REGULARIZERS.values()):
        objective = Objective(loss.build(torch.bincount(targets, minlength=OUTPUTS)), regularizer.build())
        arguments = model, objective, inputs, targets, key
        assert_equal(by_formulas(*arguments), by_autograd(*arguments))


@pytest.mark.parametrize("inputs", [1, 2000])  # 2000: the layer with few outputs is computed in another order
def test_layers_of_few_inputs_and_of_many(inputs):
    model = LinearConfig().build(inputs, 3, torch.Generator().manual_seed(0)).double()
    data = torch.randn(4, inputs, dtype=torch.float64), torch.tensor([0, 1, 2, 1])
    objective = Objective(LOSSES["cross_entropy"].build(), REGULARIZERS["l2"].build())
    assert_equal(by_formulas(model, objective, *data, None), by_autograd(model, objective, *data, None))


def test_numbers_as_targets():
    model = MLPConfig(hidden=[6]).build(INPUTS, 2, torch.Generator().manual_seed(0)).double()
    data = torch.randn(4, INPUTS, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    objective = Objective(LOSSES["squared_error"].build(), REGULARIZERS["none"].build())
    assert_equal(by_formulas(model, objective, *data, None), by_autograd(model, objective, *data, None))


def test_one_example_in_training_leaves_running_statistics_alone():
    model = MLPConfig(hidden=[6], norm="batch").build(INPUTS, OUTPUTS, torch.Generator().manual_seed(0)).double()
    inputs, targets = example(model)
    objective = Objective(LOSSES["hinge"].build(), REGULARIZERS["none"].build())
    arguments = model, objective, inputs[:1], targets[:1], None
    found = by_formulas(*arguments)
    assert_equal(found, by_autograd(*arguments))
    assert found[2]["norms.0.num_batches_tracked"] == 0


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "identity"])
def test_the_derivative_of_an_activation_against_differences(activation):
    chosen, z = ACTIVATIONS[activation], torch.linspace(-3, 3, 10, dtype=torch.float64)  # no point is a corner
    step = 1e-6
    slopes = (chosen.function(z + step) - chosen.function(z - step)) / (2 * step)
    outputs = chosen.forward(z.clone())
    torch.testing.assert_close(outputs, chosen.function(z), rtol=1e-14, atol=1e-15)
    found = chosen.backward(torch.full_like(z, 2.0), z if chosen.keeps_inputs else outputs, outputs)
    torch.testing.assert_close(found, 2 * slopes, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("value", [-1000.0, 1000.0])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_and_derivatives_are_finite_far_from_zero(activation, value):
    chosen, z = ACTIVATIONS[activation], torch.full((3,), value)
    outputs = chosen.forward(z.clone())
    torch.testing.assert_close(outputs, chosen.function(z))
    slope = chosen.backward(torch.ones(3), z if chosen.keeps_inputs else outputs, outputs)
    variable = z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(chosen.function(variable).sum(), variable)
    torch.testing.assert_close(slope, expected)


def test_relu_and_leaky_relu_at_the_corner_as_in_torch():
    z = torch.zeros(1, requires_grad=True)
    for name in ("relu", "leaky_relu"):
        chosen = ACTIVATIONS[name]
        (expected,) = torch.autograd.grad(chosen.function(z).sum(), z)
        assert chosen.backward(torch.ones(1), torch.zeros(1), torch.zeros(1)) == expected


def test_equal_maxima_share_the_gradient():
    # the unit max(1, 1, 0) with ∂L/∂a = 6: both maxima get 3
    formula = MLPConfig(hidden=[1], activation="maxout", pieces=3).build(1, 2, torch.Generator()).formulas()[1]
    largest, saved = formula.forward(torch.tensor([[1.0, 1.0, 0.0]]), {}, True, None)
    assert largest.tolist() == [[1.0]]
    assert formula.backward(torch.tensor([[6.0]]), saved, {}, {}, True).tolist() == [[3.0, 3.0, 0.0]]


def stack_of(models: list[Model]) -> dict[str, Tensor]:
    named = [{**dict(model.named_parameters()), **dict(model.named_buffers())} for model in models]
    return {name: torch.stack([tensors[name].detach() for tensors in named]) for name in named[0]}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, "maxout"])
def test_the_bits_of_a_run_do_not_depend_on_its_stack(activation, norm, dtype):
    runs, count = 7, 13  # sizes that are no multiples of a vector's length
    config = MLPConfig(hidden=[9, 5], activation=activation, norm=norm, dropout=0.3)
    models = [config.build(INPUTS, OUTPUTS, torch.Generator().manual_seed(s)).to(dtype) for s in range(runs)]
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn(runs, count, INPUTS, generator=rng, dtype=dtype)
    targets = torch.randint(OUTPUTS, (runs, count), generator=rng)
    keys = randomness.key(torch.arange(runs), "dropout")

    def trained(chosen: list[int]) -> tuple[Tensor, ...]:
        tensors = stack_of([models[run] for run in chosen])
        gradients = {name: torch.full_like(tensors[name], torch.nan) for name, _ in models[0].named_parameters()}
        chain = Backpropagation(models[0].formulas())
        scores, saved = chain.forward(inputs[chosen], tensors, True, keys[chosen])
        losses, slopes = LOSSES["smoothed"].build().with_slopes(scores, targets[chosen])
        chain.backward(slopes, saved, tensors, gradients)
        parameters = [gradients[name].flatten(1) for name, _ in models[0].named_parameters()]
        return scores, losses, torch.cat(parameters, 1), *(tensors[name] for name, _ in models[0].named_buffers())

    whole = trained(list(range(runs)))
    for chosen in ([0], [6], [2, 4], [1, 3, 5], [0, 1, 2, 3, 4, 5]):
        for one, all_runs in zip(trained(chosen), whole, strict=True):
            assert torch.equal(one, all_runs[chosen])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_product_has_the_same_bits_alone_and_in_a_stack(dtype):
    rng, sizes = torch.Generator().manual_seed(0), (1, 2, 7, 33, 64)
    layouts = list(itertools.product((False, True), repeat=2))
    for rows, terms, columns, (turn_left, turn_right) in itertools.product(sizes, sizes, sizes, layouts):
        left = torch.randn(3, *((terms, rows) if turn_left else (rows, terms)), generator=rng, dtype=dtype)
        right = torch.randn(3, *((columns, terms) if turn_right else (terms, columns)), generator=rng, dtype=dtype)
        left, right = left.mT if turn_left else left, right.mT if turn_right else right
        bias = torch.randn(3, 1, columns, generator=rng, dtype=dtype)
        products, sums = product(left, right), sum_plus_product(bias, left, right)
        torch.testing.assert_close(products, left @ right)
        torch.testing.assert_close(sums, left @ right + bias)
        for part in (slice(0, 1), slice(1, 2), slice(1, 3)):
            assert torch.equal(product(left[part], right[part]), products[part])
            assert torch.equal(sum_plus_product(bias[part], left[part], right[part]), sums[part])
        for runs in (1, 3):  # each run's product is part of a longer row
            out = left.new_empty(runs, rows * columns + 3)[:, 2:-1].view(runs, rows, columns)
            assert product(left[:runs], right[:runs], out=out) is out
            assert torch.equal(out, products[:runs])


def test_a_stack_computes_what_each_run_computes_without_a_leading_dimension():
    config = MLPConfig(hidden=[9, 5], norm="batch", dropout=0.3)
    models = [config.build(INPUTS, OUTPUTS, torch.Generator().manual_seed(s)).double() for s in range(3)]
    inputs, keys = torch.randn(3, 13, INPUTS, dtype=torch.float64), randomness.key(torch.arange(3), "dropout")
    chain = Backpropagation(models[0].formulas())
    scores, _ = chain.forward(inputs, stack_of(models), True, keys)
    for run, model in enumerate(models):
        torch.testing.assert_close(scores[run], model(inputs[run], keys[run]), rtol=1e-13, atol=1e-15)


def test_a_model_of_a_user_has_no_formulas():
    class Own(Model):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, inputs, key=None):
            return self.layer(inputs)

        def stages(self, inputs):
            yield "scores", self(inputs)

        @property
        def linear_layers(self):
            return [self.layer]

    assert Own().formulas() is None
