"""A command in a process of its own, forked from this one, which has imported all: how it ended, what it printed."""

import ctypes
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

MEMORY = 12 * 2**30  # bytes of addresses
FILE = 2**30  # bytes of one file
OVERRIDES_PERMISSIONS = (1, 2)  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, which root has
PR_CAPBSET_DROP = 24
ENDING = (signal.SIGINT, signal.SIGTERM)
CAPABILITY_VERSION = 0x20080522


class Ran(NamedTuple):
    """A command line and its end.

    Attributes
    ----------
    status
        Below 0 a signal.
    seconds, starved
        How long it took, and how long of that it waited for a core: others may use the machine.
    late
        Whether it was killed for its time.
    """

    line: str
    status: int
    out: str
    err: str
    seconds: float
    starved: float
    late: bool


def ran(
    task: Callable[[], int],
    line: str,
    folder: Path,
    streams: Path,
    environment: Mapping[str, str],
    limit: float,
    signals: Sequence[tuple[float, int]] = (),
    encoding: str = "utf-8",
) -> Ran:
    """Call a task, which may replace the process, in a folder; send it signals, each after so many seconds.

    It is killed when it has had a core, or slept, for longer than `limit` seconds.
    """
    for name in ("out", "err"):
        (streams / name).write_bytes(b"")
    began = time.monotonic()
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # until the command begins
    pid = os.fork()
    if pid == 0:
        os._exit(_child(task, folder, streams, environment, encoding))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    status, starved, late = _awaited(pid, began, limit, signals)
    out, err = ((streams / name).read_bytes().decode(errors="backslashreplace") for name in ("out", "err"))
    return Ran(line, status, out, err, time.monotonic() - began, starved, late)


def _child(task: Callable[[], int], folder: Path, streams: Path, environment: Mapping[str, str], encoding: str) -> int:
    try:
        os.setsid()
        os.chdir(folder)
        os.environ.update(environment)
        for descriptor, path in enumerate((os.devnull, streams / "out", streams / "err")):
            os.dup2(os.open(path, os.O_WRONLY if descriptor else os.O_RDONLY), descriptor)
        sys.stdout = open(1, "w", encoding=encoding, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding=encoding, errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
        obey_permissions()
        torch.set_num_threads(1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        except KeyboardInterrupt:  # it came before the command began
            return 130
        status = task()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        return 1
    return status


def obey_permissions() -> None:
    """Let the permissions of files hold for root as well, here and in what is executed from here."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    for capability in OVERRIDES_PERMISSIONS:
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.capget(header, sets)
    for place in range(3):  # the lower halves of effective, permitted and inheritable
        for capability in OVERRIDES_PERMISSIONS:
            sets[place] &= ~(1 << capability)
    libc.capset(header, sets)


def _awaited(pid: int, began: float, limit: float, signals: Sequence[tuple[float, int]]) -> tuple[int, float, bool]:
    """Return the status of a process, how long it waited for a core, and whether it was killed with its children."""
    ended, late = os.pidfd_open(pid), False
    left = sorted(signals)
    while not late:
        moment, number = left.pop(0) if left else (limit + _starved(pid), 0)
        if select.select([ended], [], [], max(0.0, began + moment - time.monotonic()))[0]:
            break
        if number:
            os.kill(pid, number)
        else:
            late = time.monotonic() - began - _starved(pid) > limit
    if late:
        os.killpg(pid, signal.SIGKILL)
        select.select([ended], [], [])
    starved = _starved(pid)
    os.close(ended)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), starved, late


def _starved(pid: int) -> float:
    """Return the seconds for which a process could have run, had others not."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
