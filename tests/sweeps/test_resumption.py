"""``resume=SWEEP``: the command of a sweep, repeated from what its jobs have kept."""

import csv
import json
import shlex
import shutil
from pathlib import Path

import pytest

from deeprob.errors import UserError
from deeprob.sweeps.resumption import print_sweep, words_of_sweep


@pytest.fixture
def begun(deeprob, small) -> Path:
    """A sweep of two jobs, the second of which has not begun."""
    words = ("-m", *small, "trainer.figures=[]", "seed=0,1", "hydra.sweep.dir=a sweep")
    assert deeprob(*words).status == 0
    shutil.rmtree("a sweep/001_seed=1")
    Path("a sweep/summary.csv").unlink()  # as a kill in the first job leaves it
    return Path("a sweep")


def said(folder: Path, command: str) -> Path:
    """Let a sweep's first job have been started by another command."""
    file = next(folder.glob("*/provenance.json"))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"command": command}))
    return folder


def test_a_sweep_goes_on_with_its_own_words(deeprob, begun):
    before = (begun / "000_seed=0/checkpoints/last.pt").stat().st_mtime_ns
    result = deeprob('resume="a sweep"')
    assert (result.status, result.err) == (0, "")
    with (begun / "summary.csv").open() as file:
        done = [(row["seed"], row["status"]) for row in csv.DictReader(file)]
    assert done == [("0", "completed"), ("1", "completed")]
    assert (begun / "000_seed=0/checkpoints/last.pt").stat().st_mtime_ns == before
    shutil.rmtree(begun / "000_seed=0")  # the second was started by resume= itself
    assert deeprob("-m", 'resume="a sweep"').status == 0
    assert (begun / "000_seed=0/summary.json").exists()


def test_words_beside_it_are_added(deeprob, begun, small):
    result = deeprob('resume="a sweep"', "trainer.log_every=7")
    assert result.status == 0, result.err
    assert "log_every: 7" in (begun / "001_seed=1/config.yaml").read_text()


def test_launchers_and_names_are_repeated(begun):
    words = ["seed=0,1", "hydra/launcher=vectorized", "hydra.launcher.max_stack=4", "hydra.sweep.subdir=s"]
    command = shlex.join(["deeprob-train", "-m", *words, "hydra.sweep.dir=elsewhere", "resume=auto"])
    assert words_of_sweep(said(begun, command)) == words


@pytest.mark.parametrize(
    "word", ["hydra.launcher.resources={num_gpus: 1, num_cpus:2}", "hydra.launcher.resources.num_gpus=0.5"]
)
def test_amounts_of_resources_are_repeated(begun, word):
    command = shlex.join(["deeprob-train", "-m", "seed=0,1", "hydra/launcher=on_ray", word])
    assert words_of_sweep(said(begun, command)) == ["seed=0,1", "hydra/launcher=on_ray", word]


def test_an_address_of_a_cluster_is_not_taken_from_a_file_but_given_again(begun):
    words = ["seed=0,1", "hydra/launcher=on_ray", "hydra.launcher.cluster=head:6379"]
    with pytest.raises(UserError) as caught:
        words_of_sweep(said(begun, shlex.join(["deeprob-train", "-m", *words])))
    line = f"resume={begun}: add hydra.launcher.cluster=head:6379, which deeprob does not take from a file"
    assert str(caught.value) == line
    other = "hydra.launcher.cluster=other:6379"
    assert words_of_sweep(begun, [other]) == [*words[:2], other]


def test_another_engine_has_not_the_cluster_of_the_first(begun):
    words = ["seed=0,1", "hydra.launcher.engine=submitit", "hydra.launcher.cluster=local", "hydra.launcher.workers=2"]
    command = shlex.join(["deeprob-train", "-m", *words, "hydra.launcher.resources.timeout_min=5"])
    other = "hydra.launcher.engine=processes"
    assert words_of_sweep(said(begun, command), [other]) == ["seed=0,1", "hydra.launcher.workers=2", other]


def test_another_launcher_replaces_that_of_the_sweep(begun):
    words = ["seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.launcher.compile=true"]
    command = shlex.join(["deeprob-train", "-m", *words, "hydra.sweep.dir=elsewhere"])
    assert words_of_sweep(said(begun, command), ["trainer.epochs=9"]) == [*words[:3], "trainer.epochs=9"]
    assert words_of_sweep(begun, ["hydra/launcher=auto"]) == ["seed=0,1", "hydra/launcher=auto"]


@pytest.mark.parametrize(
    "word",
    [
        "+hydra.callbacks.x._target_=os.system", "hydra.launcher._target_=os.system", "hydra/sweeper=optuna",
        "hydra.sweep.subdir=${oc.env:HOME}", "dataset.root=${oc.env:HOME}", "++hydra.launcher.n_jobs.x=1",
        "--config-dir=elsewhere",
    ],
)  # fmt: skip
def test_nothing_is_called_or_read_because_a_file_says_so(deeprob, begun, word):
    result = deeprob(f'resume="{said(begun, shlex.join(["deeprob-train", "-m", "seed=0,1", word]))}"')
    assert result.status == 2
    assert "type the sweep's command again, with hydra.sweep.dir=a sweep resume=auto" in result.err
    assert word.partition("=")[0] in result.err
    assert result.err.count("\n") == 1
    assert sorted(path.name for path in begun.iterdir()) == ["000_seed=0"]


@pytest.mark.parametrize("command", ["'", "deeprob-train -m =x", "deeprob-train --nonsense -m"])
def test_a_damaged_command_is_told(begun, command):
    with pytest.raises(UserError, match="type the sweep's command again"):
        words_of_sweep(said(begun, command))


def test_a_folder_of_runs_is_no_sweep(deeprob, begun, tmp_path):
    assert words_of_sweep(tmp_path) is None
    assert words_of_sweep(said(begun, "deeprob-train seed=0")) is None
    result = deeprob('resume="a sweep"')
    begins = 'error: resume="a sweep": no run, but a folder of runs; choose from '
    assert (result.status, result.err.startswith(begins)) == (2, True)


def test_a_sweep_of_which_no_job_has_begun_names_no_command(tmp_path, capsys):
    print_sweep(tmp_path, finished=False)
    assert capsys.readouterr().out == f"\nsweep      {tmp_path}\n"
