import math

import pytest
import torch

from deeprob.data import Examples
from deeprob.objective import CrossEntropyConfig, Parts
from deeprob.training.metrics import Meters, correct_count, evaluate


def add(meters: Meters, loss: float, examples: int, frozen: float = 0.0) -> None:
    parts = Parts(torch.tensor(loss), torch.tensor(loss - 1), torch.tensor(1.0))
    meters.add(parts, torch.tensor(examples // 2), torch.tensor(loss * 2), torch.tensor(frozen), examples)


def test_means_weigh_batches_by_their_size_and_norms_by_update():
    meters = Meters(torch.device("cpu"))
    add(meters, 2.0, 30)
    add(meters, 4.0, 10)
    means, examples = meters.read()
    assert examples == 40
    assert means == {
        "train/loss": 2.5,
        "train/data_loss": 1.5,
        "train/regularization": 1.0,
        "train/accuracy": 0.5,
        "optim/grad_norm": 6.0,
        "frozen": 0.0,
    }


def test_reading_starts_anew_and_the_epoch_goes_on():
    meters = Meters(torch.device("cpu"))
    add(meters, 2.0, 30)
    meters.read()
    add(meters, 4.0, 10, frozen=1.0)
    means, examples = meters.read()
    assert (means["train/loss"], means["frozen"], examples) == (4.0, 1.0, 10)
    assert meters.read_epoch()["train/loss"] == 2.5
    add(meters, 7.0, 1)
    meters.read()
    assert meters.read_epoch()["train/loss"] == 7.0


def test_state_goes_on_in_the_middle():
    meters, other = Meters(torch.device("cpu")), Meters(torch.device("cpu"))
    add(meters, 2.0, 30)
    meters.read()
    add(meters, 4.0, 10)
    other.load_state_dict(meters.state_dict())
    assert other.read() == meters.read()
    assert other.read_epoch() == meters.read_epoch()


def test_correct_count():
    scores = torch.tensor([[1.0, 2.0], [2.0, 1.0], [0.0, 3.0]])
    assert correct_count(scores, torch.tensor([1, 1, 1])) == 2


@pytest.mark.parametrize("chunk_size", [1, 3, 100])
def test_evaluate_in_chunks(chunk_size):
    examples = Examples(
        torch.tensor([[0.0, 0.0], [math.log(3), 0.0], [0.0, 5.0], [9.0, 0.0]]), torch.tensor([0, 0, 1, 1])
    )
    measured = evaluate(lambda inputs: inputs, examples, CrossEntropyConfig().build(), chunk_size)
    losses = [math.log(2), math.log(4 / 3), math.log(1 + math.exp(-5)), math.log(1 + math.exp(9))]
    assert measured["loss"] == pytest.approx(sum(losses) / 4, rel=1e-6)
    assert measured["accuracy"] == 0.75
