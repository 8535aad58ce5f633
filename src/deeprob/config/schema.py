"""Typed configs: each option has a dataclass, which is the schema of the option's YAML file.

An option of a group is a dataclass next to the class that it builds::

    @register("optimizer", "sgd")
    @dataclass(kw_only=True, slots=True)
    class SGDConfig(OptimizerConfig):
        lr: float = number(1e-3, above=0)

The config of a command has a field for each group, with the name of the group. The field holds the chosen option.
`load` turns a composed config into these dataclasses. `deeprob.config.config_file` writes them to a run's
``config.yaml`` and reads them back.
"""

import dataclasses
import inspect
import itertools
import math
import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, TypeVar, cast

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deeprob.config.installed import installed, load_installed
from deeprob.config.own_modules import is_own, remember_source
from deeprob.config.synonyms import VALUES
from deeprob.errors import UserError, did_you_mean, memory_errors, one_line

T = TypeVar("T")

_OPTIONS: dict[str, dict[str, type]] = {}
_SURROGATE = re.compile("[\ud800-\udfff]")  # how Python represents bytes that are not valid UTF-8


def register(group: str, name: str) -> Callable[[type[T]], type[T]]:
    """Return a decorator that registers a dataclass as the schema of an option or a command.

    The schema of an option is ``/schema/<group>/<name>``. If `group` is empty, the dataclass is the config of a
    command, and the schema is ``/schema/<name>``.

    A class replaces an earlier class with the same module and name, as when a cell of a notebook runs again.

    Raises
    ------
    TypeError
        If the class is no dataclass, or not derived from the base class of the group's options, or if an own class has
        an attribute without a type, which would be no key.
    ValueError
        If another class has the name already, or if there is no such group.
    """

    def decorate(cls: type[T]) -> type[T]:
        if group and group not in _OPTIONS and is_own(cls):
            raise ValueError(f"{group}={name}: no such group; {did_you_mean(group, filter(None, _OPTIONS))}")
        if group:
            known = _OPTIONS.setdefault(group, {})
            other = known.get(name, cls)
            if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
                raise ValueError(f"{group}={name} is {other.__module__}.{other.__qualname__}; choose another name")
            if "__dataclass_fields__" not in vars(cls):
                raise TypeError(f"{cls.__qualname__} is no dataclass; add @dataclass below @register")
            if is_own(cls):
                if not issubclass(cls, base := _base_of(group)):
                    raise TypeError(
                        f"{group}={name} is no {base.__name__}; write class {cls.__name__}({base.__name__})"
                    )
                _check_attributes(cls)
                _resolve_types(cls)
                remember_source(cls)
            known[name] = cls
        ConfigStore.instance().store(f"{name}.yaml", cls, group=f"schema/{group}".rstrip("/"), provider="deeprob")
        return cls

    return decorate


def _check_attributes(cls: type) -> None:
    """Raise `TypeError` if a class has a value without a type, which its base has not, or has as a key."""
    typed, keys = inspect.get_annotations(cls), {f.name for f in dataclasses.fields(cast(Any, cls))}
    for name, value in vars(cls).items():
        inherited = name not in keys and any(hasattr(base, name) for base in cls.__bases__)
        if not (name in typed or name.startswith("_") or inherited or callable(value) or hasattr(value, "__get__")):
            plain = isinstance(value, bool | int | float | str)
            meant = f"{name}: {type(value).__name__} = {value!r}" if plain else f"{name}: TYPE = …"
            raise TypeError(
                f"{cls.__name__}.{name} has no type, so it is no key; write {meant}, or {name}: ClassVar for a constant"
            )


def _resolve_types(cls: Any) -> None:
    """Replace types that are texts by the types. They are texts after ``from __future__ import annotations``."""
    if any(isinstance(f.type, str) for f in dataclasses.fields(cls)):
        hints = typing.get_type_hints(cls)
        for f in dataclasses.fields(cls):
            f.type = hints[f.name]


def options(group: str) -> Mapping[str, type]:
    """Return a dictionary from the name of each option of a group to its dataclass."""
    return _OPTIONS.get(group, {})


def option(group: str, name: str) -> type | None:
    """Return the dataclass of an option; None if there is no such option.

    If no module has registered the option, but an installed package has it, this package is imported.

    Raises
    ------
    UserError
        If the package cannot be imported.
    """
    if name not in options(group) and options(group):
        cls = load_installed(group, name)
        if cls is not None and name not in options(group):  # the class may have registered itself
            try:
                register(group, name)(cls)
            except (TypeError, ValueError) as error:
                raise UserError(f"{group}={name}: {one_line(error)}") from error
    return options(group).get(name)


def option_names(group: str) -> list[str]:
    """Return the names of all options of a group, also of those that installed packages have."""
    return [*options(group), *(installed(group).keys() - options(group).keys() if options(group) else ())]


def options_in(module: str) -> set[tuple[str, str]]:
    """Return the group and the name of each option whose dataclass is in a module."""
    return {
        (group, name) for group, known in _OPTIONS.items() for name, cls in known.items() if cls.__module__ == module
    }


def groups_with(option: str) -> list[str]:
    """Return the groups that have an option of this name."""
    return [group for group, known in _OPTIONS.items() if group and option in known]


def owners(group: str, name: str) -> list[str]:
    """Return the options of a group that have the field `name`, in alphabetical order.

    Options that only Python can choose are left out.
    """
    return [
        option
        for option, cls in sorted(options(group).items())
        if name in {f.name for f in dataclasses.fields(cls)} and not getattr(cls, "from_python", False)
    ]


def name_of(config: object) -> str:
    """Return the name of a config's option, such as ``sgd``. If it has none, return its class name."""
    names = (name for group in _OPTIONS.values() for name, cls in group.items() if cls is type(config))
    return next(names, type(config).__name__)


def choice_of(config: object) -> str:
    """Return the word that chooses a config's option, such as ``optimizer=sgd``. If there is none, return `name_of`."""
    name = name_of(config)
    groups = (group for group, known in _OPTIONS.items() if known.get(name) is type(config))
    return "=".join([*itertools.islice(groups, 1), name])


def _base_of(group: str) -> type:
    """Return the base class of deeprob's options of a group; `object` if they are not imported."""
    known = [cls for cls in options(group).values() if not is_own(cls)]
    common = (base for cls in known[1:2] for base in cls.__mro__ if all(issubclass(other, base) for other in known))
    return next(common, object)


# ---------------------------------------------------------------- accepted values


@dataclass(frozen=True)
class Accepted:
    """The values that a field accepts. `holds` tests a value. `expected` describes the accepted values in words."""

    holds: Callable[[Any], bool]
    expected: str


def _interval(minimum: float | None, above: float | None, below: float | None, maximum: float | None) -> str:
    if minimum is None and above is None:
        return "that is finite" if maximum is None else f"at most {maximum}"
    if below is None and maximum is None:
        return f"at least {minimum}" if above is None else f"greater than {above}"
    left = f"[{minimum}" if above is None else f"({above}"
    right = f"{maximum}]" if below is None else f"{below})"
    return f"in {left}, {right}"


def number(
    default: Any,
    *,
    minimum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    maximum: float | None = None,
    words: Sequence[str] = (),
    optional: bool = False,
    listed: bool = False,
    whole: bool | None = None,
) -> Any:
    """Declare a field for a finite number within bounds, or a list of such numbers if `listed`.

    The field also accepts the `words`, and null if `optional`. `whole` says whether the number must be a whole number;
    None means True, unless `default` is a float. Whole numbers must fit into 64 bits.
    """

    def holds(value: Any) -> bool:
        if isinstance(value, list):
            return listed and all(isinstance(item, int | float) and holds(item) for item in value)
        if value is None or isinstance(value, str):
            return (value is None and optional) or value in words
        return (
            (abs(value) < 2**63 if isinstance(value, int) else math.isfinite(value))
            and (minimum is None or value >= minimum)
            and (above is None or value > above)
            and (below is None or value < below)
            and (maximum is None or value <= maximum)
        )

    alternatives = [*words, *(["null"] if optional else [])]
    noun = "whole number" if (not isinstance(default, float) if whole is None else whole) else "number"
    noun = f"a list of {noun}s" if listed else f"a {noun}"
    words_for_it = " or ".join([f"{noun} " + _interval(minimum, above, below, maximum), *alternatives])
    return field(default=default, metadata={"accepted": Accepted(holds, words_for_it)})


def choice(default: Any, among: Sequence[Any], *, optional: bool = False) -> Any:
    """Declare a field that accepts the values in `among`, and null if `optional`."""
    words_for_it = f"one of {', '.join([*(str(word) for word in among), *(['null'] if optional else [])])}"
    words_for_it = words_for_it.replace("True", "true").replace("False", "false")
    return field(
        default=default,
        metadata={"accepted": Accepted(lambda value: value in among or (optional and value is None), words_for_it)},
    )


def one_word(default: str, words_for_it: str) -> Any:
    """Declare a field that accepts a word. `words_for_it` says which words; the config checks them in `problems`."""
    return field(default=default, metadata={"accepted": Accepted(lambda value: isinstance(value, str), words_for_it)})


def some_words(*, or_none: bool = False) -> Any:
    """Declare a field that accepts a list of words or null. The default is null. `or_none` allows an empty list."""
    accepted = Accepted(
        lambda value: value is None or len(value) > 0 or or_none, "a list of words, as in [a,b], or null"
    )
    return field(default=None, metadata={"accepted": accepted})


def expected(cls: type | None, name: str) -> str:
    """Return a text that says which values the field `name` of a config accepts; empty if there is no such field."""
    if not dataclasses.is_dataclass(cls):
        return ""
    fields = {f.name: f for f in dataclasses.fields(cls)}
    if name not in fields:
        return ""
    accepted = fields[name].metadata.get("accepted")
    plain: dict[Any, str] = {bool: "true or false", str: "a word", list[str]: "a list of words, as in [a,b]"}
    plain |= {kind | None: f"{words} or null" for kind, words in plain.items()}
    return accepted.expected if accepted else plain.get(fields[name].type, "")


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value has exactly the type `hint`. True is not a number, and 2.0 is not a whole number."""
    if hint is Any:
        return True
    if isinstance(hint, UnionType):
        return any(fits(value, part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is list:
        return isinstance(value, list) and all(fits(item, *typing.get_args(hint)) for item in value)
    kind: type = hint
    return isinstance(value, kind) if dataclasses.is_dataclass(kind) else type(value) is kind


# ---------------------------------------------------------------- from Hydra's config to dataclasses


def load(cls: type[T], node: DictConfig) -> T:
    """Convert a composed config to its dataclass, and validate the values.

    Raises
    ------
    UserError
        If a key is missing or unknown, a value is out of range, or values contradict each other. The message names the
        key.
    """
    try:
        kind: Any = OmegaConf.get_type(node)
        absent = {f.name for f in dataclasses.fields(kind)} - set(node)  # ~key in an override removes a key
        for key in sorted({key.partition("[")[0] for key in OmegaConf.missing_keys(node) | absent}):
            raise UserError(f"{key} is missing: add {key}=… to the command")
        unknown = next(_unknown_keys(node), None)
        if unknown is not None:
            raise UserError(unknown)
        config = OmegaConf.to_object(node)
    except OmegaConfBaseException as error:
        key = error.full_key or "an interpolation"
        raise UserError(f"{key}: {str(error).splitlines()[0]}") from error
    assert isinstance(config, cls), f"{type(config)} is not a {cls}"
    with memory_errors():
        _validate(config, "")
    return config


def _unknown_keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """Yield a message for each key that is not a field of its dataclass. Users add such keys with ``+key=value``."""
    cls = OmegaConf.get_type(node)
    known = {f.name for f in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else set(node)
    for name in node:
        if name not in known:
            yield f"{prefix}{name!s}: no such key; {did_you_mean(str(name), sorted(map(str, known)))}"
        elif OmegaConf.is_dict(node._get_node(name)) and isinstance(child := node[name], DictConfig):
            yield from _unknown_keys(child, f"{prefix}{name!s}.")


def changed(config: T, values: Mapping[str, Any], prefix: str = "") -> T:
    """Return a copy of a validated config in which some dotted keys have other values, and validate these values.

    The parts that do not change are not copied and not validated again, so this takes some microseconds.

    Raises
    ------
    UserError
        If a value is out of range, or if values contradict each other. The message names the key, after `prefix`.
    """
    own: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        name, dot, rest = key.partition(".")
        if dot:
            inner.setdefault(name, {})[rest] = value
        else:
            own[name] = value
    for name, part in inner.items():
        own[name] = changed(getattr(config, name), part, f"{prefix}{name}.")
    new: Any = config
    new = dataclasses.replace(new, **own)
    _validate_fields(new, prefix, [f for f in dataclasses.fields(new) if f.name in own and f.name not in inner])
    return cast(T, new)


def _validate(config: Any, prefix: str) -> None:
    """Validate all values of a config. Error messages put `prefix` before the key."""
    _validate_fields(config, prefix, dataclasses.fields(config))


def _validate_fields(config: Any, prefix: str, fields: Sequence[Any]) -> None:
    """Validate the values of some fields of a config, and whether values contradict each other."""
    for f in fields:
        value = getattr(config, f.name)
        if dataclasses.is_dataclass(value):
            _validate(value, f"{prefix}{f.name}.")
        accepted = f.metadata.get("accepted")
        if not fits(value, f.type) or (accepted is not None and not accepted.holds(value)):
            shown = str(value).replace("None", "null").replace(" ", "")
            lower = shown.lower()
            meant = VALUES.get(f"{prefix}{f.name}", {}).get(lower)
            if meant is None and accepted is not None and lower != shown and accepted.holds(lower):
                meant = lower
            advice = f"; did you mean {meant}?" if meant else ""
            accepts = expected(type(config), f.name) or "keys of its own"
            raise UserError(f"{prefix}{f.name}={shown}: expected {accepts}{advice}")
        if isinstance(value, str) and _SURROGATE.search(value):
            raise UserError(f"{prefix}{f.name}={value}: not in UTF-8; give it another name")
    for problem in getattr(config, "problems", lambda: ())():
        raise UserError(prefix + problem)
