"""Random numbers that are functions of a seed, a name and a step.

The name is the purpose of the numbers, such as "dropout". The numbers for one name are called a stream. There is no
generator whose state changes from draw to draw. A checkpoint therefore stores no such state. A change to one stream
does not change the other streams. Training a run together with other runs does not change its numbers.

The algorithm is SplitMix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014). It computes
the numbers from a counter with operations on int64 tensors. These operations give the same bits on every device and
under ``torch.vmap``.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


def _signed(word: int) -> int:
    """Convert an unsigned 64-bit number to the signed number with the same bits (two's complement)."""
    return word - (1 << 64) if word >> 63 else word


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX1 = _signed(0xBF58476D1CE4E5B9)
_MIX2 = _signed(0x94D049BB133111EB)


def _mix(word: Tensor) -> Tensor:
    """Mix the bits of 64-bit words, as in the last step of SplitMix64. Different words give different results."""
    # int64 has only arithmetic shifts; the masks turn them into logical shifts
    word = (word ^ ((word >> 30) & 0x3_FFFF_FFFF)) * _MIX1
    word = (word ^ ((word >> 27) & 0x1F_FFFF_FFFF)) * _MIX2
    return word ^ ((word >> 31) & 0x1_FFFF_FFFF)


def key(seed: int | Tensor, name: str, device: torch.device | None = None) -> Tensor:
    """Return the key of a named stream of random numbers.

    Parameters
    ----------
    seed
        The run's seed, or an int64 tensor with one seed per run.
    name
        The purpose of the numbers, such as ``"dropout"``.
    device
        The device of the key. None means the CPU if `seed` is an integer, and the device of `seed` if it is a tensor.

    Returns
    -------
    Tensor
        The key, an int64 tensor in the shape of `seed`. It is 0-d if `seed` is an integer.
    """
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    salt = int.from_bytes(digest, "little", signed=True)
    words = torch.as_tensor(seed, dtype=torch.int64, device=device)
    return _mix(_mix(words + _GOLDEN) ^ salt)


def fold(stream: Tensor, number: int) -> Tensor:
    """Return the key of a new stream, made from the key `stream` and a number, such as a step or a layer."""
    return _mix(stream + _signed((number + 1) * 0x9E3779B97F4A7C15 % (1 << 64)))


def bits(stream: Tensor, count: int) -> Tensor:
    """Return `count` 64-bit words of each `stream` (…), as int64 (…, count). The words of one stream all differ."""
    counter = torch.arange(1, count + 1, device=stream.device)
    return _mix(counter * _GOLDEN + stream[..., None])


def permutation(stream: Tensor, count: int) -> Tensor:
    """Return a random order of ``range(count)`` for each `stream` (…), as an int64 tensor (…, count)."""
    words = bits(stream, count)
    if words.is_cpu:  # NumPy sorts about four times as fast; all words differ, so there is one order
        return torch.from_numpy(np.argsort(words.numpy(), axis=-1))
    return torch.argsort(words)


def keep_mask(stream: Tensor, shape: torch.Size, rate: Tensor) -> Tensor:
    """Return a boolean mask. Each entry is drawn independently, and is False with probability `rate`.

    Each 64-bit word gives four entries of 16 bits, so `rate` is rounded to a multiple of 1/65536.

    Parameters
    ----------
    stream
        The key of each stream (…).
    shape
        The shape of one stream's mask.
    rate
        The probability of False for each stream (…).

    Returns
    -------
    Tensor
        The mask of each stream (…, *shape).
    """
    words = bits(stream, -(-shape.numel() // 4))
    try:
        lanes = words.view(torch.int16)
    except RuntimeError:  # torch 2.11 does not support this view under vmap
        lanes = torch.stack([words, words >> 16, words >> 32, words >> 48], -1).to(torch.int16).flatten(-2)
    lanes = lanes[..., : shape.numel()].view(*stream.shape, *shape)
    threshold = ((rate * 65536).round() - 32768).clamp(max=32767).to(torch.int16)
    kept: Tensor = lanes >= threshold.view(*threshold.shape, *(1,) * len(shape))
    return kept


def generator(seed: int, name: str) -> torch.Generator:
    """Return a CPU generator for numbers that are drawn once, such as the initial weights."""
    return torch.Generator().manual_seed(_number(seed, name))


@contextmanager
def seeded(seed: int, name: str) -> Iterator[None]:
    """Seed torch's global CPU generator inside this context, and restore its state afterwards.

    Code that accepts no generator needs this context. An example is the initialization of torch's layers.
    """
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(_number(seed, name))
    try:
        yield
    finally:
        torch.set_rng_state(before)


def _number(seed: int, name: str) -> int:
    return int(key(seed, name)) & 0x7FFF_FFFF_FFFF_FFFF
