import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException

from deeprob.config.overrides import override_of, parse
from deeprob.errors import UserError


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


@pytest.mark.parametrize(
    ("word", "meant", "values"),
    [
        ("k=[csv,mlflow folder=mm]", "k=[csv,'mlflow folder=mm']", ["csv", "mlflow folder=mm"]),
        ("k=[a=1, b/c.d, e = 2]", "k=['a=1',b/c.d,'e = 2']", ["a=1", "b/c.d", "e = 2"]),
    ],
)
def test_items_of_a_list_with_blanks_are_shown_with_quotes(word, meant, values):
    with pytest.raises(UserError) as caught:
        parse([word])
    assert str(caught.value) == f'{word}: cannot be read as key=value; quote what has blanks or =: "{meant}"'
    assert parse([meant])[0].value() == values
    with pytest.raises(UserError, match="quote special characters"):
        parse(["k=[a=1,'b c']"])


WHOLE = "0 7 -1 -0 00 1_0 +1 123456789012345678 99999999999999999999"
REAL = "1.0 -0.5 -0.0 1. .5 1e5 1E-05 1.5e+3 0e1 1e400 1e-400 inf nan"
OTHERS = "x 1x [1] 1,2"


@pytest.mark.parametrize("value", f"{WHOLE} {REAL} {OTHERS}".split())
@pytest.mark.parametrize("key", ["seed", "optimizer.lr", "_a.b9", "inf.x", "e1", "null", "+a", "a/b", "a@b"])
def test_an_override_is_what_hydra_reads(key, value):
    (expected,) = OverridesParser.create().parse_overrides([word := f"{key}={value}"])
    assert repr(override_of(word)) == repr(expected)


def test_what_cannot_be_read_is_refused_each_time():
    for _ in range(2):
        with pytest.raises(OverrideParseException):
            override_of("a=[1")
