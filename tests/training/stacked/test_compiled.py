"""Updates that are traced and compiled compute what they compute as they are written."""

import pytest
import torch
from deeprob.training.stacked import compiled
from deeprob.training.stacked.compiled import Compiler, leaves, repays
from deeprob.training.stacked.stack import Stack
from deeprob.training.stacked.update import StackedObjective, StackedUpdate

from deeprob.objective import L1Config, L2Config
from deeprob.optim import AdafactorConfig, AdamConfig, SGDConfig


def specs(spec, optimizer=AdamConfig, **model):
    configs = [optimizer(lr=lr, weight_decay=decay) for lr, decay in ((0.01, 0.0), (0.03, 0.1))]
    return [spec.but(seed=run, optimizer=config, model=model) for run, config in enumerate(configs)]


@pytest.fixture
def traced(monkeypatch) -> list[torch.fx.GraphModule]:
    """What was traced; it is called as it is, not compiled."""
    graphs: list[torch.fx.GraphModule] = []

    def compile(graph, **options):
        graphs.append(graph)
        return graph

    monkeypatch.setattr(torch, "compile", compile)
    return graphs


@pytest.mark.parametrize("optimizer", [AdamConfig, SGDConfig, AdafactorConfig])
def test_what_is_traced_computes_the_same(bench, spec, traced, optimizer):
    runs = specs(spec, optimizer, norm="batch", dropout=0.3)
    assert bench.together(runs, compiler=Compiler(True)) == bench.together(runs)
    assert len(traced) == 2  # for batches of 32, and for the 26 examples that are left


@pytest.mark.parametrize("regularizer", [L2Config(strength=0.1), L1Config(strength=0.1, proximal=True)])
def test_full_batches_and_regularizers_too(bench, spec, traced, regularizer):
    runs = [s.but(regularizer=regularizer) for s in specs(spec)]
    together = bench.together(runs, batch_size=90)
    assert bench.together(runs, batch_size=90, compiler=Compiler(True)) == together
    assert len(traced) == 1


def test_numbers_of_another_stack_are_no_part_of_what_was_traced(bench, spec, traced):
    compiler = Compiler(True)
    for decays in ((0.0, 0.1), (0.3, 0.2)):
        runs = [s.but(optimizer=AdamConfig(lr=0.01, weight_decay=d)) for s, d in zip(specs(spec), decays, strict=True)]
        assert bench.together(runs, compiler=compiler) == bench.together(runs)
    assert len(traced) == 2


def test_constants_that_differ_are_traced_anew(bench, spec, traced):
    compiler = Compiler(True)
    for beta1 in (0.9, 0.5):
        runs = [s.but(optimizer=AdamConfig(lr=0.01, beta1=beta1)) for s in specs(spec)]
        assert bench.together(runs, compiler=compiler) == bench.together(runs)
    assert len(traced) == 4


def test_a_number_in_which_only_other_stacks_differ_is_an_argument(bench, spec, traced):
    compiler, plain = Compiler(True, varying={"beta1"}), Compiler(False, varying={"beta1"})
    for beta1 in (0.9, 0.5):
        runs = [s.but(optimizer=AdamConfig(lr=0.01, beta1=beta1)) for s in specs(spec)]
        assert bench.together(runs, compiler=compiler) == bench.together(runs, compiler=plain)
    assert len(traced) == 2


def test_nothing_is_compiled_that_does_not_repay(bench, spec, traced):
    runs = specs(spec)
    assert bench.together(runs, compiler=Compiler(None)) == bench.together(runs, compiler=Compiler(False))
    assert traced == []


def test_a_compiler_that_is_not_there_is_said_once_and_the_run_goes_on(bench, spec, monkeypatch, capsys):
    def compile(graph, **options):
        def first_call(*values):
            raise RuntimeError("no g++ here\nand more")

        return first_call

    monkeypatch.setattr(torch, "compile", compile)
    runs, compiler = specs(spec), Compiler(True)
    assert bench.together(runs, compiler=compiler) == bench.together(runs)
    bench.together(runs, compiler=compiler)
    assert (
        capsys.readouterr().err
        == "note: cannot compile the updates of a stack (no g++ here); continuing without compilation\n"
    )


def test_what_cannot_be_traced_is_said_once(bench, spec, monkeypatch, capsys):
    def make_fx(*words, **named):
        raise NotImplementedError("not this one")

    monkeypatch.setattr(compiled, "make_fx", make_fx)
    runs = specs(spec)
    assert bench.together(runs, compiler=Compiler(True)) == bench.together(runs)
    assert capsys.readouterr().err.count("continuing without compilation") == 1


def test_an_error_of_an_update_that_worked_before_is_no_reason_to_go_on(bench, spec, monkeypatch):
    calls = []

    def compile(graph, **options):
        return lambda *values: calls.append(1) or (graph(*values) if len(calls) < 5 else 1 / 0)

    monkeypatch.setattr(torch, "compile", compile)
    with pytest.raises(ZeroDivisionError):
        bench.together(specs(spec), compiler=Compiler(True))


def test_memory_that_runs_out_is_no_reason_to_go_on(bench, spec, monkeypatch):
    def compile(graph, **options):
        def scarce(*values):
            raise torch.OutOfMemoryError("CUDA out of memory")

        return scarce

    monkeypatch.setattr(torch, "compile", compile)
    with pytest.raises(torch.OutOfMemoryError):
        bench.together(specs(spec), compiler=Compiler(True))


def test_compiling_repays_with_updates_runs_and_numbers(bench, spec):
    def worth(updates, runs=2, width=64, batch=32):
        members = [bench.member(spec.but(seed=run, model={"hidden": [width]})) for run in range(runs)]
        stack = Stack([member.state for member in members], [member.optimizer for member in members])
        objective = StackedObjective.of([member.objective for member in members], stack.parameters)
        update = StackedUpdate(stack, objective, members[0].state.model, bench.features, False, False)
        return repays(update, torch.zeros(runs, batch, 2), updates)

    least = next(updates for exponent in range(40) if worth(updates := 2**exponent))
    assert 1000 < least < 100_000  # the time for compiling over what an update of a tiny stack takes
    assert worth(10 * least)
    assert not worth(least // 2)
    assert worth(least // 2, runs=200)
    assert worth(least // 2, width=4000)
    assert worth(least // 2, batch=10**6)


def test_leaves_are_tensors_in_their_order():
    tensors = [torch.tensor(float(number)) for number in range(3)]
    found = leaves(({"a": tensors[0], "b": {"c": tensors[1]}}, None, 5, tensors[2]))
    assert [tensor.item() for tensor in found] == [0, 1, 2]


@pytest.mark.slow
def test_a_stack_that_is_compiled_agrees_to_rounding(bench, spec):
    runs = specs(spec, norm="batch", dropout=0.3)
    for one, other in zip(bench.together(runs), bench.together(runs, compiler=Compiler(True)), strict=True):
        for record, compiled_record in zip(one, other, strict=True):
            assert compiled_record.metrics == pytest.approx(record.metrics, rel=1e-9)
