"""Several features of the same inputs, one after another."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from deeprob.config import Rule, expected, fits, load, options, register
from deeprob.errors import UserError, did_you_mean
from deeprob.features.base import Features, FeaturesConfig

_PARTS = Rule(lambda value: len(value) > 0, "a list of features, as in [hog,color_histogram] or [{name:hog,cell:8}]")
_CHUNK = 4096  # examples whose parts are in memory twice


@register("features", "concat")
@dataclass(kw_only=True, slots=True)
class ConcatConfig(FeaturesConfig):
    """Features one after another, each standardised on its own.

    Attributes
    ----------
    parts
        Names of features, or the values to set in one: ``{name: hog, cell: 8}``. A part that gives no `standardize` has
        that of the whole.
    """

    parts: list[Any] = dataclasses.field(default_factory=lambda: ["hog", "color_histogram"], metadata={"rule": _PARTS})

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with a part."""
        try:
            self.features()
        except UserError as error:
            yield str(error)

    def features(self) -> list[FeaturesConfig]:
        """Return the config of each part.

        Raises
        ------
        UserError
            Names the part, and the key in it.
        """
        return [part_config(part, f"parts[{i}]", self.standardize) for i, part in enumerate(self.parts)]

    def build(self, input_shape: tuple[int, ...]) -> "Concat":
        """Return the feature.

        Raises
        ------
        UserError
            For inputs that a part cannot take.
        """
        return Concat([config.build(input_shape) for config in self.features()])


def part_config(part: Any, key: str, standardize: str) -> FeaturesConfig:
    """Return the config that an entry of `ConcatConfig.parts` describes; `key` names the entry.

    Raises
    ------
    UserError
        For what is no name of a feature, and keys or values that it does not have.
    """
    values = dict(part) if isinstance(part, Mapping) else {"name": part}
    known = options("features")
    name = values.pop("name", None)
    if not isinstance(name, str):
        raise UserError(f"{key}={part}: expected the name of a feature, or {{name: FEATURE, key: value}}")
    if name not in known:
        raise UserError(f"{key}={name}: no such feature; {did_you_mean(name, known)}")
    cls = known[name]
    types = {f.name: f.type for f in dataclasses.fields(cls)}
    for word, value in values.items():
        if word not in types:
            raise UserError(f"{key}.{word}: no such key of {name}; {did_you_mean(str(word), types)}")
        if not fits(value, types[word]):
            raise UserError(f"{key}.{word}={'null' if value is None else value}: expected {expected(cls, word)}")
    try:
        return load(FeaturesConfig, OmegaConf.structured(cls(**{"standardize": standardize, **values})))
    except UserError as error:
        raise UserError(f"{key}.{error}") from error


class Concat(Features):
    """The numbers of each part in turn, D₁ + D₂ + … of them, whatever their shape was.

    The whole's means and deviations are those that each part measured, so a part keeps its own way to standardise.

    Parameters
    ----------
    parts
        The features.
    """

    def __init__(self, parts: Sequence[Features]) -> None:
        super().__init__((sum(part.output_count for part in parts),), "feature")
        self.parts = nn.ModuleList(parts)

    def extract(self, inputs: Tensor) -> Tensor:
        """Return (N, D₁ + D₂ + …) of raw inputs (N, …)."""
        whole = self._empty(len(inputs))
        for start in range(0, len(inputs), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            for part, columns in self._columns(whole[chunk]):
                columns.copy_(part.extract(inputs[chunk]).flatten(1))
        return whole

    def fit(self, inputs: Tensor) -> Tensor:
        """Fit each part to the raw training inputs, and return them extracted."""
        whole = self._empty(len(inputs))
        means, deviations = [], []
        for part, columns in self._columns(whole):
            extracted = part.fit(inputs)
            columns.copy_(extracted.flatten(1))
            means.append(part.standardize.mean.expand(extracted.shape[1:]).flatten())
            deviations.append(part.standardize.deviation.expand(extracted.shape[1:]).flatten())
        self.standardize.mean.copy_(torch.cat(means))
        self.standardize.deviation.copy_(torch.cat(deviations))
        return whole

    def _columns(self, whole: Tensor) -> Iterator[tuple[Features, Tensor]]:
        """Yield each part, and its columns (N, D) of the whole."""
        start = 0
        for part in self.parts:
            assert isinstance(part, Features)
            yield part, whole[:, start : start + part.output_count]
            start += part.output_count

    def _empty(self, count: int) -> Tensor:
        like = self.standardize.mean
        return torch.empty((count, self.output_count), dtype=like.dtype, device=like.device)
