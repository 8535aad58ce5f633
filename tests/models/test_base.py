import pytest
import torch

from deeprob.models import Model, ModelConfig


def test_a_model_is_quiet_unless_it_says_otherwise():
    assert ModelConfig().noise_sources() == []
    assert Model.noisy is False


def test_a_model_needs_a_forward_pass():
    with pytest.raises(TypeError, match="abstract"):
        Model()


def test_a_model_with_a_forward_pass_alone_has_one_stage_and_names_no_layers():
    class Doubled(Model):
        def forward(self, inputs, key=None):
            return 2 * inputs

    ((name, scores),) = Doubled().stages(torch.tensor([[1.0, 2.0]]))
    assert (name, scores.tolist()) == ("scores", [[2.0, 4.0]])
    assert list(Doubled().linear_layers) == []
    assert Doubled().formulas() is None
