"""Typed configs: composed by Hydra from the command line, validated, and saved with each run."""

from deeprob.config.config_file import digest, flat, read, to_yaml
from deeprob.config.schema import (
    choice,
    choice_of,
    load,
    name_of,
    number,
    one_word,
    option,
    option_names,
    options,
    options_in,
    register,
    some_words,
)

__all__ = [
    "choice",
    "choice_of",
    "digest",
    "flat",
    "load",
    "name_of",
    "number",
    "one_word",
    "option",
    "option_names",
    "options",
    "options_in",
    "read",
    "register",
    "some_words",
    "to_yaml",
]
