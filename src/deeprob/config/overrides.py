"""Overrides (``key=value`` words): parsing, strict type checks, and one-line explanations of Hydra's errors."""

import dataclasses
import functools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import yaml
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, RangeSweep, Sweep, ValueType
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import AnyNode, BooleanNode, Container, DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationValidationError,
    OmegaConfBaseException,
    ValidationError,
)

from deeprob.config import synonyms
from deeprob.config.own_modules import FLAG, given
from deeprob.config.schema import expected, groups_with, options, owners
from deeprob.errors import UserError, did_you_mean

LONGEST_RANGE = 1_000_000
MERGING = "Error merging override "
"""The start of Hydra's message about a wrong value. The rest of the message is the override."""


def parse(words: Sequence[str], loader: ConfigLoader | None = None) -> list[Override]:
    """Parse ``key=value`` words. Only ``glob(…)``, which means all matching options, needs the `loader`.

    Raises
    ------
    UserError
        If a word cannot be read, or contains a range that is too long. The message names the word.
    """
    parsed = []
    for word in words:
        try:
            override = override_of(word, loader)
            if not override.key_or_group:
                raise UserError(f"{word}: cannot be read as key=value (no key)")
            if isinstance(values := override.value(), RangeSweep) and not _ends(values):
                raise UserError(f"{word}: the range has no end, or more than {LONGEST_RANGE} values")
        except OverrideParseException as error:
            raise _unreadable(error, word) from error
        except (ArithmeticError, RecursionError, ValueError) as error:  # for example, too many digits or brackets
            raise UserError(f"{word}: cannot be read as key=value ({_first_line(error)})") from error
        parsed.append(override)
    return parsed


def _ends(values: RangeSweep) -> bool:
    """Return whether a range ends after fewer than `LONGEST_RANGE` steps."""
    assert values.start is not None
    assert values.stop is not None
    return abs(values.stop - values.start) < LONGEST_RANGE * abs(values.step)


def _unreadable(error: OverrideParseException, word: str) -> UserError:
    if "=" not in word:
        meant = [f"{group}={word}" for group in groups_with(word)]
        advice = f"did you mean {' or '.join(meant)}?" if meant else "write key=value without spaces around ="
        return UserError(f"{word or 'an empty word'}: cannot be read as key=value (no =); {advice}")
    if (listed := _with_quotes(word)) != word:
        return UserError(f'{word}: cannot be read as key=value; quote what has blanks or =: "{listed}"')
    if word.endswith((",", "=")) or any(word.count(one) > word.count(other) for one, other in ("[]", "{}", "()")):
        reason = "the value does not end; write it without spaces, or quote the whole word"
        return UserError(f"{word}: cannot be read as key=value ({reason})")
    reason = str(error).removeprefix(f"Error when parsing index: 0, string: {word} out of {[word]}.\n")  # Hydra 1.4
    place = f"LexerNoViableAltException: {word}\n"
    if reason.startswith(place):  # the next line of the message marks the wrong letter with ^
        mark = reason.index("^", len(place)) - len(place) - place.index(word)
        reason = f"at {word[mark : mark + 20]}"
    else:
        reason = _first_line(reason.removeprefix(f"Error parsing override '{word}'\n"))
    return UserError(f"{word}: cannot be read as key=value ({reason}); quote special characters: 'key=\"value\"'")


def _with_quotes(word: str) -> str:
    """Return an override of a list, such as ``key=[a,b c]``, with quotes around each item with special characters.

    Other words, and lists that have quotes or brackets already, are returned unchanged.
    """
    match = re.fullmatch(r"([\w.+@/]+)=\[([^][(){}'\"\\$]+)\]", word)
    if match is None:
        return word
    items = (item.strip() for item in match[2].split(","))
    quoted = ",".join(item if re.fullmatch(r"[\w./+-]+", item) else f"'{item}'" for item in items)
    return f"{match[1]}=[{quoted}]"


def check_types(node: DictConfig, words: Sequence[str]) -> None:
    """Check the types of overrides more strictly than Hydra does.

    Raises
    ------
    UserError
        If a boolean key gets a value such as ``2`` or ``yes``, a group gets a file or a list, or an interpolation has
        the wrong type. The message names the key.
    """
    for override in parse(words):
        key, value = override.key_or_group, override.value()
        if options(key) and not override.is_delete() and not _is_choice(value):
            raise _wrong_option(str(override.input_line), key)
        parent, _, name = key.rpartition(".")
        holder = OmegaConf.select(node, parent) if parent else node
        field = holder._get_node(name, validate_access=False) if isinstance(holder, DictConfig) else None
        if isinstance(field, BooleanNode) and not override.is_delete():
            given = _resolved(field, value)
            if not isinstance(given, bool) and not (given is None and field._is_optional()):
                raise UserError(f"{override.input_line}: expected true or false")
        if isinstance(holder, DictConfig) and "${" in str(value):
            try:
                holder.get(name)
            except InterpolationValidationError as error:
                accepted = expected(OmegaConf.get_type(holder), name) or "keys of its own"
                raise UserError(f"{override.input_line}: expected {accepted}") from error
            except OmegaConfBaseException:
                pass  # interpolations that cannot be resolved are reported later


def _is_choice(value: Any) -> bool:
    """Return whether a group accepts a value.

    A group accepts an option's name, a dictionary with values of the chosen option, and in a sweep several names.
    """
    plain = isinstance(value, str) and re.fullmatch(r"[\w.-]+(?<!\.yaml)", value)
    return bool(plain) or isinstance(value, dict | Sweep)


def _resolved(field: BooleanNode, value: Any) -> Any:
    """Return a value. If it is an interpolation (``${…}``), resolve it.

    The result is not converted to the type of the field. If the interpolation cannot be resolved, the result is True.
    """
    if "${" not in str(value):
        return value
    try:
        return AnyNode(value, parent=field._get_parent())._dereference_node()._value()
    except OmegaConfBaseException:
        return True  # interpolations that cannot be resolved are reported later


def explain(error: Exception, words: Sequence[str], part: str = "") -> UserError:
    """Return a `UserError` with a message of one line for an exception of Hydra.

    The message names the word or the key that caused the exception. If both are unknown, the message names `part`, a
    part of the config.
    """
    has_cause = str(error).startswith(MERGING) or isinstance(error.__cause__, OmegaConfBaseException)
    cause = error.__cause__ if has_cause and isinstance(error.__cause__, Exception) else error
    key = str(getattr(cause, "full_key", None) or "")
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return UserError(f"{mark.name}, line {mark.line + 1}: not valid YAML ({error.problem}); correct it")
    if isinstance(error, MissingConfigException):
        return _missing_option(error, words)
    if "Key 'experiment' not in 'TrainConfig'" in str(error):
        return UserError("experiment: its file needs `# @package _global_` as the first line; add that")
    unmatched = r"Could not override '(.+?)'\.\s*No match in the defaults list|No earlier Group Default for '(\w+)'"
    if (match := re.search(unmatched, str(error))) and not options(match[2]):
        return UserError(f"{match[1] or match[2]}: no group of this command; see --help")
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and isinstance(cause.parent_node, DictConfig):
        return _unknown_key(key, cause.parent_node)
    if isinstance(cause, ValidationError):
        word = next((word for word in [_merged(error), *words] if _key_in(word) == key.partition("[")[0]), "")
        return _wrong_value(cause, word or key)
    if isinstance(error, ConfigCompositionException) and "--multirun" in str(error):
        word = next((word for word in words if word in str(error)), "a list of values")
        return UserError(f"{word}: several values make a sweep; add -m, or write a list as [a,b]")
    for override in parse(words):
        if options(override.key_or_group) and not override.is_delete() and not _is_choice(override.value()):
            return _wrong_option(str(override.input_line), override.key_or_group)
    word = next(_blamed(error, key, words), key or part or " ".join(words))
    reason = _only_expected(_key_in(word)) if word == _merged(error) and not word.startswith("~") else ""
    return UserError(f"{word}: {reason or _first_line(cause) or type(cause).__name__}".removeprefix(": "))


@contextmanager
def explained(words: Sequence[str], *others: type[Exception], part: str = "") -> Iterator[None]:
    """Replace exceptions of Hydra and OmegaConf by a `UserError` (see `explain`).

    Exceptions of the types `others` are replaced too, if `words` or `part` is given.
    """
    known = others if words or part else ()
    kinds: tuple[type[Exception], ...] = (HydraException, OmegaConfBaseException, *known)
    try:
        yield
    except UserError:
        raise
    except kinds as error:
        raise explain(error, words, part) from error


def _key_in(word: str) -> str:
    return word.lstrip("+~").partition("=")[0]


def _merged(error: Exception) -> str:
    """Return the override that Hydra could not apply; empty if the error names no override."""
    return str(error).removeprefix(MERGING) if str(error).startswith(MERGING) else ""


def _blamed(error: Exception, key: str, words: Sequence[str]) -> Iterator[str]:
    """Yield the words that may have caused an error, the most likely first."""
    yield from (word for word in words if word == _merged(error))
    yield from (word for word in words if key and _key_in(word).startswith(key))
    yield from (word for word in words if word.lstrip("+~") in str(error))
    mentioned = re.findall(r"[\w$@/-]+(?:\.[\w$@-]+)*", str(error))
    yield from (word for word in words if _key_in(word) in mentioned)
    yield from (word for word in words if "_target_=" in word and word.partition("=")[2] in mentioned)
    yield from (word for word in words if any(f"${{{name}" in word for name in mentioned))


def _first_line(error: object) -> str:
    """Return the first line of a message.

    If the first line ends in a colon, add the second line. For an `InstantiationException`, return all lines except the
    line ``full_key``.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    if isinstance(error, InstantiationException):
        return " ".join(line for line in lines if not line.startswith("full_key:"))
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def _missing_option(error: MissingConfigException, words: Sequence[str]) -> UserError:
    missing = error.missing_cfg_file or ""
    word = next((word for word in words if f"/{_key_in(word)}/" in f"/{missing}"), "")
    group, name = _key_in(word), missing.removeprefix(f"{_key_in(word)}/")
    if not word and options(missing.partition("/")[0]):  # a file's defaults list chooses it
        group, _, name = missing.partition("/")
        return UserError(f"{group}={name}: no such option; {did_you_mean(name, options(group))}")
    if not word or error.options is None:
        return UserError(f"{word}: {_first_line(error)}".removeprefix(": "))
    advice = did_you_mean(name, error.options, synonyms.OPTIONS.get(group))
    if advice.startswith("choose from") and not given():
        advice += f"; an own one needs {FLAG} MODULE"
    return UserError(f"{group}={name}: no such option; {advice}")


def _wrong_option(word: str, group: str) -> UserError:
    return UserError(f"{word}: expected one of {', '.join(sorted(options(group)))}")


def _only_expected(key: str) -> str:
    """Return a text that says which values a key such as ``optimizer.lr`` accepts.

    If the options of the group accept different values, the text is empty.
    """
    group, _, rest = key.partition(".")
    accepted = {expected(cls, rest.partition(".")[0]) for cls in options(group).values()} - {""}
    return f"expected {accepted.pop()}" if len(accepted) == 1 else ""


def _unknown_key(key: str, parent: DictConfig) -> UserError:
    group, _, name = key.rpartition(".")
    siblings = sorted(str(sibling) for sibling in parent if sibling not in {"hydra", "defaults"})
    if not group and "trainer" in siblings:
        siblings = sorted([*siblings, "experiment"])
    if having := owners(group, name):
        chosen = next((option for option, cls in options(group).items() if cls is OmegaConf.get_type(parent)), "…")
        line = f"belongs to {' or '.join(f'{group}={owner}' for owner in having)}, not to {group}={chosen}"
        return UserError(f"{key}: {line}, which has {', '.join(siblings) or 'no keys'}")
    root = parent._get_root()
    assert isinstance(root, DictConfig)
    if meant := _meant(name, group, root):
        return UserError(f"{key}: no such key; did you mean {' or '.join(meant)}?")
    return UserError(f"{key}: no such key{f' in {group}' if group else ''}; {did_you_mean(name, siblings)}")


def _meant(name: str, group: str, root: DictConfig) -> list[str]:
    """Return the keys that the user may have meant by `name`.

    The result contains the keys that end in `name`, and the keys that another framework calls `name`. Keys in `group`
    are preferred.
    """
    groups = [str(part) for part in root if options(str(part))]
    chosen = [*_paths(root), *(["hydra.run.dir"] if "trainer" in root else [])]
    others = {f"{part}.{f.name}" for part in groups for cls in options(part).values() for f in dataclasses.fields(cls)}
    synonymous = synonyms.KEYS.get(name.lower().replace("-", "_"), ())
    tiers = [
        tier
        for known in (chosen, sorted(others))
        for tier in ([key for key in known if key.rpartition(".")[2] == name], [k for k in synonymous if k in known])
    ]
    nearest = [[key for key in tier if group and key.startswith(f"{group}.")] for tier in tiers]
    meant = next((tier for tier in [*nearest, *tiers] if tier), [])
    return [key if key in chosen else f"{key} ({_with_owners(key)})" for key in meant]


def _with_owners(key: str) -> str:
    """Return a text that names the options with a key, such as ``with optimizer=rmsprop or sgd``."""
    group, _, name = key.partition(".")
    *others, last = owners(group, name)
    return f"with {group}={' or '.join([', '.join(others), last] if others else [last])}"


def _paths(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in node:
        if name == "hydra":
            continue
        yield f"{prefix}{name!s}"
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_missing() and not child._is_none():
            yield from _paths(child, f"{prefix}{name!s}.")


def _wrong_value(cause: ValidationError, word: str) -> UserError:
    key = str(cause.full_key).partition("[")[0]
    if options(key):
        return _wrong_option(word, key)
    parent, _, name = key.rpartition(".")
    assert isinstance(cause.parent_node, Container)
    holder = OmegaConf.select(cause.parent_node._get_root(), parent) if parent else cause.parent_node._get_root()
    accepted = expected(OmegaConf.get_type(holder), name)
    return UserError(f"{word}: expected {accepted}" if accepted else f"{word}: {_first_line(cause)}")


_NUMBER = re.compile(
    r"(?P<key>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)="
    r"(?P<value>-?(?:0|[1-9]\d{0,17})(?P<fraction>\.\d{1,40}(?:e[+-]?\d{1,3})?|e[+-]?\d{1,3})?)",
    re.ASCII | re.IGNORECASE,
)
"""An override that sets a key to a plain number."""


@functools.lru_cache(maxsize=4096)
def override_of(word: str, loader: ConfigLoader | None = None) -> Override:
    """Parse an override, and cache the result.

    Hydra needs a millisecond to parse an override. A sweep can have thousands of overrides that set a key to a number,
    so these are parsed here.

    Parameters
    ----------
    word
        An override such as ``optimizer.lr=1e-3``.
    loader
        The loader that finds the options for ``glob(…)``.

    Raises
    ------
    OverrideParseException
        If the word cannot be read.
    """
    if (match := _NUMBER.fullmatch(word)) is not None:
        number = float(match["value"]) if match["fraction"] else int(match["value"])
        return Override(OverrideType.CHANGE, match["key"], ValueType.ELEMENT, number, None, word, loader)
    (override,) = OverridesParser.create(loader).parse_overrides([word])
    return override
