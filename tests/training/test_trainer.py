import pytest
import torch

from deeprob.training import TrainerConfig


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert list(TrainerConfig(device="cuda").problems()) == ["device=cuda: no CUDA device here; use auto or cpu"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert list(TrainerConfig(device="cuda").problems()) == []


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_other_devices_are_always_there(device):
    assert list(TrainerConfig(device=device).problems()) == []
