"""Jobs made from a validated job are the jobs that composing each config gives, and so are the errors."""

import random
from pathlib import Path

import pytest

from deeprob.assembly.config import TrainConfig
from deeprob.config.application import Application, started
from deeprob.errors import UserError
from deeprob.sweeps import validation
from deeprob.sweeps.validation import Validation, validate

VALUES = {
    "seed": "0 1 7 -1 x 1.5 null 99999999999999999999",
    "model": "mlp linear linaer",
    "model.width": "4 8 0 4.0",
    "model.hidden": "[4] [8,4] 4 null [] [a] [4.0]",
    "model.activation": "relu tanh swish maxout",
    "model.pieces": "2 3",
    "model.dropout": "0 0.5 1",
    "model.norm": "batch none bn",
    "loss.label_smoothing": "0.1 0",
    "optimizer": "adamw sgd lbfgs {lr:3} {lr:-3}",
    "optimizer.lr": "0.1 1 1e-3 -1 true nan ${seed} [1,2]",
    "optimizer.nesterov": "true false yes 1 null",
    "optimizer.weight_decay": "0.1 auto 1 0 -1 1e-2 none",
    "regularizer": "none l2",
    "regularizer.strength": "0.1 1 -1",
    "trainer.batch_size": "full 32 1 auto all 2.0",
    "trainer.epochs": "3 auto 0 2.5",
    "trainer.figures": "[] [boundry] decision_boundary null",
    "trainer.gradient": "auto formulas",
    "trainer.monitor": "auto val/loss",
    "trainer.patience": "0 3",
    "dataset.val_fraction": "0 0.2 1",
    "sweep.fail_fast": "true 1",
    "resume": "auto null",
    "lr": "1",
    "+optimizer.lr": "0.3",
    "++optimizer.lr": "0.3 -1",
    "hydra.sweep.subdir": "a_${hydra:job.num} x${model.width} '{b}${hydra.job.num}' ${hydra.job.override_dirname}",
}
"""The values of each key from which jobs are drawn, valid and invalid."""


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A function from the words of a sweep to its context and its config."""
    monkeypatch.chdir(tmp_path)
    with started(None) as hydra:

        def context(*words):
            application = Application(hydra, "train", TrainConfig)
            config = application.compose(words, multirun=True)
            return application.context(config), config

        yield context


@pytest.fixture
def composed(monkeypatch):
    """The numbers of the jobs whose configs were composed."""
    numbers = []
    original = validation.compose_job

    def counted(context, config, number, words):
        numbers.append(number)
        return original(context, config, number, words)

    monkeypatch.setattr(validation, "compose_job", counted)
    return numbers


def drawn(count):
    """Yield the words of jobs. Several jobs in a row have the same keys, because a sweep has such jobs."""
    draw = random.Random(0)
    for _ in range(count // 5):
        keys = draw.sample(list(VALUES), draw.randint(1, 3))
        for _ in range(5):
            yield [f"{key}={draw.choice(VALUES[key].split())}" for key in keys]


def result(job):
    """Return all of a job as text, with the types of its values, or the line of its error."""
    try:
        return repr(job())
    except UserError as error:
        return f"error: {error}"


def test_every_job_and_every_error_is_that_of_composing_the_job(sweep, composed):
    context, config = sweep("seed=0,1")
    fast = Validation(context, config)
    valid = invalid = 0
    for number, words in enumerate(drawn(250)):
        before = result(lambda number=number, words=words: fast.job(number, words))
        assert before == result(lambda number=number, words=words: validate(context, config, number, words)), words
        invalid += before.startswith("error: ")
        valid += not before.startswith("error: ")
    made = 2 * (valid + invalid) - len(composed)  # `validate` has composed each job
    assert min(valid, invalid) > 60, (valid, invalid)
    assert made > 20


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("optimizer.lr=0.1", "seed={}"), 1),
        (("model=linear", "seed={}", "trainer.epochs=3"), 1),
        (("model.hidden=[{}]",), 1),
        (("optimizer.lr={}", "loss.margin=${{optimizer.lr}}", "loss=hinge"), 3),  # a value depends on another value
        (("optimizer.lr={}", "optimizer={{lr:5}}"), 3),  # the second word sets the key of the first again
        (("hydra.sweep.subdir='${{model.width}}-${{seed}}'", "seed={}"), 3),  # and so does the folder's name
    ],
)
def test_jobs_that_differ_only_in_values_are_composed_once(sweep, composed, words, count):
    fast = Validation(*sweep("seed=0,1"))
    for number in range(3):
        fast.job(number, [word.format(number + 1) for word in words])
    assert len(composed) == count


def test_a_value_is_converted_to_the_type_of_its_key(sweep):
    fast = Validation(*sweep("seed=0,1", "optimizer=sgd"))
    jobs = [fast.job(number, [f"optimizer.lr={number + 1}", f"seed={number}"]) for number in range(3)]
    assert [repr(job.config.optimizer.lr) for job in jobs] == ["1.0", "2.0", "3.0"]
    assert [job.config.seed for job in jobs] == [0, 1, 2]
    assert jobs[1].config.model is jobs[2].config.model  # what does not change is not copied
    assert [str(job.folder) for job in jobs] == [
        "000_optimizer.lr=1,seed=0",
        "001_optimizer.lr=2,seed=1",
        "002_optimizer.lr=3,seed=2",
    ]


def test_a_folders_name_may_have_braces_and_the_jobs_number(sweep):
    fast = Validation(*sweep("seed=0,1", "hydra.sweep.subdir='{a}${hydra:job.num}-${hydra.job.override_dirname}'"))
    assert [fast.job(number, [f"seed={number}"]).folder for number in range(2)] == [
        Path("{a}0-seed=0"),
        Path("{a}1-seed=1"),
    ]


def test_only_a_limited_number_of_templates_is_kept(sweep, monkeypatch):
    monkeypatch.setattr(validation, "MOST", 2)
    fast = Validation(*sweep("seed=0,1"))
    for number, key in enumerate(["seed", "model.width", "model.layers", "seed"]):
        assert fast.job(number, [f"{key}={number + 1}"]).number == number
    assert len(fast._templates) == 2
