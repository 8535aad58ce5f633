"""Write values and configs as words of a command."""

import functools
import re
from collections.abc import Collection, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from deeprob import config as configs
from deeprob.assembly.automatic import decided
from deeprob.assembly.config import RunConfig, TrainConfig
from deeprob.config.application import Application, started
from deeprob.config.overrides import parse
from deeprob.errors import UserError


def word_of(value: Any) -> str:
    """Return a value in the syntax of a Hydra override: ``null``, ``true``, ``1e-5``, ``[64,64]``, ``"a b"``."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return re.sub(r"e([+-])0*(\d)", r"e\1\2", repr(value).removesuffix(".0")).replace("e+", "e")
    if isinstance(value, list):
        return f"[{','.join(map(word_of, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{word_of(inner)}' for key, inner in value.items())}}}"
    if not isinstance(value, str):
        return str(value)
    return value if _reads_as(value) else '"' + re.sub(r'(\\*)("|$)', _escaped, value) + '"'


def _escaped(match: re.Match[str]) -> str:
    """Double the backslashes in a match. If the match ends in a quote, put one more backslash before the quote."""
    slashes, quote = match.groups()
    return slashes * 2 + (f"\\{quote}" if quote else "")


@functools.lru_cache(maxsize=2**14)
def _reads_as(text: str) -> bool:
    """Return whether Hydra reads `text` as the same string if it is typed without quotes."""
    if not re.fullmatch(r"[\w./+-]+", text, re.ASCII):  # other characters can have a meaning in Hydra or in the shell
        return False
    try:
        return OverridesParser.create().parse_override(f"key={text}").value() == text
    except HydraException:
        return False


def value_of(word: str) -> Any:
    """Return the value of a cell in a sweep's table. The syntax is that of a Hydra override, such as ``[1,2]``."""
    for kind in (int, float):  # nearly all cells are numbers, and Hydra needs a millisecond to read one
        try:
            return kind(word)
        except ValueError:
            continue
    try:
        (override,) = parse([f"key={word}"])
    except UserError:
        return word
    return word if override.is_sweep_override() else override.value()


def shortest(config: RunConfig, keep: Collection[str] = (), examples: int | None = None) -> list[str]:
    """Return the shortest command that gives the config of a run, as words after ``deeprob-train``.

    The command always sets the keys in `keep`. Any other key is left out if the config is the same without it. Numbers
    that replaced ``auto`` are left out only if the number of training `examples` is known.

    Raises
    ------
    UserError
        If no command gives this config, because the config classes have changed since the run.
    """
    with started(None) as hydra:
        application = Application(hydra, "train", TrainConfig)
        usual = application.compose([], multirun=False, check=False).hydra.runtime.choices
        values = configs.flat(config)
        groups = [key for key in values if configs.options(key)]
        choices = [f"{key}={values[key]}" for key in groups if usual.get(key) != values[key] or key in keep]
        default = application.compose(choices, multirun=False, check=False)
        needed = {
            key: f"{key}={word_of(value)}"
            for key, value in values.items()
            if key not in groups and (key in keep or _select(default, key) != value)
        }

        def makes_it(keys: Sequence[str]) -> bool:
            words = [*choices, *(needed[key] for key in keys)]
            try:
                made: TrainConfig = application.load(application.compose(words, multirun=False, check=False), words)
            except UserError:
                return False
            resolved = made.run.resolved()
            return (resolved if examples is None else decided(resolved, examples)) == config

        keys = list(needed)
        if not makes_it(keys):
            raise UserError("the present configs cannot make such a run")
        for key in needed:
            if key not in keep and makes_it(rest := [other for other in keys if other != key]):
                keys = rest
        return [*choices, *(needed[key] for key in keys)]


def _select(node: DictConfig, key: str) -> Any:
    """Return the value of a dotted key, with plain lists and dictionaries; None if the key is missing."""
    value = OmegaConf.select(node, key)
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
