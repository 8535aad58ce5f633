"""Training on a GPU without a GPU: PyTorch's fake tensors have a device and no values, and refuse mixed devices."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from deeprob.config import options
from deeprob.data import Examples
from deeprob.features import RawConfig
from deeprob.models import LinearConfig, MLPConfig
from deeprob.objective import CrossEntropyConfig, ElasticNetConfig, HingeConfig, NoneConfig, Objective
from deeprob.optim import Schedule
from deeprob.optim.rules import RULES
from deeprob.training.cuda_graphs import WARM_UP, Graphs
from deeprob.training.draws import Batch, Draws
from deeprob.training.learner import Learner, LoopSettings
from deeprob.training.state import TrainState
from deeprob.training.update import Update

CUDA = torch.device("cuda")
EXAMPLES, CLASSES = 20, 3

MODELS = {
    "linear": LinearConfig(),
    "relu": MLPConfig(hidden=[8]),
    "batch norm and dropout": MLPConfig(hidden=[8, 5], norm="batch", dropout=0.3, activation="gelu"),
    "layer norm and maxout": MLPConfig(hidden=[8, 5], norm="layer", activation="maxout", output_activation="tanh"),
}


def moved(module: nn.Module) -> nn.Module:
    """Give a module fake tensors on a GPU. `Module.to` would swap its parameters, which fake tensors cannot."""
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            part._parameters[name] = nn.Parameter(torch.zeros(parameter.shape, dtype=parameter.dtype, device=CUDA))
        for name, buffer in part.named_buffers(recurse=False):
            part._buffers[name] = torch.zeros(buffer.shape, dtype=buffer.dtype, device=CUDA)
    return module


def learner(model: nn.Module, optimizer: str, objective: Objective, seed: int) -> Learner:
    model = moved(model)
    config = options("optimizer")[optimizer]()
    state = TrainState.start(model, config.build(model.parameters()), Schedule(), CUDA)
    return Learner(state, objective, config, seed)


def updated(runs: int, model_config, optimizer: str, objective: Objective, shape=(4,), **settings) -> Update:
    """Two updates and a measurement of a stack whose tensors are all said to be on a GPU."""
    models = [model_config.build(4, CLASSES, torch.Generator().manual_seed(seed)) for seed in range(runs)]
    features = RawConfig().make(shape)
    with FakeTensorMode(), torch.no_grad():
        features = moved(features)
        inputs = torch.zeros((EXAMPLES, *shape), dtype=torch.uint8 if len(shape) == 3 else torch.float32, device=CUDA)
        examples = Examples(inputs, torch.zeros(EXAMPLES, dtype=torch.int64, device=CUDA))
        learners = [learner(model, optimizer, objective, seed) for seed, model in enumerate(models)]
        given = LoopSettings(epochs=1, batch_size=8, chunk_size=8, log_every=5, **settings)
        update = Update.of(learners, features, given)
        update._graphs = None  # nothing can be captured without a GPU
        draws = Draws(examples, 8, list(range(runs)), noisy=learners[0].state.model.noisy)
        update.plan(0, 3)
        for step in (0, 2):  # the last batch is smaller
            update(draws[step], step)
        inputs, targets = features(examples.inputs), examples.targets
        update.gradient.losses(*(of_one.expand(runs, *of_one.shape) for of_one in (inputs, targets)))
        return update


def devices(update: Update) -> set[str]:
    stack = update.stack
    return {tensor.device.type for tensor in (*stack.changing(), stack.gradient, stack.sums, stack.steps)}


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("optimizer", sorted(RULES))
def test_every_optimizer_keeps_to_its_device(optimizer, runs):
    objective = Objective(CrossEntropyConfig().build(), NoneConfig().build())
    assert devices(updated(runs, MODELS["relu"], optimizer, objective)) == {"cuda"}


@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("bf16", [False, True])
def test_every_model_keeps_to_its_device(model, bf16, runs):
    objective = Objective(HingeConfig().build(), ElasticNetConfig(proximal=True).build())
    assert devices(updated(runs, model, "sgd", objective, bf16=bf16)) == {"cuda"}


def test_a_tensor_on_the_wrong_device_is_found(monkeypatch):
    def misplaced(self, batch) -> Tensor:
        return self.stack.gradient.add_(torch.zeros_like(self.stack.gradient, device="cpu"))

    monkeypatch.setattr(Update, "_compute", misplaced)
    objective = Objective(CrossEntropyConfig().build(), NoneConfig().build())
    with pytest.raises(RuntimeError, match="same device"):
        updated(1, MODELS["linear"], "sgd", objective)


# ---------------------------------------------------------------- when a graph is captured and replayed


class Recorder:
    """A capture that replays by calling the function again, and counts what it captured."""

    def __init__(self) -> None:
        self.captured = self.replayed = 0

    def __call__(self, function: Callable[[], None]) -> Callable[[], None]:
        self.captured += 1

        def replay() -> None:
            self.replayed += 1
            function()

        return replay


def batch(first: int, count: int = 4, keys: bool = True) -> Batch:
    numbers = torch.arange(first, first + count, dtype=torch.float32)
    return Batch(numbers[None, :, None], numbers[None].long(), torch.tensor([first]) if keys else None)


@pytest.mark.parametrize("keys", [True, False])
def test_each_shape_is_captured_once_after_a_few_calls_and_sees_its_own_batch(keys):
    seen, capture = [], Recorder()

    def function(given: Batch) -> None:
        key = None if given.keys is None else given.keys.item()
        seen.append([*given.inputs.flatten().tolist(), *given.targets.flatten().tolist(), key])

    graphs = Graphs(function, capture)
    for first in range(6):
        graphs(batch(first, keys=keys))
    graphs(batch(100, count=2, keys=keys))
    for first, values in enumerate(seen[:6]):
        expected = [*range(first, first + 4)] * 2
        assert values[:-1] == expected
        assert values[-1] == (first if keys else None)
    assert seen[6][:-1] == [100, 101] * 2  # another shape runs without a graph at first
    assert (capture.captured, capture.replayed) == (1, 6 - WARM_UP)


def test_updates_by_graphs_are_the_updates_without_and_count_their_evaluations():
    def trained(capture: Recorder | None) -> Update:
        config = MODELS["batch norm and dropout"]
        models = [config.build(4, CLASSES, torch.Generator().manual_seed(seed)) for seed in range(2)]
        objective = Objective(CrossEntropyConfig().build(), ElasticNetConfig().build())
        optimizer = options("optimizer")["nadam"]()
        states = [TrainState.start(m, optimizer.build(m.parameters()), Schedule(), torch.device("cpu")) for m in models]
        learners = [Learner(state, objective, optimizer, seed) for seed, state in enumerate(states)]
        update = Update.of(learners, None, LoopSettings(epochs=1, batch_size=8, chunk_size=8, log_every=5))
        update._graphs = None if capture is None else Graphs(update._compute, capture)
        inputs = torch.randn(EXAMPLES, 4, generator=torch.Generator().manual_seed(0))
        draws = Draws(Examples(inputs, torch.arange(EXAMPLES) % CLASSES), 8, [0, 1], noisy=True)
        update.plan(0, 20)
        with torch.no_grad():
            for step in range(20):
                update(draws[step], step)
        return update

    capture = Recorder()
    with_graphs, without = trained(capture), trained(None)
    assert capture.captured == 2  # whole batches, and the last one of each epoch
    assert capture.replayed == 20 - 2 * WARM_UP
    assert torch.equal(with_graphs.stack.parameters, without.stack.parameters)
    assert torch.equal(with_graphs.stack.sums, without.stack.sums)
    assert with_graphs.gradient.evaluations == without.gradient.evaluations == 20
