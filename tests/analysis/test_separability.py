import torch

from deeprob.analysis.separability import separability
from deeprob.data import Examples


def xor(count: int, seed: int) -> Examples:
    points = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return Examples(points, (points[:, 0] * points[:, 1] > 0).long())


def test_what_a_line_parts_is_separable_and_what_it_does_not_is_not():
    train, test = xor(600, 0), xor(400, 1)
    assert separability(train, test) < 0.6
    folded = [Examples(e.inputs.prod(1, keepdim=True), e.targets) for e in (train, test)]
    assert separability(*folded) > 0.98


def test_a_constant_feature_does_no_harm():
    train, test = (
        Examples(torch.cat([e.inputs, torch.ones(len(e), 1)], 1), e.inputs[:, 0].gt(0).long())
        for e in (xor(300, 0), xor(300, 1))
    )
    assert separability(train, test) > 0.98


def test_of_many_examples_a_few_are_fitted():
    assert separability(xor(300, 0), xor(100, 1), limit=50) == separability(xor(300, 0), xor(100, 1), limit=50)
