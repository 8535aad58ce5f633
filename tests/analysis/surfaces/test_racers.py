import pytest

from deeprob.analysis.surfaces import racers_of
from deeprob.errors import UserError
from deeprob.optim import AdamConfig, LBFGSConfig, SGDConfig


def test_words_are_a_choice_and_its_fields():
    racers = racers_of(["sgd  lr=1e-2 momentum=0.9 nesterov=true", "adam beta1=0.5", "lbfgs line_search_fn=null"])
    assert [racer.optimizer for racer in racers] == [
        SGDConfig(lr=0.01, momentum=0.9, nesterov=True),
        AdamConfig(beta1=0.5),
        LBFGSConfig(line_search_fn=None),
    ]
    assert racers[0].words == "sgd lr=1e-2 momentum=0.9 nesterov=true"
    assert racers[0].kind == "sgd momentum=0.9 nesterov=true"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("sgdd", "no optimizer is called sgdd; did you mean sgd?"),
        ("", "no optimizer is called nothing; choose from "),
        ("sgd lrr=1", "lrr: no such key; did you mean lr?"),
        ("sgd lr=fast", "lr=fast: expected a number greater than 0"),
        ("sgd nesterov=2", "nesterov=2: expected true or false"),
        ("sgd nesterov=true", "nesterov=true: needs optimizer.momentum > 0"),
        ("sgd lr=1,2", "lr=1,2: expected key=value with one value"),
    ],
)
def test_mistakes_are_told_with_the_words(words, line):
    with pytest.raises(UserError) as caught:
        racers_of(["adam", words])
    assert str(caught.value).startswith(f"optimizers: {words}: {line}")
    assert "\n" not in str(caught.value)


def test_none_is_there_twice():
    with pytest.raises(UserError, match="optimizers: sgd lr=1: is there twice"):
        racers_of(["sgd lr=1", "adam", " sgd  lr=1"])


def test_lbfgs_cannot_bear_noise():
    assert len(racers_of(["sgd", "lbfgs"])) == 2
    with pytest.raises(UserError, match="optimizers: lbfgs: needs gradients without noise; set noise=0"):
        racers_of(["sgd", "lbfgs"], noise=0.1)
