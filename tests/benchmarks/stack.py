"""A sweep as stacks against the same runs one by one, side by side.

python tests/benchmarks/stack.py updates [runs=64] [hidden=32,32] [inputs=2] [batch=64] [rounds=9]
python tests/benchmarks/stack.py commands [runs=64] [alone=8]

``updates`` times one update of a stack (Adam, L2, rates, λ and seeds of their own), one update of a run alone, and one
of a bare loop over stacked tensors that is written by hand (baddbmm and its derivatives, Adam on one flat tensor, the
measures of each update) and does nothing else: medians of rounds in turn. The networks are 2-32-32-3 on the spirals;
`inputs` other than 2 gives Gaussian classes with so many inputs instead. ``commands`` times whole sweeps of 2,000
updates a run from start to exit: stacked, and one by one in one process with `alone` runs, scaled to as many. Set
OMP_NUM_THREADS=1 for one core each.
"""

import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from deeprob.assembly.config import RunConfig
from deeprob.assembly.prepare import Shared
from deeprob.assembly.setup import Setup
from deeprob.data import Examples, GaussiansConfig, SpiralsConfig
from deeprob.features import RawConfig
from deeprob.models import MLPConfig
from deeprob.objective import CrossEntropyConfig, L2Config
from deeprob.optim import AdamConfig, CosineConfig
from deeprob.training import TrainerConfig, train

BATCH, EPOCHS = 64, 43  # of 47 updates


def config(run: int, runs: int, hidden: list[int], inputs: int, batch: int) -> RunConfig:
    return RunConfig(
        dataset=SpiralsConfig() if inputs == 2 else GaussiansConfig(inputs=inputs, points_per_class=300),
        features=RawConfig(),
        model=MLPConfig(hidden=hidden),
        loss=CrossEntropyConfig(),
        regularizer=L2Config(strength=1e-5 * 100 ** (run / runs)),
        optimizer=AdamConfig(lr=1e-4 * 100 ** (run / runs)),
        scheduler=CosineConfig(),
        trainer=TrainerConfig(epochs=1000, batch_size=batch, log_every=10**9),
        seed=run,
    )


def seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def by_hand(setups: list[Setup], examples: Examples, batch: int) -> Callable[[], None]:
    """Return one update of a bare loop: the networks' formulas and their derivatives over stacked tensors."""
    runs = len(setups)
    layers = setups[0].predictor.model.linear_layers
    sizes = [(layer.in_features, layer.out_features) for layer in layers]
    lengths = [length for fan_in, fan_out in sizes for length in (fan_in * fan_out, fan_out)]
    start = [
        torch.cat(
            [
                part.detach().flatten()
                for layer in setup.predictor.model.linear_layers
                for part in (layer.weight.mT, layer.bias)
            ]
        )
        for setup in setups
    ]
    values = torch.stack(start)
    slopes, first, second, roots = (torch.zeros_like(values) for _ in range(4))

    def views(flat: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        parts = iter(flat.split(lengths, 1))
        return [(next(parts).unflatten(1, shape), next(parts)) for shape in sizes]

    network, gradient = views(values), views(slopes)
    rate = torch.tensor([[float(setup.config.optimizer.arguments()["lr"])] for setup in setups])
    decay = torch.zeros_like(values)
    for weight, _ in views(decay):
        weight.add_(torch.tensor([2 * setup.config.regularizer.strength for setup in setups])[:, None, None])
    sums = torch.zeros(runs, 4, dtype=torch.float64)
    missing = torch.full((runs, batch, 1), -1.0)
    count = 0

    def update() -> None:
        nonlocal count
        count += 1
        drawn = torch.randint(len(examples), (runs, batch))
        seen, targets = [examples.inputs[drawn]], examples.targets[drawn][..., None]
        for weight, bias in network:
            seen.append(torch.baddbmm(bias[:, None], seen[-1], weight))
            if len(seen) <= len(network):
                seen[-1].relu_()
        scores = seen.pop()
        correct = (scores.argmax(2, keepdim=True) == targets).sum((1, 2))
        logarithms = scores.log_softmax(2)
        loss = -logarithms.gather(2, targets).mean((1, 2))
        delta = logarithms.exp_().scatter_add_(2, targets, missing).div_(batch)
        for (weight, _), (weight_slope, bias_slope) in zip(reversed(network), reversed(gradient), strict=True):
            below = seen.pop()
            torch.bmm(below.mT, delta, out=weight_slope)
            torch.sum(delta, 1, out=bias_slope)
            if seen:
                delta = torch.ops.aten.threshold_backward(torch.bmm(delta, weight.mT), below, 0)
        penalty = (decay * values).mul_(values).sum(1) / 2
        slopes.addcmul_(decay, values)
        sums.add_(torch.stack([loss, penalty, correct, torch.linalg.vector_norm(slopes, dim=1)], 1))
        first.lerp_(slopes, 0.1)
        second.mul_(0.999).addcmul_(slopes, slopes, value=0.001)
        torch.sqrt(second, out=roots).div_(math.sqrt(1 - 0.999**count)).add_(1e-8)
        values.addcmul_(rate / (0.9**count - 1), roots.reciprocal_().mul_(first))

    return update


def updates(runs: int, hidden: list[int], inputs: int, batch: int, rounds: int) -> None:
    """Print the time of an update of a stack, of a run alone, and of a bare loop, in epochs in turn."""
    shared = Shared()

    def built(count: int) -> list[Setup]:
        return [Setup.build(config(run, runs, hidden, inputs, batch).resolved(), shared) for run in range(count)]

    stacked, alone = built(runs), built(1)
    examples = alone[0].splits.train
    per_epoch = -(-len(examples) // batch)
    bare = by_hand(built(runs), examples, batch)
    stack, single = (
        train([setup.learner for setup in setups], [setup.prepared.training for setup in setups], setups[0].settings)
        for setups in (stacked, alone)
    )
    actions: dict[str, Callable[[], object]] = {
        "stack": lambda: next(stack),
        "alone": lambda: next(single),
        "by hand": lambda: [bare() for _ in range(per_epoch)],
    }
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds + 1):
        for name, action in actions.items():
            times[name].append(seconds(action) / per_epoch)
    each = {name: median(values[1:]) for name, values in times.items()}
    print(f"{runs} runs, {alone[0].operations:.1e} operations an update, {torch.get_num_threads()} threads")
    gain = median(runs * one / many for one, many in zip(times["alone"][1:], times["stack"][1:], strict=True))
    print(f"  stack    {1e6 * each['stack'] / runs:9.1f} µs an update of a run")
    print(f"  alone    {1e6 * each['alone']:9.1f} µs, {gain:.2f} times as much")
    ratio = each["stack"] / each["by hand"]
    print(f"  by hand  {1e6 * each['by hand'] / runs:9.1f} µs; the stack takes {ratio:.2f} times as long")


def commands(runs: int, alone: int) -> None:
    """Print the time and memory of a whole sweep as stacks, and of some of its jobs one by one."""
    words = [
        "dataset=spirals", "model.hidden=[32,32]", "optimizer=adam", f"trainer.batch_size={BATCH}",
        f"trainer.epochs={EPOCHS}", "regularizer=l2",
    ]  # fmt: skip
    rates = "optimizer.lr=" + ",".join(f"{1e-4 * 100 ** (place / 4):.3g}" for place in range(4))
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, str(Path(__file__).parents[2] / "scripts" / "train.py"), "-m"]

        def command(name: str, *more: str) -> float:
            output = (Path(folder) / f"{name}.log").open("w")
            done = [*program, *words, *more, f"hydra.sweep.dir={folder}/{name}"]
            return seconds(lambda: subprocess.run(done, check=True, stdout=output))

        stacked = command(
            "stacked",
            rates,
            "regularizer.strength=0,1e-5,1e-4,1e-3",
            f"seed=range({runs // 16})",
            "hydra/launcher=auto",
            "hydra.launcher.workers=1",
        )
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        single = "hydra/launcher=basic"
        one = command("one", "optimizer.lr=1e-3", "regularizer.strength=1e-4", "seed=0", single)
        some = command("alone", "optimizer.lr=1e-3", "regularizer.strength=1e-4", f"seed=range({alone + 1})", single)
    each = (some - one) / alone
    expected = one + each * (runs - 1)
    print(f"{runs} runs: stacked {stacked:.1f} s, {peak:.2f} GB; one by one {expected:.1f} s")
    print(f"  ({alone} more runs took {some - one:.1f} s); ratio {expected / stacked:.1f}")


def main(what: str, **words: str) -> None:
    runs = int(words.get("runs", 64))
    if what == "updates":
        hidden = [int(width) for width in words.get("hidden", "32,32").split(",") if width]
        inputs, batch = int(words.get("inputs", 2)), int(words.get("batch", BATCH))
        updates(runs, hidden, inputs, batch, int(words.get("rounds", 9)))
    else:
        commands(runs, int(words.get("alone", 8)))


if __name__ == "__main__":
    main(sys.argv[1], **dict(word.split("=", 1) for word in sys.argv[2:]))
