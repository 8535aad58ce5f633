"""What another process knows of own parts before it reads an object. See also tests/commands/test_own_parts.py."""

import pickle
import sys
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from deeprob.config import installed, option, options, own_modules
from deeprob.config.own_modules import import_words, imported
from deeprob.config.parcel import Parcel

MODULE = """
from dataclasses import dataclass
from deeprob.config import register
from deeprob.optim import SGDConfig

@dataclass
class HeavyConfig(SGDConfig):
    momentum: float = 0.9
"""


class Letter(Parcel):
    def __init__(self, **content) -> None:
        self.content = content


@pytest.fixture
def another_process(own, tmp_path, monkeypatch):
    """Read an object in a process with another current folder that knows no own parts."""

    def read(sent: bytes) -> Letter:
        for name in ("own_sun", "own_moon"):
            sys.modules.pop(name, None)
        options("optimizer").pop("heavy", None)
        monkeypatch.setattr(own_modules, "_given", [])
        monkeypatch.setattr(own_modules, "_words", {})
        monkeypatch.setattr(installed, "_loaded", {})
        monkeypatch.chdir(tmp_path)
        return pickle.loads(sent)

    monkeypatch.setattr(sys, "path", list(sys.path))
    return read


def test_all_given_modules_are_imported_before_the_content_is_read(own, another_process):
    own("far/own_sun", "import own_moon")
    own("far/own_moon", MODULE + '\nregister("optimizer", "heavy")(HeavyConfig)')
    with imported(["far/own_sun.py"]):
        sent = pickle.dumps(Letter(heavy=sys.modules["own_moon"].HeavyConfig(momentum=0.5)))
    letter = another_process(sent)
    assert letter.content["heavy"].momentum == 0.5
    assert "own_sun" in sys.modules
    assert type(letter.content["heavy"]) is options("optimizer")["heavy"]
    assert import_words() == ["--import", "far/own_sun.py"]
    assert own_modules.source_of(type(letter.content["heavy"]))["import"] == "far/own_sun.py"


def test_loaded_options_of_packages_are_loaded(own, another_process, monkeypatch):
    monkeypatch.syspath_prepend(own("site/own_moon", MODULE).parent)
    point = EntryPoint("optimizer.heavy", "own_moon:HeavyConfig", "deeprob.parts")
    vars(point)["dist"] = SimpleNamespace(name="heavy-things", version="2.0")
    monkeypatch.setattr(installed, "entry_points", lambda group: [point])
    letter = another_process(pickle.dumps(Letter(heavy=option("optimizer", "heavy")(momentum=0.5))))
    cls = type(letter.content["heavy"])
    assert options("optimizer")["heavy"] is cls
    assert installed.distribution_of(cls) == {"package": "heavy-things", "version": "2.0"}
    assert installed.loaded() == [("optimizer", "heavy")]
