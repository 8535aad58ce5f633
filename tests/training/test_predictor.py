import torch

from deeprob.features.raw import Raw
from deeprob.models.mlp import MLPConfig
from deeprob.training import Predictor


def predictor(seed: int = 0) -> Predictor:
    model = MLPConfig(hidden=[5]).build(2, 3, torch.Generator().manual_seed(seed))
    return Predictor(Raw((2,), "feature"), model, (2,), 3, ("a", "b", "c"))


INPUTS = torch.tensor([[0.0, 10.0], [4.0, 30.0]])


def test_state_round_trip_gives_the_same_scores():
    c, other = predictor(0), predictor(1)
    c.features.fit(INPUTS)
    other.load_state_dict(c.state_dict() | {"model": c.model.state_dict()})
    assert torch.equal(other.scores(INPUTS), c.scores(INPUTS))


def test_chunk_size_by_hand():
    # 2 inputs + 5 + 3 units, 4 bytes, 3 copies: 256 MiB / 120 bytes
    assert predictor().chunk_size() == 2**28 // 120
    assert predictor().to(torch.device("cpu"), torch.float64).chunk_size() == 2**28 // 240


def test_bf16_rounds_products_and_nothing_else():
    fine = predictor()
    extracted = fine.features.fit(INPUTS)
    rough = Predictor(fine.features, fine.model, (2,), 3, ("a", "b", "c"), bf16=True)
    scores, exact = rough.scores(extracted), fine.scores(extracted)
    first, second = fine.model.layers
    inputs = fine.features(extracted)
    hidden = torch.relu(torch.nn.functional.linear(inputs.bfloat16(), first.weight.bfloat16(), first.bias.bfloat16()))
    by_hand = torch.nn.functional.linear(hidden, second.weight.bfloat16(), second.bias.bfloat16())
    assert scores.dtype == torch.float32
    assert torch.equal(scores, by_hand.float())
    assert not torch.equal(scores, exact)
    torch.testing.assert_close(scores, exact, rtol=0.05, atol=0.01)
