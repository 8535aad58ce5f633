"""The errors that end a command early, and their exit statuses.

- 0: The command completed.
- 1: deeprob has a bug.
- 2: The user made a mistake.
- 3: Training diverged.
- 4: A check failed, a job of a sweep failed, a newer attempt took over the run, or another process of the run ended.
- 130: SIGINT (Ctrl-C) interrupted the command.
- 141: The command writes into a pipe, and the program at the other end of the pipe has ended.
- 143: SIGTERM interrupted the command.
"""

import difflib
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any


class DeeprobError(Exception):
    """An error that ends a command with a message of one line and an exit status."""

    status = 1
    outcome = "failed"  # the word for this error in a sweep's table

    def __str__(self) -> str:
        return printable(super().__str__())


class UserError(DeeprobError):
    """A mistake of the user. The message names the key or the file, says what is wrong, and says how to correct it."""

    status = 2


class Diverged(DeeprobError):
    """Training diverged: a number became NaN or infinite.

    Parameters
    ----------
    quantity
        The name of the number, such as ``data loss`` or ``gradient of layers.0.weight``.
    step
        The update in which the number first was NaN or infinite, counted from 1.
    epoch, batch
        The epoch and the batch of that update, both counted from 0. None if the number was measured after an update.

    Attributes
    ----------
    run
        The run with its last finite state, if it was trained from Python (see `deeprob.api.train`).
    """

    status = 3
    outcome = "diverged"

    def __init__(self, quantity: str, step: int, epoch: int | None = None, batch: int | None = None) -> None:
        place = "" if epoch is None or batch is None else f" (epoch {epoch + 1}, batch {batch + 1})"
        advice = "correct the data" if quantity.startswith("input") else "try a smaller optimizer.lr"
        super().__init__(f"diverged: the {quantity} became NaN or infinite at step {step}{place}; {advice}")
        self.quantity = quantity
        self.step = step
        self.in_update = epoch is not None
        self.run: Any = None
        self._words = (quantity, step, epoch, batch)

    def __reduce__(self) -> tuple[Any, ...]:  # pickle rebuilds an exception from its arguments
        return Diverged, self._words


class CheckFailed(DeeprobError):
    """A check did not hold, or a job of a sweep failed."""

    status = 4


class Superseded(DeeprobError):
    """A newer attempt of a run has taken over its directory. The older attempt stops, and writes nothing more."""

    status = 4


class PeerEnded(DeeprobError):
    """Another process that trains the same network has ended."""

    status = 4


class Skipped(DeeprobError):
    """A sweep did not start this job."""

    outcome = "skipped"


class Interrupted(KeyboardInterrupt):
    """A signal interrupted the command. A run first writes a checkpoint. A sweep starts no further jobs."""

    outcome = "interrupted"

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.status = 128 + number

    def __reduce__(self) -> tuple[Any, ...]:
        return Interrupted, (self.status - 128,)


LONGEST_LINE = 2000


def printable(text: str) -> str:
    """Return a text as one line for a terminal.

    Control characters are escaped. If the line is longer than `LONGEST_LINE` characters, its middle is left out.
    """
    line = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE // 2]} … {line[-LONGEST_LINE // 4 :]}"


def one_line(error: BaseException) -> str:
    """Return the message of an exception as one line that is never empty."""
    if isinstance(error, OSError) and error.filename:
        return printable(f"{error.filename}: {error.strerror}")
    if isinstance(error, SystemExit):
        return f"ended with exit status {error.code}"
    return printable((str(error).strip() or type(error).__name__).splitlines()[0])


def did_you_mean(word: str, options: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str:
    """Return ``did you mean X?``, where X is the option most similar to `word`.

    If no option is similar, the text lists all options.

    Parameters
    ----------
    word
        The word that was typed.
    options
        The words that are accepted.
    synonyms
        A dictionary from names in other frameworks to options here. If a name has no counterpart here, its value is an
        empty text.
    """
    known = list(options)
    if not known:
        return "there are none"
    plain = word.lower().replace("-", "_")
    meant = (synonyms or {}).get(plain)
    close = difflib.get_close_matches(plain, known, n=1, cutoff=0.6) if meant is None else [meant] * (meant in known)
    return f"did you mean {close[0]}?" if close else f"choose from {', '.join(known)}"


def first_few(words: Sequence[str], most: int = 5) -> str:
    """Return a text with the first `most` words and the number of the other words: ``a, b and 3 more``."""
    others = len(words) - most
    return ", ".join(words[:most]) + (f" and {others} more" if others > 0 else "")


_NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "Storage size calculation overflowed",
    "Overflow when unpacking",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception means that memory ran out, on any device."""
    known = isinstance(error, MemoryError | OverflowError) or type(error).__name__ == "OutOfMemoryError"
    return known or (isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY))


@contextmanager
def memory_errors(batch_size: int | None = None, advice: str = "") -> Iterator[None]:
    """Raise a `UserError` if memory runs out inside this context.

    The message contains `advice`. If it is empty, the message names settings to lower, and the present `batch_size`.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        size = "" if batch_size is None else f" of {batch_size}"
        lower = (
            f"lower trainer.batch_size{size}, model.width or model.layers, or the dataset's size "
            "(dataset.limit, points_per_class, image_size)"
        )
        raise UserError(f"not enough memory: {advice or lower}") from error
