"""Process chunks in parallel, each on its own CPU core."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def on_all_cores(work: Callable[[slice], T], chunks: Sequence[slice], device: torch.device) -> Generator[T, None, None]:
    """Yield the result of `work` for each chunk, in order; on a CPU, run as many threads as PyTorch may use.

    If cores share one operation, they wait for each other at its end, and read numbers from each other's caches. If
    each core has its own chunk, neither happens. Rounding is then also the same as in a single thread, so the results
    are equal to the results of a single thread.
    """
    threads = min(torch.get_num_threads(), len(chunks)) if device.type == "cpu" else 1
    if threads <= 1:
        yield from map(work, chunks)
        return
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from pool.map(work, chunks)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(torch.get_num_threads())  # otherwise the pool's setting is the default of later threads
