"""The config of a job, checked before anything starts."""

from pathlib import Path

import pytest

from deeprob.assembly.config import TrainConfig
from deeprob.config.application import Application, started
from deeprob.errors import UserError
from deeprob.sweeps.validation import validate


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Validate a job of the sweep that some words make: from its number and its own words to folder and config."""
    monkeypatch.chdir(tmp_path)
    with started(None) as hydra:

        def checked(number, *words, sweep=("seed=0,1",)):
            application = Application(hydra, "train", TrainConfig)
            config = application.compose(sweep, multirun=True)
            return validate(application.context(config), config, number, words)

        yield checked


def test_a_job_has_a_folder_and_a_config(job):
    found = job(7, "optimizer.lr=0.5", "seed=3")
    assert (found.number, found.words, str(found.folder)) == (
        7,
        ["optimizer.lr=0.5", "seed=3"],
        "007_optimizer.lr=0.5,seed=3",
    )
    assert (found.config.seed, found.config.optimizer.lr, found.config.resume) == (3, 0.5, None)


def test_a_folders_name_may_have_parts_of_hydras_own(job):
    words = "hydra.sweep.subdir='${hydra:job.num}-${hydra:runtime.choices.model}'"
    assert job(2, "model=linear", sweep=(words, "model=linear,mlp")).folder == Path("2-linear")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("optimizer.lr=-1",), "optimizer.lr=-1"),
        (("optimizer.lrr=1",), "optimizer.lrr: no such key in optimizer; did you mean lr?"),
        (("model=linaer",), "model=linaer"),
        (("seed=x",), "seed=x"),
        (("optimizer=lbfgs", "trainer.batch_size=32"), "optimizer=lbfgs needs the full batch"),
        (("trainer.figures=[boundry]",), "boundry"),
    ],
)
def test_what_is_wrong_is_said_of_the_job(job, tmp_path, words, reason):
    with pytest.raises(UserError) as caught:
        job(5, *words)
    line = str(caught.value)
    assert line.startswith(f"job 5 ({' '.join(words)}): ")
    assert reason in line
    assert "\n" not in line
    assert list(tmp_path.iterdir()) == []
