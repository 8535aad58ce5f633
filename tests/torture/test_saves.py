"""Death and full disks in the middle of a save: there is a loadable checkpoint every time."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from deeprob.models.linear import LinearConfig
from deeprob.optim import Schedule, SGDConfig
from deeprob.tracking.checkpoint_file import load, load_newest
from deeprob.training import TrainState
from deeprob.training.checkpoint import Checkpoints

from .conftest import FULL

DEAD = 9


def checkpoints(directory: Path, best_is_last: bool) -> Checkpoints:
    model = LinearConfig().build(20, 20, torch.Generator().manual_seed(0))
    optimizer = SGDConfig(lr=0.5).build(model.parameters())
    state = TrainState.start(model, optimizer, Schedule(), torch.device("cpu"))
    return Checkpoints(directory, state, {}, best_is_last)


def save(these: Checkpoints, step: int) -> None:
    these.state.step = step
    if not these.best_is_last:
        these.keep_best()
    these.write({})


class Mortal:
    """A file whose n-th write is cut in half by death."""

    def __init__(self, file, strike: Callable[[], bool]) -> None:
        self.file, self.strike = file, strike

    def __enter__(self):
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def __getattr__(self, name: str):
        return getattr(self.file, name)

    def write(self, content: bytes) -> None:
        if self.strike():
            self.file.write(bytes(content[: len(content) // 2]))
            self.file.flush()
            os._exit(DEAD)
        self.file.write(content)


def die_after(count: int) -> None:
    """Let this process die at its `count`-th write, or after its `count`-th sync, link, rename or removal."""
    left = [count]

    def strike() -> bool:
        left[0] -= 1
        return left[0] == 0

    def mortal(function: Callable) -> Callable:
        def act(*words, **named):
            result = function(*words, **named)
            if strike():
                os._exit(DEAD)
            return result

        return act

    for name in ("fsync", "link"):
        setattr(os, name, mortal(getattr(os, name)))
    for name in ("replace", "unlink"):
        setattr(Path, name, mortal(getattr(Path, name)))
    opened = Path.open
    Path.open = lambda path, mode="r", **named: (
        Mortal(opened(path, mode, **named), strike) if "w" in mode else opened(path, mode, **named)
    )


@pytest.mark.parametrize("best_is_last", [True, False])
def test_a_death_at_any_moment_of_a_save_leaves_a_checkpoint(tmp_path, tell, best_is_last):
    first = checkpoints(tmp_path / "before", best_is_last)
    for step in (1, 2):
        save(first, step)
    deaths, survived = 0, False
    while not survived:
        directory = tmp_path / f"death{deaths}"
        shutil.copytree(tmp_path / "before", directory)
        child = os.fork()
        if child == 0:
            these = checkpoints(directory, best_is_last)
            die_after(deaths + 1)
            save(these, 3)
            os._exit(0)
        survived = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        deaths += not survived
        assert load(directory / "last.pt")["step"] in (2, 3)
        assert load(directory / "best.pt")["step"] in (2, 3)
        if not best_is_last:  # the last never speaks of a best that is not there
            assert load_newest(directory / "last.pt")["step"] <= load_newest(directory / "best.pt")["step"]
        save(checkpoints(directory, best_is_last), 4)
        assert load(directory / "last.pt")["step"] == load(directory / "best.pt")["step"] == 4
        assert not list(directory.glob("*.tmp"))
    assert deaths >= 9
    assert load(tmp_path / f"death{deaths}" / "last.prev.pt")["step"] == 3
    tell(f"{deaths} of {deaths} deaths in a save left a loadable checkpoint (best is last: {best_is_last})")


@contextmanager
def full_after(syncs: int) -> Iterator[None]:
    """Let the disk be full from the n-th sync on."""
    left, original = [syncs], os.fsync

    def full(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(descriptor)

    os.fsync = full
    try:
        yield
    finally:
        os.fsync = original


def assert_unharmed(run: Path, status: int, err: str, before: dict) -> None:
    assert status == 2
    assert err.count("\n") == 1
    assert err.startswith(f"error: {run}")
    assert "No space left on device" in err
    assert not list(run.rglob("*.tmp"))
    for name in ("last", "best"):
        content = load(run / f"checkpoints/{name}.pt")
        assert content["step"] >= before["step"]


def test_a_disk_that_fills_up_at_any_moment_leaves_the_old_checkpoint(deeprob, small, times, tell):
    words = ("scheduler=constant", "trainer.checkpoint_steps=1", "dataset.val_fraction=0.2")
    assert deeprob(*small, *words, "hydra.run.dir=whole").status == 0
    before = load(Path("whole/checkpoints/last.pt"))
    trials = times(12, 20)
    for syncs in range(trials):
        run = Path(f"run{syncs}").resolve()
        shutil.copytree("whole", run)
        with full_after(syncs):
            status, _, err = deeprob(f"resume={run}", "trainer.epochs=5")
        assert_unharmed(run, status, err, before)
        assert deeprob(f"resume={run}", "trainer.epochs=5").status == 0
    tell(f"{trials} of {trials} times a disk full at a sync: old checkpoint whole, no temporary file, one line")


def test_a_small_disk_of_its_own(deeprob, small, tmp_path, tell):
    """On a real file system of 512 kB, which needs the right to mount one: in full only."""
    if not FULL:
        return
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk], check=True)
    try:
        run, filler = disk / "run", disk / "filler"
        words = ("scheduler=constant", "trainer.checkpoint_steps=1", "dataset.val_fraction=0.2")
        assert deeprob(*small, *words, f"hydra.run.dir={run}").status == 0
        before = load(run / "checkpoints/last.pt")
        shutil.copytree(run, tmp_path / "kept")
        for pages in range(20):
            shutil.rmtree(run)
            shutil.copytree(tmp_path / "kept", run)
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            filler.write_bytes(bytes(free - 4096 * pages))
            status, _, err = deeprob(f"resume={run}", "trainer.epochs=2000")
            assert_unharmed(run, status, err, before)
            filler.unlink()
        tell("20 of 20 sizes of a small tmpfs: old checkpoint whole, no temporary file, one line, status 2")
    finally:
        subprocess.run(["umount", disk], check=True)
