"""A loss plane of 51×51 points of a two-layer network on 10,000 pictures, against a loop: load weights, evaluate.

python tests/benchmarks/loss_plane.py run=DIR [examples=10000] [points=51] [loop=30] [repeats=3]

`run` is a finished run, such as ``deeprob-train dataset=image_folder dataset.root=FOLDER model.layers=2 model.width=256
trainer.epochs=1`` leaves behind. The loop is timed on `loop` points spread over the plane, in turn with the whole
plane, and both losses are compared there. Beside the medians it prints what bounds each: how fast the machine
multiplies matrices, and how fast it reads and writes numbers in its caches. Set OMP_NUM_THREADS=1 beside other work.
"""

import copy
import sys
import time
from collections.abc import Callable
from statistics import median

import torch

from deeprob import load_run
from deeprob.analysis.landscape.directions import filter_normalised, random_direction
from deeprob.assembly.landscape_of import landscape_of
from deeprob.randomness import key


def seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def main(directory: str, examples: int, points: int, loop: int, repeats: int) -> None:
    run = load_run(directory)
    landscape = landscape_of(run, "train", examples, 0)
    inputs, targets = landscape.examples.inputs.flatten(1), landscape.examples.targets
    here = landscape.here
    directions = [filter_normalised(random_direction(here, key(0, "benchmark"), place), here) for place in range(2)]
    axis = torch.linspace(-1, 1, points, dtype=torch.float64)
    steps = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).reshape(-1, 2)
    some = torch.linspace(0, len(steps) - 1, loop).long()
    model = copy.deepcopy(run.model)

    @torch.no_grad()
    def one_by_one() -> torch.Tensor:
        values = []
        for step in steps[some].tolist():
            first, second = directions
            state = {name: here[name] + step[0] * first[name] + step[1] * second[name] for name in here}
            model.load_state_dict(state, strict=False)
            values.append(landscape.objective(model(inputs), targets, dict(model.named_parameters())).loss.double())
        return torch.stack(values)

    weight = model.linear_layers[0].weight.detach()
    hidden = torch.randn(256, 4096)
    times: dict[str, list[float]] = {name: [] for name in ("plane", "loop", "product", "pass")}
    found: dict[str, torch.Tensor] = {}
    for _ in range(repeats):
        times["loop"].append(seconds(lambda: found.update(loop=one_by_one())) / loop)
        times["plane"].append(seconds(lambda: found.update(plane=landscape.losses(here, directions, steps))))
        times["product"].append(seconds(lambda: inputs @ weight.T))
        times["pass"].append(seconds(lambda: [torch.relu(hidden) for _ in range(100)]) / 100)
    plane, each, product, one_pass = (median(times[name]) for name in ("plane", "loop", "product", "pass"))
    difference = ((found["plane"][some] - found["loop"]).abs() / found["loop"]).max().item()
    units = weight.shape[0]
    operations = 2 * inputs.numel() * units
    later = sum(layer.weight.numel() for layer in model.linear_layers[1:])
    activations = len(steps) * len(inputs) * units
    print(f"{len(steps)} points, {len(inputs)} examples, {torch.get_num_threads()} threads")
    print(f"  plane             {plane:8.2f} s  ({1e3 * plane / len(steps):.2f} ms a point)")
    print(f"  loop              {each * len(steps):8.2f} s  ({1e3 * each:.2f} ms a point, {loop} points timed)")
    print(f"  loop / plane      {each * len(steps) / plane:8.1f}")
    print(f"  largest relative difference  {difference:.1e}")
    rate = operations / product
    print(f"first layer's product  {rate / 1e9:.0f} Gflop/s: the loop needs {len(steps) * product:.1f} s for it alone")
    print(f"the plane's  {3 * product:.2f} s for three of them; {activations / 1e9:.1f}e9 activations remain:")
    arithmetic = (2 * 3 * activations + 2 * later * len(steps) * len(inputs)) / rate
    print(f"  combined and multiplied with later layers at that speed  {arithmetic:.2f} s")
    print(f"  one pass of reading and writing in the caches            {one_pass / hidden.numel() * activations:.2f} s")


if __name__ == "__main__":
    words = dict(word.split("=", 1) for word in sys.argv[1:])
    counts = (int(words.get(name, default)) for name, default in
              {"examples": 10_000, "points": 51, "loop": 30, "repeats": 3}.items())  # fmt: skip
    main(words["run"], *counts)
