import errno
import os
import pickle
from pathlib import Path

import pytest
import torch

from deeprob.errors import UserError
from deeprob.tracking.checkpoint_file import load, save


def test_round_trip(tmp_path):
    save({"weights": torch.tensor([1.5]), "step": 3, "names": ["a"]}, tmp_path / "x.pt")
    content = load(tmp_path / "x.pt")
    assert (content["weights"].item(), content["step"], content["names"]) == (1.5, 3, ["a"])
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]


def test_the_generation_before_is_kept(tmp_path):
    for step in (1, 2, 3):
        save({"step": step}, tmp_path / "x.pt")
    assert (load(tmp_path / "x.pt"), load(tmp_path / "x.prev.pt")) == ({"step": 3}, {"step": 2})


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    save({"step": 1}, tmp_path / "x.pt")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        save({"step": 2}, tmp_path / "x.pt")
    assert caught.value.filename == str(tmp_path / "x.pt")
    assert load(tmp_path / "x.pt") == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.pt"]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 half an archive"])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.pt: not a checkpoint"):
        load(tmp_path / "x.pt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"x\.pt: no such checkpoint"):
        load(tmp_path / "x.pt")


def test_no_code_from_a_file_runs(tmp_path):
    class Canary:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sang",))

    (tmp_path / "x.pt").write_bytes(pickle.dumps(Canary()))
    with pytest.raises(UserError):
        load(tmp_path / "x.pt")
    torch.save({"model": Canary()}, tmp_path / "y.pt")
    with pytest.raises(UserError):
        load(tmp_path / "y.pt")
    assert not (tmp_path / "sang").exists()


class Made:
    """What a file makes by calling something that torch.load lets it call."""

    def __init__(self, function, *words):
        self.words = function, words

    def __reduce__(self):
        return self.words


@pytest.mark.parametrize(
    "content",
    [
        {"x": Made(bytearray, 10**12)},
        {"x": Made(torch.Size, [1])},
        {"x": torch.nn.Parameter(torch.ones(1))},
        {"x": {1}},
    ],
)
def test_a_file_calls_nothing_but_what_makes_plain_tensors(tmp_path, content):
    save(content, tmp_path / "x.pt")
    with pytest.raises(UserError, match=r"x\.pt: not a checkpoint"):
        load(tmp_path / "x.pt")


def test_tuples_of_tuples_that_take_for_ever_to_hash_are_not_loaded(tmp_path):
    betas = (0.9, 0.99)
    save({"groups": [{"betas": betas}] * 10}, tmp_path / "x.pt")
    assert load(tmp_path / "x.pt")["groups"][9] == {"betas": betas}
    content = ()
    for _ in range(40):
        content = (content, content)
    save({"x": content}, tmp_path / "x.pt")
    with pytest.raises(UserError):
        load(tmp_path / "x.pt")
