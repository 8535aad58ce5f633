"""A faster loader of configs, and other parts of Hydra that sweeps use.

Only this module, `deeprob.config.application` and the two plugins use private parts of Hydra.
``tests/config/test_application.py`` lists these parts.
"""

import copy
import dataclasses
import functools
import inspect
import pickle
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import ConfigCompositionException, HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, Node, OmegaConf

from deeprob.config.overrides import override_of
from deeprob.config.parcel import Parcel
from deeprob.errors import UserError

__all__ = ["BasicLauncher", "BasicSweeper", "CachingLoader", "apply_values", "combinations", "readable", "unresolved"]

_renamed = "replace" in inspect.signature(OmegaConf.register_resolver).parameters  # OmegaConf 2.4 renames the function
getattr(OmegaConf, "register_resolver" if _renamed else "register_new_resolver")(
    "pad", lambda number: f"{int(number):03}", replace=True
)
"""Make ``${pad:7}`` in a config mean 007. The names of job folders contain such numbers, so they sort by number."""


def apply_values(overrides: Sequence[Override], config: DictConfig) -> None:
    """Apply overrides to a config, as Hydra does. If a key takes a list, ``key=a`` means ``key=[a]``."""
    ConfigLoaderImpl._apply_overrides_to_config([_as_list(override, config) for override in overrides], config)


def _as_list(override: Override, config: DictConfig) -> Override:
    """Return the override. If its key takes a list, replace ``key=a`` by ``key=[a]``."""
    value, (parent, _, name) = override._value, override.key_or_group.rpartition(".")
    single = isinstance(value, str | int | float | QuotedString) and not isinstance(value, bool)
    if override.is_hydra_override() or not single or "${" in str(value):
        return override
    holder = OmegaConf.select(config, parent, throw_on_missing=False) if parent else config
    node = holder._get_node(name, validate_access=False) if isinstance(holder, DictConfig) else None
    return dataclasses.replace(override, _value=[value]) if isinstance(node, ListConfig) else override


def combinations(overrides: list[Override]) -> list[list[str]]:
    """Return one list of words per job of a sweep: every combination of the values of `overrides`.

    Example: ``a=1,2 b=3`` → ``[["a=1", "b=3"], ["a=2", "b=3"]]``.

    Raises
    ------
    HydraException
        If an override has a kind of value that sweeps do not support.
    """
    return [list(job) for job in BasicSweeper.split_arguments(overrides, None)[0]]


def unresolved(config: DictConfig, key: str) -> Any:
    """Return the value of a key. Interpolations (``${…}``) in this value are not resolved."""
    node = config._get_node(key)
    assert isinstance(node, Node)
    return node._value()


def copies_of(config: DictConfig) -> Callable[[], DictConfig]:
    """Return a function that returns a new copy of a config at each call."""
    try:
        return functools.partial(pickle.loads, pickle.dumps(config))  # quicker than a deep copy
    except (AttributeError, pickle.PicklingError):  # the config contains a class that is defined inside a function
        return functools.partial(copy.deepcopy, config)


def readable(words: Sequence[str], constant: Collection[str] = ()) -> str:
    """Return a folder name made from overrides: at most 100 characters; only letters, digits and ``.=,-_``.

    The keys in `constant` are left out.
    """
    kept = [word for word in words if word.partition("=")[0] not in constant]
    return re.sub(r"[^\w.=,-]+", "_", ",".join(kept), flags=re.ASCII)[:100]


Composed = dict[tuple[str | None, RunMode, tuple[str, ...]], Callable[[], DictConfig]]
"""The configs that were composed so far, without values, by name, mode and chosen options."""


class CachingLoader(Parcel, ConfigLoaderImpl):
    """Hydra's loader, with a cache of composed configs.

    Hydra composes a config in about 90 ms. It spends most of this time on finding and merging files. The files depend
    only on the chosen options. This class therefore merges the files once for each set of chosen options. For each job,
    it copies the merged config and sets the other values with Hydra's method. Hydra's loader gives the same configs and
    errors.
    """

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self._composed: Composed = {}

    def recall(self, composed: "Composed") -> None:
        """Use, and add to, what other loaders have composed from the same files and options."""
        self._composed = composed

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose a config from overrides (see `ConfigLoaderImpl`)."""
        parsed = [override_of(word) for word in overrides]
        if validate_sweep_overrides:
            self.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
        structural = [str(override.input_line) for override in parsed if not self.is_value(override)]
        key = (config_name, run_mode, tuple(structural))
        if key not in self._composed:
            composed = super().load_configuration(config_name, structural, run_mode, from_shell, False)
            self._composed[key] = copies_of(composed)
        config = self._composed[key]()
        for override in parsed:
            if self.is_value(override) and not override.is_sweep_override():
                self._apply(override, config)
        task = [override for override in parsed if not override.is_hydra_override()]
        config.hydra.overrides.task = [override.input_line for override in task]
        if hasattr(config_loader_impl, "get_overrides_dirname"):  # from Hydra 1.4 on, the value is an interpolation
            naming = config.hydra.job.config.override_dirname
            config.hydra.job.override_dirname = config_loader_impl.get_overrides_dirname(
                overrides=task, kv_sep=naming.kv_sep, item_sep=naming.item_sep, exclude_keys=naming.exclude_keys
            )
        return config

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Return the config of one job of a sweep.

        The config contains the directory of the sweep and the name of the job. The name lists the overrides that differ
        between jobs.
        """
        hydra = OmegaConf.to_container(master_config.hydra.overrides.hydra)
        assert isinstance(hydra, list)
        config = self.load_configuration(master_config.hydra.job.config_name, [*hydra, *sweep_overrides], RunMode.RUN)
        OmegaConf.copy_cache(from_config=master_config, to_config=config)  # all jobs get the same ${now:}
        config.hydra.job.override_dirname = readable(sweep_overrides, self.constant_keys(master_config))
        config.hydra.sweep.dir = unresolved(master_config.hydra.sweep, "dir")
        return config

    def constant_keys(self, master_config: DictConfig) -> set[str]:
        """Return the keys with a single value in the command of a sweep. The names of jobs leave these keys out.

        One of them is ``dataset.folds``, if the command has ``sweep.folds``.
        """
        words = OmegaConf.to_container(master_config.hydra.overrides.task, resolve=False)
        assert isinstance(words, list)
        given = [override_of(word, self) for word in words]
        constant = {override.get_key_element() for override in given if not override.is_sweep_override()}
        return constant | {"dataset.folds"} if "sweep.folds" in constant else constant

    def _load_single_config(self, default: ResultDefault, repo: IConfigRepository) -> ConfigResult:
        """Return the content of a config file.

        Raises
        ------
        UserError
            If a file in a run's directory contains a ``hydra`` section or an interpolation. A ``hydra`` section can
            call functions. An interpolation can read environment variables. A run's directory may come from a stranger,
            so its files may only set values.
        """
        result = super()._load_single_config(default, repo)
        scheme, _, folder = result.path.partition("://")
        file = Path(folder, f"{default.config_path}.yaml")
        inside = (place for place in file.parents if place.is_relative_to(folder))
        if scheme == "file" and any((place / "provenance.json").exists() for place in inside):
            text = OmegaConf.to_yaml(result.config)
            for foreign, found in (("hydra", "hydra" in result.config), ("${…}", "${" in text)):
                if found:
                    raise UserError(
                        f"{file}: has {foreign}, which the config of a run must not have; remove it, or if you trust "
                        "the file like code, copy it into a folder without provenance.json"
                    )
        return result

    def _apply(self, override: Override, config: DictConfig) -> None:
        try:
            apply_values([override], config)
        except HydraException:
            raise
        except Exception as error:  # a Python error does not name the override; Hydra's errors do
            raise ConfigCompositionException(f"Error merging override {override.input_line}") from error

    def is_value(self, override: Override) -> bool:
        """Return whether an override sets a value. False if it chooses an option or changes the ``hydra`` section."""
        if override.is_hydra_override() or override.package is not None:
            return False
        try:
            return isinstance(override.value(), dict) or not self.repository.group_exists(override.key_or_group)
        except OSError:  # the text is too long for the name of a folder
            return True
