import torch

from deeprob.features import linear_map as module
from deeprob.features.linear_map import mapped
from deeprob.tracking import console


def test_chunks_make_no_difference():
    inputs = torch.arange(5000 * 6, dtype=torch.int32).view(5000, 2, 3)
    outcome = mapped(lambda rows: rows[:, :4] * 2, "doubling", torch.zeros(1), inputs, (2, 2))
    assert outcome.dtype == torch.float32
    assert torch.equal(outcome, inputs.flatten(1)[:, :4].mul(2).float().view(5000, 2, 2))


def test_no_inputs_at_all():
    assert mapped(lambda rows: rows, "nothing", torch.zeros(1), torch.zeros(0, 3), (3,)).shape == (0, 3)


def test_progress_is_told(monkeypatch, capsys):
    monkeypatch.setattr(module, "_CHUNK", 2)
    monkeypatch.setattr(console, "_LINE_EVERY", 0.0)
    mapped(lambda rows: rows, "moving", torch.zeros(1), torch.zeros(4, 3), (3,))
    assert [line[:14] for line in capsys.readouterr().out.splitlines()] == ["moving   50 % ", "moving  100 % "]
