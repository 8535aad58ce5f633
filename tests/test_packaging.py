"""The installed wheel, away from the checkout: commands, configs and the sweeper plugin come with it."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_an_installed_wheel_trains_evaluates_and_sweeps(tmp_path):
    def run(*words, folder=tmp_path) -> str:
        done = subprocess.run([str(word) for word in words], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT)
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    run(binaries / "pip", "install", "--quiet", "--no-deps", *tmp_path.glob("*.whl"))
    # the dependencies of this environment, but not its editable deeprob: .pth files are read in site folders alone
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])

    where = run(binaries / "python", "-c", "import deeprob; print(deeprob.__file__)")
    assert Path(where.strip()).is_relative_to(site)
    run(binaries / "deeprob-train", "trainer.epochs=1", "hydra.run.dir=run")
    assert "test" in run(binaries / "deeprob-evaluate", "run=run")
    run(binaries / "deeprob-train", "-m", "seed=0,1", "trainer.epochs=1", "hydra.sweep.dir=sweep")
    assert (tmp_path / "sweep" / "summary.csv").exists()
    assert "optimizer: adamw" in run(binaries / "deeprob-train", "--help")
