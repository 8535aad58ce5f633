"""Curves of a stack against those of the same runs alone: whatever is trained, and however."""

import itertools
from functools import partial

import pytest
import torch

from deeprob.config import options
from deeprob.data import Examples
from deeprob.data.augmentation import Augmentation
from deeprob.objective import (
    CrossEntropyConfig,
    ElasticNetConfig,
    HingeConfig,
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
    ExponentialConfig,
    OneCycleConfig,
    PlateauConfig,
    SGDConfig,
    StepConfig,
)
from deeprob.optim.rules import RULES

CLOSE = 1e-9  # of a curve's largest value, in float64

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
SCHEDULERS = {
    "constant": ConstantConfig(),
    "cosine": CosineConfig(warmup=0.2),
    "exponential": ExponentialConfig(),
    "one_cycle": OneCycleConfig(),
    "plateau": PlateauConfig(patience=0, threshold=0.1),
    "step": StepConfig(),
}
REGULARIZERS = {
    "none and l2": [NoneConfig(), L2Config(strength=0.01), L2Config(strength=0.1)],
    "all": [NoneConfig(), L1Config(strength=0.01), ElasticNetConfig(strength=0.02, l1_ratio=0.3)],
    "proximal": [L1Config(strength=s, proximal=True) for s in (0.0, 0.05, 0.5)],
    "proximal mixture": [ElasticNetConfig(strength=0.1, l1_ratio=r, proximal=True) for r in (0.0, 0.5, 1.0)],
}
LOSSES = {
    "smoothing": [CrossEntropyConfig(label_smoothing=s) for s in (0.0, 0.1, 0.3)],
    "hinge": [HingeConfig(margin=m) for m in (0.5, 1.0, 2.0)],
    "squared_hinge": [SquaredHingeConfig(margin=m) for m in (0.5, 1.0, 2.0)],
    "one_vs_all_hinge": [OneVsAllHingeConfig()] * 3,
    "squared_error": [SquaredErrorConfig()] * 3,
}


def optimizers(name, flags=None):
    """Three configs of an optimizer that differ in all numbers."""
    cls = options("optimizer")[name]
    default = cls().lr
    decays = {"weight_decay": (0.0, 0.01, 0.1)} if "weight_decay" in cls.__slots__ else {}
    numbers = {**NUMBERS.get(name, {}), **decays, "lr": (default, 3 * default, 9 * default)}
    return [cls(**{key: values[run] for key, values in numbers.items()}, **(flags or {})) for run in range(3)]


def three(spec, **each):
    """Three specs with seeds 0, 1, 2 that differ in what is given as a list."""
    return [spec.but(seed=run, **{key: values[run] for key, values in each.items()}) for run in range(3)]


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_rule_with_numbers_of_each_run(bench, spec, name):
    assert bench.apart(three(spec, optimizer=optimizers(name))) <= CLOSE


@pytest.mark.parametrize(
    ("name", "flag"), [(name, flag) for name in sorted(RULES) for flag in RULES[name].flags if flag != "nesterov"]
)
def test_every_flag(bench, spec, name, flag):
    assert bench.apart(three(spec, optimizer=optimizers(name, {flag: True}))) <= CLOSE


def test_nesterov(bench, spec):
    configs = [SGDConfig(lr=0.1, momentum=m, nesterov=True) for m in (0.1, 0.5, 0.9)]
    assert bench.apart(three(spec, optimizer=configs)) <= CLOSE


@pytest.mark.parametrize("scheduler", SCHEDULERS.values(), ids=SCHEDULERS)
def test_every_schedule(bench, spec, scheduler):
    configs = [AdamConfig(lr=lr) for lr in (0.001, 0.01, 0.3)]
    assert bench.apart([s.but(scheduler=scheduler) for s in three(spec, optimizer=configs)]) <= CLOSE


@pytest.mark.parametrize("name", ["rprop", "asgd"])  # which keep the rate of the first update
@pytest.mark.parametrize("scheduler", ["cosine", "one_cycle"])  # which begin low
def test_the_first_rate_is_the_schedules(bench, spec, name, scheduler):
    assert bench.apart(three(spec.but(scheduler=SCHEDULERS[scheduler]), optimizer=optimizers(name))) <= CLOSE


def test_a_plateau_is_each_runs_own(bench, spec):
    configs = [SGDConfig(lr=lr) for lr in (1e-9, 0.1, 1e-9)]
    plateaus = [PlateauConfig(patience=0), PlateauConfig(patience=0, threshold=0), PlateauConfig(patience=1)]
    specs = three(spec, optimizer=configs, scheduler=plateaus)
    assert bench.apart(specs) <= CLOSE
    last = [records[-1].metrics["optim/lr"] for records in bench.together(specs)]
    assert last == pytest.approx([1e-12, 0.1, 1e-10], rel=1e-9, abs=0)  # drops before the fifth epoch: 3, 0 and 1


@pytest.mark.parametrize("regularizers", REGULARIZERS.values(), ids=REGULARIZERS)
def test_every_regularizer(bench, spec, regularizers):
    specs = three(spec.but(optimizer=SGDConfig(lr=0.1)), regularizer=regularizers)
    assert bench.apart(specs) <= CLOSE


def test_shares_of_zeros_are_those_of_the_runs(bench, spec):
    specs = three(spec.but(optimizer=SGDConfig(lr=0.1)), regularizer=REGULARIZERS["proximal"])
    assert bench.apart(specs) <= CLOSE
    zeros = [records[-1].metrics["params/zeros"] for records in bench.together(specs)]
    assert zeros[0] == 0 < zeros[1] < zeros[2]


@pytest.mark.parametrize("losses", LOSSES.values(), ids=LOSSES)
def test_every_loss(bench, spec, losses):
    assert bench.apart(three(spec, loss=losses)) <= CLOSE


def test_numbers_as_targets(bench_of, spec):
    rng = torch.Generator().manual_seed(0)
    bench = bench_of(Examples(torch.randn(90, 2, generator=rng), torch.randn(90, 3, generator=rng)))
    assert bench.apart(three(spec.but(loss=SquaredErrorConfig()))) <= CLOSE


@pytest.mark.parametrize("rates", [(0.3, 0.3, 0.3), (0.0, 0.2, 0.5)])
def test_dropout(bench, spec, rates):
    assert bench.apart(three(spec, model=[{"dropout": rate} for rate in rates])) <= CLOSE


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_norms_and_their_buffers(bench, spec, norm):
    specs = three(spec.but(model={"norm": norm, "dropout": 0.2}))
    members = [bench.member(s) for s in specs]
    alone = [bench.member(s) for s in specs]
    bench.together(members)
    for one, other in zip(alone, members, strict=True):
        bench.alone(one)
        for (name, a), b in zip(
            one.state.model.state_dict().items(), other.state.model.state_dict().values(), strict=True
        ):
            torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("activation", ["maxout", "gelu", "tanh", "sigmoid", "elu", "leaky_relu"])
def test_activations(bench, spec, activation):
    assert bench.apart(three(spec.but(model={"activation": activation}))) <= CLOSE


@pytest.mark.parametrize("changes", [{"batch_size": 10**6}, {"log_every": 2}, {"log_every": 50}], ids=str)
def test_full_batches_and_longer_intervals(bench, spec, changes):
    bench.settings |= changes
    assert bench.apart(three(spec.but(model={"dropout": 0.2}))) <= CLOSE


def test_augmented_pictures(bench_of, spec):
    rng = torch.Generator().manual_seed(0)
    pictures = torch.randint(256, (60, 3, 6, 6), generator=rng, dtype=torch.uint8)
    bench = bench_of(Examples(pictures, torch.randint(3, (60,), generator=rng)), shape=(3, 6, 6))
    for size in (32, 60):
        bench.settings |= {"augment": Augmentation(flip=True, crop=2), "batch_size": size}
        assert bench.apart(three(spec)) <= CLOSE


def test_products_in_bfloat16(bench_of, bench, spec):
    bench = bench_of(bench.examples, torch.float32)
    specs = three(spec, optimizer=[AdamConfig(lr=lr) for lr in (0.001, 0.003, 0.01)])
    for one, other, exact in zip(
        map(partial(bench.alone, bf16=True), specs),
        bench.together(specs, bf16=True),
        map(bench.alone, specs),
        strict=True,
    ):
        losses = [torch.tensor([r.metrics["train/loss"] for r in records]) for records in (one, other, exact)]
        assert (losses[1] - losses[0]).abs().max() < 0.005  # products of 8 bits, summed in another order
        assert (losses[1] - losses[2]).abs().max() > 0


def test_the_comparison_notices_other_draws(bench, spec):
    specs = three(spec.but(model={"dropout": 0.3}))
    alone, together = bench.alone(specs[0]), bench.together([s.but(seed=9 - s.seed) for s in specs])[2]
    assert alone[-1].metrics["train/loss"] != pytest.approx(together[-1].metrics["train/loss"], rel=1e-3)


def test_float32_runs_end_with_the_same_accuracy(bench_of, bench, spec):
    bench = bench_of(bench.examples, torch.float32)
    bench.settings["epochs"] = 20
    specs = [spec.but(seed=seed, optimizer=AdamConfig(lr=0.01)) for seed in range(8)]
    final = [
        [r[-1].epoch_metrics["train/accuracy"] for r in runs]
        for runs in (map(bench.alone, specs), bench.together(specs))
    ]
    apart = [abs(one - other) for one, other in zip(*final, strict=True)]
    assert sum(apart) / len(apart) <= 1e-3


# Numbers with which training goes well. Where gradients are no more than rounding, a rule that divides them by their
# own size (Adamax, Rprop) makes whole steps of the difference between two ways to round.
GENTLE = {
    "none and l2": [NoneConfig(), L2Config(strength=1e-3), L2Config(strength=3e-3)],
    "all": [NoneConfig(), L1Config(strength=1e-3), ElasticNetConfig(strength=2e-3, l1_ratio=0.3)],
    "proximal": [L1Config(strength=s, proximal=True) for s in (0.0, 1e-3, 3e-3)],
    "proximal mixture": [ElasticNetConfig(strength=1e-3, l1_ratio=r, proximal=True) for r in (0.0, 0.5, 1.0)],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RULES))
def test_every_combination_over_200_updates(bench, spec, name):
    bench.settings["epochs"] = 67
    cls = options("optimizer")[name]
    decays = [{"weight_decay": d} if "weight_decay" in cls.__slots__ else {} for d in (0.0, 1e-3, 2e-3)]
    configs = [cls(lr=1e-3 * run, **decay) for run, decay in enumerate(decays, 1)]
    dropout = [{"dropout": rate} for rate in (0.0, 0.2, 0.4)]
    apart = {
        (scheduler, regularizer): bench.apart(
            three(
                spec.but(scheduler=SCHEDULERS[scheduler]),
                optimizer=configs,
                regularizer=GENTLE[regularizer],
                model=dropout,
            )
        )
        for scheduler, regularizer in itertools.product(SCHEDULERS, GENTLE)
    }
    assert {names: share for names, share in apart.items() if not share <= CLOSE} == {}
