from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from deeprob import cli
from deeprob.running import watch


class Result(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _same_threads_after():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def deeprob(tmp_path, monkeypatch, capsys) -> Callable[..., Result]:
    """Run a command in an empty folder: deeprob("model=linear") or deeprob("run=…", command="evaluate")."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(watch, "suited", lambda run, live: [])  # drawing takes longer than a test; see test_watch.py

    def run(*words: str, command: str = "train") -> Result:
        status = cli.main(words, command)
        out, err = capsys.readouterr()
        return Result(status, out, err)

    return run


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A folder of 8×8 pictures: train/ and test/ of cats (dark, 12 and 4) and dogs (light, 12 and 4)."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 4)):
        for name, low in (("cats", 0), ("dogs", 128)):
            folder = tmp_path / "pictures" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(low, low + 128, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number:04}.png")
    return tmp_path / "pictures"


SMALL = ("dataset.points_per_class=30", "dataset.test_points_per_class=20", "model.width=8", "trainer.epochs=3")


@pytest.fixture
def small() -> tuple[str, ...]:
    """Overrides that make a run take a few milliseconds: 90 points, 3 updates an epoch, 3 epochs."""
    return SMALL


@pytest.fixture
def one_run(deeprob, small) -> Path:
    """The directory of a small finished run with a validation split."""
    result = deeprob(*small, "dataset.val_fraction=0.2", "hydra.run.dir=run")
    assert result.status == 0, result.err
    return Path("run").resolve()
