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
    # 100 points of 120 dimensions are separable whatever their labels; labels by chance tell nothing of other points
    rng = torch.Generator().manual_seed(0)
    data = Examples(torch.randn(100, 120, generator=rng), torch.randint(2, (100,), generator=rng))
    assert separability(data, data) == 1
    assert separability(data, data, limit=100) == 1
    assert 20 <= round(100 * separability(data, data, limit=20)) <= 80  # 20 fitted, 40 ± 5 of the rest by chance


def test_the_few_are_drawn_from_all():
    train = xor(400, 0)
    train = Examples(train.inputs.prod(1, keepdim=True), train.targets)
    in_order = train[train.targets.argsort()]  # the first half knows one class only
    assert separability(in_order, train, limit=100) > 0.95


def test_a_single_example_is_no_warning():
    lone = Examples(torch.tensor([[2.0, 1.0]]), torch.tensor([0]))
    assert separability(lone, xor(40, 1)) == (xor(40, 1).targets == 0).double().mean()
