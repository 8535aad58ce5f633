import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pytest
from omegaconf import MISSING, DictConfig, OmegaConf

from deeprob.config import choice, number, register, schema
from deeprob.errors import UserError

schema._OPTIONS.setdefault("wheel", {})  # only deeprob's own classes bring new groups


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
    color: str = choice("red", among=("red", "blue"))
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
        schema.load(CartConfig, composed(**values))
    line = str(caught.value)
    assert "\n" not in line
    return line


# ---------------------------------------------------------------- registration


def test_register_makes_a_class_an_option_of_its_group():
    assert dict(schema.options("wheel")) == {"wooden": WoodenConfig, "steel": SteelConfig}


def test_a_group_that_nobody_registered_has_no_options():
    assert dict(schema.options("test_nothing")) == {}


def test_only_a_dataclass_is_an_option():
    class NoDataclass(WoodenConfig):  # the decorator is forgotten, so the new default would be ignored
        bell: bool = True

    with pytest.raises(TypeError, match=r"NoDataclass is no dataclass; add @dataclass below @register"):
        register("wheel", "none")(NoDataclass)
    assert "none" not in schema.options("wheel")


@pytest.mark.parametrize(
    ("values", "meant", "slots"),
    [
        ({"blocks": 2}, "blocks: int = 2", True),
        ({"name": "a"}, "name: str = 'a'", False),
        ({"sizes": [1]}, "sizes: TYPE = …", False),
        ({"bell": True}, "bell: bool = True", False),  # a key of the base keeps its old value without a type
    ],
)
def test_a_value_without_a_type_is_no_key(values, meant, slots):
    (name,) = values
    cls = dataclass(kw_only=True, slots=slots)(type("OwnConfig", (SteelConfig,), values | {"__module__": __name__}))
    with pytest.raises(TypeError) as caught:
        register("wheel", "own")(cls)
    line = f"OwnConfig.{name} has no type, so it is no key; write {meant}, or {name}: ClassVar for a constant"
    assert str(caught.value) == line
    assert "own" not in schema.options("wheel")


def test_what_needs_no_type(monkeypatch):
    monkeypatch.setattr(schema, "_OPTIONS", {"wheel": dict(schema.options("wheel"))})

    class Rubber(SteelConfig):
        kind: ClassVar = "rubber"
        _hidden = 3
        width: int = 2
        doubled = property(lambda self: 2 * self.width)
        helper = staticmethod(abs)
        nested = WheelConfig
        __slots__ = ()

    @register("wheel", "rubber")
    @dataclass(kw_only=True)
    class Derived(Rubber):
        kind = "red rubber"  # its base has it, as a constant

    assert schema.options("wheel")["rubber"] is Derived
    register("wheel", "plain")(dataclass(kw_only=True)(Rubber))


def test_an_own_class_needs_a_known_group(monkeypatch):
    monkeypatch.setattr(schema, "_OPTIONS", {"wheel": {}, "": {}})
    with pytest.raises(ValueError, match=r"^whele=steel: no such group; did you mean wheel\?$"):
        register("whele", "steel")(SteelConfig)
    with pytest.raises(ValueError, match=r"^saddle=steel: no such group; choose from wheel$"):
        register("saddle", "steel")(SteelConfig)
    assert schema._OPTIONS.keys() == {"wheel", ""}


def test_an_option_that_nobody_registered_is_asked_of_packages(monkeypatch):
    monkeypatch.setattr(schema, "_OPTIONS", {"wheel": dict(schema.options("wheel"))})
    monkeypatch.setattr(schema, "load_installed", lambda group, name: {"of_package": CartConfig}.get(name))
    monkeypatch.setattr(schema, "installed", lambda group: {"of_package": None, "steel": None})
    assert schema.option("wheel", "steel") is SteelConfig
    assert schema.option("wheel", "none") is None
    assert schema.option("test_nothing", "of_package") is None
    assert schema.option_names("wheel") == ["wooden", "steel", "of_package"]
    assert schema.option("wheel", "of_package") is CartConfig
    assert schema.options("wheel")["of_package"] is CartConfig


def test_name_of_is_the_name_of_registration():
    assert schema.name_of(SteelConfig()) == "steel"


# ---------------------------------------------------------------- load


def test_load_returns_the_dataclass_with_its_option():
    node = composed(wheel__spokes=4, wheel__gaps=[1, 2, 3, 4], load=3, slope="-0.5")
    loaded = schema.load(CartConfig, node)
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
    schema.load(CartConfig, composed(**values))


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
        ({"color": "green"}, "color=green: expected one of red, blue"),
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
    assert schema.load(CartConfig, composed(seats=2**63 - 1)).seats == 2**63 - 1
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
            "zzz: no such key; choose from color, lamp, load, offset, owner, seats, slope, speed, wheel",
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
        ("${color}", "'red' of type 'str' could not be converted to Float"),
        ("${oc.env:DEEPROB_TEST_NO_SUCH_VARIABLE}", "DEEPROB_TEST_NO_SUCH_VARIABLE"),
    ],
)
def test_an_interpolation_that_leads_nowhere_is_named_by_its_key(value, words):
    line = complaint(slope=value)
    assert line.startswith("slope: ")
    assert words in line


def test_an_interpolation_is_replaced_by_what_it_names():
    assert schema.load(CartConfig, composed(slope="${wheel.size}")).slope == 0.5


def test_an_interpolated_value_is_held_to_the_bounds_too():
    assert complaint(wheel__size=1.0, slope="${wheel.size}") == "slope=1.0: expected a number in [-1, 1)"


def test_contradictions_come_with_the_path_of_their_group():
    assert complaint(wheel__spokes=3, wheel__gaps=[1]) == "wheel.gaps: 1 gaps between 3 spokes"


def test_the_bounds_are_checked_before_contradictions():
    assert complaint(wheel__spokes=1, wheel__gaps=[1, 2]).startswith("wheel.spokes=1: expected")


def test_changed_copies_only_what_changes():
    cart = schema.load(CartConfig, composed())
    other = schema.changed(cart, {"wheel.size": 0.25, "wheel.spokes": 4, "color": "blue"})
    assert (other.wheel.size, other.wheel.spokes, other.color) == (0.25, 4, "blue")
    assert (cart.wheel.size, cart.wheel.spokes, cart.color) == (0.5, 8, "red")
    assert schema.changed(cart, {"color": "blue"}).wheel is cart.wheel


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"wheel.size": 2.0}, "wheel.size=2.0: expected a number in (0, 1]"),
        ({"wheel.size": 1}, "wheel.size=1: expected a number in (0, 1]"),
        ({"color": "green"}, "color=green: expected one of red, blue"),
        ({"wheel.gaps": [1, 2]}, "wheel.gaps: 2 gaps between 8 spokes"),
    ],
)
def test_changed_values_are_validated(values, line):
    with pytest.raises(UserError) as caught:
        schema.changed(schema.load(CartConfig, composed()), values)
    assert str(caught.value) == line


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
    assert schema.expected(cls, name) == words


def test_a_name_is_of_one_class():
    with pytest.raises(ValueError, match=r"^wheel=wooden is \S+\.WoodenConfig; choose another name$"):
        register("wheel", "wooden")(type("Other", (), {}))


def test_the_options_of_a_module():
    assert {("wheel", "wooden"), ("wheel", "steel")} <= schema.options_in(__name__)
    assert schema.options_in("nowhere") == set()


def test_an_own_option_has_the_base_class_of_its_group():
    class Odd:
        pass

    with pytest.raises(TypeError, match=r"^optimizer=odd is no OptimizerConfig; write class Odd\(OptimizerConfig\)$"):
        register("optimizer", "odd")(dataclass(Odd))
    assert "odd" not in schema.options("optimizer")


def test_the_word_that_chooses_an_option():
    assert schema.choice_of(SteelConfig()) == "wheel=steel"
    assert schema.choice_of(CartConfig(wheel=SteelConfig(), owner="me")) == "CartConfig"
