import pytest

from deeprob.models import Model, ModelConfig


def test_a_model_is_quiet_unless_it_says_otherwise():
    assert ModelConfig().noise_sources() == []
    assert Model.noisy is False


def test_a_model_needs_a_forward_pass():
    with pytest.raises(TypeError, match="abstract"):
        Model()
