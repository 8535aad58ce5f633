"""Processes that train together: sums in order, agreement, and the bits of one process with the same chunks."""

import os
import pickle
import signal

import pytest
import torch

from deeprob.errors import DeeprobError, UserError
from deeprob.objective import L2Config
from deeprob.optim import AdamConfig, LBFGSConfig, PlateauConfig, SGDConfig
from deeprob.tracking.signals import Interruption
from deeprob.training.gradient import AutogradGradient, FormulaGradient
from deeprob.training.ranks import Ranks, Sum, joined_processes


@pytest.fixture
def results_of(on_ranks, tmp_path):
    """Call a function of the processes in each of them; return what they return."""

    def call(count, work):
        def in_process(rank):
            with joined_processes() as ranks:
                (tmp_path / f"result-{rank}").write_bytes(pickle.dumps(work(ranks)))
            return 0

        ended = on_ranks(count, in_process)
        assert [result.status for result in ended] == [0] * count, ended
        return [pickle.loads((tmp_path / f"result-{rank}").read_bytes()) for rank in range(count)]

    return call


# ---------------------------------------------------------------- what they tell each other


@pytest.mark.parametrize(
    ("count", "batch", "most", "size"),
    [(2, 1024, 5000, 512), (2, 1024, 300, 256), (3, 1024, 5000, 342), (2, 5, 1, 1), (4, 3, 10, 1), (2, 7, 10, 4)],
)
def test_chunks_are_as_equal_as_can_be(count, batch, most, size):
    assert Ranks(count=count).chunk_size(batch, most) == size


def test_one_process_adds_and_tells_itself():
    vector = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    total = Sum(Ranks(), vector)
    total.add(1)
    total.add(1)
    total.spread()
    assert vector.tolist() == [[2.0, 4.0], [6.0, 8.0]]
    assert Ranks().exchange("a") == ["a"]


def sum_of_three(ranks):
    vector = torch.tensor([[1e8, 1.0, -1e8][ranks.rank]]).repeat(1, 7)  # the order decides: 7 numbers, unequal slices
    total, sums = Sum(ranks, vector), []
    for count in (3, 2):
        total.clear()
        total.add(count)
        total.spread()
        sums.append(vector.tolist())
        vector.copy_(torch.tensor([[3.0, 4.0, 5.0][ranks.rank]]))
    return sums


def test_sums_are_in_the_order_of_ranks(results_of):
    in_order = torch.tensor(1e8) + torch.tensor(1.0) + torch.tensor(-1e8)
    assert results_of(3, sum_of_three) == [[[[in_order.item()] * 7], [[7.0] * 7]]] * 3


def one_signal(ranks):
    with Interruption(shared=True) as ranks.interruption:
        before = ranks.gathered(torch.tensor([ranks.rank + 0.5])).tolist(), ranks.interruption()
        if ranks.rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        alone = ranks.interruption()
        after = ranks.gathered(torch.zeros(2)).tolist()
        return before, alone, after, ranks.interruption.number


def test_a_signal_to_one_process_ends_all_after_the_same_update(results_of):
    expected = (([[0.5], [1.5]], False), False, [[0.0, 0.0], [0.0, 0.0]], signal.SIGTERM)
    assert results_of(2, one_signal) == [expected, expected]


def test_only_rank_0_prints_and_one_error_is_told(on_ranks):
    def work(rank):
        with joined_processes() as ranks:
            print("hello")
            ranks.agree({"updates": 40, "weights": "same"} if rank != 1 else {"updates": 80, "weights": "other"})
        return 0

    results = on_ranks(3, lambda rank: of_exit(work, rank))
    assert [result.status for result in results] == [2, 2, 2]
    assert [result.err for result in results] == ["", "", ""]
    told = "updates: process 1 has 80, but process 0 has 40; all processes need the same code, data and run directory\n"
    assert "".join(result.out for result in results).replace("hello\n", "", 1) == told


def test_a_peer_that_was_killed_is_an_error(on_ranks):
    def work(rank):
        with joined_processes() as ranks:
            ranks.exchange(rank)
            if rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            ranks.exchange(rank)
        return 0

    left, killed = on_ranks(2, lambda rank: of_exit(work, rank))
    assert killed.status == -signal.SIGKILL
    assert left == (4, "another process of this run has ended, so this one cannot go on\n", "")


def of_exit(work, rank):
    """Call a function, and return the exit status that a command would have."""
    try:
        return work(rank)
    except DeeprobError as error:
        print(error)
        return error.status
    except SystemExit as end:
        return end.code


WRONG = {
    "RANK": ("", "WORLD_SIZE=2 without RANK: start several processes with torchrun, or unset it"),
    "LOCAL_RANK": ("one", "LOCAL_RANK=one: expected a whole number; start the processes with torchrun"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_environment_that_torchrun_did_not_make(monkeypatch, name):
    for variable in ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(variable, "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv(name, WRONG[name][0])
    with pytest.raises(UserError) as caught, joined_processes():
        pass
    assert str(caught.value) == WRONG[name][1]


# ---------------------------------------------------------------- the bits of one process

KINDS = {
    "sgd": {"optimizer": SGDConfig(lr=0.1, momentum=0.9), "regularizer": L2Config(strength=0.01)},
    "adam": {"optimizer": AdamConfig(lr=0.01), "model": {"dropout": 0.3}, "scheduler": PlateauConfig(patience=0)},
    "lbfgs": {"optimizer": LBFGSConfig(max_iter=4)},
}


def settings_of(kind, chunk, formulas=True):
    whole = {"batch_size": 23, "epochs": 4} if kind == "lbfgs" else {}
    return {"chunk_size": chunk, "formulas": formulas, "log_every": 3, **whole}


@pytest.mark.parametrize("formulas", [True, False], ids=["formulas", "autograd"])
@pytest.mark.parametrize(
    ("kind", "count", "chunk"),
    [
        ("sgd", 2, 3),  # 5 = 3 + 2, and the last batch of 3 is one chunk
        ("sgd", 3, 1),  # 5 = 3·1 + 2·1
        ("adam", 2, 3),
        ("adam", 4, 2),  # more processes than chunks
        ("lbfgs", 2, 12),
        ("lbfgs", 3, 4),  # two rounds
    ],
)
def test_processes_are_one_process_with_the_same_chunks(results_of, bench, spec, kind, count, chunk, formulas):
    spec, settings = spec.but(**KINDS[kind]), settings_of(kind, chunk, formulas)
    validation = bench.examples[:7]
    one = bench.learner(spec)
    records = bench.exact(bench.alone(one, validation=validation, **settings))

    def together(ranks):
        learner = bench.learner(spec)
        found = bench.alone(learner, validation=validation, ranks=ranks, **settings)
        return learner.state.state_dict(), bench.exact(found)

    for state, found in results_of(count, together):
        other = bench.learner(spec)
        other.state.load_state_dict(state)
        bench.same(one, other)
        assert found == records


def test_processes_agree_with_one_process_without_chunks(results_of, bench, spec):
    spec = spec.but(**KINDS["sgd"])
    one = bench.learner(spec)
    bench.alone(one, epochs=20)

    def together(ranks):
        learner = bench.learner(spec)
        bench.alone(learner, epochs=20, chunk_size=3, ranks=ranks)
        return learner.state.step, [parameter.detach() for parameter in learner.state.parameters.values()]

    for step, parameters in results_of(2, together):
        assert step == 100
        for mine, theirs in zip(parameters, one.state.parameters.values(), strict=True):
            torch.testing.assert_close(mine, theirs.detach(), rtol=0, atol=1e-12)


def test_a_run_that_diverges_diverges_in_all_processes_with_the_same_state(results_of, bench, spec):
    spec, settings = spec.but(optimizer=SGDConfig(lr=1e60)), settings_of("sgd", 3)
    one = bench.learner(spec)
    records = bench.exact(bench.alone(one, **settings))
    assert "diverged" in str(records[-1])

    def together(ranks):
        learner = bench.learner(spec)
        return bench.exact(bench.alone(learner, ranks=ranks, **settings)), learner.state.state_dict()["model"]

    for found, model in results_of(2, together):
        assert found == records
        assert all(torch.equal(values, one.state.model.state_dict()[name]) for name, values in model.items())


@pytest.mark.parametrize("engine", [FormulaGradient, AutogradGradient])
def test_when_one_process_runs_out_of_memory_all_halve_their_chunks(results_of, bench, spec, monkeypatch, engine):
    spec, settings = spec.but(**KINDS["lbfgs"]), settings_of("lbfgs", 12, engine is FormulaGradient)
    one = bench.learner(spec)
    records = bench.exact(bench.alone(one, **{**settings, "chunk_size": 6}))
    whole = engine.whole

    def together(ranks):
        def small(self, batch, share=1.0):
            if ranks.rank == 1 and batch.targets.shape[1] > 6:
                raise MemoryError
            return whole(self, batch, share)

        monkeypatch.setattr(engine, "whole", small)
        learner = bench.learner(spec)
        return bench.exact(bench.alone(learner, ranks=ranks, **settings))

    assert results_of(2, together) == [records] * 2
