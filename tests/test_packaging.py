"""The installed wheel, away from the checkout: commands, configs and the sweeper plugin come with it."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def run(tmp_path):
    """Run a program in an empty folder, and return what it prints."""

    def done(*words) -> str:
        result = subprocess.run(
            [str(word) for word in words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    return done


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_the_wheel_and_all_that_it_needs_install_and_the_default_run_works(tmp_path, run, version):
    """With whatever interpreters there are; each installs some gigabytes for the time of the test."""
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"no Python {version} here")
    run(python, "-m", "venv", "venv")
    binaries = tmp_path / "venv" / "bin"
    run(binaries / "pip", "install", "--quiet", ROOT)
    assert f"Python {version}." in run(binaries / "python", "--version")
    run(binaries / "deeprob-train", "hydra.run.dir=run")
    assert "test" in run(binaries / "deeprob-evaluate", "run=run")
    shutil.rmtree(tmp_path / "venv")


@pytest.mark.slow
def test_the_oldest_versions_that_are_allowed_install_and_pass(tmp_path, run):
    """A sample of the suite, in an environment whose libraries are all as old as they may be."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    allowed = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    oldest = [re.sub(r">=([\d.]+).*", r"==\1", requirement) for requirement in allowed]
    assert [requirement for requirement in oldest if "==" not in requirement] == ["types-PyYAML"]
    run(sys.executable, "-m", "venv", "venv")
    binaries = tmp_path / "venv" / "bin"
    run(binaries / "pip", "install", "--quiet", *oldest)
    run(binaries / "pip", "install", "--quiet", "--no-deps", "--editable", ROOT)
    sample = [ROOT / "tests" / room for room in ("training", "running", "tracking", "sweeps", "figures", "commands")]
    run(
        binaries / "python",
        "-m",
        "pytest",
        "-q",
        "-W",
        "default",
        "--rootdir",
        ROOT,
        "-c",
        ROOT / "pyproject.toml",
        *sample,
    )
    shutil.rmtree(tmp_path / "venv")


@pytest.mark.slow
def test_an_installed_wheel_trains_evaluates_and_sweeps(tmp_path, run):
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
    assert "model: linear, mlp" in run(binaries / "deeprob-train", "--help")
