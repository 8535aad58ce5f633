import torch

from deeprob.features.linear_map import mapped


def test_chunks_make_no_difference():
    inputs = torch.arange(5000 * 6, dtype=torch.int32).view(5000, 2, 3)
    outcome = mapped(lambda rows: rows[:, :4] * 2, torch.zeros(1), inputs, (2, 2))
    assert outcome.dtype == torch.float32
    assert torch.equal(outcome, inputs.flatten(1)[:, :4].mul(2).float().view(5000, 2, 2))


def test_no_inputs_at_all():
    assert mapped(lambda rows: rows, torch.zeros(1), torch.zeros(0, 3), (3,)).shape == (0, 3)
