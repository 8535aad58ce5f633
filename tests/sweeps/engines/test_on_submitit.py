"""Jobs of SLURM as workers, with the commands of `fake_slurm`. The slow tests start workers, which import torch."""

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from deeprob.commands.main import main
from deeprob.errors import DeeprobError, UserError
from deeprob.sweeps.engines import check_engine, on_submitit
from deeprob.sweeps.engines.on_submitit import last_line, start, work_in_job
from deeprob.tracking import checkpoint_file, signals

sys.path.insert(0, str(Path(__file__).parent))
import fake_slurm

sys.path.pop(0)


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """A SLURM on this machine, and the folder of its jobs."""
    tools, root = tmp_path / "bin", tmp_path / "slurm"
    tools.mkdir()
    root.mkdir()
    for name in ("sbatch", "srun", "squeue", "scontrol", "scancel"):
        (tools / name).write_text(
            f'#!/bin/sh\nexec {sys.executable} -S -E {Path(fake_slurm.__file__).resolve()} {name} "$@"\n'
        )
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(root))
    monkeypatch.setenv("FAKE_MINUTE", "60")
    monkeypatch.setattr(fake_slurm, "ROOT", root)
    monkeypatch.setattr(on_submitit, "LOOK", 0.2)
    monkeypatch.setattr(on_submitit, "GRACE", 0.5)
    return root


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def answer(portion):
    """In place of `work_in_job`. cloudpickle sends a function of a test as it is, so the worker needs no torch."""
    if portion == "raise":
        raise RuntimeError("no room")
    if portion == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if portion == "sleep":
        time.sleep(60)
    return {portion: {"status": "completed"}}, ""


def unfinished(number: str) -> SimpleNamespace:
    """A job of submitit that has no result."""
    return SimpleNamespace(job_id=number, paths=SimpleNamespace(result_pickle=Path("none")))


@pytest.fixture
def by_value(monkeypatch):
    """Send functions of this file as they are. Then a worker neither imports this file nor torch."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.mark.parametrize(
    ("cluster", "resources", "line"),
    [
        ("moon", {}, "cluster=moon: expected auto, slurm or local"),
        ("slurm", {}, "cluster=slurm: there is no sbatch here; use a login node of a SLURM cluster, or "
         "hydra.launcher.cluster=local"),
        ("local", {"partition": "gpu"}, "resources.partition: no such resource; did you mean slurm_partition?"),
        ("local", {"qos": "high"}, "resources.qos: no such resource; did you mean slurm_qos?"),
        ("local", {"gpus_pernode": 1}, "resources.gpus_pernode: no such resource; did you mean gpus_per_node?"),
        ("local", {"timeout_min": 1.5}, "resources.timeout_min=1.5: expected a whole number"),
        ("local", {"timeout_min": True}, "resources.timeout_min=True: expected a whole number"),
        ("local", {"mem_gb": "4GB"}, "resources.mem_gb=4GB: expected a number"),
        ("local", {"nodes": 2}, "resources.nodes: each worker is one task; set hydra.launcher.workers"),
        ("local", {"slurm_nodes": 2}, "resources.slurm_nodes: each worker is one task; set hydra.launcher.workers"),
    ],
)  # fmt: skip
def test_wrong_settings_are_one_line(monkeypatch, cluster, resources, line):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError) as caught:
        check_engine("submitit", cluster, resources)
    assert str(caught.value) == f"hydra.launcher.{line}"


def test_a_value_that_submitit_refuses_is_named(slurm, tmp_path):
    with pytest.raises(UserError, match=r"^hydra\.launcher\.resources\.slurm_setup=text: "):
        start(1, "slurm", {"slurm_setup": "text"}, tmp_path / "engine")


def test_auto_is_this_machine_if_there_is_no_slurm(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", "")
    with start(2, "auto", {"mem_gb": 2, "slurm_partition": "gpu"}, tmp_path / "engine") as engine:
        assert isinstance(engine.cluster, on_submitit.Machine)
    assert capsys.readouterr().err == (
        "note: hydra.launcher.cluster=auto: there is no sbatch here, so the workers run on this machine\n"
    )


def test_jobs_have_their_resources_and_give_results_or_the_cause_of_their_loss(slurm, by_value, monkeypatch, tmp_path):
    monkeypatch.setattr(on_submitit, "work_in_job", answer)
    monkeypatch.setenv("SLURM_CPU_BIND", "of the job in which the sweep runs")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    resources = {"gpus_per_node": 1, "timeout_min": 90, "slurm_partition": "gpu", "slurm_setup": ["true"]}
    with start(3, "auto", resources, tmp_path / "engine") as engine:
        tasks = [engine.submit(portion) for portion in (7, "die", "raise")]
        until(lambda: all(task.done() for task in tasks))
        assert tasks[0].result() == {7: {"status": "completed"}}
        for task, line in zip(
            tasks[1:],
            ("SLURM job 101: FAILED, exit code 137; srun: error: node1: task 0: Killed", "RuntimeError: no room"),
            strict=True,
        ):
            with pytest.raises(DeeprobError) as caught:
                task.result()
            assert str(caught.value) == line
        assert all(task.done() for task in tasks)  # though the result was taken
    script = fake_slurm.read("100", "script").splitlines()
    for flag in (
        "cpus-per-task=1", "gpus-per-node=1", "job-name=deeprob", "nodes=1", "no-requeue", "partition=gpu", "time=90",
    ):  # fmt: skip
        assert f"#SBATCH --{flag}" in script
    environment = fake_slurm.read("100", "environment")
    assert "SLURM_CPU_BIND" not in environment
    assert "OMP_NUM_THREADS=1\n" in environment
    assert f"PYTHONPATH={Path(sys.path[0]).resolve()}" in environment
    assert (os.environ["OMP_NUM_THREADS"], "SLURM_CPU_BIND" in os.environ) == ("7", True)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_slurms_state_and_exit_code_are_in_the_line(slurm, monkeypatch, tmp_path):
    monkeypatch.setattr(on_submitit, "LOOK", 1000.0)
    queue = on_submitit.Queue(tmp_path)
    endings = {
        "OUT_OF_MEMORY": ("0:125", "OUT_OF_MEMORY, signal 125"),
        "NODE_FAIL": ("1:0", "NODE_FAIL, exit code 1"),
        "PREEMPTED": ("0:15", "PREEMPTED, signal 15"),
        "TIMEOUT": ("0:0", "TIMEOUT"),
        "PENDING": ("0:0", ""), "RUNNING": ("0:0", ""), "COMPLETING": ("0:0", ""), "SUSPENDED": ("0:0", ""),
    }  # fmt: skip
    for state, (exit_code, _) in endings.items():
        (slurm / state).mkdir()
        fake_slurm.write(state, "state", state)
        fake_slurm.write(state, "exit", exit_code)
        queue.ended(unfinished(state))
    queue.look()
    for state, (_, words) in endings.items():
        assert queue.ended(unfinished(state)) == (f"SLURM job {state}: {words}" if words else "")


def test_a_completed_job_and_one_that_slurm_has_forgotten_get_time_for_their_results(slurm, monkeypatch, tmp_path):
    queue = on_submitit.Queue(tmp_path)
    job = unfinished("forgotten")
    assert queue.ended(job) == ""
    monkeypatch.setattr(on_submitit, "GRACE", 0.0)
    assert queue.ended(job) == "SLURM job forgotten: COMPLETED"


def test_while_slurm_does_not_answer_no_job_is_lost(monkeypatch, tmp_path):
    silence = SimpleNamespace(returncode=1, stdout="", stderr="slurm_load_jobs error: Socket timed out")
    monkeypatch.setattr(on_submitit, "_call", lambda *words: silence)
    monkeypatch.setattr(on_submitit, "GRACE", 0.0)
    queue, job = on_submitit.Queue(tmp_path), unfinished("1")
    assert [queue.ended(job), queue.ended(job)] == ["", ""]


def test_only_jobs_that_wait_are_withdrawn_and_an_error_kills_the_others(slurm, by_value, monkeypatch, tmp_path):
    monkeypatch.setattr(on_submitit, "work_in_job", answer)
    with pytest.raises(KeyboardInterrupt), start(2, "slurm", {}, tmp_path / "engine") as engine:  # noqa: PT012
        begun = engine.submit("sleep")
        until(lambda: fake_slurm.read("100", "step"))
        (slurm / "full").touch()
        waiting = engine.submit(1)
        for task in (begun, waiting):
            task.cancel()
        until(waiting.done)
        assert (fake_slurm.read("100", "state"), fake_slurm.read("101", "state")) == ("RUNNING", "CANCELLED")
        assert not begun.done()
        raise KeyboardInterrupt
    assert fake_slurm.read("100", "state") == "CANCELLED"
    until(lambda: fake_slurm.read("100", "exit"))


def test_the_first_refused_job_is_an_error_and_later_ones_are_tried_again(slurm, tmp_path, capfd):
    refusal = "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: no\n"
    reason = "QOSMaxSubmitJobPerUserLimit; Batch job submission failed: no"
    (slurm / "full").touch()
    with start(2, "slurm", {}, tmp_path / "engine") as engine:
        (slurm / "refuse").write_text(refusal)
        with pytest.raises(UserError) as caught:
            engine.submit(0)
        assert str(caught.value) == f"hydra.launcher.resources: sbatch refused the job: {reason}"
        (slurm / "refuse").unlink()
        engine.submit(0)
        (slurm / "refuse").write_text(refusal)
        second, third = engine.submit(1), engine.submit(2)
        assert (second.done(), third.done(), second.job) == (False, False, None)
        third.cancel()
        assert third.done()
        (slurm / "refuse").unlink()
        until(lambda: second.done() or second.job)
        assert second.job.job_id == "101"
    assert [fake_slurm.read(number, "state") for number in ("100", "101")] == ["CANCELLED", "CANCELLED"]
    assert capfd.readouterr().err == f"note: sbatch refused a job ({reason}); trying again every 0.2 seconds\n"


def test_the_last_line_of_a_log(tmp_path):
    log = tmp_path / "log"
    assert last_line(log) == f"; it wrote no log to {tmp_path}: do all nodes share this folder?"
    log.write_text("")
    assert last_line(log) == ""
    log.write_text("Traceback\nValueError: no\n\nsrun: error: node1: task 0: Exited with exit code 1\n")
    assert last_line(log) == "; ValueError: no"


def test_the_worker_saves_at_sigusr2_and_leaves_sigint_to_the_sweep(monkeypatch):
    """submitit would requeue the job at SIGUSR2."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR2)}
    seen = []

    def work(portion):
        with signals.Interruption() as interruption:
            os.kill(os.getpid(), signal.SIGUSR2)
            seen.append((portion.parent, interruption.number))
            os.kill(os.getpid(), signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGINT)
        return {3: {"status": "completed"}}

    monkeypatch.setattr(on_submitit, "work", work)
    monkeypatch.setattr(on_submitit, "replace", lambda portion, parent: SimpleNamespace(parent=parent))
    try:
        outcomes, reason = work_in_job(None)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert seen == [(os.getppid(), signal.SIGTERM)]
    assert outcomes == {3: {"status": "completed"}}
    assert reason == "SIGUSR2 came, because its time ran out or it was preempted"


# The tests below train.

GUIDE = Path(__file__).parents[3] / "docs/guide/slurm.md"
TRAIN = ("trainer.epochs=30", "dataset.points_per_class=300", "dataset.test_points_per_class=100")
SWEEP = ("-m", "seed=range(12)", "hydra.launcher.max_stack=3", *TRAIN, "hydra.sweep.dir=s")
SWEEP += ("hydra.launcher.engine=submitit", "hydra.launcher.workers=2")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    """A sweep of 40 jobs without workers."""
    folder = tmp_path_factory.mktemp("undisturbed") / "s"
    assert main(("-m", "seed=range(40)", "hydra.launcher.workers=1", *TRAIN, f"hydra.sweep.dir={folder}")) == 0
    return folder


def reports() -> Iterator[tuple[Path, int]]:
    """The reports of the workers that have begun, and the numbers of their processes."""
    for path in Path("s/.workers").glob("*/*.jsonl"):
        with suppress(ValueError, OSError, LookupError):
            yield path, json.loads(path.read_text().splitlines()[0])["process"]


def assert_as_undisturbed(undisturbed: Path, count: int) -> None:
    """Each job is completed once, and its weights, state of the optimizer and metrics agree to the bit."""
    with Path("s/summary.csv").open() as file:
        assert [(row["seed"], row["status"]) for row in csv.DictReader(file)] == [
            (str(number), "completed") for number in range(count)
        ]
    for number in range(count):
        states = [
            checkpoint_file.load(next(folder.glob(f"*_seed={number}")) / "checkpoints/last.pt")
            for folder in (Path("s"), undisturbed)
        ]
        for name in ("model", "optimizer"):
            torch.testing.assert_close(states[0][name], states[1][name], rtol=0, atol=0)
        metrics = [
            {name: value for name, value in state["metrics"].items() if not name.startswith("time/")}
            for state in states
        ]
        assert metrics[0] == metrics[1]


@pytest.mark.slow
def test_lost_nodes_and_ended_times_leave_no_trace(slurm, undisturbed, deeprob):
    lost = set()

    def disturb() -> None:
        while len(lost) < 4:
            for path, process in list(reports()):
                jobs = [job.name for job in slurm.iterdir() if fake_slurm.read(job.name, "step") == str(process)]
                if jobs and path.name not in lost and path.stem.endswith("-0"):
                    if len(lost) % 2:
                        os.kill(process, signal.SIGUSR2)
                    else:
                        fake_slurm.lose(jobs[0], "NODE_FAIL")
                    lost.add(path.name)
            time.sleep(0.02)

    thread = threading.Thread(target=disturb, daemon=True)
    thread.start()
    result = deeprob(*SWEEP, "hydra.launcher.cluster=slurm")
    thread.join(10)
    assert result.status == 0, result.err
    assert len(re.findall(r"was lost \(SLURM job \d+: NODE_FAIL, signal 9", result.err)) == 2, result.err
    assert result.err.count("was lost (SIGUSR2 came, because its time ran out or it was preempted)") == 2, result.err
    assert not Path("s/.workers").exists()
    assert_as_undisturbed(undisturbed, 12)


@pytest.mark.slow
def test_twenty_kills_leave_no_trace(undisturbed, deeprob):
    killed = set()

    def kill() -> None:
        while len(killed) < 20:
            for path, process in list(reports()):
                if path.name not in killed and not path.stem.endswith("-2"):  # the third attempt is the last one
                    time.sleep(0.02 * len(killed))
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                        killed.add(path.name)
            time.sleep(0.02)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    result = deeprob(*SWEEP, "seed=range(40)", "hydra.launcher.max_stack=2", "hydra.launcher.cluster=local")
    thread.join(10)
    assert result.status == 0, result.err
    assert len(killed) >= 20
    assert result.err.count("was lost (its process ended without a result") == len(killed), result.err
    assert_as_undisturbed(undisturbed, 40)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_all_runs_and_the_sweep_goes_on(undisturbed, deeprob, tmp_path, number, status):
    """Ctrl-C reaches the whole process group of the sweep, SIGTERM the sweep alone."""
    command = [sys.executable, "-c", "import sys; from deeprob.commands.main import train; sys.exit(train())"]
    with (tmp_path / "log").open("w") as log:
        sweep = subprocess.Popen(
            [*command, *SWEEP, "hydra.launcher.cluster=local"], start_new_session=True, stdout=log, stderr=log
        )
        until(lambda: len(list(reports())) == 2, 120)
        processes = [process for _, process in reports()]
        until(lambda: list(Path("s").glob("*/config.yaml")))
        (os.killpg if number == signal.SIGINT else os.kill)(sweep.pid, number)
        assert sweep.wait(60) == status, (tmp_path / "log").read_text()
    assert not any(Path("/proc", str(process)).exists() for process in processes)
    assert not Path("s/.workers").exists()
    begun = [path.parent for path in Path("s").glob("*/config.yaml")]
    statuses = [json.loads((run / "summary.json").read_text())["status"] for run in begun]
    assert "interrupted" in statuses
    assert set(statuses) <= {"interrupted", "completed"}
    assert deeprob("resume=s").status == 0
    assert_as_undisturbed(undisturbed, 12)


COMMANDS = re.findall(
    r"^deeprob-train (.*)$",
    "\n".join(re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)).replace("\\\n", ""),
    re.MULTILINE,
)


@pytest.mark.slow
@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_guide(slurm, deeprob, line):
    result = deeprob(*shlex.split(line), "trainer.epochs=1", "hydra.sweep.dir=s")
    assert (result.status, result.err) == (0, "")
    if "cluster=local" in line:
        assert list(slurm.iterdir()) == []
    else:
        assert len(list(slurm.iterdir())) >= 8
        script = fake_slurm.read("100", "script")
        assert "#SBATCH --gpus-per-node=1\n" in script
        assert ("#SBATCH --partition=gpu\n" in script) == ("partition" in line)


def test_the_guide_has_commands():
    assert len(COMMANDS) == 3
