from importlib.metadata import EntryPoint

import pytest
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError
from omegaconf import OmegaConf

from deeprob.config import installed as rooms
from deeprob.config import schema
from deeprob.config.option_source import OptionSource
from deeprob.optim import SGDConfig

SOURCE = OptionSource("options", "options://")


@pytest.fixture
def _installed(monkeypatch):
    points = [EntryPoint("optimizer.plain", "deeprob.optim.sgd:SGDConfig", "deeprob.parts")]
    monkeypatch.setattr(rooms, "entry_points", lambda group: points)
    monkeypatch.setattr(rooms, "_loaded", {})
    monkeypatch.setattr(schema, "_OPTIONS", {group: dict(known) for group, known in schema._OPTIONS.items()})


def test_the_dataclass_of_an_option_is_its_config():
    result = SOURCE.load_config("optimizer/sgd.yaml")
    assert OmegaConf.get_type(result.config) is SGDConfig
    assert result.config.lr == SGDConfig().lr
    assert SOURCE.is_config("optimizer/sgd")
    assert SOURCE.available()


@pytest.mark.parametrize("path", ["optimizer/none", "hydra/launcher/auto", "schema/optimizer/sgd", "train", "x.yaml"])
def test_other_configs_are_not_here(path):
    assert not SOURCE.is_config(path)
    with pytest.raises(ConfigLoadError, match="no such option"):
        SOURCE.load_config(path)


def test_groups_are_those_with_options():
    assert [SOURCE.is_group(path) for path in ("", "optimizer", "optimizer.lr", "optimizer/sgd", "hydra")] == [
        True, True, False, False, False,
    ]  # fmt: skip


@pytest.mark.usefixtures("_installed")
def test_an_installed_option_is_listed_before_it_is_loaded():
    names = SOURCE.list("optimizer", ObjectType.CONFIG)
    assert names == sorted([*schema.options("optimizer"), "plain"])
    assert SOURCE.list("optimizer", ObjectType.GROUP) == []
    assert "plain" not in schema.options("optimizer")
    assert OmegaConf.get_type(SOURCE.load_config("optimizer/plain").config) is SGDConfig
    assert schema.options("optimizer")["plain"] is SGDConfig
