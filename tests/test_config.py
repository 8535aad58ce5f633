import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
import yaml
from omegaconf import MISSING, DictConfig, OmegaConf

from deeprob import config
from deeprob.config import choice, number, register
from deeprob.errors import UserError


@dataclass(kw_only=True, slots=True)
class WheelConfig:
    size: float = number(0.5, above=0, maximum=1)


@register("wheel", "wooden")
@dataclass(kw_only=True, slots=True)
class WoodenConfig(WheelConfig):
    spokes: int = number(8, minimum=3)
    gaps: list[int] | None = number(None, minimum=1, optional=True, listed=True)

    def problems(self) -> Iterator[str]:
        if self.gaps is not None and len(self.gaps) != self.spokes:
            yield f"gaps: {len(self.gaps)} gaps between {self.spokes} spokes"


@register("wheel", "steel")
@dataclass(kw_only=True, slots=True)
class SteelConfig(WheelConfig):
    bell: bool = False


@register("", "test_cart")
@dataclass(kw_only=True, slots=True)
class CartConfig:
    wheel: WheelConfig = MISSING
    owner: str = MISSING
    colour: str = choice("red", among=("red", "blue"))
    lamp: str | None = choice(None, among=("front", "rear"), optional=True)
    load: int | str = number("auto", minimum=1, words=("full", "auto"))
    slope: float = number(0.0, minimum=-1, below=1)
    offset: float = number(0.0)
    seats: int | None = number(None, minimum=1, optional=True)
    speed: int | str | None = number(None, minimum=1, words=("walk",), optional=True)


def composed(**values: object) -> DictConfig:
    """What Hydra would hand over: a structured config with values set as `+key=value` sets them."""
    node = OmegaConf.structured(CartConfig(wheel=WoodenConfig(), owner="ann"))
    for key, value in values.items():
        OmegaConf.update(node, key.replace("__", "."), value, force_add=True)
    return node


def complaint(**values: object) -> str:
    with pytest.raises(UserError) as caught:
        config.load(CartConfig, composed(**values))
    line = str(caught.value)
    assert "\n" not in line
    return line


# ---------------------------------------------------------------- registration


def test_register_makes_a_class_an_option_of_its_group():
    assert dict(config.options("wheel")) == {"wooden": WoodenConfig, "steel": SteelConfig}


def test_a_group_that_nobody_registered_has_no_options():
    assert dict(config.options("test_nothing")) == {}


def test_name_of_is_the_name_of_registration():
    assert config.name_of(SteelConfig()) == "steel"


# ---------------------------------------------------------------- load


def test_load_returns_the_dataclass_with_its_option():
    node = composed(wheel__spokes=4, wheel__gaps=[1, 2, 3, 4], load=3, slope="-0.5")
    loaded = config.load(CartConfig, node)
    wheel = WoodenConfig(size=0.5, spokes=4, gaps=[1, 2, 3, 4])
    assert loaded == CartConfig(wheel=wheel, owner="ann", load=3, slope=-0.5)


@pytest.mark.parametrize(
    "values",
    [
        {"wheel__size": 1.0},
        {"wheel__size": 5e-324},
        {"wheel__spokes": 3},
        {"slope": -1.0},
        {"slope": math.nextafter(1, 0)},
        {"load": 1},
        {"load": "full"},
        {"lamp": None},
        {"lamp": "rear"},
        {"seats": None},
        {"speed": None},
        {"speed": "walk"},
        {"offset": -1e300},
    ],
)
def test_values_on_the_right_side_of_a_bound_pass(values):
    config.load(CartConfig, composed(**values))


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"wheel__size": 0.0}, "wheel.size=0.0: expected a number in (0, 1]"),
        ({"wheel__size": 1.5}, "wheel.size=1.5: expected a number in (0, 1]"),
        ({"wheel__size": math.nan}, "wheel.size=nan: expected a number in (0, 1]"),
        ({"wheel__spokes": 2}, "wheel.spokes=2: expected a whole number at least 3"),
        ({"wheel__gaps": [2, 0]}, "wheel.gaps=[2,0]: expected a list of whole numbers at least 1 or null"),
        ({"slope": 1.0}, "slope=1.0: expected a number in [-1, 1)"),
        ({"slope": -1.01}, "slope=-1.01: expected a number in [-1, 1)"),
        ({"load": 0}, "load=0: expected a whole number at least 1 or full or auto"),
        ({"load": "half"}, "load=half: expected a whole number at least 1 or full or auto"),
        ({"seats": 0}, "seats=0: expected a whole number at least 1 or null"),
        ({"speed": "run"}, "speed=run: expected a whole number at least 1 or walk or null"),
        ({"colour": "green"}, "colour=green: expected one of red, blue"),
        ({"lamp": "side"}, "lamp=side: expected one of front, rear, null"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_would_be_right(values, line):
    assert complaint(**values) == line


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_is_finite_even_without_bounds(value):
    assert complaint(offset=value).startswith(f"offset={value}: expected a number")


def test_a_number_without_bounds_does_not_speak_of_one():
    assert "None" not in complaint(offset=math.nan)


@pytest.mark.parametrize("seats", [2**63, 10**400])
def test_whole_numbers_fit_64_bits(seats):
    assert config.load(CartConfig, composed(seats=2**63 - 1)).seats == 2**63 - 1
    assert complaint(seats=seats).startswith(f"seats={seats}: expected")


@pytest.mark.parametrize("key", ["owner", "wheel", "wheel.size"])
def test_a_missing_value_is_named(key):
    assert complaint(**{key.replace(".", "__"): "???"}) == f"{key} is missing: add {key}=… to the command"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"slop": 1}, "slop: no such key; did you mean slope?"),
        (
            {"zzz": 1},
            "zzz: no such key; choose from colour, lamp, load, offset, owner, seats, slope, speed, wheel",
        ),
        ({"wheel__spoke": 1}, "wheel.spoke: no such key; did you mean spokes?"),
    ],
)
def test_an_added_key_that_the_dataclass_does_not_have_is_named(values, line):
    assert complaint(**values) == line


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("${nowhere}", "'nowhere' not found"),
        ("${wheel.nowhere.at_all}", "not found"),
        ("${colour}", "'red' of type 'str' could not be converted to Float"),
        ("${oc.env:DEEPROB_TEST_NO_SUCH_VARIABLE}", "DEEPROB_TEST_NO_SUCH_VARIABLE"),
    ],
)
def test_an_interpolation_that_leads_nowhere_is_named_by_its_key(value, words):
    line = complaint(slope=value)
    assert line.startswith("slope: ")
    assert words in line


def test_an_interpolation_is_replaced_by_what_it_names():
    assert config.load(CartConfig, composed(slope="${wheel.size}")).slope == 0.5


def test_an_interpolated_value_is_held_to_the_bounds_too():
    assert complaint(wheel__size=1.0, slope="${wheel.size}") == "slope=1.0: expected a number in [-1, 1)"


def test_contradictions_come_with_the_path_of_their_group():
    assert complaint(wheel__spokes=3, wheel__gaps=[1]) == "wheel.gaps: 1 gaps between 3 spokes"


def test_the_bounds_are_checked_before_contradictions():
    assert complaint(wheel__spokes=1, wheel__gaps=[1, 2]).startswith("wheel.spokes=1: expected")


@pytest.mark.parametrize(
    ("cls", "name", "words"),
    [
        (CartConfig, "slope", "a number in [-1, 1)"),
        (CartConfig, "lamp", "one of front, rear, null"),
        (CartConfig, "owner", "a word"),
        (SteelConfig, "bell", "true or false"),
        (CartConfig, "nothing", ""),
        (CartConfig, "wheel", ""),
        (int, "slope", ""),
        (None, "slope", ""),
    ],
)
def test_expected_says_what_a_field_accepts(cls, name, words):
    assert config.expected(cls, name) == words


# ---------------------------------------------------------------- flat, save and read

CART = CartConfig(
    wheel=WoodenConfig(size=1e-8, spokes=3, gaps=[1, 2, 3]), owner="ann", lamp="rear", load=12, slope=-1 / 3
)


def test_flat_has_dotted_keys_and_the_choice_under_the_groups_name():
    assert config.flat(CART) == {
        "wheel": "wooden",
        "wheel.size": 1e-8,
        "wheel.spokes": 3,
        "wheel.gaps": [1, 2, 3],
        "owner": "ann",
        "colour": "red",
        "lamp": "rear",
        "load": 12,
        "slope": -1 / 3,
        "offset": 0.0,
        "seats": None,
        "speed": None,
    }


def test_save_writes_choices_first_then_every_value(tmp_path):
    config.save(CartConfig(wheel=SteelConfig(), owner="ann"), tmp_path / "config.yaml")
    content = yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))
    assert next(iter(content)) == "defaults"
    assert content == {
        "defaults": ["train", {"override wheel": "steel"}, "_self_"],
        "wheel": {"size": 0.5, "bell": False},
        "owner": "ann",
        "colour": "red",
        "lamp": None,
        "load": "auto",
        "slope": 0.0,
        "offset": 0.0,
        "seats": None,
        "speed": None,
    }


@pytest.mark.parametrize("cart", [CART, CartConfig(wheel=SteelConfig(bell=True), owner="bob", load="full")])
def test_read_returns_what_save_wrote(tmp_path, cart):
    config.save(cart, tmp_path / "config.yaml")
    assert config.read(CartConfig, tmp_path / "config.yaml") == cart


@pytest.mark.parametrize("owner", ["null", "true", "1e3", "Zoë ☂", "a: b #c", " x ", "", "/a\\b'\""])
def test_words_that_yaml_could_take_for_something_else_come_back(tmp_path, owner):
    config.save(replace(CART, owner=owner), tmp_path / "config.yaml")
    assert config.read(CartConfig, tmp_path / "config.yaml").owner == owner


def test_words_that_are_no_utf_8_are_refused(tmp_path):
    config.save(replace(CART, owner="caf\udce9"), tmp_path / "config.yaml")
    with pytest.raises(UserError, match=r"owner=caf.udce9: not in UTF-8; give it another name"):
        config.read(CartConfig, tmp_path / "config.yaml")


def test_read_takes_defaults_for_what_the_file_leaves_out(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("defaults: [train, {override wheel: steel}]\nowner: ann\n")
    assert config.read(CartConfig, path) == CartConfig(wheel=SteelConfig(size=0.5, bell=False), owner="ann")


WHOLE = "defaults: [{override wheel: wooden}]\nowner: ann\n"


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
        pytest.param(b"defaults: [{override wheel: [steel]}]", id="choice of a wrong kind"),
        pytest.param(b"defaults: [{override wheel: !!python/name:os.system x}]", id="code"),
        pytest.param(b"defaults: [{override wheel: paper}]\nowner: ann", id="unknown option"),
        pytest.param(b"defaults: [{override sail: steel}]\nowner: ann", id="unknown group"),
        pytest.param(WHOLE.encode() + b"slop: 1", id="unknown key"),
        pytest.param(WHOLE.encode() + b"wheel: {bell: true}", id="key of another option"),
        pytest.param(WHOLE.encode() + b"wheel: 3", id="no mapping for a group"),
        pytest.param(WHOLE.encode() + b"wheel: null", id="null for a group"),
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
        config.read(CartConfig, path)
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
        config.read(CartConfig, path)
    assert str(caught.value) == f"{path}: {reason}; expected the config.yaml of a finished run"
