"""A run's bits depend neither on the size nor on the company of its stack, nor on whether it trains alone.

Everything that belongs to a run is compared bit for bit: parameters, buffers, the optimizer's state, sums, counters,
the best epoch, and the records with their metrics, means over epochs and validation. On a CPU with one thread.
"""

import random
from dataclasses import dataclass

import pytest
import torch

from deeprob.config import options
from deeprob.data import Examples
from deeprob.data.augmentation import Augmentation
from deeprob.errors import Diverged
from deeprob.models.activations import ACTIVATIONS
from deeprob.objective import (
    CrossEntropyConfig,
    ElasticNetConfig,
    FocalConfig,
    HingeConfig,
    HuberConfig,
    L1Config,
    L2Config,
    NoneConfig,
    OneVsAllHingeConfig,
    SquaredErrorConfig,
    SquaredHingeConfig,
)
from deeprob.optim import (
    AdamConfig,
    ConstantConfig,
    CosineConfig,
    OptimizerConfig,
    PlateauConfig,
    SGDConfig,
    StepConfig,
)
from deeprob.optim.rules import RULES


class Heavy(torch.optim.Optimizer):
    """An optimizer as users write it: two moments in its state, one of them lazily made, and a count as a number."""

    def __init__(self, parameters, lr, decay) -> None:
        super().__init__(parameters, {"lr": lr, "decay": decay})

    @torch.no_grad()
    def step(self, closure):
        loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                state["count"] = state.get("count", 0) + 1
                mean = state.setdefault("mean", torch.zeros_like(p)).mul_(group["decay"]).add_(p.grad)
                if state["count"] > 2:
                    mean = state.setdefault("late", torch.zeros_like(p)).add_(mean, alpha=0.5)
                p.sub_(mean, alpha=group["lr"] / state["count"] ** 0.5)
        return loss


@dataclass
class HeavyConfig(OptimizerConfig):
    lr: float = 0.01
    decay: float = 0.5

    def build(self, parameters):
        return Heavy(parameters, self.lr, self.decay)


# Numbers of the three runs of a stack beside their rates; where 0 turns a part of the rule off, one run has 0.
NUMBERS = {
    "adadelta": {"rho": (0.9, 0.7, 0.8), "eps": (1e-6, 1e-3, 1e-4)},
    "adafactor": {"beta2_decay": (-0.8, -0.5, -0.6), "eps1": (None, 1e-2, 1e-3), "d": (1.0, 2.0, 1.5)},
    "adagrad": {"lr_decay": (0.0, 0.2, 0.1), "initial_accumulator_value": (0.0, 0.1, 0.2)},
    "adam": {"beta1": (0.9, 0.7, 0.0), "beta2": (0.999, 0.8, 0.9)},
    "adamax": {"beta1": (0.9, 0.7, 0.0), "beta2": (0.999, 0.8, 0.9)},
    "adamw": {"beta1": (0.9, 0.7, 0.0), "beta2": (0.999, 0.8, 0.9)},
    "asgd": {"lambd": (1e-4, 0.1, 0.01), "alpha": (0.75, 0.6, 0.5), "t0": (1e6, 4.0, 9.0)},
    "nadam": {"beta1": (0.9, 0.7, 0.8), "momentum_decay": (4e-3, 0.1, 0.2)},
    "radam": {"beta1": (0.9, 0.7, 0.0), "beta2": (0.999, 0.8, 0.9)},
    "rmsprop": {"alpha": (0.99, 0.7, 0.9), "momentum": (0.0, 0.6, 0.9)},
    "rprop": {"eta1": (0.5, 0.4, 0.6), "eta2": (1.2, 1.3, 1.1), "step_size2": (50.0, 0.02, 0.1)},
    "sgd": {"momentum": (0.0, 0.5, 0.9), "dampening": (0.0, 0.2, 0.0)},
}
LOSSES = {
    "smoothing": [CrossEntropyConfig(label_smoothing=s) for s in (0.0, 0.1, 0.3)],
    "hinge": [HingeConfig(margin=m) for m in (0.5, 1.0, 2.0)],
    "squared_hinge": [SquaredHingeConfig(margin=m) for m in (0.5, 1.0, 2.0)],
    "one_vs_all_hinge": [OneVsAllHingeConfig()] * 3,
    "squared_error": [SquaredErrorConfig()] * 3,
    "huber": [HuberConfig(delta=d) for d in (0.1, 0.3, 1.0)],
    "focal": [FocalConfig(gamma=g) for g in (0.0, 0.5, 2.0)],
    "class weights": [CrossEntropyConfig(class_weights=w) for w in ("none", "balanced", [1, 5, 2.5])],
}
REGULARIZERS = {
    "l1": [L1Config(strength=s) for s in (0.01, 0.02, 0.1)],
    "none and l2": [NoneConfig(), L2Config(strength=0.01), L2Config(strength=0.1)],
    "all": [NoneConfig(), L1Config(strength=0.01), ElasticNetConfig(strength=0.02, l1_ratio=0.3)],
    "0 and l2": [L2Config(strength=0.0), L2Config(strength=0.05), L2Config(strength=0.05)],
    "proximal": [L1Config(strength=s, proximal=True) for s in (0.0, 0.05, 0.5)],
    "proximal mixture": [ElasticNetConfig(strength=0.1, l1_ratio=r, proximal=True) for r in (0.0, 0.5, 1.0)],
    "none and proximal": [NoneConfig(), *(L1Config(strength=s, proximal=True) for s in (0.05, 0.1))],
}
PAIRS = [(0, 2), (1, 2)]


def optimizers(name, **flags):
    """Three configs of an optimizer that differ in all numbers."""
    cls = options("optimizer")[name]
    default = cls().lr
    decays = {"weight_decay": (0.0, 0.01, 0.1)} if "weight_decay" in cls.__slots__ else {}
    numbers = {**NUMBERS.get(name, {}), **decays, "lr": (default, 3 * default, 9 * default)}
    if "nesterov" in flags:
        numbers |= {"momentum": (0.1, 0.5, 0.9), "dampening": (0.0, 0.0, 0.0)}
    return [cls(**{key: values[run] for key, values in numbers.items()}, **flags) for run in range(3)]


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def bench(request, bench_of, bench):
    """The bench in both precisions, with a validation split."""
    bench = bench_of(bench.examples, request.param)
    bench.settings["validation"] = bench.examples[slice(0, 9)]
    return bench


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    "name", ["adam", pytest.param("sgd", marks=pytest.mark.slow), pytest.param("adafactor", marks=pytest.mark.slow)]
)
def test_any_company_of_243(bench, spec, name):
    bench.settings |= {"epochs": 1, "log_every": 3}
    specs = [
        spec.but(
            seed=run,
            optimizer=options("optimizer")[name](lr=0.001 * (1 + run % 27), weight_decay=0.01 * (run % 2)),
            regularizer=L2Config(strength=1e-4 * (run % 5)),
            model={"dropout": 0.1 + 0.02 * (run % 9), "norm": "batch"},
        )
        for run in range(243)
    ]
    learners = bench.learners(specs)
    records = bench.together(learners)
    rng = random.Random(0)
    companies = [(run,) for run in rng.sample(range(243), 3)]
    companies += [rng.sample(range(243), size) for size in (2, 3, 7, 27, 81)]
    for company in companies:
        others = bench.learners([specs[run] for run in company])
        heard = bench.together(others)
        for run, other, of_run in zip(company, others, heard, strict=True):
            assert bench.exact(of_run) == bench.exact(records[run])
            bench.same(other, learners[run])
    assert learners[0].state.best.epoch > 0


# ---------------------------------------------------------------- what is trained


@pytest.mark.parametrize("name", sorted(RULES))
@pytest.mark.parametrize("numbers", ["shared", "different"])
def test_every_optimizer(bench, spec, name, numbers):
    configs = optimizers(name) if numbers == "different" else [options("optimizer")[name]()] * 3
    assert bench.unlike(spec.three(optimizer=configs), *PAIRS) == []


@pytest.mark.parametrize(("name", "flag"), [(name, flag) for name in sorted(RULES) for flag in RULES[name].flags])
def test_every_flag(bench, spec, name, flag):
    assert bench.unlike(spec.three(optimizer=optimizers(name, **{flag: True})), *PAIRS) == []


@pytest.mark.parametrize("interval", [3, *(pytest.param(other, marks=pytest.mark.slow) for other in (1, 50))])
def test_optimizers_of_the_user(bench, spec, interval):
    configs = [HeavyConfig(lr=lr, decay=decay) for lr, decay in ((0.01, 0.5), (0.03, 0.0), (1e30, 0.9))]
    bench.settings |= {"log_every": interval}
    specs = [
        spec.but(seed=run, optimizer=config, regularizer=L1Config(strength=0.01, proximal=True))
        for run, config in enumerate(configs)
    ]
    assert bench.unlike(specs, *PAIRS, (0, 1)) == []
    learners = bench.learners(specs)
    ends = [isinstance(records[-1], Diverged) for records in bench.together(learners)]
    assert ends == [False, False, bench.dtype is torch.float32]
    for learner in learners:  # the state of the failed run is that before its last update
        counts = {state["count"] for state in learner.state.optimizer.state.values()}
        assert counts == ({learner.state.step} if learner.state.step else set())


@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
def test_every_loss(bench, spec, losses):
    assert bench.unlike(spec.three(loss=losses), *PAIRS) == []


@pytest.mark.parametrize("regularizers", REGULARIZERS.values(), ids=REGULARIZERS)
def test_every_regularizer(bench, spec, regularizers):
    specs = spec.but(optimizer=SGDConfig(lr=0.1)).three(regularizer=regularizers)
    assert bench.unlike(specs, *PAIRS) == []


@pytest.mark.parametrize("hidden", [[6, 5], [37, 19]], ids=str)
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("activation", [*ACTIVATIONS, "maxout"])
def test_every_activation_and_norm(bench, spec, activation, norm, hidden):
    bench.settings["epochs"] = 1
    model = {"activation": activation, "norm": norm, "hidden": hidden}
    assert bench.unlike(spec.but(model=model).three(), (0, 2)) == []


@pytest.mark.parametrize("rates", [(0.3, 0.3, 0.3), (0.0, 0.2, 0.5)], ids=str)
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_dropout(bench, spec, rates, norm):
    assert bench.unlike(spec.three(model=[{"dropout": rate, "norm": norm} for rate in rates]), *PAIRS) == []


@pytest.mark.parametrize(
    "model", [{"bias": False}, {"hidden": []}, {"hidden": [33]}, {"output_activation": "sigmoid"}], ids=str
)
def test_other_models(bench, spec, model):
    assert bench.unlike(spec.but(model=model).three(), (0, 2)) == []


@pytest.mark.parametrize(
    "schedulers",
    [
        [CosineConfig(warmup=0.2)] * 3,
        [StepConfig()] * 3,
        [PlateauConfig(patience=0), PlateauConfig(patience=0, threshold=0), PlateauConfig(patience=1)],
        [ConstantConfig(), CosineConfig(), StepConfig()],
    ],
    ids=["cosine", "step", "plateau", "different"],
)
@pytest.mark.parametrize("name", ["adam", "asgd", "rprop"])  # the last two keep the rate of the first update
def test_schedules(bench, spec, schedulers, name):
    assert bench.unlike(spec.three(optimizer=optimizers(name), scheduler=schedulers), *PAIRS) == []


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize("outputs", [1, 3, 10])
@pytest.mark.parametrize("hidden", [1, 5, 37, 64])
@pytest.mark.parametrize("inputs", [1, 3, 17])
def test_shapes_that_are_no_multiples_of_8(bench_of, spec, inputs, hidden, outputs):
    """The last batch of 37 examples has 1 example for batches of 3, 12 and 36, and 5 for batches of 16."""
    rng = torch.Generator().manual_seed(inputs)
    values, model = torch.randn(37, inputs, generator=rng), {"hidden": [hidden, hidden]}
    targets = torch.arange(37) % outputs if outputs > 1 else torch.randn(37, 1, generator=rng)
    specs = spec.but(model=model, loss=SquaredErrorConfig() if outputs == 1 else CrossEntropyConfig()).three()
    for dtype in (torch.float64, torch.float32):
        bench = bench_of(Examples(values, targets), dtype)
        for size in (3, 12, 16, 36):
            bench.settings |= {"batch_size": size, "epochs": 1, "log_every": 50, "validation": bench.examples}
            assert bench.unlike(specs, (0, 2)) == []


@pytest.mark.parametrize("hidden", [[], [9], [40]], ids=str)
def test_many_inputs(bench_of, spec, hidden):
    rng = torch.Generator().manual_seed(0)
    examples = Examples(torch.randn(13, 1030, generator=rng), torch.arange(13) % 3)  # one example in the last batch
    for dtype in (torch.float64, torch.float32):
        bench = bench_of(examples, dtype)
        bench.settings |= {"batch_size": 4, "epochs": 1, "validation": examples.as_floats(dtype)}
        assert bench.unlike(spec.but(model={"hidden": hidden}).three(), (0, 2)) == []


@pytest.mark.slow
def test_large_networks(bench_of, spec):
    rng = torch.Generator().manual_seed(0)
    bench = bench_of(Examples(torch.randn(600, 784, generator=rng), torch.arange(600) % 10), torch.float32)
    bench.settings |= {"batch_size": 129, "epochs": 2, "validation": bench.examples}
    specs = [spec.but(seed=run, model={"hidden": [300, 100], "dropout": 0.1 * (run % 3)}) for run in range(9)]
    assert bench.unlike(specs, (0, 8), (3, 4, 5)) == []


# ---------------------------------------------------------------- how it is trained


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 1},
        {"batch_size": 7},
        {"batch_size": 22},
        {"batch_size": 23},
        {"batch_size": 10**6},
        {"batch_size": 23, "chunk_size": 7},
        {"chunk_size": 2},
        {"log_every": 1},
        {"log_every": 50},
        {"pause_every": 3},
    ],
    ids=str,
)
def test_every_setting(bench, spec, changes):
    models = [{"dropout": rate, "norm": "layer"} for rate in (0.1, 0.2, 0.4)]
    assert bench.unlike(spec.three(model=models), *PAIRS, **changes) == []


@pytest.mark.parametrize("size", [8, 20])
def test_augmented_pictures(bench_of, spec, size):
    rng = torch.Generator().manual_seed(0)
    pictures = torch.randint(256, (20, 3, 6, 6), generator=rng, dtype=torch.uint8)
    bench = bench_of(Examples(pictures, torch.arange(20) % 3), torch.float32)
    changes = {"augment": Augmentation(flip=True, crop=2), "batch_size": size, "validation": bench.examples}
    assert bench.unlike(spec.three(), *PAIRS, **changes) == []


def test_runs_of_one_seed_share_their_batches(bench, spec):
    specs = [spec.but(seed=seed, optimizer=SGDConfig(lr=lr)) for seed, lr in ((1, 0.1), (0, 0.1), (1, 0.2), (1, 0.1))]
    assert bench.unlike(specs, (0, 2), (3, 1)) == []


# ---------------------------------------------------------------- neighbours that end


@pytest.mark.parametrize("interval", [1, 2, 50])
@pytest.mark.parametrize("name", sorted(RULES))
def test_a_run_that_diverges_is_heard_and_kept_as_alone(single, spec, name, interval):
    cls = options("optimizer")[name]
    rates = (1e-3, 1e15, 1e37, 2e-3) if name != "rprop" else (1e-3, 0.1, 40.0, 2e-3)
    specs = [
        spec.but(seed=run, optimizer=cls(lr=lr), model={"norm": "layer", "dropout": 0.2 * (run % 2)})
        for run, lr in enumerate(rates)
    ]
    single.settings |= {"log_every": interval, "validation": single.examples}
    assert single.unlike(specs, (0, 2), (3, 1)) == []
    if name in ("sgd", "adam", "adamw", "nadam"):
        ends = [isinstance(records[-1], Diverged) for records in single.together(specs)]
        assert ends[0] == ends[3] is False
        assert ends[2]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("model", [{}, {"norm": "batch", "dropout": 0.3}], ids=["plain", "norm and dropout"])
def test_the_others_go_on_as_without_a_run_that_ended(bench, spec, place, model):
    specs = spec.but(model=model).three(optimizer=optimizers("adam"))
    alone, learners = bench.learners(specs), bench.learners(specs)
    records = [bench.alone(learner) for learner in alone]
    ended = bench.together(learners, ended=lambda run: run == place and learners[place].state.step >= 4)
    assert (learners[place].state.step, len(ended[place])) == (4, 2)
    stopped = bench.learner(specs[place])
    bench.alone(stopped, ended=lambda run: stopped.state.step >= 4)
    bench.same(learners[place], stopped)
    for run in {0, 1, 2} - {place}:
        bench.same(learners[run], alone[run])
        assert bench.exact(ended[run]) == bench.exact(records[run])


# ---------------------------------------------------------------- resumed in other company


@pytest.mark.parametrize("stop", [4, 5])  # in the middle and at the end of an epoch
@pytest.mark.parametrize("name", sorted(RULES))
def test_a_run_goes_on_in_other_company(bench, spec, name, stop):
    models = [{"dropout": rate, "norm": "batch"} for rate in (0.2, 0.0, 0.4)]
    specs = spec.three(optimizer=optimizers(name), model=models, regularizer=REGULARIZERS["none and proximal"])
    whole = bench.learners(specs)
    records = [bench.alone(learner) for learner in whole]
    heard = [[] for _ in specs]
    now = bench.learners(specs)
    stops = [stop, 1, 1, 15]
    for company, count in zip(([[0, 1, 2]], [[0], [1], [2]], [[2, 0], [1]], [[1, 2], [0]]), stops, strict=True):
        for runs in company:
            here = [now[run] for run in runs]
            for run, records_here in zip(runs, bench.together(here, interrupted=bench.after(count)), strict=True):
                heard[run] += [record for record in records_here if record.metrics]
        now = [bench.resumed(of_run, learner) for of_run, learner in zip(specs, now, strict=True)]
    for run in range(3):
        assert bench.exact(heard[run]) == bench.exact(records[run])
        for key, tensor in whole[run].state.model.state_dict().items():
            assert torch.equal(now[run].state.model.state_dict()[key], tensor)
        assert now[run].state.step == 15
        assert now[run].state.best == whole[run].state.best


def test_the_comparison_notices_one_bit(bench, spec):
    one, other = bench.learners([spec, spec])
    bench.alone(one)
    bench.alone(other)
    bench.same(one, other)
    last = other.state.parameters["layers.2.bias"].data[-1:]
    last.copy_(torch.nextafter(last, torch.full_like(last, 9.0)))
    assert bench.unequal(one, other) == ["[0]['model']['layers.2.bias']"]
    moment = other.state.optimizer.state[other.state.parameters["layers.0.weight"]]["exp_avg_sq"]
    moment.view(-1)[0] += 1e-6
    assert len(bench.unequal(one, other)) == 2
    assert bench.unlike([spec, spec.but(optimizer=AdamConfig(lr=0.02))], (1, 0)) == []
