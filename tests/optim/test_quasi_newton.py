import copy
import importlib.util
import math
from pathlib import Path

import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from deeprob.optim.line import Line
from deeprob.optim.quasi_newton import QuasiNewton
from deeprob.optim.wolfe import Trial

_SPEC = importlib.util.spec_from_file_location(
    "lbfgs_problems", Path(__file__).parents[1] / "benchmarks" / "lbfgs_problems.py"
)
suite = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(suite)
PROBLEMS = {f"{problem.name}, {problem.dtype}": problem for problem in suite.problems()}


def solve(loss, start: Tensor, calls: int = 1, **settings) -> tuple[Tensor, list[float], QuasiNewton]:
    """Return the place reached, L at each evaluation, and the optimizer."""
    place, values = nn.Parameter(start.clone()), []
    optimizer = QuasiNewton([place], **settings)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(place)
        value.backward()
        values.append(value.item())
        return value

    for _ in range(calls):
        optimizer.step(closure)
    return place.detach(), values, optimizer


LONG = "quadratic, condition 1e6, torch.float64"


@pytest.mark.parametrize(
    "problem",
    [pytest.param(problem, id=name, marks=[pytest.mark.slow] * (name == LONG)) for name, problem in PROBLEMS.items()],
)
def test_it_reaches_what_scipy_reaches_with_as_many_evaluations(problem):
    """Where L falls in stairs (condition 1e6), the stair on which either stops depends on how the machine rounds.

    So SciPy goes from 25 starts that rounding could not tell from one another, and the worst of them is the measure.
    """
    double = problem.loss(torch.float64)

    def value_and_gradient(x):
        place = torch.tensor(x, requires_grad=True)
        value = double(place)
        value.backward()
        return value.item(), place.grad.numpy()

    options = {"maxcor": 100, "ftol": 1e-9, "gtol": 1e-7, "maxiter": 5000, "maxfun": 5000}
    rng = torch.Generator().manual_seed(0)
    found = []
    for near in (0, *[1e-12] * 24):
        start = problem.start * (1 + near * torch.randn(problem.start.shape, generator=rng, dtype=torch.float64))
        found.append(minimize(value_and_gradient, start.numpy(), jac=True, method="L-BFGS-B", options=options))
    worst = max(result.fun for result in found)
    place, values, optimizer = solve(problem.loss(problem.dtype), problem.start.to(problem.dtype), max_iter=5000)
    assert all(math.isfinite(value) for value in values)
    assert double(place.double()).item() <= worst + 1e-6 * max(1, abs(worst))
    assert len(values) <= 1.3 * max(result.nfev for result in found)
    assert optimizer.reason in ("gradient small", "objective no longer falls")


def test_it_goes_past_the_37_iterations_after_which_torchs_own_stops_on_rosenbrock():
    place, _, _ = solve(suite.rosenbrock, torch.tensor([-1.2, 1.0], dtype=torch.float64), calls=5)
    assert place.tolist() == pytest.approx([1, 1], abs=1e-6)


def test_scaling_l_down_changes_nothing_but_the_scale():
    start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    small = solve(lambda x: suite.rosenbrock(x) * 2.0**-20 / 32, start, max_iter=200)
    smaller = solve(lambda x: suite.rosenbrock(x) * 2.0**-40 / 32, start, max_iter=200)
    assert len(small[1]) == len(smaller[1])
    assert small[0].tolist() == pytest.approx([1, 1], abs=1e-4)
    assert torch.equal(small[0], smaller[0])


def test_reasons():
    quadratic, start = (lambda x: x.square().sum()), torch.tensor([3.0, 4.0])
    assert QuasiNewton([nn.Parameter(start)]).reason == ""
    assert solve(quadratic, start)[2].reason == "gradient small"
    assert solve(quadratic, torch.zeros(2))[2].reason == "gradient small"
    assert solve(suite.rosenbrock, start, max_iter=3, max_eval=99)[2].reason == "max_iter"
    assert solve(suite.rosenbrock, start, max_iter=30, max_eval=5)[2].reason == "max_eval"
    assert solve(suite.rosenbrock, start, max_iter=99, tolerance_grad=0.0)[2].reason == "objective no longer falls"
    assert solve(lambda x: (x * math.nan).sum(), start)[2].reason == "loss or gradient not finite"


def test_a_last_step_that_finds_nothing_to_do_says_so():
    place, values, optimizer = solve(lambda x: (x - 1).square().sum(), torch.zeros(2), calls=1)
    assert not optimizer.finished
    _, more, optimizer = solve(lambda x: (x - 1).square().sum(), torch.zeros(2), calls=2)
    assert optimizer.finished
    assert len(more) == len(values) + 1
    assert place.tolist() == pytest.approx([1, 1])


def test_only_a_step_without_any_iteration_finds_nothing_to_do():
    half = lambda x: x.square().sum() / 2  # noqa: E731  # from (1, 0) the first step, 1/‖g‖ = 1, ends at the minimum
    _, values, optimizer = solve(half, torch.tensor([1.0, 0.0]))
    assert (len(values), optimizer.reason, optimizer.finished) == (2, "gradient small", False)
    assert solve(half, torch.zeros(2))[2].finished
    assert not solve(lambda x: (x * math.nan).sum(), torch.zeros(2))[2].finished


def test_two_evaluations_may_differ_by_four_spacings():
    for dtype, spacing in ((torch.float32, 2.0**-23), (torch.float64, 2.0**-52)):
        place = nn.Parameter(torch.zeros(2, dtype=dtype))
        assert QuasiNewton([place])._rounding(Trial(0.0, -3.0, 0.0, 0.0, place)) == 4 * spacing * 3


def test_a_gradient_that_is_wrong_ends_the_search_where_it_began():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x.square().sum()

        @staticmethod
        def backward(context, above):
            return above * torch.tensor([-6.0, -8.0])

    place, values, optimizer = solve(Wrong.apply, torch.tensor([3.0, 4.0]), calls=2)
    assert (optimizer.reason, optimizer.finished) == ("line search failed", True)
    assert place.tolist() == [3, 4]
    assert min(values) == 25


def test_after_a_failed_search_steepest_descent_from_an_empty_memory():
    place = nn.Parameter(torch.tensor([1.0, 1.0], dtype=torch.float64))
    optimizer = QuasiNewton([place], max_iter=1)
    turned = [False]

    def closure() -> Tensor:
        optimizer.zero_grad()
        scales = torch.tensor([1.0, 100.0] if not turned[0] else [100.0, 1.0], dtype=torch.float64)
        value = 0.5 * (scales * place.square()).sum()
        value.backward()
        return value

    optimizer.step(closure)
    memory = optimizer.state[place]
    memory["step_change"][0, 0] *= -1  # as if rounding had spoilt it: −Hg is no way down
    memory["change_change"][0, 0] = 1.0
    before = closure().item()
    optimizer.step(closure)
    assert memory["pairs"] == 1
    assert closure().item() < before


@pytest.mark.parametrize("search", ["strong_wolfe", None])
def test_a_wall_of_nan_is_not_entered(search):
    # −ln(1 − x) − 3x is no number for x > 1; its minimum is at x = 2/3
    place, _, _ = solve(
        lambda x: (-torch.log(1 - x) - 3 * x).sum(),
        torch.tensor([0.0], dtype=torch.float64),
        line_search_fn=search,
        max_iter=50,
    )
    assert place.item() == pytest.approx(2 / 3, abs=1e-6)


def test_without_gradients_of_some_parameters():
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    optimizer = QuasiNewton([used, unused])

    def closure() -> float:  # a closure may return a plain number
        optimizer.zero_grad()
        value = used.square().sum()
        value.backward()
        return value.item()

    assert optimizer.step(closure) == 2
    assert used.abs().max() < 1e-6
    assert unused.tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_loaded_state_goes_on_bit_for_bit(dtype):
    places = [nn.Parameter(torch.tensor([-1.2, 1.0, 0.5, 2.0], dtype=dtype)) for _ in range(2)]
    optimizers = [QuasiNewton([place], max_iter=4, history_size=5) for place in places]

    def update(which: int) -> None:
        def closure() -> Tensor:
            optimizers[which].zero_grad()
            value = suite.rosenbrock(places[which])
            value.backward()
            return value

        optimizers[which].step(closure)

    update(0)
    update(0)
    with torch.no_grad():
        places[1].copy_(places[0])
    optimizers[1].load_state_dict(copy.deepcopy(optimizers[0].state_dict()))
    for _ in range(3):
        update(0)
        update(1)
    assert torch.equal(*places)
    assert optimizers[1].state[places[1]]["step_change"].dtype == torch.float64


@pytest.mark.parametrize("lr", [1.0, 0.5])
@pytest.mark.parametrize(
    ("search", "scale", "step"),
    [
        ("strong_wolfe", 100.0, [0.6, 0.8]),  # the gradient (300, 400) has length 500: as long as lr
        ("strong_wolfe", 0.1, [0.6, 0.8]),
        (None, 100.0, [300 / 700, 400 / 700]),  # with the 1-norm 700
        (None, 0.1, [0.3, 0.4]),  # with the 1-norm 0.7: as it is
    ],
)
def test_the_first_step(search, scale, step, lr):
    places = []

    def loss(x: Tensor) -> Tensor:
        places.append(x.detach().clone())
        return scale * x.square().sum() / 2

    solve(loss, torch.tensor([3.0, 4.0], dtype=torch.float64), lr=lr, line_search_fn=search)
    assert (places[0] - places[1]).tolist() == pytest.approx([lr * part for part in step])


def test_iterations_are_counted_one_by_one():
    start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    _, values, optimizer = solve(suite.rosenbrock, start, max_iter=5, max_eval=99, line_search_fn=None, lr=0.1)
    assert (len(values), optimizer.reason) == (1 + 5, "max_iter")


def test_a_loaded_state_is_a_copy():
    _, _, optimizer = solve(suite.rosenbrock, torch.tensor([-1.2, 1.0, 0.5, 2.0]), max_iter=4)
    saved = optimizer.state_dict()
    before = copy.deepcopy(saved)
    place = nn.Parameter(torch.zeros(4))
    other = QuasiNewton([place])
    other.load_state_dict(saved)
    for value in other.state[place].values():
        if isinstance(value, Tensor):
            value.fill_(7)
    torch.testing.assert_close(saved["state"], before["state"], rtol=0, atol=0)


@pytest.mark.parametrize("slope", [0.0, 0.5, 2.0])
def test_a_direction_that_does_not_fall_is_no_way(slope):
    class Uphill:
        def __len__(self) -> int:
            return 1

        def direction(self, gradient: Tensor) -> Tensor:
            return slope * gradient / gradient.square().sum()

    place = nn.Parameter(torch.tensor([3.0, 4.0]))
    optimizer = QuasiNewton([place])

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = place.square().sum()
        value.backward()
        return value

    line = Line([place], torch.enable_grad()(closure))
    now, _ = line.evaluate()
    assert optimizer._next(line, Uphill(), now) is None
    assert (place.tolist(), line.evaluations) == ([3, 4], 1)
