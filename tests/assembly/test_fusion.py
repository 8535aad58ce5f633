"""Late fusion: weights and temperatures by hand and by SciPy, and runs that know different classes."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from deeprob.assembly.fusion import Part, check_same, fit_weights, fuse, measure, mixed, print_table, temperature
from deeprob.data import Examples, Splits
from deeprob.errors import UserError

RNG = torch.Generator().manual_seed(0)


def logs(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64).log()


# ---------------------------------------------------------------- the mean


def test_the_mean_is_of_logarithms():
    outputs = torch.stack([logs([0.8, 0.2]), logs([0.5, 0.5])])
    mean = mixed(outputs, torch.tensor([0.5, 0.5]).double(), numbers=False)
    assert mean.exp().tolist() == [pytest.approx([2 / 3, 1 / 3])]  # odds of 4 and 1, whose geometric mean is 2
    product = mixed(outputs, torch.tensor([2.0, 1.0]).double(), numbers=False)
    assert product.exp().tolist() == [pytest.approx([16 / 17, 1 / 17])]


def test_runs_that_are_sure_of_the_contrary_do_not_make_others_infinite():
    outputs = torch.stack([torch.tensor([[0.0, -5000.0]]), torch.tensor([[-5000.0, 0.0]])]).double()
    mean = mixed(outputs, torch.tensor([0.5, 0.5]).double(), numbers=False)
    assert mean.tolist() == [pytest.approx([math.log(0.5)] * 2)]


def test_losses_by_hand():
    found = measure(logs([0.5, 0.5], [0.2, 0.8], [0.25, 0.75]), torch.tensor([0, 1, 0]))
    assert found == {"loss": pytest.approx(-math.log(0.5 * 0.8 * 0.25) / 3), "accuracy": pytest.approx(2 / 3)}
    found = measure(torch.tensor([[1.0, 2.0], [0.0, 4.0]]), torch.tensor([[0.0, 2.0], [3.0, 0.0]]))
    assert found == {"loss": pytest.approx((1 + 9 + 16) / 2)}


# ---------------------------------------------------------------- temperature


def test_a_temperature_by_hand():
    scores = torch.tensor([[1.0, 0.0]] * 4).double()
    targets = torch.tensor([0, 0, 0, 1])  # a lead of 1 is right in three cases of four, so it must mean ln 3
    assert temperature(scores, targets) == pytest.approx(1 / math.log(3), rel=1e-5)
    assert temperature(1000 * scores, targets) == pytest.approx(1000 / math.log(3), rel=1e-5)


def test_a_temperature_as_scipy_finds_it():
    scores = torch.randn(200, 5, generator=RNG, dtype=torch.float64) * 3
    targets = torch.where(torch.rand(200, generator=RNG) < 0.6, scores.argmax(1), torch.randint(5, (200,)))

    def loss(log_t: np.ndarray) -> float:
        return torch.nn.functional.cross_entropy(scores / math.exp(log_t[0]), targets).item()

    assert temperature(scores, targets) == pytest.approx(math.exp(minimize(loss, [0.0], tol=1e-10).x[0]), rel=1e-3)


@pytest.mark.parametrize("scores", [torch.zeros(4, 3), torch.eye(4), -torch.eye(4)], ids=["equal", "right", "wrong"])
def test_a_temperature_is_finite_when_there_is_no_best(scores):
    found = temperature(scores.double(), torch.arange(4) % scores.shape[1])
    assert 0 < found < math.inf


# ---------------------------------------------------------------- weights


def test_weights_by_hand():
    lead, none = torch.tensor([0.0, -1.0]).double(), torch.tensor([0.0, 0.0]).double()
    one = torch.stack([lead] * 4 + [none] * 3).log_softmax(1)  # right in three of four cases
    two = torch.stack([none] * 4 + [lead] * 3).log_softmax(1)  # right in two of three
    weights = fit_weights(torch.stack([one, two]), torch.tensor([0, 0, 0, 1, 0, 0, 1]))
    assert weights.tolist() == pytest.approx([math.log(3), math.log(2)], rel=1e-5)


def test_a_run_that_is_wrong_weighs_nothing():
    mostly_right = torch.tensor([[0.0, -1.0]] * 3).double().log_softmax(1)
    always_wrong = torch.tensor([[-1.0, 0.0], [-1.0, 0.0], [0.0, -1.0]]).double().log_softmax(1)
    weights = fit_weights(torch.stack([mostly_right, always_wrong]), torch.tensor([0, 0, 1]))
    assert weights.tolist() == pytest.approx([math.log(2), 0], abs=1e-3)
    assert (weights >= 0).all()


def test_equal_runs_weigh_the_same():
    outputs = torch.randn(1, 50, 3, generator=RNG).double().log_softmax(2).expand(4, -1, -1)
    weights = fit_weights(outputs, torch.randint(3, (50,), generator=RNG))
    assert weights.tolist() == pytest.approx([weights[0].item()] * 4)


@pytest.mark.parametrize("classes", [True, False])
def test_weights_are_those_that_scipy_finds(classes):
    outputs = torch.randn(4, 300, 6, generator=RNG, dtype=torch.float64)
    if classes:
        targets = torch.randint(6, (300,), generator=RNG)
        outputs[0, range(300), targets] += 1.5
        outputs[1, range(150), targets[:150]] += 3
        outputs = outputs.log_softmax(2)
    else:
        targets = 0.5 * outputs[0] + 0.3 * outputs[2] + torch.randn(300, 6, generator=RNG, dtype=torch.float64)

    def loss(w: np.ndarray) -> float:
        return measure(mixed(outputs, torch.from_numpy(w), not classes), targets)["loss"]

    constraint = [] if classes else {"type": "eq", "fun": lambda w: w.sum() - 1}
    known = minimize(loss, np.full(4, 0.25), bounds=[(0, None)] * 4, constraints=constraint, method="SLSQP", tol=1e-12)
    found = fit_weights(outputs, targets)
    assert classes or found.sum().item() == pytest.approx(1)
    assert loss(found.numpy()) == pytest.approx(known.fun, abs=1e-6)
    np.testing.assert_allclose(found.numpy(), known.x, atol=2e-3)


@pytest.mark.parametrize(("wanted", "weights"), [(0.5, [0.75, 0.25]), (3.0, [0, 1]), (-1.0, [1, 0])])
def test_weights_of_numbers_by_hand(wanted, weights):
    outputs = torch.tensor([[[0.0]], [[2.0]]]).double()
    assert fit_weights(outputs, torch.tensor([[wanted]])).tolist() == pytest.approx(weights, abs=1e-3)


# ---------------------------------------------------------------- runs


def expert(known: set[int], targets: torch.Tensor, seed: int) -> torch.Tensor:
    """Return scores that are right for examples of the known classes, and random ones of small size for others."""
    scores = torch.randn(len(targets), 4, generator=torch.Generator().manual_seed(seed))
    for c in known:
        scores[:, c] += torch.where(targets == c, 4.0, -4.0)
    return scores


@pytest.mark.parametrize("logits", [True, False])
@pytest.mark.parametrize("how", ["mean", "weights"])
def test_runs_that_know_different_classes_know_all_together(how, logits):
    targets, held_out = (torch.randint(4, (400,), generator=RNG) for _ in range(2))
    parts = [
        Part("a", "hog", expert({0, 1}, targets, 1), expert({0, 1}, held_out, 2), logits),
        Part("b", "raw", expert({2, 3}, targets, 3), expert({2, 3}, held_out, 4), logits),
    ]
    rows = fuse(parts, targets, held_out, how)
    assert [row.name for row in rows] == ["a", "b", "mean", "weights"][: 4 if how == "weights" else 3]
    for part, row in zip(parts, rows, strict=False):
        right = (part.scores.argmax(1) == targets).double().mean().item()
        assert row.measured["accuracy"] == right < 0.8
    for row in rows[2:]:
        assert row.measured["accuracy"] > 0.9
        assert row.measured["loss"] < min(rows[0].measured["loss"], rows[1].measured["loss"])


def test_weights_leave_out_a_run_that_spoils_the_mean():
    targets, held_out = (torch.randint(4, (400,), generator=RNG) for _ in range(2))
    good = [expert({0, 1, 2, 3}, split, 5) for split in (targets, held_out)]
    wrong = [expert({0, 1, 2, 3}, (split + 1) % 4, 6) for split in (targets, held_out)]
    rows = fuse([Part("a", "hog", *good), Part("b", "hog", *wrong)], targets, held_out, "weights")
    assert rows[0].weight > 0.9
    assert rows[3].measured["accuracy"] > 0.99 > rows[2].measured["accuracy"]


def test_scores_of_unknown_scale_do_not_drown_others():
    targets, held_out = (torch.randint(4, (400,), generator=RNG) for _ in range(2))
    good = [expert({0, 1, 2, 3}, split, 5) for split in (targets, held_out)]
    poor = [1e6 * torch.randn(400, 4, generator=RNG) for _ in range(2)]
    rows = fuse([Part("a", "", *good), Part("b", "", *poor, logits=False)], targets, held_out, "mean")
    assert rows[2].measured["accuracy"] > 0.99
    assert rows[1].measured["loss"] == pytest.approx(math.log(4), abs=0.02)


def test_numbers_are_averaged():
    targets, held_out = torch.tensor([[1.0], [2.0]]), torch.tensor([[4.0]])
    low = Part("a", "raw", targets - 1, held_out - 1)
    high = Part("b", "raw", targets + 3, held_out + 3, logits=False)
    rows = fuse([low, high], targets, held_out, "weights")
    assert [row.measured["loss"] for row in rows] == pytest.approx([1, 9, 1, 0], abs=1e-4)
    assert [row.weight for row in rows[:2]] == pytest.approx([0.75, 0.25], abs=1e-3)


def test_the_same_twice_is_bit_by_bit_the_same():
    targets, held_out = (torch.randint(4, (100,), generator=RNG) for _ in range(2))
    parts = [Part(str(seed), "", expert({seed}, targets, seed), expert({seed}, held_out, seed)) for seed in range(3)]
    assert fuse(parts, targets, held_out, "weights") == fuse(parts, targets, held_out, "weights")


def test_scores_that_are_not_finite_are_named():
    scores = torch.tensor([[0.0, float("nan")]])
    with pytest.raises(UserError, match="b: its scores are not all finite; leave it out"):
        fuse([Part("a", "", torch.zeros(1, 2)), Part("b", "", scores)], torch.tensor([0]), None, "mean")


def test_the_table(capsys):
    targets = torch.tensor([0, 1])
    parts = [Part("outputs/one", "hog", logs([0.9, 0.1], [0.6, 0.4]), logs(*[[0.75, 0.25]] * 4))] * 2
    print_table(fuse(parts, targets, torch.tensor([0, 0, 1, 0]), "weights"))
    assert capsys.readouterr().out.splitlines() == [
        "run          features    weight  cross-entropy  accuracy",
        "outputs/one  hog          0.500         0.5108   50.00 %",
        "outputs/one  hog          0.500         0.5108   50.00 %",
        "mean                                    0.5108   50.00 %",
        "weights                                 0.5108   50.00 %",
    ]
    print_table(fuse([Part("r", "raw", torch.ones(2, 1))] * 2, torch.zeros(2, 1), None, "mean"))
    assert capsys.readouterr().out.splitlines() == [
        "run   features  squared error",
        "r     raw              1.0000",
        "r     raw              1.0000",
        "mean                   1.0000",
    ]


# ---------------------------------------------------------------- one dataset


def splits(*, classes: tuple[str, ...] = ("a", "b"), shift: float = 0, val: bool = True) -> Splits:
    part = Examples(torch.arange(4.0)[:, None] + shift, torch.tensor([0, 1, 0, 1]))
    return Splits(part, part if val else None, part, classes)


def test_the_same_dataset_passes():
    check_same(["one", "two"], [splits(), splits()], [{}, {}], ["test", "val"])
    check_same(["one", "two"], [splits(val=False), splits()], [{}, {}], ["test"])


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (
            splits(classes=("a", "c")),
            "two: has 2 classes (a, c), and one has 2 classes (a, b) (dataset.seed=1 diff",
        ),
        (splits(classes=()), "two: has numbers to predict, and one has 2 classes (a, b)"),
        (splits(shift=1), "two: its test split is not that of one (dataset.seed=1 differs); fusion needs the same"),
        (splits(val=False), "two: held out no validation split, and fusion fits numbers on one: train with dataset.va"),
    ],
)
def test_what_differs_is_named(other, line):
    with pytest.raises(UserError) as caught:
        check_same(["one", "two"], [splits(), other], [{"dataset.seed": 0}, {"dataset.seed": 1}], ["test", "val"])
    assert str(caught.value).startswith(line)
