import sys
from dataclasses import dataclass

import pytest

from deeprob.config import register
from deeprob.config.failures import failing
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
