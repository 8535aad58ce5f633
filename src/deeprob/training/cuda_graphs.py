"""CUDA graphs: record the operations of an update once, then replay them without the cost of Python and the driver."""

from collections.abc import Callable

import torch

from deeprob.training.draws import Batch

WARM_UP = 3
"""The number of updates that run without a graph, so that libraries make their one-time allocations."""


class Graphs:
    """A function of a batch that is replayed as a CUDA graph. There is one graph for each shape of the inputs.

    A graph repeats the same operations on the same memory addresses. So each batch is copied into the inputs of the
    graph. The function must change all other tensors in place.

    Parameters
    ----------
    function
        The function to replay.
    capture
        Records a function without arguments, and returns a function that replays it. None: `captured`.
    """

    def __init__(
        self,
        function: Callable[[Batch], None],
        capture: Callable[[Callable[[], None]], Callable[[], None]] | None = None,
    ) -> None:
        self.function, self.capture = function, capture or captured
        self._calls: dict[torch.Size, int] = {}
        self._graphs: dict[torch.Size, tuple[Batch, Callable[[], None]]] = {}

    def __call__(self, batch: Batch) -> None:
        """Call the function in the first `WARM_UP` calls. Later, replay its graph."""
        shape = batch.inputs.shape
        self._calls[shape] = calls = self._calls.get(shape, 0) + 1
        if calls <= WARM_UP:
            self.function(batch)
            return
        if shape not in self._graphs:
            own = Batch._make(None if part is None else part.clone() for part in batch)
            self._graphs[shape] = own, self.capture(lambda: self.function(own))
        own, replay = self._graphs[shape]
        for mine, part in zip(own, batch, strict=True):
            if mine is not None and part is not None:
                mine.copy_(part)
        replay()


def captured(function: Callable[[], None]) -> Callable[[], None]:
    """Record the CUDA operations of a function without running them, and return a function that replays them."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        function()
    replay: Callable[[], None] = graph.replay
    return replay
