"""The modules of the user, whose classes are options too. Only ``--import MODULE`` imports a module of the user.

In particular, no file in the directory of a run can name a module that is then imported.
"""

import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from deeprob.errors import UserError, one_line

FLAG = "--import"
MAIN = "__main__"
"""The name of the module of a notebook or a script. Other processes cannot import it."""
_HOUSE = ("deeprob", "hydra_plugins")


class OwnModule(NamedTuple):
    """A module that the user has given.

    Attributes
    ----------
    word
        The word after ``--import``.
    name
        The name of the module.
    folder
        The folder in which the module is searched after the folders in ``sys.path``.
    """

    word: str
    name: str
    folder: str


_given: list[OwnModule] = []
_words: dict[str, str] = {}
_hashes: dict[str, str] = {}


@contextmanager
def imported(words: Sequence[str]) -> Iterator[None]:
    """Import modules. Each word is a module's name, or the path of a ``.py`` file.

    A module is imported only once. Inside this context, the folders of the modules are at the end of ``sys.path``.

    Raises
    ------
    UserError
        If a module is not found, has the name of another module, or cannot be imported. The message names the file and
        the line.
    """
    before, added = list(_given), []
    try:
        for word in words:
            module = _located(word)
            if _append_to_path(module):
                added.append(module.folder)
            _import(module)
        yield
    finally:
        _given[:] = before
        for path in added:
            with suppress(ValueError):
                sys.path.remove(path)


def import_for_good(modules: Sequence[OwnModule]) -> None:
    """Import the modules that another process was given, also if this process has another current folder.

    Raises
    ------
    UserError
        See `imported`.
    """
    for module in modules:
        if module not in _given:
            _append_to_path(module)
            _import(module)


def given() -> list[OwnModule]:
    """Return the modules given now, each once."""
    return list(dict.fromkeys(_given))


def import_words() -> list[str]:
    """Return the words of a command that import the modules given now: ``["--import", "my_parts"]``."""
    return [word for module in given() for word in (FLAG, module.word)]


def is_own(cls: type) -> bool:
    """Return whether a class is of the user or of an installed package, and not of deeprob."""
    return cls.__module__.partition(".")[0] not in _HOUSE


def remember_source(cls: type) -> None:
    """Store the hash of the source of a class's module. The file may change while the process runs."""
    file = _file_of(sys.modules.get(cls.__module__))
    if file is not None:
        with suppress(OSError):
            _hashes[cls.__module__] = hashlib.sha256(file.read_bytes()).hexdigest()


def source_of(cls: type) -> dict[str, str | None]:
    """Return where a class comes from: its module, file and hash, and the word after ``--import`` that brought it.

    Classes of a notebook have no file, no hash and no word.
    """
    module = cls.__module__
    file = _file_of(sys.modules.get(module))
    return {
        "module": module,
        "file": None if file is None else file.name,
        "sha256": _hashes.get(module),
        "import": _words.get(module, None if module == MAIN else module),
    }


def _located(word: str) -> OwnModule:
    """Return the module that a word after ``--import`` means."""
    if not word.endswith(".py"):
        if not all(part.isidentifier() for part in word.split(".")):
            raise UserError(
                f"{FLAG} {word}: expected the name of a module, as in my_parts, or a file, as in my_parts.py"
            )
        return OwnModule(word, word, str(Path.cwd()))
    file = Path(word).absolute()
    if not file.is_file():
        raise UserError(f"{FLAG} {word}: no such file")
    if not file.stem.isidentifier():
        raise UserError(f"{FLAG} {word}: the name of a module has only letters, digits and _; rename the file")
    return OwnModule(word, file.stem, str(file.parent))


def _append_to_path(module: OwnModule) -> bool:
    """Append the folder of a module to ``sys.path``, and return whether it was not there before.

    If the module is somewhere else on the path, the folder is left out: its other files are none of the user's choice.
    """
    top = Path(module.folder, module.name.partition(".")[0])
    there = top.is_dir() or top.with_suffix(".py").is_file()
    new = there and module.folder not in map(os.path.abspath, sys.path)
    if new:
        sys.path.append(module.folder)
    return new


def _import(module: OwnModule) -> None:
    word, name, folder = module.word, module.name, Path(module.folder)
    importlib.invalidate_caches()  # the file may be newer than what Python knows of its folder
    top = name.partition(".")[0]
    own = next((file for file in (folder / top / "__init__.py", folder / f"{top}.py") if file.is_file()), None)
    found = _found(top)
    if own is not None and found is not None and not (Path(found).exists() and own.samefile(found)):
        raise UserError(f"{FLAG} {word}: {_near(own)} has the name of another module ({found}); rename the file")
    before = set(sys.modules)
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            raise UserError(f"{FLAG} {word}: no module {error.name} in the current folder or on the path") from error
        home = folder if found is None else Path(found).parent
        raise UserError(f"{FLAG} {word}: {line_of(error, home)}{type(error).__name__}: {_reason(error)}") from error
    _words.update(dict.fromkeys({name, *sys.modules} - before - _words.keys(), word))
    _words[name] = word
    _given.append(module)


def _found(name: str) -> str | None:
    """Return the file that Python imports, or has imported, as the module `name`; None if there is no such module."""
    if name in sys.modules:
        file = getattr(sys.modules[name], "__file__", None)
    else:
        spec = importlib.util.find_spec(name)
        if spec is None:
            return None
        file = spec.origin
    return file or "built-in"


def _file_of(module: ModuleType | None) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file) if file and file.endswith(".py") else None


def line_of(error: BaseException, folder: Path) -> str:
    """Return the last file and line in `folder` that an error passed; empty if there is none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_near(Path(error.filename))}, line {error.lineno}: "
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(folder)
    ]
    return f"{_near(Path(frames[-1].filename))}, line {frames[-1].lineno}: " if frames else ""


def _reason(error: BaseException) -> str:
    return str(error.msg) if isinstance(error, SyntaxError) else one_line(error)


def _near(path: Path) -> str:
    """Return a path, relative to the current folder if it is inside."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
