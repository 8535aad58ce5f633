"""Devices: resolve a device's name, describe a device, and set the number of CPU threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def resolve_device(name: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda``. ``auto`` means CUDA if it is available, else the CPU."""
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def device_name(device: torch.device) -> str:
    """Return the name of a device: ``cpu``, or the GPU's name from CUDA."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with `count` CPU threads inside this context, and restore the earlier number afterwards.

    For many small operations one thread is faster, because several threads mostly wait for each other.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
