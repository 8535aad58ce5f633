"""Writing a config to the file ``config.yaml`` of a run, and reading it back."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deeprob.config.own_parts import advice_for
from deeprob.config.schema import load, name_of, option, option_names
from deeprob.errors import UserError, did_you_mean

T = TypeVar("T")

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # missing if PyYAML was built without its C library


def to_yaml(config: Any) -> bytes:
    """Return the text of the file ``config.yaml`` for a run's config, in UTF-8.

    The text is a Hydra config that extends the config ``train``. It contains the chosen option of each group, and then
    the value of every key.
    """
    choices = [
        {f"override {f.name}": name_of(getattr(config, f.name))}
        for f in dataclasses.fields(config)
        if dataclasses.is_dataclass(getattr(config, f.name))
    ]
    content = {"defaults": ["train", *choices, "_self_"], **dataclasses.asdict(config)}
    try:
        text = yaml.dump(content, Dumper=_DUMPER, sort_keys=False)
    except UnicodeEncodeError:  # an invalid letter; only the slower dumper can write it, as an escape
        text = yaml.safe_dump(content, sort_keys=False)
    return text.encode()


def digest(config: Any) -> str:
    """Return a hash of all values of a config."""
    return hashlib.sha256(json.dumps(flat(config), sort_keys=True).encode()).hexdigest()


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Return a dictionary from each dotted key to its value.

    For a group, the value is the name of the chosen option: ``{"optimizer": "sgd", "optimizer.lr": 0.1, …}``.
    """
    values: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value, key = getattr(config, f.name), f"{prefix}{f.name}"
        values |= {key: name_of(value), **flat(value, f"{key}.")} if dataclasses.is_dataclass(value) else {key: value}
    return values


_LARGEST = 2**18  # largest size of a config file, in bytes


class _PlainLoader(yaml.SafeLoader):
    """A YAML loader that rejects aliases and interpolations. `to_yaml` writes neither.

    A small file with aliases can expand to millions of values.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node of the YAML text. Raise an error if it is an alias or an interpolation."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        node: yaml.Node | None = super().compose_node(parent, index)
        if isinstance(node, yaml.ScalarNode) and "${" in node.value:
            raise yaml.YAMLError("an interpolation")
        return node


def read(cls: type[T], path: Path) -> T:
    """Return the config in a file that `to_yaml` wrote.

    Raises
    ------
    UserError
        If the file is missing or is not YAML, or if an option, a key or a value in it is not valid.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UserError(f"{path}: a pipe or a device; expected the config.yaml of a finished run")
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{path}: larger than any config of a run")
        content = yaml.load(path.read_text(encoding="utf-8"), _PlainLoader)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; expected the config.yaml of a finished run") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged, or not YAML with plain values") from error
    try:
        schema = OmegaConf.structured(cls)
        for entry in content.pop("defaults"):
            for key, name in entry.items() if isinstance(entry, dict) else ():
                group = key.removeprefix("override ")
                if (chosen := option(group, name)) is None:
                    advice = advice_for(path.parent, f"{group}={name}") or did_you_mean(str(name), option_names(group))
                    raise UserError(f"{group}={name}: no such option; {advice}")
                schema[group] = OmegaConf.structured(chosen)
        merged = OmegaConf.merge(schema, content)
        assert isinstance(merged, DictConfig)
        return load(cls, merged)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except OmegaConfBaseException as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not the config.yaml of a run") from error
