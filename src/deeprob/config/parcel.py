"""Objects that travel to other processes, such as the workers of a sweep, with all own parts that they contain."""

from typing import Any

from deeprob.config.installed import loaded
from deeprob.config.own_modules import OwnModule, given, import_for_good
from deeprob.config.schema import option


class Parcel:
    """Base class of objects that travel to other processes by pickle.

    Before the other process reads what the object contains, it imports the modules that are given here, and the options
    of installed packages that are loaded here.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (type(self), given(), loaded()), self.__getstate__()


def _opened(kind: type[Parcel], modules: list[OwnModule], options: list[tuple[str, str]]) -> Parcel:
    """Import everything, and return an empty object. Pickle reads its attributes afterwards."""
    import_for_good(modules)
    for group, name in options:
        option(group, name)
    return object.__new__(kind)
