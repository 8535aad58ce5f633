"""Handle SIGINT and SIGTERM. The first signal ends a run after the current update, the second ends it immediately."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, ClassVar, Self

from deeprob.errors import Interrupted

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM") if hasattr(signal, name))
"""The signals that ask a process to end, if the system has them."""


def received() -> bool:
    """Return whether a signal came inside a block of `Interruption` that has not ended yet."""
    return any(interruption.received is not None for interruption in Interruption.open)


class Interruption:
    """Stores the number of the first signal inside a ``with`` block. The second signal raises `Interrupted`.

    Blocks may be nested. A signal that came in one of them has come in all of them.

    Parameters
    ----------
    shared
        Whether other code sets `number`, when all processes that train together must stop (see `Ranks.gathered`).

    Attributes
    ----------
    received
        The number of the first signal that came; None if no signal came.
    number
        The number of the signal that ends the run; None if the run goes on.
    open
        The blocks that have not ended, from the outermost to the innermost.
    """

    open: ClassVar[list["Interruption"]] = []

    def __init__(self, *, shared: bool = False) -> None:
        self.received: int | None = None
        self.number: int | None = None
        self.shared = shared
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Return whether a signal ends the run."""
        return self.number is not None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python allows handlers only in the main thread
            for number in ENDING:
                self._before[number] = signal.signal(number, self._handle)
            if self.open:
                self.received, self.number = self.open[-1].received, self.open[-1].number
            self.open.append(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self in self.open:
            self.open.remove(self)
            if self.open:
                self.open[-1].received, self.open[-1].number = self.received, self.number

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise Interrupted(number)
        self.received = number
        if not self.shared:
            self.number = number
