"""How fast a whole run is, side by side with loops that a person would write by hand and with other libraries.

    python tests/benchmarks/training.py root=FOLDER [rounds=5] [epochs=2]

FOLDER holds CIFAR-10 as train/<class>/*.jpg and test/<class>/*.jpg. In each round every contestant trains in turn, so
that a slow moment of the machine hits all alike; the table gives medians over the rounds of seconds an epoch and of the
ratio to deeprob within the round. deeprob's seconds are those of the whole run with all its tracking, from the first
update to the last checkpoint; the others only train. The last column is the share of the rate that a product of two
large float32 matrices reaches on as many threads in the same round, with 6 operations for each parameter and example.

The two-layer network is also trained by the libraries of `contestants.py`, from standardised float32 numbers that were
made before their clocks start. Those that are not installed are named and left out; ``pip install '.[peers]'`` installs
all.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from contestants import PEERS, PRODUCT, Contest, Task, present
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from deeprob.assembly.config import RunConfig
from deeprob.data import Examples, ImageFolderConfig
from deeprob.features import RawConfig
from deeprob.models import LinearConfig, MLPConfig
from deeprob.objective import CrossEntropyConfig, NoneConfig
from deeprob.optim import AdamWConfig, CosineConfig
from deeprob.running.run import run
from deeprob.training import TrainerConfig

BATCH = 128
ALL_THREADS = torch.get_num_threads()
TRANSFORM = transforms.Compose(
    [transforms.ToTensor(), transforms.Normalize((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616))]
)


def network(kind: str) -> nn.Module:
    layers = [nn.Linear(3072, 10)] if kind == "linear" else [nn.Linear(3072, 256), nn.ReLU(), nn.Linear(256, 10)]
    return nn.Sequential(nn.Flatten(), *layers)


def deeprob(kind: str, root: str, epochs: int) -> float:
    """Seconds an epoch of a whole run."""
    config = RunConfig(
        dataset=ImageFolderConfig(root=root),
        features=RawConfig(),
        model=LinearConfig() if kind == "linear" else MLPConfig(layers=2, width=256),
        loss=CrossEntropyConfig(),
        regularizer=NoneConfig(),
        optimizer=AdamWConfig(),
        scheduler=CosineConfig(),
        trainer=TrainerConfig(epochs=epochs, batch_size=BATCH, device="cpu"),
    )
    with tempfile.TemporaryDirectory() as directory:
        return run(config, Path(directory), job="benchmark")["seconds"] / epochs


def bare(kind: str, train: Examples, epochs: int) -> float:
    """Seconds an epoch of a loop over the same resident tensors, with nothing but training."""
    mean = train.inputs.float().mean(0)
    deviation = train.inputs.float().std(0)
    model = network(kind)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(train) // BATCH))
    began = time.perf_counter()
    for _ in range(epochs):
        for index in torch.randperm(len(train)).split(BATCH):
            inputs = (train.inputs[index].float() - mean) / deviation
            loss = F.cross_entropy(model(inputs), train.targets[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return (time.perf_counter() - began) / epochs


class Samples(Dataset[tuple[torch.Tensor, int]]):
    """Samples as torchvision's CIFAR10 gives them: an array in memory, a PIL picture and two transforms for each."""

    def __init__(self, train: Examples) -> None:
        self.pictures = np.ascontiguousarray(train.inputs.numpy().transpose(0, 2, 3, 1))
        self.targets = train.targets.tolist()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, position: int) -> tuple[torch.Tensor, int]:
        return TRANSFORM(Image.fromarray(self.pictures[position])), self.targets[position]


def loader(kind: str, samples: Dataset[tuple[torch.Tensor, int]], workers: int) -> float:
    """Seconds of one epoch of the tutorials' loop."""
    model = network(kind)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    began = time.perf_counter()
    for inputs, targets in DataLoader(samples, batch_size=BATCH, shuffle=True, num_workers=workers):
        loss = F.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - began


def standardised(train: Examples) -> np.ndarray:
    """Return (n, inputs) float32 numbers of mean 0 and deviation 1."""
    inputs = train.inputs.flatten(1).float()
    return inputs.sub_(inputs.mean(0)).div_(inputs.std(0)).numpy()


def show(kind: str, seconds: dict[str, list[float]], rates: list[float], operations: float) -> None:
    """Print the table of a network."""
    print(f"\n{kind}: median of {len(rates)} rounds, batch {BATCH}, {ALL_THREADS} threads; ", end="")
    print(f"a product of matrices: {statistics.median(rates) / 1e9:.0f} GFLOP/s")
    ours = seconds["deeprob, whole run"]
    for name, values in seconds.items():
        ratio = statistics.median(own / other for own, other in zip(ours, values, strict=True))
        share = statistics.median(operations / other / rate for other, rate in zip(values, rates, strict=True))
        middle = statistics.median(values)
        print(f"  {name:36}{middle:7.3f} s an epoch   deeprob / it = {ratio:.3f}   {share:6.1%} of the rate")


def main(root: str, rounds: int, epochs: int) -> None:
    train = ImageFolderConfig(root=root).load().train
    in_memory, in_files = Samples(train), ImageFolder(Path(root) / "train", TRANSFORM)
    peers = present(PEERS)
    with (
        tempfile.TemporaryDirectory() as directory,
        Contest([*peers, "matrix product"], ALL_THREADS, Path(directory)) as contest,
    ):
        task = Task.write(
            Path(directory),
            standardised(train),
            train.targets.numpy(),
            hidden=[256],
            batch=BATCH,
            epochs=epochs,
            threads=ALL_THREADS,
        )
        for kind in ("linear", "two-layer"):
            contestants: dict[str, Callable[[], float]] = {
                "deeprob, whole run": lambda kind=kind: deeprob(kind, root, epochs),
                "bare loop": lambda kind=kind: bare(kind, train, epochs),
                "DataLoader, in memory, 0 workers": lambda kind=kind: loader(kind, in_memory, 0),
                "DataLoader, in memory, 2 workers": lambda kind=kind: loader(kind, in_memory, 2),
                "DataLoader, ImageFolder, 0 workers": lambda kind=kind: loader(kind, in_files, 0),
                "DataLoader, ImageFolder, 2 workers": lambda kind=kind: loader(kind, in_files, 2),
            }
            if kind == "two-layer":
                contestants |= {name: lambda name=name: contest.train(name, task).seconds / epochs for name in peers}
            seconds: dict[str, list[float]] = {name: [] for name in contestants}
            rates = []
            for number in range(rounds + 1):
                rate = 2 * PRODUCT**3 / contest.train("matrix product", task).seconds
                if number > 0:  # the first round warms up
                    rates.append(rate)
                for name, contestant in contestants.items():
                    if name != "deeprob, whole run":
                        torch.set_num_threads(ALL_THREADS)
                    measured = contestant()
                    if number > 0:
                        seconds[name].append(measured)
            parameters = sum(parameter.numel() for parameter in network(kind).parameters())
            show(kind, seconds, rates, 6.0 * len(train) * parameters)


if __name__ == "__main__":
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    main(words["root"], int(words.get("rounds", "5")), int(words.get("epochs", "2")))
