"""Work on chunks, each on a CPU core of its own."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def on_all_cores(work: Callable[[slice], T], chunks: Sequence[slice], device: torch.device) -> Generator[T, None, None]:
    """Yield what `work` makes of each chunk, in their order; on a CPU in as many threads as PyTorch may use.

    Cores that share an operation wait for each other after it, and fetch its numbers from each other's caches. One that
    has a chunk of its own does neither, and rounds as if it were alone: the results are those of a single thread.
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
        torch.set_num_threads(torch.get_num_threads())  # what was set in them is the default of later threads
