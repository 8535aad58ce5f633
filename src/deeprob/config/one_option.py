"""An option and its values in one text, such as ``sgd lr=0.1 momentum=0.9``, for keys that list several options."""

import shlex
from typing import Any

from omegaconf import OmegaConf

from deeprob.config import synonyms
from deeprob.config.overrides import check_types, explained, parse
from deeprob.config.schema import load, options
from deeprob.errors import UserError, did_you_mean


def chosen(group: str, text: str, key: str) -> Any:
    """Return the config that a text describes: the name of an option of a group, then ``key=value`` words.

    Raises
    ------
    UserError
        If the option, a key or a value does not exist. The message starts with `key`, the key that holds the text.
    """
    try:
        name, *words = shlex.split(text) or [""]
        known = options(group)
        if name not in known:
            raise UserError(
                f"no {group} is called {name or 'nothing'}; {did_you_mean(name, known, synonyms.OPTIONS.get(group))}"
            )
        node = OmegaConf.structured(known[name])
        with explained(words):
            for override in parse(words):
                if override.is_sweep_override() or override.is_delete() or override.is_add():
                    raise UserError(f"{override.input_line}: expected key=value with one value")
                OmegaConf.update(node, override.key_or_group, override.value())
            check_types(node, words)
        return load(known[name], node)
    except (UserError, ValueError) as error:  # ValueError: a quote without its end
        raise UserError(f"{key}: {text}: {str(error)[:1].lower()}{str(error)[1:]}") from error
