import math

import pytest
import torch

from deeprob.data import Examples
from deeprob.objective import CrossEntropyConfig, ElasticNetConfig, NoneConfig, SquaredErrorConfig
from deeprob.training.metrics import Meters, correct_count, evaluate, regularized

CPU = torch.device("cpu")


def add(meters: Meters, loss: float, examples: int) -> None:
    """Add what an update adds: loss, data loss, R = 1, half of the examples correct, and a norm of twice the loss."""
    row = torch.tensor([loss, loss - 1, 1.0, examples // 2 / examples, 2 * loss / examples, 0.0])
    meters._sums += row.double() * examples
    meters.count(examples, 1)


def test_means_weigh_batches_by_their_size_and_norms_by_update():
    meters = Meters(CPU)
    add(meters, 2.0, 30)
    add(meters, 4.0, 10)
    means, examples = meters.read()
    assert examples == 40
    assert means == {
        "train/loss": 2.5,
        "train/data_loss": 1.5,
        "train/regularization": 1.0,
        "train/accuracy": 0.5,
        "optim/grad_norm": pytest.approx(6.0),
    }


def test_reading_starts_anew_and_the_epoch_goes_on():
    meters = Meters(CPU)
    add(meters, 2.0, 30)
    meters.read()
    add(meters, 4.0, 10)
    means, examples = meters.read()
    assert (means["train/loss"], means["optim/grad_norm"], examples) == (4.0, pytest.approx(8.0), 10)
    epoch = meters.read_epoch()
    assert (epoch["train/loss"], epoch["optim/grad_norm"]) == (2.5, pytest.approx(6.0))
    add(meters, 7.0, 1)
    meters.read()
    assert meters.read_epoch()["train/loss"] == 7.0


def test_state_goes_on_in_the_middle():
    meters, other = Meters(CPU), Meters(CPU)
    add(meters, 2.0, 30)
    meters.read()
    add(meters, 4.0, 10)
    other.load_state_dict(meters.state_dict())
    assert other.read() == meters.read()
    assert other.read_epoch() == meters.read_epoch()


def test_a_state_does_not_change_with_the_meters():
    meters = Meters(CPU)
    add(meters, 2.0, 30)
    state = meters.state_dict()
    meters.read()
    assert state == {"sums": pytest.approx([60, 30, 30, 15, 4, 0]), "counts": [30, 1, 0, 0], "epoch": [0.0] * 5}


def test_shared_sums_keep_what_was_there_and_take_what_others_add():
    meters, shared = Meters(CPU), torch.full((6,), 99.0, dtype=torch.float64)
    add(meters, 2.0, 30)
    meters.share(shared)
    assert shared.tolist() == pytest.approx([60, 30, 30, 15, 4, 0])
    shared[1] += 40 * 10
    meters.count(10, 1)
    assert meters.read()[0]["train/loss"] == pytest.approx(460 / 40)
    assert shared.tolist() == [0] * 6


def test_reset_forgets_all():
    meters = Meters(CPU)
    add(meters, 2.0, 30)
    meters.read()
    add(meters, 4.0, 10)
    meters.reset()
    new = Meters(CPU)
    assert {k: v for k, v in meters.state_dict().items() if k != "sums"} == {
        k: v for k, v in new.state_dict().items() if k != "sums"
    }
    assert not meters.state_dict()["sums"].any()


def test_numbers_as_targets_have_no_accuracy():
    meters = Meters(CPU, accuracy=False)
    add(meters, 2.0, 30)
    assert meters.read()[0].keys() == {"train/loss", "train/data_loss", "train/regularization", "optim/grad_norm"}


def test_correct_count():
    scores = torch.tensor([[1.0, 2.0], [2.0, 1.0], [0.0, 3.0]])
    assert correct_count(scores, torch.tensor([1, 1, 1])) == 2
    assert correct_count(scores, scores) == 0


@pytest.mark.parametrize("chunk_size", [1, 3, 100])
def test_evaluate_in_chunks(chunk_size):
    examples = Examples(
        torch.tensor([[0.0, 0.0], [math.log(3), 0.0], [0.0, 5.0], [9.0, 0.0]]), torch.tensor([0, 0, 1, 1])
    )
    measured = evaluate(lambda inputs: inputs, examples, CrossEntropyConfig().build(), chunk_size)
    losses = [math.log(2), math.log(4 / 3), math.log(1 + math.exp(-5)), math.log(1 + math.exp(9))]
    assert measured["loss"] == pytest.approx(sum(losses) / 4, rel=1e-6)
    assert measured["accuracy"] == 0.75


def test_evaluate_of_numbers():
    examples = Examples(torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0], [5.0]]))
    measured = evaluate(lambda inputs: inputs, examples, SquaredErrorConfig().build(), 1)
    assert measured == {"loss": 4.5, "r2": -0.125, "mae": 1.5, "rmse": pytest.approx(math.sqrt(4.5))}


def test_regularized_adds_the_penalty_of_matrices():
    parameters = {"a": torch.tensor([[1.0, -2.0]]), "b": torch.tensor([100.0])}
    net = ElasticNetConfig(strength=0.5, l1_ratio=0.5).build()  # ¼·3 + ¼·5
    assert regularized({"loss": 1.0, "accuracy": 0.5}, net, parameters) == {
        "loss": 3.0, "accuracy": 0.5, "data_loss": 1.0, "regularization": 2.0,
    }  # fmt: skip
    assert regularized({"loss": 1.0}, NoneConfig().build(), parameters) == {
        "loss": 1.0, "data_loss": 1.0, "regularization": 0.0,
    }  # fmt: skip
