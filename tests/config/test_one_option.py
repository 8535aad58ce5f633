import pytest

import deeprob.figures  # noqa: F401 - registers its options
from deeprob.config.one_option import chosen
from deeprob.errors import UserError
from deeprob.figures import LearningCurvesConfig
from deeprob.optim import SGDConfig


def test_a_choice_and_its_values():
    assert chosen("optimizer", "sgd", "k") == SGDConfig()
    assert chosen("optimizer", "sgd lr=0.1 momentum=0.9 nesterov=true", "k") == SGDConfig(
        lr=0.1, momentum=0.9, nesterov=True
    )
    assert chosen("figure", "learning_curves 'metrics=[val/loss, params/norm]'", "k") == LearningCurvesConfig(
        metrics=["val/loss", "params/norm"]
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("sgdd", "k: sgdd: no optimizer is called sgdd; did you mean sgd?"),
        ("sgd lrr=1", "k: sgd lrr=1: lrr: no such key; did you mean lr?"),
        ("sgd lr=-1", "k: sgd lr=-1: lr=-1.0: expected a number greater than 0"),
        ("sgd lr=x", "k: sgd lr=x: lr=x: expected a number greater than 0"),
        ("sgd nesterov=2", "k: sgd nesterov=2: nesterov=2: expected true or false"),
        ("sgd lr=1,2", "k: sgd lr=1,2: lr=1,2: expected key=value with one value"),
        ("sgd ~lr", "k: sgd ~lr: ~lr: expected key=value with one value"),
        ("sgd lr", "k: sgd lr: lr: cannot be read as key=value (no =); write key=value without spaces around ="),
        ("sgd 'lr=1", "k: sgd 'lr=1: no closing quotation"),
    ],
)
def test_mistakes(text, error):
    with pytest.raises(UserError) as raised:
        chosen("optimizer", text, "k")
    assert str(raised.value) == error


def test_nothing_is_no_choice():
    with pytest.raises(UserError, match="k: : no optimizer is called nothing; choose from "):
        chosen("optimizer", "", "k")
