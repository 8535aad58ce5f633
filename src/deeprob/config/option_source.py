"""A source of configs for Hydra: the options without a YAML file, from own modules and installed packages."""

from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from omegaconf import OmegaConf

from deeprob.config.schema import option, option_names, options


class OptionSource(ConfigSource):
    """Gives Hydra the dataclass of an option as its config. If there is also a YAML file, Hydra takes the file."""

    @staticmethod
    def scheme() -> str:
        """Return the beginning of the source's name in Hydra's search path."""
        return "options"

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the config of an option, with the default values of its dataclass."""
        cls = self._option(config_path)
        if cls is None:
            raise ConfigLoadError(f"{config_path}: no such option")
        return ConfigResult(self.provider, f"{self.scheme()}://", OmegaConf.structured(cls), {"package": None})

    def available(self) -> bool:
        """Return that the source is there."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Return whether a path is a group. The path of all groups is empty."""
        return not config_path or bool(options(config_path.rstrip("/")))

    def is_config(self, config_path: str) -> bool:
        """Return whether a path such as ``model/mlp`` is an option. An installed package is imported if it has it."""
        return self._option(config_path) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> "list[str]":
        """Return the names of a group's options. Nothing is imported."""
        return [] if results_filter is ObjectType.GROUP else sorted(option_names(config_path.rstrip("/")))

    def _option(self, config_path: str) -> type | None:
        group, _, name = config_path.removesuffix(".yaml").rpartition("/")
        return option(group, name) if group else None
