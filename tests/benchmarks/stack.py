"""A sweep as stacks against the same runs one by one, side by side.

python tests/benchmarks/stack.py updates [runs=64] [rounds=9] [compile=true]
python tests/benchmarks/stack.py commands [runs=64] [alone=8] [cold=true]

``updates`` times one update of a stack of networks 2-32-32-3 on the spirals (Adam, batches of 64, rates, λ and seeds of
their own), one update of a run alone, and one of a bare loop over stacked tensors that is written by hand (baddbmm and
its derivatives, Adam on each tensor) and does nothing else: medians of rounds in turn. ``commands`` times whole sweeps
of 2,000 updates a run from start to exit: stacked, and one by one in one process with `alone` runs, scaled to as many;
`cold` lets the compiler begin with an empty cache. Set OMP_NUM_THREADS=1 for one core each.
"""

import math
import os
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
from deeprob.data import Examples, SpiralsConfig
from deeprob.features import RawConfig
from deeprob.models import MLPConfig
from deeprob.objective import CrossEntropyConfig, L2Config
from deeprob.optim import AdamConfig, CosineConfig
from deeprob.training import TrainerConfig
from deeprob.training.stacked.compiled import Compiler
from deeprob.training.stacked.loop import train_stack

BATCH, EPOCHS = 64, 43  # of 47 updates


def config(run: int, runs: int) -> RunConfig:
    return RunConfig(
        dataset=SpiralsConfig(),
        features=RawConfig(),
        model=MLPConfig(hidden=[32, 32]),
        loss=CrossEntropyConfig(),
        regularizer=L2Config(strength=1e-5 * 100 ** (run / runs)),
        optimizer=AdamConfig(lr=1e-4 * 100 ** (run / runs)),
        scheduler=CosineConfig(),
        trainer=TrainerConfig(epochs=EPOCHS, batch_size=BATCH, log_every=10**9),
        seed=run,
    )


def seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def by_hand(runs: int, examples: Examples) -> Callable[[], None]:
    """Return one update of a bare loop: the networks' formulas and their derivatives over stacked tensors."""
    setups = [Setup.build(config(run, runs).resolved()) for run in range(min(runs, 4))]
    models = [setups[run % len(setups)].predictor.model for run in range(runs)]
    layers = [
        [
            torch.stack([layer.weight.detach().T for layer in layers]),
            torch.stack([layer.bias.detach() for layer in layers]),
        ]
        for layers in zip(*(model.linear_layers for model in models), strict=True)
    ]
    parameters = [tensor for layer in layers for tensor in layer]
    first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    lr = torch.logspace(-4, -2, runs)
    strength = torch.logspace(-5, -3, runs)
    count = 0

    def update() -> None:
        nonlocal count
        count += 1
        drawn = torch.randint(len(examples), (runs, BATCH))
        inputs, targets = examples.inputs[drawn], examples.targets[drawn]
        seen = [inputs]
        for place, (weight, bias) in enumerate(layers):
            sums = torch.baddbmm(bias[:, None], seen[-1], weight)
            seen.append(sums if place == len(layers) - 1 else torch.relu_(sums))
        slopes = seen.pop().softmax(2)
        slopes.scatter_add_(2, targets[..., None], torch.full_like(targets[..., None], -1, dtype=slopes.dtype))
        slopes /= BATCH
        gradients: list[torch.Tensor] = []
        for weight, _ in reversed(layers):
            outcome = seen.pop()
            slope = torch.bmm(outcome.transpose(1, 2), slopes).add_(weight * (2 * strength)[:, None, None])
            gradients = [slope, slopes.sum(1), *gradients]
            if seen:
                slopes = torch.bmm(slopes, weight.transpose(1, 2)).mul_(outcome > 0)
        torch._foreach_lerp_(first, gradients, 0.1)
        torch._foreach_mul_(second, 0.999)
        torch._foreach_addcmul_(second, gradients, gradients, 0.001)
        roots = torch._foreach_sqrt(second)
        torch._foreach_div_(roots, math.sqrt(1 - 0.999**count))
        torch._foreach_add_(roots, 1e-8)
        steps = torch._foreach_div(first, roots)
        rate = lr / (1 - 0.9**count)
        torch._foreach_mul_(steps, [rate.view(-1, *(1,) * (p.dim() - 1)) for p in parameters])
        torch._foreach_sub_(parameters, steps)

    return update


def updates(runs: int, rounds: int, compile: bool) -> None:
    """Print the time of an update of a stack, of a run alone, and of a bare loop, in epochs in turn."""
    shared = Shared()
    built = [Setup.build(config(run, runs).resolved(), shared) for run in range(runs)]
    alone = Setup.build(config(0, runs).resolved(), shared)
    examples = alone.splits.train
    per_epoch = -(-len(examples) // BATCH)
    stack = train_stack(
        [setup.learner for setup in built],
        alone.predictor.features,
        examples,
        alone.settings,
        compiler=Compiler(True) if compile else None,
    )
    single, bare = alone.train(lambda: False), by_hand(runs, examples)
    first = seconds(lambda: next(stack))
    next(single)
    actions = {
        "stack": lambda: next(stack),
        "alone": lambda: next(single),
        "by hand": lambda: [bare() for _ in range(per_epoch)],
    }
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            times[name].append(seconds(action) / per_epoch)
    each = {name: median(values) for name, values in times.items()}
    print(f"{runs} runs, {torch.get_num_threads()} threads{', compiled' if compile else ''}; first epoch {first:.1f} s")
    print(f"  stack    {1e3 * each['stack']:8.3f} ms an update, {1e6 * each['stack'] / runs:.1f} µs a run")
    gain = runs * each["alone"] / each["stack"]
    print(f"  alone    {1e3 * each['alone']:8.3f} ms, {gain:.1f} times a run's part of the stack")
    print(
        f"  by hand  {1e3 * each['by hand']:8.3f} ms; the stack takes {each['stack'] / each['by hand']:.2f} of its time"
    )


def commands(runs: int, alone: int, cold: bool) -> None:
    """Print the time and memory of a whole sweep as stacks, and of some of its jobs one by one."""
    words = [
        "dataset=spirals", "model.hidden=[32,32]", "optimizer=adam", f"trainer.batch_size={BATCH}",
        f"trainer.epochs={EPOCHS}", "regularizer=l2",
    ]  # fmt: skip
    rates = "optimizer.lr=" + ",".join(f"{1e-4 * 100 ** (place / 4):.3g}" for place in range(4))
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ)
        if cold:
            environment["TORCHINDUCTOR_CACHE_DIR"] = f"{folder}/compiled"
        program = [sys.executable, str(Path(__file__).parents[2] / "scripts" / "train.py"), "-m"]

        def command(name: str, *more: str) -> float:
            output = (Path(folder) / f"{name}.log").open("w")
            done = [*program, *words, *more, f"hydra.sweep.dir={folder}/{name}"]
            return seconds(lambda: subprocess.run(done, check=True, env=environment, stdout=output))

        stacked = command(
            "stacked",
            rates,
            "regularizer.strength=0,1e-5,1e-4,1e-3",
            f"seed=range({runs // 16})",
            "hydra/launcher=vectorized",
        )
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        one = command("one", "optimizer.lr=1e-3", "regularizer.strength=1e-4", "seed=0")
        some = command("alone", "optimizer.lr=1e-3", "regularizer.strength=1e-4", f"seed=range({alone + 1})")
    each = (some - one) / alone
    expected = one + each * (runs - 1)
    print(f"{runs} runs: stacked {stacked:.1f} s, {peak:.2f} GB; one by one {expected:.1f} s")
    print(f"  ({alone} more runs took {some - one:.1f} s); ratio {expected / stacked:.1f}")


def main(what: str, **words: str) -> None:
    runs = int(words.get("runs", 64))
    if what == "updates":
        updates(runs, int(words.get("rounds", 9)), words.get("compile", "true") == "true")
    else:
        commands(runs, int(words.get("alone", 8)), words.get("cold", "true") == "true")


if __name__ == "__main__":
    main(sys.argv[1], **dict(word.split("=", 1) for word in sys.argv[2:]))
