"""The meanings of keys and options, read from the docstrings of the config dataclasses."""

import functools
import inspect
import re
from collections.abc import Mapping

_SECTION = re.compile(r"^(?:Attributes|Parameters)\n-+\n(.*?)(?=^\S[^\n]*\n-+$|\Z)", re.MULTILINE | re.DOTALL)
_EXAMPLE = re.compile(r" Example: ``(.*)``\.$")


@functools.cache
def _entries(cls: type) -> Mapping[str, str]:
    """Return field → text from the sections Attributes and Parameters of a class's docstring."""
    texts: dict[str, str] = {}
    names: list[str] = []
    for section in _SECTION.findall(inspect.cleandoc(cls.__doc__ or "") + "\n"):
        for line in section.splitlines():
            if line[:1].strip():
                names = [name.strip() for name in line.partition(":")[0].split(",")]
            for name in names if line[:1].isspace() else ():
                texts[name] = f"{texts.get(name, '')} {line.strip()}".strip()
    return texts


def meaning(cls: type | None, name: str) -> str:
    """Return the meaning of a field, without the example; empty if no docstring explains the field.

    The docstring of the class is searched first, then the docstrings of its base classes.
    """
    return _EXAMPLE.sub("", _entry(cls, name))


def example(cls: type | None, name: str) -> str:
    """Return the example at the end of a field's meaning, such as ``run=DIR``; empty if there is no example."""
    found = _EXAMPLE.search(_entry(cls, name))
    return found[1] if found else ""


def _entry(cls: type | None, name: str) -> str:
    return next((_entries(base)[name] for base in inspect.getmro(cls or object) if name in _entries(base)), "")


def summary(cls: type) -> str:
    """Return the first sentence of a class's docstring; empty if there is none."""
    text = inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0]
    return "" if text.startswith(f"{cls.__name__}(") else first_sentence(text)  # a dataclass makes such a docstring


def first_sentence(text: str) -> str:
    """Return the first sentence of a text."""
    return re.split(r"(?<=[.?!])\s", text, maxsplit=1)[0].replace("\n", " ")


def plain(text: str) -> str:
    """Return a text without the backticks that mark code."""
    return text.replace("`", "")
