"""Truncations and flipped bits: every one is noticed, and the generation before takes over."""

import contextlib
import random
import shutil
from pathlib import Path

import pytest
import torch

from deeprob.errors import UserError
from deeprob.tracking import checkpoint_file
from deeprob.training import checkpoint


def damages(content: bytes, count: int) -> list[bytes]:
    """Damaged copies of a file: half of them cut off somewhere, half with one bit flipped, edges among them."""
    rng = random.Random(0)
    size = len(content)
    lengths = [0, 1, 21, 22, size - 1, size - 64, size - 71, size - 72, size - 73, size - 93]
    lengths += [rng.randrange(size) for _ in range(count // 2 - len(lengths))]
    places = [0, 4, 30, size - 1, size - 70, size - 71, size - 72, size - 73, size - 90, content.rindex(b"PK\x01\x02")]
    places += [content.index(b"data.pkl") + 200, content.index(b"PK\x01\x02") + 10]
    places += [rng.randrange(size) for _ in range(count - count // 2 - len(places))]
    flipped = []
    for place in places:
        other = bytearray(content)
        other[place] ^= 1 << rng.randrange(8)
        flipped.append(bytes(other))
    return [content[:length] for length in lengths] + flipped


def test_every_damaged_checkpoint_is_noticed(one_run, tmp_path, times, tell):
    path = tmp_path / "x.pt"
    shutil.copy(one_run / "checkpoints/last.pt", path)
    assert checkpoint_file.load(path)["step"] > 0
    files = damages(path.read_bytes(), times(60, 500))
    silent = []
    for number, content in enumerate(files):
        path.write_bytes(content)
        with contextlib.suppress(UserError):
            checkpoint_file.load(path)
            silent.append(number)
    assert silent == []
    tell(f"{len(files)} of {len(files)} truncations and bit flips of a checkpoint noticed")


@pytest.fixture
def unfinished(deeprob, small) -> Path:
    """A run that was killed after two generations of checkpoints; ``whole`` is what it would have become."""
    words = (*small, "dataset.val_fraction=0.2", "trainer.checkpoint_steps=2")
    assert deeprob(*words, "hydra.run.dir=whole").status == 0
    write, states = checkpoint.Checkpoints.write, []

    def kill(these: checkpoint.Checkpoints, lengths: dict[str, int]) -> None:
        write(these, lengths)
        states.append(these.state.step)
        if these.state.step == 4:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checkpoint.Checkpoints, "write", kill)
        assert deeprob(*words, "hydra.run.dir=run").status == 130
    assert states == [0, 2, 4]
    assert not Path("run/summary.json").exists()
    return Path("run").resolve()


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def test_the_generation_before_takes_over_and_ends_at_the_same_bits(deeprob, unfinished):
    spoil(unfinished / "checkpoints/last.pt")
    result = deeprob(f"resume={unfinished}")
    assert result.status == 0
    path = unfinished / "checkpoints/last.pt"
    assert result.err == (
        f"note: {path}: not a checkpoint, or a damaged one; using last.prev.pt, the checkpoint before it\n"
    )
    one, other = (checkpoint_file.load(Path(d) / "checkpoints/last.pt")["model"] for d in (unfinished, "whole"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_without_any_whole_generation_nothing_is_touched(deeprob, unfinished):
    for name in ("last.pt", "last.prev.pt"):
        spoil(unfinished / "checkpoints" / name)
    before = {path: path.read_bytes() for path in unfinished.rglob("*") if path.is_file()}
    status, out, err = deeprob(f"resume={unfinished}")
    assert (status, out) == (2, "")
    assert err == f"error: {unfinished / 'checkpoints/last.pt'}: not a checkpoint, or a damaged one\n"
    assert {path: path.read_bytes() for path in unfinished.rglob("*") if path.is_file()} == before


def test_evaluating_a_damaged_best_says_what_it_used(deeprob, one_run):
    assert (one_run / "checkpoints/best.prev.pt").exists()
    spoil(one_run / "checkpoints/best.pt")
    result = deeprob(f"run={one_run}", command="evaluate")
    assert result.status == 0
    assert "using best.prev.pt, the checkpoint before it" in result.err
