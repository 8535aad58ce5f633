from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import yaml
from omegaconf import MISSING

from deeprob import config
from deeprob.config import choice, number, register, schema
from deeprob.errors import UserError

schema._OPTIONS.setdefault("hull", {})  # only deeprob's own classes bring new groups


@dataclass(kw_only=True, slots=True)
class HullConfig:
    size: float = number(0.5, above=0, maximum=1)


@register("hull", "wooden")
@dataclass(kw_only=True, slots=True)
class WoodenConfig(HullConfig):
    spokes: int = number(8, minimum=3)
    gaps: list[int] | None = number(None, minimum=1, optional=True, listed=True)

    def problems(self) -> Iterator[str]:
        if self.gaps is not None and len(self.gaps) != self.spokes:
            yield f"gaps: {len(self.gaps)} gaps between {self.spokes} spokes"


@register("hull", "steel")
@dataclass(kw_only=True, slots=True)
class SteelConfig(HullConfig):
    bell: bool = False


@register("", "test_boat")
@dataclass(kw_only=True, slots=True)
class BoatConfig:
    hull: HullConfig = MISSING
    owner: str = MISSING
    color: str = choice("red", among=("red", "blue"))
    lamp: str | None = choice(None, among=("front", "rear"), optional=True)
    load: int | str = number("auto", minimum=1, words=("full", "auto"))
    slope: float = number(0.0, minimum=-1, below=1)
    offset: float = number(0.0)
    seats: int | None = number(None, minimum=1, optional=True)
    speed: int | str | None = number(None, minimum=1, words=("walk",), optional=True)


BOAT = BoatConfig(
    hull=WoodenConfig(size=1e-8, spokes=3, gaps=[1, 2, 3]), owner="ann", lamp="rear", load=12, slope=-1 / 3
)


def test_flat_has_dotted_keys_and_the_choice_under_the_groups_name():
    assert config.flat(BOAT) == {
        "hull": "wooden",
        "hull.size": 1e-8,
        "hull.spokes": 3,
        "hull.gaps": [1, 2, 3],
        "owner": "ann",
        "color": "red",
        "lamp": "rear",
        "load": 12,
        "slope": -1 / 3,
        "offset": 0.0,
        "seats": None,
        "speed": None,
    }


def test_to_yaml_has_choices_first_then_every_value(tmp_path):
    (tmp_path / "config.yaml").write_bytes(config.to_yaml(BoatConfig(hull=SteelConfig(), owner="ann")))
    content = yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))
    assert next(iter(content)) == "defaults"
    assert content == {
        "defaults": ["train", {"override hull": "steel"}, "_self_"],
        "hull": {"size": 0.5, "bell": False},
        "owner": "ann",
        "color": "red",
        "lamp": None,
        "load": "auto",
        "slope": 0.0,
        "offset": 0.0,
        "seats": None,
        "speed": None,
    }


@pytest.mark.parametrize("boat", [BOAT, BoatConfig(hull=SteelConfig(bell=True), owner="bob", load="full")])
def test_read_returns_what_to_yaml_made(tmp_path, boat):
    (tmp_path / "config.yaml").write_bytes(config.to_yaml(boat))
    assert config.read(BoatConfig, tmp_path / "config.yaml") == boat


@pytest.mark.parametrize("owner", ["null", "true", "1e3", "Zoë ☂", "a: b #c", " x ", "", "/a\\b'\""])
def test_words_that_yaml_could_take_for_something_else_come_back(tmp_path, owner):
    (tmp_path / "config.yaml").write_bytes(config.to_yaml(replace(BOAT, owner=owner)))
    assert config.read(BoatConfig, tmp_path / "config.yaml").owner == owner


def test_words_that_are_no_utf_8_are_refused(tmp_path):
    (tmp_path / "config.yaml").write_bytes(config.to_yaml(replace(BOAT, owner="caf\udce9")))
    with pytest.raises(UserError, match=r"owner=caf.udce9: not in UTF-8; give it another name"):
        config.read(BoatConfig, tmp_path / "config.yaml")


def test_read_takes_defaults_for_what_the_file_leaves_out(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("defaults: [train, {override hull: steel}]\nowner: ann\n")
    assert config.read(BoatConfig, path) == BoatConfig(hull=SteelConfig(size=0.5, bell=False), owner="ann")


WHOLE = "defaults: [{override hull: wooden}]\nowner: ann\n"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="damaged"),
        pytest.param(WHOLE[:20].encode(), id="truncated"),
        pytest.param(bytes(range(256)), id="binary"),
        pytest.param(b"\x00\x01\x02", id="control characters"),
        pytest.param(b"3", id="a number"),
        pytest.param(b"[1, 2]", id="a list"),
        pytest.param(b"owner: ann", id="no defaults"),
        pytest.param(b"defaults: 3", id="defaults of a wrong kind"),
        pytest.param(b"defaults: [train]\nowner: ann", id="no choice"),
        pytest.param(b"defaults: [{override hull: [steel]}]", id="choice of a wrong kind"),
        pytest.param(b"defaults: [{override hull: !!python/name:os.system x}]", id="code"),
        pytest.param(b"defaults: [{override hull: paper}]\nowner: ann", id="unknown option"),
        pytest.param(b"defaults: [{override sail: steel}]\nowner: ann", id="unknown group"),
        pytest.param(WHOLE.encode() + b"slop: 1", id="unknown key"),
        pytest.param(WHOLE.encode() + b"hull: {bell: true}", id="key of another option"),
        pytest.param(WHOLE.encode() + b"hull: 3", id="no mapping for a group"),
        pytest.param(WHOLE.encode() + b"hull: null", id="null for a group"),
        pytest.param(WHOLE.encode() + b"slope: steep", id="value of a wrong type"),
        pytest.param(WHOLE.encode() + b"slope: '${'", id="broken interpolation"),
        pytest.param(WHOLE.encode() + b"slope: ${nowhere}", id="interpolation that leads nowhere"),
        pytest.param(WHOLE.encode() + b"slope: ${oc.env:HOME}", id="interpolation that leads out"),
        pytest.param(WHOLE.encode() + b"seats: &x [1]\nload: *x", id="alias"),
        pytest.param(WHOLE.encode() + b"#" * 2**18, id="too large"),
        pytest.param(WHOLE.encode() + b'"a\\nb": 1', id="key of two lines"),
        pytest.param(WHOLE.encode() + b"slope: 7", id="value out of range"),
    ],
)
def test_what_read_cannot_take_is_named_by_its_path(tmp_path, content):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        config.read(BoatConfig, path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("place", "reason"),
    [("nothing", "No such file or directory"), (".", "Is a directory")],
)
def test_a_path_without_a_file_is_named(tmp_path, place, reason):
    path = tmp_path / place
    with pytest.raises(UserError) as caught:
        config.read(BoatConfig, path)
    assert str(caught.value) == f"{path}: {reason}; expected the config.yaml of a finished run"
