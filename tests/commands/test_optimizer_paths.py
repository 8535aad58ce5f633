"""Optimizers on surfaces from the command line."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from deeprob.analysis.surfaces import BealeConfig, BowlConfig, SaddleConfig
from deeprob.analysis.surfaces.remarks import Remark
from deeprob.commands import optimizer_paths
from deeprob.commands.optimizer_paths import AllConfig, OptimizerPathsConfig
from deeprob.errors import CheckFailed

QUICK = "steps=5", "film=false", "remarks=false"


def paths(deeprob, *words):
    return deeprob(*words, command="optimizer_paths")


def test_one_surface_gives_a_table_pictures_and_a_film(deeprob):
    status, out, err = paths(deeprob, "surface=saddle", "steps=20")
    assert (status, err) == (0, "")
    assert "saddle: from (-1.5, 0.001) to f = -0.025 at (0, 1) and (0, -1)" in out
    for kind in ("paths", "curves"):
        with Image.open(f"outputs/figures/{kind}_saddle.png") as picture:
            assert min(picture.size) > 400
    with Image.open("outputs/figures/paths_saddle.gif") as film:
        assert film.n_frames > 10
    assert "holds  momentum, rmsprop and adam leave a saddle where sgd stays for 150 updates" in out
    assert sorted(path.name for path in Path().iterdir()) == ["outputs"]


def test_all_surfaces_are_one_sheet(deeprob):
    status, out, err = paths(deeprob, *QUICK)
    assert (status, err) == (0, "")
    assert sum("optimizer" in line and "evaluations" in line for line in out.splitlines()) == 6
    assert {path.name for path in Path("outputs/figures").iterdir()} == {"paths_all.png", "curves_all.png"}


def test_optimizers_are_chosen_as_in_train(deeprob):
    words = 'optimizers=["sgd lr=0.01 momentum=0.5", "adamw weight_decay=0.1", lbfgs, "sgd lr=1e9"]'
    status, out, err = paths(deeprob, "surface=bowl", words, "steps=60", *QUICK[1:])
    assert (status, err) == (0, "")
    rows = [line.split() for line in out.splitlines()[2:6]]
    assert rows[0][:3] == ["sgd", "lr=0.01", "momentum=0.5"]
    assert rows[0][5:7] == ["60", "60"]
    assert rows[2][0] == "lbfgs"
    assert int(rows[2][4]) > int(rows[2][3])  # evaluations, updates
    assert rows[3][-1] == "diverged"


def test_start_steps_evaluations_and_parameters_are_followed(deeprob):
    words = "surface=bowl", "surface.condition=2", "start=[1,-2]", "evaluations=3"
    status, out, _ = paths(deeprob, *words, 'optimizers=["sgd lr=0.5"]', *QUICK)
    assert status == 0
    assert "from (1, -2) to f = 0" in out
    row = out.splitlines()[2].split()
    assert row[:5] == ["sgd", "lr=0.5", "7.8e-03", "1.2e-01", "3"]  # x is halved three times, y is 0 at once


def test_noise_leaves_lbfgs_out(deeprob):
    _, out, _ = paths(deeprob, "surface=ravine", "noise=1", *QUICK)
    assert "rmsprop" in out
    assert "lbfgs" not in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["surface=bowll"], "surface=bowll: no such option; did you mean bowl?"),
        (["surface=beale", "surface.condition=3"], "surface.condition: belongs to surface=bowl or surface=ravine"),
        (["surface=bowl", "surface.condition=0.5"], "surface.condition=0.5: expected a number in [1, "),
        (["start=[1]"], "start=[1]: expected two numbers, as in [-1,0.5], or null"),
        (["start=[1,2,3]"], "start=[1,2,3]: expected two numbers"),
        (["start=[1e200,0]"], "start=[1e+200,0]: f is inf there on surface=beale"),
        (["steps=0"], "steps=0: expected a whole number in [1, 100000] or null"),
        (["evaluations=1.5"], "evaluations=1.5: expected a whole number"),
        (["noise=-1"], "noise=-1.0: expected a number at least 0"),
        (["optimizers=[]"], "optimizers=[]: expected a list of words"),
        (["optimizers=[sgdd]"], "optimizers: sgdd: no optimizer is called sgdd; did you mean sgd?"),
        (['optimizers=["sgd lrr=1"]'], "optimizers: sgd lrr=1: lrr: no such key; did you mean lr?"),
        (["optimizers=[lbfgs]", "noise=1"], "optimizers: lbfgs: needs gradients without noise"),
        (["stepz=3"], "stepz: no such key; did you mean steps?"),
        (["-m", "surface=bowl,beale"], "-m: deeprob-optimizer-paths has no sweeps"),
    ],
)
def test_mistakes(deeprob, words, line):
    status, out, err = paths(deeprob, *words)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


def test_a_remark_that_fails_is_status_4(monkeypatch, capsys):
    remarks = [Remark("water flows uphill", False, "0 m"), Remark("water flows", True, "1 m")]
    monkeypatch.setattr(optimizer_paths, "remarks_on", lambda names: iter(remarks))
    with pytest.raises(CheckFailed, match=r"1 remark\(s\) failed: water flows uphill"):
        optimizer_paths.remark([BowlConfig()])
    assert "FAILS  water flows uphill\n       0 m\nholds  water flows" in capsys.readouterr().out


def test_races_are_returned_and_threads_are_as_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(2)
    races = optimizer_paths.optimizer_paths(
        OptimizerPathsConfig(surface=SaddleConfig(), steps=3, film=False, remarks=False)
    )
    assert torch.get_num_threads() == 2
    assert [len(race.descents) for race in races] == [7]
    assert all(descent.points[0].tolist() == list(SaddleConfig.start) for descent in races[0].descents)


def test_what_all_means():
    config = OptimizerPathsConfig(surface=AllConfig())
    assert {type(surface) for surface in config.surfaces} > {BealeConfig, BowlConfig}
    assert len(config.surfaces) == 6
    assert [type(surface) for surface in OptimizerPathsConfig(surface=BealeConfig()).surfaces] == [BealeConfig]
