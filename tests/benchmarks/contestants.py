"""Contestants that train the same network on the same examples, each in a process of its own.

A process of its own, because libraries of one process disturb each other's threads. `Contest` starts the processes and
lets the contestants take turns; ``python tests/benchmarks/contestants.py NAME`` is such a process. Each contestant is
used as its documentation shows. Training alone is timed: imports, data and the construction of the network come before,
but what a library compiles counts, and every round compiles again.

All train by AdamW (learning rate 1e-3, weight decay 1e-2) with a cosine over all updates. scikit-learn has no AdamW and
no cosine: it trains by Adam with L2 and a constant rate, which is less work. XLA compiles on all cores, whatever the
number of threads, which favours JAX and Keras.
"""

import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

RATE, DECAY = 1e-3, 1e-2
PRODUCT = 2048  # rows and columns of the matrices whose product shows the machine's rate
PAUSE = 0.25  # seconds until idle threads of the last contestant have stopped spinning


@dataclass(frozen=True)
class Task:
    """What every contestant trains: a network with ReLU units on the examples that lie in a folder."""

    folder: str
    hidden: list[int]
    batch: int
    epochs: int
    threads: int

    @classmethod
    def write(cls, folder: Path, inputs: np.ndarray, targets: np.ndarray, **words: Any) -> "Task":
        """Write (n, inputs) float32 numbers and (n,) classes, which all processes map into their memory."""
        np.save(folder / "inputs.npy", inputs)
        np.save(folder / "targets.npy", targets)
        return cls(str(folder), **words)

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        inputs, targets = (np.load(f"{self.folder}/{part}.npy", mmap_mode="c") for part in ("inputs", "targets"))
        return inputs.view(np.ndarray), targets.view(np.ndarray)

    def sizes(self) -> list[int]:
        inputs, targets = self.read()
        return [inputs.shape[1], *self.hidden, int(targets.max()) + 1]

    def updates(self) -> int:
        """The number of updates of an epoch."""
        return -(-len(self.read()[1]) // self.batch)

    def operations(self) -> float:
        """The floating-point operations of an epoch: 6 for each parameter and each example."""
        return 6.0 * len(self.read()[1]) * sum((inputs + 1) * outputs for inputs, outputs in pairwise(self.sizes()))

    def __str__(self) -> str:
        return "-".join(map(str, self.sizes()))


@dataclass
class Outcome:
    """The seconds of a fit, how many of them a compiler took, and the accuracy on the training examples."""

    seconds: float
    accuracy: float = float("nan")
    compiling: float = 0.0
    cores: float = 0.0


def deeprob(task: Task, inputs: np.ndarray, targets: np.ndarray) -> Outcome:
    """A whole run with all its tracking, from the first update to the last checkpoint, on the spirals."""
    from deeprob.running.run import run

    with tempfile.TemporaryDirectory() as directory:
        summary = run(default_run(task.hidden, task.batch, task.epochs), Path(directory) / "run", job="benchmark")
    return Outcome(summary["seconds"], summary["train/accuracy"])


def default_run(hidden: Sequence[int], batch: int, epochs: int) -> Any:
    """Return the config of a run on the spirals."""
    from deeprob.assembly.config import RunConfig
    from deeprob.data import SpiralsConfig
    from deeprob.features import RawConfig
    from deeprob.models import MLPConfig
    from deeprob.objective import CrossEntropyConfig, NoneConfig
    from deeprob.optim import AdamWConfig, CosineConfig
    from deeprob.training import TrainerConfig

    return RunConfig(
        dataset=SpiralsConfig(),
        features=RawConfig(),
        model=MLPConfig(hidden=list(hidden)),
        loss=CrossEntropyConfig(),
        regularizer=NoneConfig(),
        optimizer=AdamWConfig(lr=RATE, weight_decay=DECAY),
        scheduler=CosineConfig(),
        trainer=TrainerConfig(epochs=epochs, batch_size=batch, device="cpu"),
    )


def network(task: Task) -> Any:
    """Return the network as a module of torch."""
    from torch import nn

    *hidden, last = pairwise(task.sizes())
    layers = [layer for sizes in hidden for layer in (nn.Linear(*sizes), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(*last))


def adamw(model: Any, task: Task) -> tuple[Any, Any]:
    """Return torch's optimizer and its schedule, which is to step after each update."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY, fused=True)
    return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, task.epochs * task.updates())


def loop(task: Task, inputs: np.ndarray, targets: np.ndarray, measure: bool) -> Outcome:
    """A loop over resident tensors, written by hand; if asked for, with the measures that deeprob takes."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    torch.set_num_threads(task.threads)
    x, y, model = torch.from_numpy(inputs), torch.from_numpy(targets), network(task)
    optimizer, schedule = adamw(model, task)
    parameters = list(model.parameters())
    began = time.perf_counter()
    for _ in range(task.epochs):
        sums = torch.zeros(3)
        for index in torch.randperm(len(x)).split(task.batch):
            classes = y.index_select(0, index)
            scores = model(x.index_select(0, index))
            loss = F.cross_entropy(scores, classes)
            optimizer.zero_grad()
            loss.backward()
            if measure:
                right = (scores.argmax(1) == classes).float().mean()
                norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters])
                sums += torch.stack([loss.detach(), right, norm])
            optimizer.step()
            schedule.step()
        if measure:
            sums.tolist()
    seconds = time.perf_counter() - began
    return Outcome(seconds, right_of(model, x, y))


def right_of(model: Any, x: Any, y: Any) -> float:
    """Return the accuracy of a module."""
    import torch

    with torch.inference_mode():
        return (model(x).argmax(1) == y).float().mean().item()


def bare(task: Task, inputs: np.ndarray, targets: np.ndarray) -> Outcome:
    """The loop by hand that only trains."""
    return loop(task, inputs, targets, measure=False)


def measured(task: Task, inputs: np.ndarray, targets: np.ndarray) -> Outcome:
    """The loop by hand with loss, accuracy and gradient norm of each update, read once an epoch."""
    return loop(task, inputs, targets, measure=True)


def sklearn(task: Task, inputs: np.ndarray, targets: np.ndarray) -> Outcome:
    """``MLPClassifier``, which stops after its epochs and never before."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        task.hidden,
        batch_size=task.batch,
        learning_rate_init=RATE,
        max_iter=task.epochs,
        tol=0,
        n_iter_no_change=10**9,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # says that max_iter was reached
        began = time.perf_counter()
        model.fit(inputs, targets)
        seconds = time.perf_counter() - began
    return Outcome(seconds, model.score(inputs, targets))


def keras(task: Task, inputs: np.ndarray, targets: np.ndarray) -> Outcome:
    """``Model.fit`` of Keras 3, compiled by JAX."""
    import keras

    keras.utils.clear_session()
    inside = [keras.layers.Dense(units, activation="relu") for units in task.hidden]
    first, *_, last = task.sizes()
    model = keras.Sequential([keras.layers.Input((first,)), *inside, keras.layers.Dense(last)])
    rate = keras.optimizers.schedules.CosineDecay(RATE, task.epochs * task.updates())
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=DECAY),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    began = time.perf_counter()
    model.fit(inputs, targets, batch_size=task.batch, epochs=task.epochs, verbose=0)
    seconds = time.perf_counter() - began
    right = model.predict(inputs, batch_size=1000, verbose=0).argmax(1) == targets
    return Outcome(seconds, float(right.mean()))


def lightning(task: Task, inputs: np.ndarray, targets: np.ndarray) -> Outcome:
    """``Trainer.fit`` without logger, checkpoints and progress bar, over a DataLoader of resident tensors."""
    import torch
    import torch.nn.functional as F
    from lightning.pytorch import LightningModule, Trainer
    from torch.utils.data import DataLoader, TensorDataset

    class Classifier(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network(task)

        def training_step(self, batch: Any, number: int) -> Any:
            return F.cross_entropy(self.network(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            optimizer, schedule = adamw(self, task)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    torch.set_num_threads(task.threads)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)  # else lists devices
    x, y, model = torch.from_numpy(inputs), torch.from_numpy(targets), Classifier()
    batches = DataLoader(TensorDataset(x, y), batch_size=task.batch, shuffle=True)
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=task.epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The 'train_dataloader' does not have many workers")
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated")  # Lightning's own call
        began = time.perf_counter()
        trainer.fit(model, batches)
        seconds = time.perf_counter() - began
    return Outcome(seconds, right_of(model.network, x, y))


def skorch(task: Task, inputs: np.ndarray, targets: np.ndarray) -> Outcome:
    """``NeuralNetClassifier``, without a validation split."""
    import torch
    from skorch import NeuralNetClassifier
    from skorch.callbacks import LRScheduler
    from torch import nn

    torch.set_num_threads(task.threads)
    cosine = LRScheduler(
        torch.optim.lr_scheduler.CosineAnnealingLR, T_max=task.epochs * task.updates(), step_every="batch"
    )
    model = NeuralNetClassifier(
        network(task),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=DECAY,
        optimizer__fused=True,
        lr=RATE,
        batch_size=task.batch,
        max_epochs=task.epochs,
        train_split=None,
        iterator_train__shuffle=True,
        callbacks=[("cosine", cosine)],
        verbose=0,
        device="cpu",
    )
    began = time.perf_counter()
    model.fit(inputs, targets)
    seconds = time.perf_counter() - began
    return Outcome(seconds, right_of(model.module_, torch.from_numpy(inputs), torch.from_numpy(targets)))


def scan(task: Task, inputs: np.ndarray, targets: np.ndarray) -> Outcome:
    """A loop of JAX by hand: an epoch is one compiled program, a scan over its batches."""
    import jax
    import jax.numpy as jnp

    count, updates = len(inputs), task.epochs * task.updates()
    whole = count // task.batch  # the last batch may be smaller, and a scan needs batches of one size
    x, y = jnp.asarray(inputs), jnp.asarray(targets, dtype=jnp.int32)
    draws = np.random.default_rng(0)
    parameters = [
        (jnp.asarray(draws.standard_normal(shape) * np.sqrt(2 / shape[0]), jnp.float32), jnp.zeros(shape[1]))
        for shape in pairwise(task.sizes())
    ]

    def scores(parameters, inputs):
        *hidden, (weight, bias) = parameters
        for inner, shift in hidden:
            inputs = jax.nn.relu(inputs @ inner + shift)
        return inputs @ weight + bias

    def loss_of(parameters, inputs, classes):
        logs = jax.nn.log_softmax(scores(parameters, inputs))
        return -jnp.take_along_axis(logs, classes[:, None], 1).mean()

    def update(state, index):
        parameters, first, second, step = state
        loss, slopes = jax.value_and_grad(loss_of)(parameters, x[index], y[index])
        step += 1
        rate = RATE * 0.5 * (1 + jnp.cos(jnp.pi * (step - 1) / updates))
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, slopes)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, slopes)

        def moved(w, m, v):
            size = jnp.sqrt(v / (1 - 0.999**step)) + 1e-8
            return w * (1 - rate * DECAY) - rate * m / (1 - 0.9**step) / size

        return (jax.tree.map(moved, parameters, first, second), first, second, step), loss

    def epoch(state, key):
        order = jax.random.permutation(key, count)
        state, losses = jax.lax.scan(update, state, order[: whole * task.batch].reshape(whole, task.batch))
        if whole * task.batch < count:
            state, _ = update(state, order[whole * task.batch :])
        return state, losses.mean()

    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, zeros, zeros, jnp.zeros((), jnp.float32))
    keys = jax.random.split(jax.random.key(0), task.epochs)
    jax.block_until_ready((x, y, state, keys))
    began = time.perf_counter()
    program = jax.jit(epoch).lower(state, keys[0]).compile()
    compiled = time.perf_counter()
    for key in keys:
        state, loss = program(state, key)
        loss.item()
    seconds = time.perf_counter() - began
    right = (scores(state[0], x).argmax(1) == y).mean()
    return Outcome(seconds, float(right), compiled - began)


def product(task: Task, inputs: np.ndarray, targets: np.ndarray) -> Outcome:
    """A product of two large float32 matrices: the rate that the machine can reach with as many threads."""
    import torch

    torch.set_num_threads(task.threads)
    left, right = torch.rand(2, PRODUCT, PRODUCT)
    out, times = torch.empty(PRODUCT, PRODUCT), []
    for _ in range(4):
        began = time.perf_counter()
        torch.mm(left, right, out=out)
        times.append(time.perf_counter() - began)
    return Outcome(statistics.median(times[1:]))


Contestant = Callable[[Task, np.ndarray, np.ndarray], Outcome]
CONTESTANTS: dict[str, tuple[Contestant, list[str]]] = {
    "deeprob, whole run": (deeprob, []),
    "bare loop": (bare, []),
    "bare loop, all measured": (measured, []),
    "scikit-learn": (sklearn, ["sklearn"]),
    "Keras on JAX": (keras, ["keras", "jax"]),
    "Lightning": (lightning, ["lightning"]),
    "skorch": (skorch, ["skorch"]),
    "JAX scan by hand": (scan, ["jax"]),
    "matrix product": (product, []),
}
"""The contestants by name, each with the modules that it needs beside those of deeprob."""

PEERS = ["scikit-learn", "Keras on JAX", "Lightning", "skorch"]


def present(names: Iterable[str]) -> list[str]:
    """Return the contestants whose libraries are installed, and print what is missing for the others."""
    lacking: dict[str, None] = {}
    found = []
    for name in names:
        modules = [module for module in CONTESTANTS[name][1] if find_spec(module) is None]
        lacking.update(dict.fromkeys(modules))
        if not modules:
            found.append(name)
    if lacking:
        print(f"absent: {', '.join(lacking).replace('sklearn', 'scikit-learn')}: pip install '.[peers]'")
    return found


class Contest:
    """A process for each contestant, all with as many threads; they train in turn, when they are asked to."""

    def __init__(self, names: Iterable[str], threads: int, folder: Path) -> None:
        flags = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
        environment = {
            **os.environ,
            "CUDA_VISIBLE_DEVICES": "",
            "JAX_PLATFORMS": "cpu",
            "KERAS_BACKEND": "jax",
            "KERAS_HOME": str(folder),
            "XLA_FLAGS": f"{flags} intra_op_parallelism_threads={threads}",
            # NPROC is the size of XLA's pool, in which a program would wander from thread to thread
            **dict.fromkeys(["NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"], str(threads)),
        }
        self.processes = {
            name: subprocess.Popen(
                [sys.executable, __file__, name],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
            )
            for name in names
        }

    def __enter__(self) -> "Contest":
        return self

    def __exit__(self, *error: object) -> None:
        for process in self.processes.values():
            process.stdin.close()
            process.wait()
            process.stdout.close()

    def train(self, name: str, task: Task) -> Outcome:
        """Let a contestant train, and wait for it.

        Raises
        ------
        RuntimeError
            If its process ends without an answer.
        """
        process = self.processes[name]
        time.sleep(PAUSE)
        print(json.dumps(asdict(task)), file=process.stdin, flush=True)
        answer = process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{name} failed; its error is above")
        return Outcome(**json.loads(answer))


def serve(name: str) -> None:
    """Train each task that standard input names, and print the outcome."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a library that prints must not answer
    contestant, _ = CONTESTANTS[name]
    for line in sys.stdin:
        task = Task(**json.loads(line))
        inputs, targets = task.read()
        wall, cpu = time.perf_counter(), time.process_time()
        outcome = contestant(task, inputs, targets)
        outcome.cores = (time.process_time() - cpu) / (time.perf_counter() - wall)
        print(json.dumps(asdict(outcome)), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
