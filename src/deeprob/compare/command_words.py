"""Values and configs as words to type."""

import functools
import re
from collections.abc import Collection, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from deeprob import config as configs
from deeprob.assembly.config import RunConfig, TrainConfig
from deeprob.config.application import Application, started
from deeprob.config.overrides import parse
from deeprob.errors import UserError


def word_of(value: Any) -> str:
    """Return a plain value as Hydra reads it in an override: ``null``, ``true``, ``1e-5``, ``[64,64]``, ``"a b"``."""
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
    """Return backslashes and a quote, or the end, so that Hydra reads them as they were."""
    slashes, quote = match.groups()
    return slashes * 2 + (f"\\{quote}" if quote else "")


@functools.lru_cache(maxsize=2**14)
def _reads_as(text: str) -> bool:
    """Tell whether Hydra takes an unquoted word for this text."""
    if not re.fullmatch(r"[\w./+-]+", text, re.ASCII):  # others are ruled by their neighbours, or by the shell
        return False
    try:
        return OverridesParser.create().parse_override(f"key={text}").value() == text
    except HydraException:
        return False


def value_of(word: str) -> Any:
    """Return what a cell of a sweep's table says, which is a value as Hydra writes it in an override."""
    for kind in (int, float):  # nearly all are numbers, which Hydra takes a millisecond to read
        try:
            return kind(word)
        except ValueError:
            continue
    try:
        (override,) = parse([f"key={word}"])
    except UserError:
        return word
    return word if override.is_sweep_override() else override.value()


def shortest(config: RunConfig, keep: Collection[str] = ()) -> list[str]:
    """Return the fewest words after ``deeprob-train`` that make a run's config, those of some keys kept in any case.

    A word stays if another config, or none, would come about without it; so defaults are left out, and so is what
    ``auto`` stands for.

    Raises
    ------
    UserError
        If the present configs cannot make such a run.
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
            return made.run.resolved() == config

        keys = list(needed)
        if not makes_it(keys):
            raise UserError("the present configs cannot make such a run")
        for key in needed:
            if key not in keep and makes_it(rest := [other for other in keys if other != key]):
                keys = rest
        return [*choices, *(needed[key] for key in keys)]


def _select(node: DictConfig, key: str) -> Any:
    """Return the plain value under a dotted key; None for what is missing."""
    value = OmegaConf.select(node, key)
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
