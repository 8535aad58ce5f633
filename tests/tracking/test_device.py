"""What computes."""

import pytest
import torch

from deeprob.tracking.device import device_name, resolve_device, threads


def test_auto_takes_cuda_where_there_is_one(monkeypatch):
    for there, kind in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert resolve_device("auto").type == kind
        assert (resolve_device("cpu").type, resolve_device("cuda").type) == ("cpu", "cuda")


def test_a_device_in_words(monkeypatch):
    assert device_name(torch.device("cpu")) == "cpu"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Some GPU {device.index}")
    assert device_name(torch.device("cuda", 1)) == "Some GPU 1"


def test_threads_are_set_for_a_while():
    def fail():
        with threads(1):
            raise KeyError

    torch.set_num_threads(2)
    with threads(1):
        assert torch.get_num_threads() == 1
        with threads(3):
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with pytest.raises(KeyError):
        fail()
    assert torch.get_num_threads() == 2
