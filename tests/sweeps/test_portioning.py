"""How many workers a sweep gets, and which jobs form a portion: arithmetic on the estimated time of the runs."""

import math
from pathlib import Path

import pytest

from deeprob.assembly.config import TrainConfig
from deeprob.assembly.setup import Setup
from deeprob.config.application import Application, started
from deeprob.sweeps.grouping import JobGroup, grouped, memory
from deeprob.sweeps.job import Job
from deeprob.sweeps.portioning import RATE, RUN, STACKED_UPDATE, UPDATE, Cost, affordable, costs, portioned, run_seconds
from deeprob.sweeps.stacks import Stacks, run_alone
from deeprob.sweeps.task import SweepTask


def group(count: int, first: int = 0, *, together: bool = True) -> JobGroup:
    return JobGroup([Job(number, [], None, Path()) for number in range(first, first + count)], together)


def sizes(portions) -> list[int]:
    return [len(jobs) for jobs, _ in portions]


@pytest.mark.parametrize(
    ("count", "largest", "workers", "expected"),
    [
        (1024, 256, 2, [256] * 4),
        (1024, 256, 3, [170, 171, 171, 170, 171, 171]),
        (1024, 100, 2, [93, 93, 93, 93, 93, 93, 93, 93, 93, 93, 94]),
        (8, 256, 2, [4, 4]),
        (3, 256, 2, [1, 2]),
        (40, None, 2, [20, 20]),
        (100, None, 2, [25] * 4),
        (100, 10, 2, [10] * 10),
    ],
)
def test_a_worker_has_two_portions_or_more_that_are_no_larger_than_a_stack(count, largest, workers, expected):
    portions = portioned([group(count)], [Cost(1.0, largest, True)], workers)
    assert sorted(sizes(portions)) == sorted(expected)
    assert sorted(job.number for jobs, _ in portions for job in jobs) == list(range(count))


def test_portions_of_several_groups_take_the_same_time_and_the_longest_come_first():
    quick, slow = Cost(1.0, 256, True), Cost(10.0, 256, True)
    portions = portioned([group(400), group(40, 400)], [quick, slow], 2)  # 800 s in all: 200 s a portion
    assert [(len(jobs), cost is slow) for jobs, cost in portions] == [
        (200, False),
        (200, False),
        (20, True),
        (20, True),
    ]
    portions = portioned([group(1), group(3, 1)], [quick, slow], 2)
    assert [cost.seconds * len(jobs) for jobs, cost in portions] == [20, 10, 1]


def test_few_jobs_form_one_stack_for_each_worker():
    portions = portioned([group(8), group(8, 8), group(8, 16), group(8, 24)], [Cost(1.0, 256, True)] * 4, 2)
    assert sizes(portions) == [8, 8, 8, 8]


def test_stacks_of_all_workers_fit_into_memory_at_the_same_time():
    cost = Cost(1.0, 256, True, memory=10.0)
    assert sizes(portioned([group(64)], [cost], 2, memory=160.0)) == [8] * 8
    assert sizes(portioned([group(3)], [cost], 2, memory=5.0)) == [1, 1, 1]
    alone = Cost(1.0, 1, False, memory=10.0)
    assert sizes(portioned([group(3, together=False)], [alone], 2, memory=5.0)) == [1, 1, 1]


def test_auto_starts_workers_that_repay_their_start():
    def count(jobs: int, seconds: float, cores: int = 8, free: float = math.inf, of_run: float = 0.0) -> int:
        return affordable([group(jobs)], [Cost(seconds, None, True, of_run)], cores, free)

    assert count(8, 0.1) == 1
    assert count(19, 1.0) == 1
    assert count(20, 1.0) == 2
    assert count(1000, 1.0) == 8
    assert count(1000, 1.0, cores=2) == 2
    assert count(1000, 1.0, free=35.0, of_run=10.0) == 3
    assert count(1000, 1.0, free=5.0, of_run=10.0) == 1


@pytest.fixture(scope="module")
def jobs():
    """From the words of some jobs to the jobs."""
    with started(None) as hydra:
        application = Application(hydra, "train", TrainConfig)
        plans: dict[str, TrainConfig] = {}

        def make(*words: str) -> list[Job]:
            for of_job in words:
                if of_job not in plans:
                    config = application.compose(of_job.split(), multirun=False)
                    plans[of_job] = application.load(config, of_job.split())
            return [Job(number, text.split(), plans[text], Path(str(number))) for number, text in enumerate(words)]

        yield make


def stacks(largest: int | None = None) -> Stacks:
    task = SweepTask([])
    return Stacks(task, lambda job: run_alone(task, job), largest, lambda title: None)


def test_the_time_of_a_run_is_that_of_its_updates(jobs):
    (job,) = jobs("model.width=8 trainer.epochs=3 trainer.batch_size=100 dataset.points_per_class=100")
    setup = Setup.build(job.config.run.resolved())
    parameters = 2 * 8 + 8 + 8 * 8 + 8 + 8 * 3 + 3
    operations = 6 * 100 * parameters
    assert run_seconds(setup, together=True) == pytest.approx(RUN + 9 * (STACKED_UPDATE + operations / RATE))
    assert run_seconds(setup, together=False) == pytest.approx(RUN + 9 * (UPDATE + operations / RATE))
    (job,) = jobs("optimizer=lbfgs optimizer.max_iter=7 trainer.epochs=3 model.width=8")
    setup = Setup.build(job.config.run.resolved())
    assert run_seconds(setup, together=False) == pytest.approx(RUN + 3 * 7 * (UPDATE + setup.operations / RATE))


def test_each_group_has_the_cost_of_its_first_valid_run(jobs, capsys):
    small = "dataset.points_per_class=30"
    groups = grouped(
        jobs(
            f"{small} seed=0", f"{small} seed=1",  # a stack
            f"{small} optimizer=lbfgs seed=0", f"{small} optimizer=lbfgs seed=1",  # one by one
            f"{small} model.width=3000 seed=0", f"{small} model.width=3000 seed=1",  # too large for a stack
        )
    )  # fmt: skip
    stack, lbfgs, large = costs(groups, stacks())
    assert (stack.together, stack.largest) == (True, 256)
    assert stack.memory == memory(Setup.build(groups[0].jobs[0].config.run.resolved()))
    assert not lbfgs.together
    assert (large.together, large.largest) == (False, 1)
    err = capsys.readouterr().err
    assert "jobs 2, 3: trained one by one, because optimizer=lbfgs" in err
    assert "jobs 4, 5: trained one by one, because an update of over" in err
    assert costs(groups[:1], stacks(largest=7))[0].largest == 7


def test_groups_beyond_the_first_three_cost_the_mean(jobs):
    groups = grouped(jobs(*(f"dataset.points_per_class=30 model.width={4 + n // 2} seed={n % 2}" for n in range(8))))
    *known, other = costs(groups, stacks())
    assert other.seconds == pytest.approx(sum(cost.seconds for cost in known) / 3)
    assert other.largest is None


def test_where_no_run_can_be_built_all_cost_the_same(jobs):
    groups = grouped(jobs("dataset=csv dataset.root=nowhere.csv seed=0", "dataset=csv dataset.root=nowhere.csv seed=1"))
    assert costs(groups, stacks()) == [Cost(1.0, None, True)]


def test_isolated_jobs_are_portions_of_their_own_and_short_others_are_bundled(jobs):
    small = "dataset.points_per_class=5 trainer.epochs=1 model.width=2 optimizer=lbfgs optimizer.max_iter=1"
    (bundled,) = costs(grouped(jobs(f"{small} seed=0", f"{small} seed=1")), stacks())
    assert bundled.largest == int(1 / bundled.seconds) > 50
    small = f"{small} sweep.isolate=true"
    (isolated,) = costs(grouped(jobs(f"{small} seed=0", f"{small} seed=1")), stacks())
    assert isolated.largest == 1
