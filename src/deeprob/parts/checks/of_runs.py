"""The clauses of every part that trains in a run: the same bits again, after resumption, and in a stack."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from deeprob.config import name_of
from deeprob.parts.part_trial import (
    Clause,
    PartTrial,
    clause,
    concerns,
    expect,
    expect_near,
    expect_same,
    generators,
    make_updates,
    state_bits,
)
from deeprob.tracking.checkpoint_file import generations
from deeprob.training.checkpoint import Checkpoints
from deeprob.training.loop import train
from deeprob.training.trial import hindrance_of_stack

CLAUSES: list[Clause] = []
"""The clauses, in the order in which they are tried."""


@clause(CLAUSES, "A small run has finite metrics and changed weights at its end")
def _trains(trial: PartTrial) -> None:
    before = {name: values.detach().clone() for name, values in trial.setup().state.parameters.items()}
    setup = trial.trained()
    setup.measure_all()
    moved = [name for name, values in setup.state.parameters.items() if not torch.equal(values, before[name])]
    expect(bool(moved), "training to change a parameter", "none")


@clause(CLAUSES, "The same seed gives the same bits, whatever the state of the global generators is")
def _same_seed(trial: PartTrial) -> None:
    first, second = (state_bits(trial.trained(state=state, afresh=True)) for state in (1, 2))
    expect_same(first, second, "twice: draw random numbers from rng, key or deeprob.parts.randomness, not from torch")


@clause(CLAUSES, "A run that is resumed in the middle of an epoch gives the same bits as one without a stop")
def _resumption(trial: PartTrial) -> None:
    whole = trial.trained()
    with TemporaryDirectory() as folder:
        with generators(1):
            first = trial.setup()
            make_updates(first, updates=max(1, whole.state.step // 2))
            Checkpoints(Path(folder), first.state, first.identity(), best_is_last=True).write(
                {"trackers": {}, "looked": 0, "course": None}
            )
        with generators(2):
            second = trial.setup(learned=next(generations(Path(folder) / "last.pt"))["features"])
            Checkpoints(Path(folder), second.state, second.identity(), best_is_last=True).restore(second.steps)
            make_updates(second)
    expect_same(state_bits(second), state_bits(whole), "after resumption")


@clause(CLAUSES, "A run in a stack of three is as alone: bit for bit with formulas, else up to rounding")
def _company(trial: PartTrial) -> None:
    name, sample = name_of(trial.config.optimizer), trial.setup()
    concerns(not trial.config.optimizer.deterministic, f"optimizer={name} does its own line searches")
    features, examples = sample.prepared.training.features, sample.prepared.training.train[:4]
    reason = hindrance_of_stack(sample.learner, features, examples, sample.formulas)
    concerns(not reason, f"trains one by one, because {reason}")
    exact = not trial.config.lacking_formulas()
    trials = [trial.but(seed=seed, **({} if exact else {"precision": "float64"})) for seed in range(3)]
    together = [one.setup() for one in trials]
    learners, data = [one.learner for one in together], [one.prepared.training for one in together]
    for readings in train(learners, data, together[0].settings):
        for place, record in readings.items():
            if isinstance(record, Exception):
                raise record
            if record.epoch_metrics is not None:
                together[place].end_epoch(record)
    for one, setup in zip(trials, together, strict=True):
        stacked, alone = state_bits(setup)["model"], state_bits(one.trained())["model"]
        if exact:
            expect_same(stacked, alone, "alone and in a stack")
        else:
            for key, values in stacked.items():
                expect_near(values.double(), alone[key].double(), f"the same {key} alone and in a stack")
