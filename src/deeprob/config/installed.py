"""The options that installed packages offer, as entry points of the group ``deeprob.parts``.

The package's ``pyproject.toml`` names each option and its dataclass::

    [project.entry-points."deeprob.parts"]
    "model.resmlp" = "my_package.models:ResMLPConfig"

Looking for entry points takes some ten milliseconds, so it is done only for names that deeprob itself does not have.
"""

import dataclasses
from importlib.metadata import EntryPoint, entry_points

from deeprob.errors import UserError, one_line

ENTRY_POINTS = "deeprob.parts"
_loaded: dict[type, EntryPoint] = {}


def installed(group: str) -> dict[str, EntryPoint]:
    """Return a dictionary from the name of each option that packages add to a group to its entry point.

    Nothing is imported.
    """
    prefix = f"{group}."
    found = sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: (entry.name, package_of(entry)), reverse=True)
    return {entry.name.removeprefix(prefix): entry for entry in found if entry.name.startswith(prefix)}


def load_installed(group: str, name: str) -> type | None:
    """Import the dataclass of an option of an installed package; None if no package has this option.

    Raises
    ------
    UserError
        If the dataclass cannot be imported. The message names the package and the entry point.
    """
    entry = installed(group).get(name)
    if entry is None:
        return None
    where = f"{group}={name}: the entry point {entry.name} = {entry.value} of the package {package_of(entry)}"
    try:
        cls = entry.load()
    except (Exception, SystemExit) as error:
        raise UserError(f"{where} cannot be loaded: {type(error).__name__}: {one_line(error)}") from error
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise UserError(f"{where} is no dataclass")
    _loaded[cls] = entry
    return cls


def loaded() -> list[tuple[str, str]]:
    """Return the group and the name of each option that `load_installed` has loaded."""
    return [(group, name) for group, _, name in (entry.name.partition(".") for entry in _loaded.values())]


def package_of(entry: EntryPoint) -> str:
    """Return the name and the version of the package of an entry point, such as ``my-package 1.2``."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "without a name"


def distribution_of(cls: type) -> dict[str, str]:
    """Return the package and the version of a class that `load_installed` returned; empty for other classes."""
    entry = _loaded.get(cls)
    return {} if entry is None or entry.dist is None else {"package": entry.dist.name, "version": entry.dist.version}
