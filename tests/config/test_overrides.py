import pytest
from hydra.errors import OverrideParseException
from omegaconf import OmegaConf

from deeprob.config.overrides import check_types, explain, override_of, parse
from deeprob.errors import UserError
from deeprob.optim import AdamWConfig


def test_parse_returns_hydras_overrides():
    first, second = parse(["optimizer.lr=1e-2", "seed=0,1"])
    assert (first.key_or_group, first.value()) == ("optimizer.lr", 0.01)
    assert second.is_sweep_override()


@pytest.mark.parametrize("word", ["foo", "a=[1", "a=${", "=1"])
def test_what_cannot_be_read_is_named(word):
    with pytest.raises(UserError) as caught:
        parse(["seed=1", word])
    assert str(caught.value).startswith(f"{word}: cannot be read as key=value")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["2", "yes", "on", "'true'", "null", "1.0"])
def test_true_and_false_are_the_only_booleans(value):
    config = OmegaConf.create({"optimizer": OmegaConf.structured(AdamWConfig)})
    check_types(config, ["optimizer.amsgrad=true", "optimizer.lr=3", "nothing.there=2"])
    with pytest.raises(UserError, match="expected true or false"):
        check_types(config, [f"optimizer.amsgrad={value}"])


def test_an_error_that_names_nothing_still_gives_one_line():
    line = str(explain(RuntimeError("first\nsecond"), ["a.b=1", "c=2"]))
    assert line == "a.b=1 c=2: first"
    assert str(explain(RuntimeError(), ["a.b=1"])) == "a.b=1: RuntimeError"


def test_a_word_is_read_once():
    override = override_of("optimizer.lr=1e-3")
    assert (override.key_or_group, override.value()) == ("optimizer.lr", 1e-3)
    assert override_of("optimizer.lr=1e-3") is override
    assert override_of("optimizer.lr=1e-4").value() == 1e-4


def test_what_cannot_be_read_is_refused_each_time():
    for _ in range(2):
        with pytest.raises(OverrideParseException):
            override_of("a=[1")
