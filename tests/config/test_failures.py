import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from deeprob.config import register
from deeprob.config.failures import failing, failing_in_training
from deeprob.config.own_modules import imported
from deeprob.errors import UserError
from deeprob.optim import SGDConfig

OPTIMIZER = """
from dataclasses import dataclass
from deeprob.config import register
from deeprob.optim import SGDConfig

@register("optimizer", "failing")
@dataclass
class FailingConfig(SGDConfig):
    def build(self, params):
        return helped(params)

def helped(params):
    return params[10**6]
"""


def test_an_error_of_an_own_part_names_option_file_and_line(own):
    own("own_failing", OPTIMIZER)
    with imported(["own_failing"]):
        config = sys.modules["own_failing"].FailingConfig()
    with pytest.raises(UserError) as caught, failing(config):
        config.build([])
    line = "optimizer=failing: build() failed: own_failing.py, line 13: IndexError: list index out of range"
    assert str(caught.value) == line
    with (
        pytest.raises(UserError, match=r"^optimizer=failing: step\(\) failed: KeyError: 'a'$"),
        failing(config, "step"),
    ):
        raise KeyError("a")


def test_a_class_of_a_notebook_has_no_file(own):
    cls = register("optimizer", "of_cell")(dataclass(type("OfCell", (SGDConfig,), {"__module__": "__main__"})))
    with pytest.raises(UserError, match=r"^optimizer=of_cell: build\(\) failed: "), failing(cls()):
        raise ValueError("odd")


TRAINED = """
from dataclasses import dataclass
from deeprob.config import register
from deeprob.objective import LossConfig
from deeprob.optim import SGDConfig

@register("loss", "failing")
@dataclass
class FailingLoss(LossConfig):
    def losses(self, scores, targets):
        return helped(scores)

def helped(scores):
    return scores["a"]

@register("optimizer", "calling")
@dataclass
class CallingConfig(SGDConfig):
    pass

class Calling:
    def step(self, closure):
        return closure()
"""


def test_the_part_whose_method_failed_in_training_is_named(own):
    own("own_trained", TRAINED)
    with imported(["own_trained"]):
        module = sys.modules["own_trained"]
    run = SimpleNamespace(loss=module.FailingLoss(), optimizer=module.CallingConfig(), model=SGDConfig())
    line = "loss=failing: losses() failed: own_trained.py, line 14: KeyError: 'a'"
    with pytest.raises(UserError) as caught, failing_in_training(run):
        module.Calling().step(lambda: run.loss.losses({}, None))
    assert str(caught.value) == line
    assert isinstance(caught.value.__cause__, KeyError)

    ours = eval("lambda: {}['ours']", {"__name__": "deeprob.training.gradient"})
    with pytest.raises(KeyError, match="ours"), failing_in_training(run):
        module.Calling().step(ours)
    theirs = eval("lambda: {}['theirs']", {"__name__": "torch"})
    with (
        pytest.raises(
            UserError, match=r"optimizer=calling: step\(\) failed: own_trained.py, line 23: KeyError: 'theirs'"
        ),
        failing_in_training(run),
    ):
        module.Calling().step(theirs)
    for error in (UserError("known"), MemoryError("not enough memory")):
        with pytest.raises(type(error)) as caught, failing_in_training(run):
            run.loss.losses(_Raising(error), None)
        assert caught.value is error
    with pytest.raises(KeyError), failing_in_training(SimpleNamespace(optimizer=SGDConfig())):
        module.Calling().step(theirs)


class _Raising:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getitem__(self, name: str) -> None:
        raise self.error


@pytest.mark.parametrize("error", [UserError("known"), MemoryError()], ids=repr)
def test_other_errors_pass(own, error):
    own("own_failing", OPTIMIZER)
    with imported(["own_failing"]):
        config = sys.modules["own_failing"].FailingConfig()
    with pytest.raises(type(error)) as caught, failing(config):
        raise error
    assert caught.value is error
    with pytest.raises(ValueError, match="ours"), failing(SGDConfig()):
        raise ValueError("ours")
