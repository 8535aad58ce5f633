"""What ``deeprob.train`` adds to the training loop of the default run, once everything is imported.

    OMP_NUM_THREADS=1 python tests/benchmarks/python_face.py [rounds=7]

In each round, both train in turn. The loop alone has its data, its network and its optimizer already, and makes the
same updates and the same measurements at the end of each epoch. Shown are medians in seconds, and the median of the
differences within the rounds, and what it consists of. The figure to reach is 0.2 s.
"""

import sys
import time
from statistics import median

import deeprob
from deeprob import api
from deeprob.assembly.setup import Setup


def loop_alone() -> float:
    """Return the seconds of the loop alone."""
    setup = Setup.build(api._composed([]).run.resolved())
    began = time.perf_counter()
    for record in setup.train(lambda: False):
        if record.epoch_metrics is not None:
            setup.end_epoch(record)
    return time.perf_counter() - began


def seconds_of(action) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def main(rounds: int) -> None:
    deeprob.train()
    loop_alone()
    both = [(seconds_of(deeprob.train), loop_alone()) for _ in range(rounds)]
    whole, loop = (median(column) for column in zip(*both, strict=True))
    more = median(one - other for one, other in both)
    print(f"deeprob.train()  {whole:.3f} s\nthe loop alone   {loop:.3f} s\nmore             {more:.3f} s")
    composing = median(seconds_of(lambda: api._composed([])) for _ in range(rounds))
    config = api._composed([]).run.resolved()
    setting_up = median(seconds_of(lambda: Setup.build(config)) for _ in range(rounds))
    print(f"  composing      {composing:.3f} s\n  setting up     {setting_up:.3f} s")
    print(f"  files, the rest {more - composing - setting_up:.3f} s")


if __name__ == "__main__":
    words = dict(word.split("=") for word in sys.argv[1:])
    main(int(words.get("rounds", 7)))
