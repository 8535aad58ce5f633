from importlib import metadata
from types import SimpleNamespace

import pytest

from deeprob.config import installed as rooms
from deeprob.config.installed import distribution_of, installed, load_installed
from deeprob.errors import UserError
from deeprob.optim import SGDConfig

PACKAGE = SimpleNamespace(name="parts-of-ann", version="1.2")


def entry(name: str, value: str) -> metadata.EntryPoint:
    point = metadata.EntryPoint(name, value, "deeprob.parts")
    vars(point)["dist"] = PACKAGE
    return point


ENTRIES = [
    entry("optimizer.plain", "deeprob.optim.sgd:SGDConfig"),
    entry("optimizer.gone", "deeprob.optim.sgd:GoneConfig"),
    entry("optimizer.lost", "no_such_package:Config"),
    entry("optimizer.odd", "deeprob.optim.sgd:number"),
    entry("model.plain", "deeprob.models:MLPConfig"),
]


@pytest.fixture(autouse=True)
def _entries(monkeypatch):
    monkeypatch.setattr(rooms, "entry_points", lambda group: ENTRIES if group == "deeprob.parts" else [])
    monkeypatch.setattr(rooms, "_loaded", {})


def test_the_options_of_packages_are_listed():
    assert set(installed("optimizer")) == {"plain", "gone", "lost", "odd"}
    assert set(installed("model")) == {"plain"}
    assert installed("surface") == {}


def test_a_dataclass_is_loaded_with_its_package():
    assert distribution_of(SGDConfig) == {}
    assert load_installed("optimizer", "plain") is SGDConfig
    assert distribution_of(SGDConfig) == {"package": "parts-of-ann", "version": "1.2"}
    assert load_installed("optimizer", "none") is None


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (
            "gone",
            "deeprob.optim.sgd:GoneConfig",
            " cannot be loaded: AttributeError: module 'deeprob.optim.sgd' has no",
        ),
        ("lost", "no_such_package:Config", " cannot be loaded: ModuleNotFoundError: No module named 'no_such_package'"),
        ("odd", "deeprob.optim.sgd:number", " is no dataclass"),
    ],
)
def test_a_broken_entry_point_is_named(name, value, reason):
    with pytest.raises(UserError) as caught:
        load_installed("optimizer", name)
    where = f"optimizer={name}: the entry point optimizer.{name} = {value} of the package parts-of-ann 1.2"
    assert str(caught.value).startswith(where + reason)
