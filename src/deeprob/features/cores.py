"""Process chunks in parallel, on several CPU cores."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def on_all_cores(work: Callable[[slice], T], chunks: Sequence[slice], device: torch.device) -> Generator[T, None, None]:
    """Yield the result of `work` for each chunk, in the order of the chunks.

    On a CPU, several threads work in parallel, and each thread processes one chunk. There are at most
    ``torch.get_num_threads()`` threads. This is faster than using all cores for one chunk, because the threads do not
    wait for each other. The results are exactly the same as with one thread.
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
        torch.set_num_threads(torch.get_num_threads())  # otherwise later threads would also use only one core
