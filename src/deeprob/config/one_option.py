"""Reading an option with its settings from one text, such as ``sgd lr=0.1 momentum=0.9``."""

import shlex
from typing import Any

from omegaconf import OmegaConf

from deeprob.config import synonyms
from deeprob.config.overrides import check_types, explained, parse
from deeprob.config.schema import load, option, option_names
from deeprob.errors import UserError, did_you_mean


def chosen(group: str, text: str, key: str) -> Any:
    """Return the config that a text such as ``sgd lr=0.1`` describes.

    Parameters
    ----------
    group
        The group of the option, such as ``optimizer``.
    text
        The name of an option, followed by ``key=value`` words.
    key
        The key whose value is the text. The message of an error starts with this key.

    Raises
    ------
    UserError
        If the option, a key or a value does not exist.
    """
    try:
        name, *words = shlex.split(text) or [""]
        if (cls := option(group, name)) is None:
            advice = did_you_mean(name, option_names(group), synonyms.OPTIONS.get(group))
            raise UserError(f"no {group} is called {name or 'nothing'}; {advice}")
        node = OmegaConf.structured(cls)
        with explained(words):
            for override in parse(words):
                if override.is_sweep_override() or override.is_delete() or override.is_add():
                    raise UserError(f"{override.input_line}: expected key=value with one value")
                OmegaConf.update(node, override.key_or_group, override.value())
            check_types(node, words)
        return load(cls, node)
    except (UserError, ValueError) as error:  # ValueError: a quote is not closed
        raise UserError(f"{key}: {text}: {str(error)[:1].lower()}{str(error)[1:]}") from error
