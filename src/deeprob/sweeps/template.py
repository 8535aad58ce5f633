"""Make the jobs of a sweep from a validated job that differs from them only in values.

Composing and validating a config takes milliseconds. Most of this time is the same work for each job: its config has
the same options and keys. A template does this work once. A new value is converted once, however many jobs have it.
"""

import re
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

from omegaconf import AnyNode, DictConfig, ListConfig, OmegaConf, UnionNode, ValueNode

from deeprob.config.loader import apply_values, readable
from deeprob.config.overrides import check_types, override_of
from deeprob.config.schema import changed
from deeprob.running.trackers import check_trackers
from deeprob.running.watch import check_names
from deeprob.sweeps.job import Job

PLAIN = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)=([\w.,+\[\]/-]+)", re.ASCII)
"""An override whose value may be replaced by another. It is a number, a word, or a list of these."""
_NUMBERS = {
    "${pad:${hydra.job.num}}": "{number:03}",
    "${hydra.job.num}": "{number}",
    "${hydra:job.num}": "{number}",
    "${hydra.job.override_dirname}": "{name}",
    "${hydra:job.override_dirname}": "{name}",
}
"""The interpolations that the name of a folder may have, and the same for `str.format`."""


class Template:
    """A validated job, from which similar jobs are made.

    Parameters
    ----------
    job
        The job.
    config
        The config from which the job was made.
    keys
        The key of each override that sets a value; empty for an override that chooses an option.
    places
        The indices of the overrides whose values may be replaced.
    subdirectory
        The name of the job's folder, before interpolations are resolved.
    constant
        The keys that the name of the folder leaves out.

    Raises
    ------
    ValueError
        If similar jobs must be composed one by one: a value or the folder's name depends on other values, or an
        override changes a part of the config that another override changes too.
    """

    def __init__(
        self,
        job: Job,
        config: DictConfig,
        keys: Sequence[str],
        places: Sequence[int],
        subdirectory: str,
        constant: set[str],
    ) -> None:
        for interpolation, field in _NUMBERS.items():
            subdirectory = subdirectory.replace(interpolation, f"\0{field}\0")
        if "${" in subdirectory + str(OmegaConf.to_container(config, resolve=False)) or "\\" in subdirectory:
            raise ValueError("an interpolation")
        self._folder = re.sub("\0(.*?)\0|([{}])", lambda found: found[1] or 2 * found[2], subdirectory, flags=re.DOTALL)
        if any(f"{other}.".startswith(f"{key}.") for key, other in permutations(filter(None, keys), 2)):
            raise ValueError("two overrides of the same part")
        self._words, self._plan, self._config, self._constant = job.words, job.config, config, constant
        self._keys = {place: keys[place] for place in places}
        for key in self._keys.values():
            node = self._node(key)
            if isinstance(node, AnyNode) or not isinstance(node, ValueNode | UnionNode | ListConfig):
                raise ValueError(f"{key} accepts any kind of value")
        self._values: dict[str, Any] = {}

    def _node(self, key: str) -> Any:
        parent, _, name = key.rpartition(".")
        holder = OmegaConf.select(self._config, parent) if parent else self._config
        return holder._get_node(name) if isinstance(holder, DictConfig) else None

    def job(self, number: int, words: Sequence[str]) -> Job:
        """Return the job with this number and these overrides. Only values at the template's places may differ.

        An exception means that the job must be composed. If its config is invalid, this gives the complete message.
        """
        new = {key: self._value(words[at]) for at, key in self._keys.items() if words[at] != self._words[at]}
        plan = changed(self._plan, new) if new else self._plan
        if "trainer.figures" in new:
            check_names(plan.trainer.figures)
        if "trainer.trackers" in new:
            check_trackers(plan.trainer.trackers)
        folder = self._folder.format(number=number, name=readable(words, self._constant))
        return Job(number, list(words), plan, Path(folder))

    def _value(self, word: str) -> Any:
        """Return the value of an override, converted to the type of its key."""
        if word not in self._values:
            override = override_of(word)
            apply_values([override], self._config)
            check_types(self._config, [word])
            node = self._node(override.key_or_group)
            if isinstance(node, UnionNode):
                node = node._value()
            self._values[word] = OmegaConf.to_object(node) if isinstance(node, ListConfig) else node._value()
        return self._values[word]
