"""How fast pictures become bags of words, side by side with the plain product of matrices that is in it.

    python tests/benchmarks/encoding.py [pictures=600] [words=1600] [rounds=9] [code=triangle] [threads=0]

Random pictures of 32 × 32 pixels in color have 729 patches of 108 numbers each. In each round `Features.extract`
takes them all, from uint8 to pooled numbers, and then ``torch.mm`` multiplies matrices of the same shapes, a picture's
patches by the codebook, as often as there are pictures. Both are counted as 2·patches·numbers·words operations, so what
else an encoding does counts for nothing. Shown are medians over rounds, and that of the ratio within a round; the last
line is the most memory that the process ever took, learning the codebook included.
"""

import resource
import statistics
import sys
import time
from collections.abc import Callable

import torch

from deeprob.features import BagOfWordsConfig


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main(pictures: int, words: int, rounds: int, code: str, threads: int) -> None:
    if threads:
        torch.set_num_threads(threads)
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, 256, (pictures, 3, 32, 32), generator=rng, dtype=torch.uint8)
    bag = BagOfWordsConfig(words=words, code=code, samples=max(words, 10_000), iterations=1).build((3, 32, 32))
    bag.fit(inputs[:20])
    patches, numbers = bag.patches.grid[0] * bag.patches.grid[1], bag.patches.count
    left, right = torch.rand(patches, numbers, generator=rng), torch.rand(numbers, words, generator=rng)
    product = torch.empty(patches, words)

    def multiply() -> None:
        for _ in range(pictures):
            torch.mm(left, right, out=product)

    def encode() -> None:
        bag.extract(inputs)

    measured = [(seconds(encode), seconds(multiply)) for _ in range(rounds + 1)][1:]  # the first round warms up
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB
    operations = 2 * pictures * patches * numbers * words
    encoding, multiplying = (statistics.median(column) for column in zip(*measured, strict=True))
    ratio = statistics.median(alone / whole for whole, alone in measured)
    print(f"{pictures} pictures, {words} words, code={code}, {torch.get_num_threads()} threads, {rounds} rounds")
    print(f"  encoding    {encoding:8.3f} s  {operations / encoding / 1e9:7.1f} GFLOP/s")
    print(f"  torch.mm    {multiplying:8.3f} s  {operations / multiplying / 1e9:7.1f} GFLOP/s")
    print(f"  encoding reaches {100 * ratio:.0f} % of the product's rate")
    print(f"  at most {peak / 1024:.0f} MiB of memory")


if __name__ == "__main__":
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    main(
        int(given.get("pictures", "600")),
        int(given.get("words", "1600")),
        int(given.get("rounds", "9")),
        given.get("code", "triangle"),
        int(given.get("threads", "0")),
    )
