"""What people type: strict about types, and every mistake of Hydra's explained in one line."""

from collections.abc import Iterator, Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
from omegaconf import BooleanNode, Container, DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    OmegaConfBaseException,
    ValidationError,
)

from deeprob.config import expected, options
from deeprob.errors import UserError, did_you_mean


def parse(words: Sequence[str], loader: ConfigLoader | None = None) -> list[Override]:
    """Parse ``key=value`` words; a sweep's ``glob(…)`` needs the loader, which knows the options.

    Raises
    ------
    UserError
        Names the word that cannot be read.
    """
    try:
        parsed: list[Override] = OverridesParser.create(loader).parse_overrides(list(words))
    except OverrideParseException as error:
        raise explain(error, words) from error
    for override in parsed:
        if not override.key_or_group:
            raise UserError(f"{override.input_line}: cannot be read as key=value (no key)")
    return parsed


def check_types(node: DictConfig, words: Sequence[str]) -> None:
    """Refuse ``2`` and ``yes`` where true or false is meant, which OmegaConf would take.

    Raises
    ------
    UserError
        Names the key.
    """
    for override in parse(words):
        key = override.key_or_group
        parent, _, name = key.rpartition(".")
        holder = OmegaConf.select(node, parent) if parent else node
        field = holder._get_node(name, validate_access=False) if isinstance(holder, DictConfig) else None
        value = override.value()
        if isinstance(field, BooleanNode) and not isinstance(value, bool) and "${" not in str(value):
            raise UserError(f"{key}={value}: expected true or false")


def explain(error: Exception, words: Sequence[str]) -> UserError:
    """Return the one line that says what was wrong with the words, given what Hydra raised."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    if isinstance(error, OverrideParseException):
        word = error.override or "an empty word"
        advice = f"{_first_line(error)}; quote what is special: 'key=\"value\"'" if "=" in word else "no ="
        return UserError(f"{word}: cannot be read as key=value ({advice})")
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    if isinstance(cause, ConfigAttributeError | ConfigKeyError):
        return _unknown_key(cause)
    if isinstance(cause, ValidationError):
        return _wrong_value(cause, words)
    if isinstance(error, ConfigCompositionException) and "--multirun" in str(error):
        word = next((word for word in words if word in str(error)), "a list of values")
        return UserError(f"{word}: several values make a sweep; add -m, or write a list as [a,b]")
    key = getattr(cause, "full_key", None)
    named = [word for word in words if key and word.lstrip("+~").startswith(key)]
    groups = [word for word in words if options(word.partition("=")[0])]
    if groups and not named:  # an error that names no key, such as that of model=null, is a group's
        return UserError(f"{groups[0]}: expected one of {', '.join(options(groups[0].partition('=')[0]))}")
    return UserError(f"{(named or [key or ' '.join(words)])[0]}: {_first_line(cause) or type(cause).__name__}")


def _first_line(error: BaseException) -> str:
    """Return the first line of a message, with the next where the first ends in a colon."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def _missing_option(error: MissingConfigException) -> UserError:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    if not group or error.options is None:
        return UserError(_first_line(error))
    return UserError(f"{group}={name}: no such option; {did_you_mean(name, error.options)}")


def _unknown_key(cause: ConfigAttributeError | ConfigKeyError) -> UserError:
    key = str(cause.full_key)
    parent = cause.parent_node
    assert isinstance(parent, DictConfig)
    group, _, name = key.rpartition(".")
    known = sorted(options(group).items())
    owners = [option for option, cls in known if name in getattr(cls, "__dataclass_fields__", {})]
    siblings = sorted(str(sibling) for sibling in parent if sibling not in {"hydra", "defaults"})
    if owners:
        line = f"belongs to {' or '.join(f'{group}={owner}' for owner in owners)}, not to the one chosen"
        return UserError(f"{key}: {line}, which has {', '.join(siblings) or 'no keys'}")
    if not group:
        root = parent._get_root()
        assert isinstance(root, DictConfig)
        elsewhere = [path for path in _paths(root) if path.rpartition(".")[2] == name]
        if elsewhere:
            return UserError(f"{key}: no such key; did you mean {' or '.join(elsewhere)}?")
    return UserError(f"{key}: no such key{f' in {group}' if group else ''}; {did_you_mean(name, siblings)}")


def _paths(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in node:
        if name == "hydra":
            continue
        yield f"{prefix}{name!s}"
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_missing() and not child._is_none():
            yield from _paths(child, f"{prefix}{name!s}.")


def _wrong_value(cause: ValidationError, words: Sequence[str]) -> UserError:
    key = str(cause.full_key).partition("[")[0]
    word = next((word for word in words if word.lstrip("+").startswith(f"{key}=")), key)
    if options(key):
        return UserError(f"{word}: expected one of {', '.join(options(key))}")
    parent, _, name = key.rpartition(".")
    assert isinstance(cause.parent_node, Container)
    holder = OmegaConf.select(cause.parent_node._get_root(), parent) if parent else cause.parent_node._get_root()
    accepted = expected(OmegaConf.get_type(holder), name)
    return UserError(f"{word}: expected {accepted}" if accepted else f"{word}: {_first_line(cause)}")
