"""The processes that train one network together. Each computes the gradient over its part of every batch.

torchrun starts the processes and gives each a number, its rank, in environment variables.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deeprob.errors import DeeprobError, PeerEnded, UserError
from deeprob.tracking.signals import Interruption

PATIENCE = timedelta(hours=6)
"""The longest time that a process waits for the others, for example while rank 0 computes features or draws."""
TILE = 2**18
"""The number of entries that are added at once, so that they stay in the cache."""
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass
class Ranks:
    """The rank of this process, and the number of processes. A process that trains without others is rank 0 of 1.

    All processes call the methods in the same order. Every process gets the same bits.

    Attributes
    ----------
    rank
        The number of this process, from 0. Rank 0 alone writes files and prints.
    count
        The number of processes.
    local, local_count
        The number of this process among those on the same machine, and the number of those.
    interruption
        The signals that this process receives. If any process has received one, the next call of `gathered` makes it
        the `number` of every process's interruption, so that all processes stop after the same update.
    """

    rank: int = 0
    count: int = 1
    local: int = 0
    local_count: int = 1
    interruption: Interruption | None = None

    def chunk_size(self, batch_size: int, most: int) -> int:
        """Return a number of examples, at most `most`, for which each process gets the same number of chunks.

        Example: 2 processes split a batch of 1024 examples into 2 chunks of 512, or into 4 of 256 if `most` is 300.
        """
        rounds = -(-batch_size // (self.count * most))
        return -(-batch_size // (self.count * rounds))

    def exchange(self, value: Any) -> list[Any]:
        """Return the values of all processes, in the order of ranks. A process waits here for all others."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        with connected():
            torch.distributed.all_gather_object(values, value)
        return values

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Raise a `UserError` if not all processes have the same facts."""
        first, *others = self.exchange(facts)
        for rank, theirs in enumerate(others, 1):
            for name, value in first.items():
                if theirs[name] != value:
                    raise UserError(
                        f"{name}: process {rank} has {theirs[name]}, but process 0 has {value}; "
                        "all processes need the same code, data and run directory"
                    )

    def gathered(self, values: Tensor) -> Tensor:
        """Return the numbers (k,) of all processes as a tensor (N, k). Agree on a signal if any process received one.

        The process waits for its device.
        """
        received = self.interruption.received if self.interruption is not None else None
        row = torch.cat([values, values.new_tensor([float(received or 0)])])
        rows = row.new_empty(self.count, len(row))
        with connected():
            torch.distributed.all_gather(list(rows.unbind()), row)
        signal = int(rows[:, -1].max())
        if self.interruption is not None and signal:
            self.interruption.number = signal
        return rows[:, :-1]


class Sum:
    """A sum of vectors, to which all processes add.

    Each process adds up one slice, in the order of ranks. So the sum has the same bits as in one process that adds the
    vectors one after another. This takes about as long as torch's ``all_reduce``, which adds in another order.

    Parameters
    ----------
    ranks
        The processes.
    vector
        The vector (…) of this process. With several processes, it is contiguous.
    """

    def __init__(self, ranks: Ranks, vector: Tensor) -> None:
        self.ranks, self.vector = ranks, vector
        self._slices = [vector] if ranks.count == 1 else list(vector.view(-1).tensor_split(ranks.count))
        own = self._slices[ranks.rank]
        self._received = [own if rank == ranks.rank else torch.empty_like(own) for rank in range(ranks.count)]
        self._sum, self._empty = torch.zeros_like(own), True

    def clear(self) -> None:
        """Set the sum to 0."""
        self._empty = True

    def add(self, count: int) -> None:
        """Add the vectors of the first `count` processes. The other processes call this method too."""
        self._swap(self._slices, self._received)
        for total, *parts in zip(
            *(torch.split(row, TILE) for row in (self._sum, *self._received[:count])), strict=True
        ):
            if self._empty:
                total.zero_()
            for part in parts:
                total.add_(part)
        self._empty = False

    def spread(self) -> None:
        """Write the sum into the vector of every process."""
        own = self._slices[self.ranks.rank].copy_(self._sum)
        self._swap([own] * self.ranks.count, self._slices)

    def _swap(self, sent: Sequence[Tensor], received: Sequence[Tensor]) -> None:
        """Send one tensor to each other process, and receive one from each."""
        dist, operations = torch.distributed, []
        for rank in set(range(self.ranks.count)) - {self.ranks.rank}:
            pairs = (dist.isend, sent[rank]), (dist.irecv, received[rank])
            operations += [dist.P2POp(operation, tensor, rank) for operation, tensor in pairs if tensor.numel()]
        if operations:
            with connected():
                for work in dist.batch_isend_irecv(operations):
                    work.wait()


@contextmanager
def connected() -> Iterator[None]:
    """Raise `PeerEnded` if the connection to another process breaks inside this context."""
    try:
        yield
    except RuntimeError as error:
        raise PeerEnded("another process of this run has ended, so this one cannot go on") from error


@contextmanager
def joined_processes() -> Iterator[Ranks]:
    """Join the other processes that torchrun has started. Inside this context, only rank 0 prints.

    If several processes fail, the first error is raised in its process. The others end silently with the exit statuses
    of their errors.

    Raises
    ------
    UserError
        If the environment variables of torchrun are missing or wrong.
    """
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    dist = torch.distributed
    ranks = _from_environment()
    try:
        store, rank, count = next(rendezvous("env://"))
        # after a restart, the store still has the addresses of the processes that ended
        store = PrefixStore(f"start-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
        device = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(device, store=store, rank=rank, world_size=count, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise PeerEnded("the processes could not connect to each other") from error
    if ranks.local < torch.cuda.device_count():
        torch.cuda.set_device(ranks.local)
    try:
        with _silent(ranks.rank > 0):
            yield ranks
    except (DeeprobError, KeyboardInterrupt, OSError) as error:
        if _told(store):
            raise SystemExit(getattr(error, "status", UserError.status)) from error
        raise
    finally:
        dist.destroy_process_group()


def _from_environment() -> Ranks:
    values = {name: os.environ.get(name, "") for name in VARIABLES}
    missing = [name for name, value in values.items() if not value]
    size = values["WORLD_SIZE"]
    if missing:
        raise UserError(
            f"WORLD_SIZE={size} without {', '.join(missing)}: start several processes with torchrun, or unset it"
        )
    for name in VARIABLES[:4]:
        if not values[name].isdecimal():
            raise UserError(f"{name}={values[name]}: expected a whole number; start the processes with torchrun")
    rank, count, local, local_count = (int(values[name]) for name in VARIABLES[:4])
    return Ranks(rank, count, local, local_count)


@contextmanager
def _silent(silent: bool) -> Iterator[None]:
    """Discard what is printed inside this context, if `silent` is True."""
    if not silent:
        yield
        return
    with Path(os.devnull).open("w") as null, redirect_stdout(null), redirect_stderr(null):
        yield


def _told(store: Any) -> bool:
    """Return whether another process has an error already."""
    try:
        return bool(store.add("errors", 1) > 1)
    except RuntimeError:  # the process with the store has ended
        return False
