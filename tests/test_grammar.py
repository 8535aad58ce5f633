import pytest
from hydra.errors import OverrideParseException

from deeprob.grammar import override_of


def test_a_word_is_read_once():
    override = override_of("optimizer.lr=1e-3")
    assert (override.key_or_group, override.value()) == ("optimizer.lr", 1e-3)
    assert override_of("optimizer.lr=1e-3") is override
    assert override_of("optimizer.lr=1e-4").value() == 1e-4


def test_what_cannot_be_read_is_refused_each_time():
    for _ in range(2):
        with pytest.raises(OverrideParseException):
            override_of("a=[1")
