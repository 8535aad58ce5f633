"""The own parts of a run, as ``provenance.json`` lists them, and what to type if one of them is not known here.

What the file says is only ever printed. It decides nothing, because it may come from a stranger.
"""

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from deeprob.config.installed import distribution_of
from deeprob.config.own_modules import FLAG, MAIN, is_own, source_of
from deeprob.config.schema import options

_LARGEST = 2**20  # bytes
_LONGEST = 200  # letters


def own_parts(chosen: Iterable[tuple[str, str]]) -> list[dict[str, str | None]]:
    """Return what ``provenance.json`` says of each own part among the chosen options.

    Each is a dictionary with the keys ``option``, ``module``, ``file``, ``sha256`` and ``import``. For an installed
    package, ``package`` and ``version`` replace ``import``.

    Parameters
    ----------
    chosen
        The group and the name of each option.
    """
    found = []
    for group, name in dict.fromkeys(chosen):
        cls = options(group).get(name)
        if cls is not None and is_own(cls):
            source, package = source_of(cls), distribution_of(cls)
            if package:
                del source["import"]
            found.append({"option": f"{group}={name}", **source, **package})
    return found


def advice_for(directory: Path, option: str) -> str:
    """Return what to do if an option of a run, such as ``model=resmlp``, is not known here.

    The text is empty if the run's ``provenance.json`` does not say where the option came from.
    """
    part = next((part for part in recorded_parts(directory) if part.get("option") == option), {})
    package, word = _text(part.get("package")), _text(part.get("import"))
    if package:
        return f"it belongs to the package {package}, which is not installed here"
    if word:
        module = word if not word.endswith(".py") else PurePath(word).stem
        typed = f"{FLAG} {shlex.quote(word)}"
        return f"the run was trained with {typed}: add {typed} (in Python, import {module})"
    if part.get("module") == MAIN:
        return f"its class was in a notebook or a script: put it into a module, and add {FLAG} MODULE"
    return f"it was a part of the user's own: add {FLAG} MODULE" if part else ""


def changed_modules(directory: Path, now: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of the modules whose source has changed since the run in a directory was trained last.

    Parameters
    ----------
    directory
        The directory of the run.
    now
        What `own_parts` returns for the run now.
    """
    before = {part.get("option"): part.get("sha256") for part in recorded_parts(directory)}  # the last one counts
    changed = (part["module"] for part in now if before.get(part["option"]) not in (None, part["sha256"]))
    return list(dict.fromkeys(changed))


def recorded_parts(directory: Path) -> Iterator[Mapping[str, Any]]:
    """Yield each own part in the ``provenance.json`` of a run, of the beginning of the run first."""
    path = directory / "provenance.json"
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return
    for origin in (content, *_items(content, "resumed")):
        parts = (part for part in _items(origin, "parts") if isinstance(part, Mapping))
        yield from (part for part in parts if isinstance(part.get("option"), str))


def _items(content: Any, key: str) -> list[Any]:
    items = content.get(key) if isinstance(content, Mapping) else None
    return items if isinstance(items, list) else []


def _text(value: Any) -> str:
    """Return a word of a run's file if it can be printed as it is; else an empty text."""
    return value if isinstance(value, str) and re.fullmatch(rf"[\w./ -]{{1,{_LONGEST}}}", value) else ""
