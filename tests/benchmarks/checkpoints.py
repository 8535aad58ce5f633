"""What checkpoints cost: the share of a whole run that goes into them, at the default interval.

    python tests/benchmarks/checkpoints.py root=FOLDER [rounds=3] [epochs=20]

FOLDER holds CIFAR-10 as train/<class>/*.jpg and test/<class>/*.jpg. The run is the two-layer network of 256 units, with
a validation split, so that the best state is kept beside the last.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deeprob.assembly.config import RunConfig
from deeprob.data import ImageFolderConfig
from deeprob.features import RawConfig
from deeprob.models import MLPConfig
from deeprob.objective import CrossEntropyConfig, NoneConfig
from deeprob.optim import AdamWConfig, CosineConfig
from deeprob.running.run import run
from deeprob.training import TrainerConfig
from deeprob.training.checkpoint import Checkpoints

spent, writes = [0.0], [0]


def timed(method: Callable[..., None]) -> Callable[..., None]:
    def measured(checkpoints: Checkpoints, *words: Any) -> None:
        began = time.perf_counter()
        method(checkpoints, *words)
        spent[0] += time.perf_counter() - began
        writes[0] += method.__name__ == "write"

    return measured


def main(root: str, rounds: int, epochs: int) -> None:
    for name in ("write", "keep_best"):
        setattr(Checkpoints, name, timed(getattr(Checkpoints, name)))
    shares = []
    for _ in range(rounds):
        spent[0], writes[0] = 0.0, 0
        config = RunConfig(
            dataset=ImageFolderConfig(root=root, val_fraction=0.1),
            features=RawConfig(),
            model=MLPConfig(layers=2, width=256),
            loss=CrossEntropyConfig(),
            regularizer=NoneConfig(),
            optimizer=AdamWConfig(),
            scheduler=CosineConfig(),
            trainer=TrainerConfig(epochs=epochs, batch_size=128),
        )
        with tempfile.TemporaryDirectory() as directory:
            began = time.perf_counter()
            run(config, Path(directory) / "run", job="benchmark")
            seconds = time.perf_counter() - began
            size = (Path(directory) / "run/checkpoints/last.pt").stat().st_size
        shares.append(spent[0] / seconds)
        print(f"{writes[0]} checkpoints of {size / 1e6:.1f} MB: {spent[0]:.3f} s of {seconds:.1f} s = {shares[-1]:.2%}")
    print(f"median share of the run: {statistics.median(shares):.2%}")


if __name__ == "__main__":
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    main(words["root"], int(words.get("rounds", "3")), int(words.get("epochs", "20")))
