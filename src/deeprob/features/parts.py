"""The base class of configs that combine several features."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import OmegaConf

from deeprob.config.schema import Accepted, expected, fits, load, option, option_names
from deeprob.errors import UserError, did_you_mean
from deeprob.features.base import FeaturesConfig

PARTS = Accepted(lambda value: len(value) > 0, "a list of features, as in [hog,color_histogram] or [{name:hog,cell:8}]")


@dataclass(kw_only=True, slots=True)
class PartsConfig(FeaturesConfig):
    """Fields of a feature that combines other features.

    Attributes
    ----------
    parts
        The features that are combined. Each is a name, such as ``hog``, or a name with values, such as
        ``{name:hog,cell:8}``. A feature without a value for `standardize` takes the value of the whole combination.
    """

    parts: list[Any] = field(default_factory=list, metadata={"accepted": PARTS})

    def problems(self) -> Iterator[str]:
        """Yield an error message if a part is invalid."""
        try:
            self.features()
        except UserError as error:
            yield str(error)

    def features(self) -> list[FeaturesConfig]:
        """Return the config of each part.

        Raises
        ------
        UserError
            If a part is invalid. The message names the part and its key.
        """
        return [part_config(part, f"parts[{i}]", self.standardize) for i, part in enumerate(self.parts)]


def part_config(part: Any, key: str, standardize: str) -> FeaturesConfig:
    """Return the config of one part.

    Parameters
    ----------
    part
        An entry of `PartsConfig.parts`.
    key
        The name of the entry in error messages.
    standardize
        The default value of `standardize`.

    Raises
    ------
    UserError
        If the name, a key or a value of the part is invalid.
    """
    values = dict(part) if isinstance(part, Mapping) else {"name": part}
    name = values.pop("name", None)
    if not isinstance(name, str):
        raise UserError(f"{key}={part}: expected the name of a feature, or {{name: FEATURE, key: value}}")
    if (cls := option("features", name)) is None:
        raise UserError(f"{key}={name}: no such feature; {did_you_mean(name, option_names('features'))}")
    types = {f.name: f.type for f in dataclasses.fields(cls)}
    for word, given in values.items():
        if word not in types:
            raise UserError(f"{key}.{word}: no such key of {name}; {did_you_mean(str(word), types)}")
        whole = type(given) is int and abs(given) < 2**63
        value = values[word] = float(given) if whole and fits(0.0, types[word]) else given  # 1 is valid for a float
        if not fits(value, types[word]):
            raise UserError(f"{key}.{word}={'null' if value is None else value}: expected {expected(cls, word)}")
    try:
        return load(FeaturesConfig, OmegaConf.structured(cls(**{"standardize": standardize, **values})))
    except UserError as error:
        raise UserError(f"{key}.{error}") from error
