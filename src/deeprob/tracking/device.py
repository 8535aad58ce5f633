"""Devices: the one that a name stands for, its name in words, and how many CPU threads compute."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def resolve_device(name: str) -> torch.device:
    """Return the device that ``auto``, ``cpu`` or ``cuda`` stands for."""
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def device_name(device: torch.device) -> str:
    """Return the device in words: ``cpu``, or the name that CUDA gives it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many CPU threads, and afterwards with as many as before.

    Over many small operations two threads wait for each other more than they help.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
