"""A Ray cluster as workers. The slow tests start a cluster of two nodes on this machine, and take it apart."""

import csv
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from ray import exceptions

from deeprob.errors import DeeprobError, UserError
from deeprob.sweeps import launching
from deeprob.sweeps.engines import EngineLost, on_ray
from deeprob.sweeps.engines.on_ray import Head, RayTask, capacity, check_cluster
from deeprob.tracking import checkpoint_file
from hydra_plugins.deeprob_launcher import StackLauncher

REFUSED = {
    "resources.num_gpu=1": "resources.num_gpu: no such resource in Ray; did you mean num_gpus?",
    "resources.max_retries=3": "resources.max_retries: no such resource in Ray; choose from num_cpus, num_gpus, "
    "memory, resources, accelerator_type",
    "resources={num_cpus: two}": "resources.num_cpus=two: expected a number, at least 0",
    "resources={num_gpus: -1}": "resources.num_gpus=-1: expected a number, at least 0",
    "resources={resources: {tpu: 2}}": "resources: this machine does not have tpu: 2; give a cluster",
    "cluster=here": "cluster=here: expected the address of a Ray cluster, HOST:PORT",
    "cluster=ray://here:1": "cluster=ray://here:1: expected the address of a Ray cluster, HOST:PORT",
    "cluster=127.0.0.1:1": "cluster=127.0.0.1:1: no Ray cluster there ([Errno 111] Connection refused); start one with "
    "ray start --head",
}


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(on_ray, "find_bootstrap_address", lambda folder: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


@pytest.fixture
def port():
    """The address of something that answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("word", REFUSED)
def test_invalid_settings_are_one_line_before_anything_starts(deeprob, small, word):
    words = ("-m", *small, "seed=0,1", "hydra/launcher=on_ray", f"hydra.launcher.{word}", "hydra.sweep.dir=s")
    assert deeprob(*words) == (2, "", f"error: hydra.launcher.{REFUSED[word]}\n")
    assert list(Path.cwd().iterdir()) == []


def test_auto_is_the_cluster_of_the_environment_else_the_one_that_was_started_here_else_a_new_one(monkeypatch, port):
    assert on_ray._address("auto") is None
    monkeypatch.setattr(on_ray, "find_bootstrap_address", lambda folder: port)
    assert on_ray._address("auto") == port
    assert on_ray._address("local") is None
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert on_ray._address("local") is None
    with pytest.raises(UserError, match=r"^RAY_ADDRESS=127\.0\.0\.1:1: no Ray cluster there"):
        check_cluster("auto", {})
    assert on_ray._address(port) == port
    monkeypatch.delenv("RAY_ADDRESS")
    monkeypatch.setattr(on_ray, "find_bootstrap_address", lambda folder: "127.0.0.1:1")  # of a cluster that has ended
    assert on_ray._address("auto") is None


NODES = [{"CPU": 8.0, "GPU": 2.0, "memory": 1e9}, {"CPU": 3.0, "memory": 1e9, "accelerator_type:T4": 1.0}]


@pytest.mark.parametrize(
    ("resources", "workers"),
    [
        ({}, 11), ({"num_cpus": 2}, 5), ({"num_gpus": 1}, 2), ({"num_gpus": 0.5, "num_cpus": 4}, 2),
        ({"memory": 4e8}, 4), ({"num_cpus": 0}, 2), ({"accelerator_type": "T4"}, 3), ({"resources": {"tpu": 1}}, 1),
    ],
    ids=str,
)  # fmt: skip
def test_the_workers_of_a_cluster_are_those_that_fit_into_its_nodes(monkeypatch, resources, workers):
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    monkeypatch.setattr("ray.get_runtime_context", lambda: type("", (), {"gcs_address": "head:1"}))
    dead = {"Alive": False, "Resources": {"CPU": 100.0}}
    monkeypatch.setattr("ray.nodes", lambda: [dead, *({"Alive": True, "Resources": node} for node in NODES)])
    assert capacity("auto", resources) == workers


def test_a_cluster_of_this_machine_has_a_worker_per_core(monkeypatch):
    monkeypatch.setattr(on_ray, "cores", lambda: 7)
    assert capacity("local", {}) == 7
    assert capacity("auto", {"num_cpus": 3}) == 2
    assert capacity("auto", {"num_cpus": 9}) == 1
    assert launching.number_of_workers(StackLauncher(engine="ray"), [], []) == 0  # never more than jobs


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (exceptions.NodeDiedError("a long story"), "a Ray node died"),
        (exceptions.WorkerCrashedError(), "a process or a node died"),
        (exceptions.OutOfMemoryError("a long story"), "Ray killed the worker because the node ran out of memory"),
        (exceptions.RayTaskError("work", "Traceback …", ValueError("no\nsuch")), "ValueError: no"),
        (exceptions.RaySystemError("no\nmemory"), "System error: no"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_causes(error, line):
    assert on_ray.cause_in_ray(error) == line


class FakeRay:
    """In place of the module: one task that never ends, and what was asked of it."""

    def __init__(self) -> None:
        self.asked, self.answer = [], None

    def wait(self, references, **options):
        return (references, []) if self.answer else ([], references)

    def get(self, reference):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def cancel(self, reference, force=False):
        self.asked.append((reference, force))


@pytest.fixture
def ray(monkeypatch):
    fake = FakeRay()
    for name in ("wait", "get", "cancel"):
        monkeypatch.setattr(f"ray.{name}", getattr(fake, name))
    return fake


class Begun:
    def __init__(self, report: Path) -> None:
        self.report = report


def test_a_task_ends_with_its_outcomes_or_with_the_cause_of_its_loss(ray, port, tmp_path):
    task = RayTask("task", Begun(tmp_path / "report"), Head(port))
    assert not task.done()
    ray.answer = {3: {"status": "completed"}}
    assert task.done()
    assert task.result() == {3: {"status": "completed"}}
    ray.answer = exceptions.NodeDiedError("a long story")
    with pytest.raises(DeeprobError, match=r"^a Ray node died$"):
        task.result()


def test_only_a_task_that_has_not_begun_is_withdrawn(ray, port, tmp_path):
    task = RayTask("task", Begun(tmp_path / "report"), Head(port))
    (tmp_path / "report").touch()
    task.cancel()
    assert ray.asked == []
    (tmp_path / "report").unlink()
    task.cancel()
    assert ray.asked == [("task", False)]


def test_a_head_that_does_not_answer_for_long_is_lost(ray, port, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[-1])
    alive, dead = RayTask("task", None, Head(port)), RayTask("task", None, Head("127.0.0.1:1"))
    for now in (1.0, 10.0, 19.0):
        clock.append(now)
        assert not alive.done()
        assert not dead.done()
    clock.append(30.0)
    assert not alive.done()
    with pytest.raises(EngineLost, match=r"^the head of the Ray cluster at 127\.0\.0\.1:1 is lost$"):
        dead.done()


class Lost:
    """An engine that is lost with its first portion."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def submit(self, portion):
        raise EngineLost("the head is lost")


def test_a_lost_engine_ends_the_sweep_with_one_line_and_the_sweep_can_be_resumed(deeprob, small, monkeypatch):
    monkeypatch.setattr(launching, "start", lambda *settings: Lost())
    words = ("-m", *small, "seed=0,1", "hydra/launcher=on_ray", "hydra.launcher.cluster=local", "hydra.sweep.dir=s")
    status, out, err = deeprob(*words)
    assert (status, err) == (4, "note: 2 of 2 jobs not started\nerror: the head is lost\n")
    assert out.endswith("sweep      s\n")
    again = pickle.loads(pickle.dumps(EngineLost("gone")))
    assert (str(again), again.status) == ("gone", 4)


def test_ray_gets_its_settings_and_deeprob_keeps_its_signals(monkeypatch):
    got = {}

    def init(address, **settings):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(2, b"chatter")
        got.update(settings, address=address, auth=os.environ["RAY_AUTH_MODE"])

    monkeypatch.setattr("ray.init", init)
    monkeypatch.setattr("ray.shutdown", lambda: got.update(ended=True))
    before = signal.getsignal(signal.SIGTERM)
    with on_ray._connected("local", cpus=3) as address:
        assert address is None
        assert signal.getsignal(signal.SIGTERM) is before
        assert "RAY_AUTH_MODE" not in os.environ
    assert got == {
        "address": "local", "num_cpus": 3, "include_dashboard": False, "object_store_memory": 80 * 2**20,
        "log_to_driver": False, "logging_level": "CRITICAL", "auth": "disabled", "ended": True,
    }  # fmt: skip


@pytest.mark.parametrize(("memory", "waits"), [(1e9, ""), (2e9, "CPU: 1, memory: 2e+09")])
def test_a_note_says_where_workers_are_and_that_none_can_start(monkeypatch, capsys, memory, waits):
    monkeypatch.setattr(on_ray, "_connected", lambda cluster, cpus: nullcontext("head:1"))
    monkeypatch.setattr(on_ray, "_nodes", lambda: NODES)
    monkeypatch.setattr("ray.get_runtime_context", lambda: type("", (), {"gcs_address": "head:1"}))
    with on_ray.start(3, "head:1", {"memory": memory}, None):
        pass
    first, *others = capsys.readouterr().err.splitlines()
    assert first == "note: hydra.launcher.engine=ray: 3 workers on the Ray cluster at head:1"
    assert others == [f"note: no node of the Ray cluster has {waits}: the sweep waits until one has"] * bool(waits)


def test_a_connection_that_fails_is_one_line(monkeypatch, port):
    def init(address, **settings):
        raise RuntimeError("no raylet\nhere")

    monkeypatch.setattr("ray.init", init)
    with pytest.raises(UserError, match=rf"^hydra\.launcher\.cluster={port}: no raylet$"), on_ray._connected(port):
        pass


# Whole sweeps on a cluster of two nodes with one CPU each.

PROGRAM = [sys.executable, "-W", "error", str(Path(__file__).parents[3] / "scripts/train.py")]
JOBS = 40
WORDS = [
    "-m", f"seed=range({JOBS})", "trainer.epochs=40", "hydra.launcher.max_stack=10", "trainer.progress=false",
    "trainer.checkpoint_epochs=4",
]  # fmt: skip


def nodes():
    from ray.cluster_utils import Cluster

    with on_ray._environment(on_ray.OWN):
        head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": on_ray.OBJECTS}
        return Cluster(initialize_head=True, head_node_args=head)


def second_node(cluster):
    """The node that is not the head. If there is none, a new one."""
    for node in cluster.worker_nodes:
        return node
    with on_ray._environment(on_ray.OWN):
        return cluster.add_node(num_cpus=1, object_store_memory=on_ray.OBJECTS)


@pytest.fixture(scope="module")
def cluster():
    started = nodes()
    try:
        yield started
    finally:
        started.shutdown()


def begin(folder: Path, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [*PROGRAM, *WORDS, f"hydra.sweep.dir={folder}", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder.parent,
    )  # fmt: skip


def on_cluster(cluster) -> list[str]:
    second_node(cluster)
    return ["hydra/launcher=on_ray", f"hydra.launcher.cluster={cluster.address}", "hydra.launcher.workers=2"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    """The same sweep in one process."""
    folder = tmp_path_factory.mktemp("undisturbed") / "s"
    sweep = begin(folder, "hydra.launcher.workers=1")
    assert (sweep.communicate()[1], sweep.returncode) == ("", 0)
    return folder


def workers(folder: Path) -> list[int]:
    """The processes of the workers that have begun and not ended."""
    begun = [path.read_text().splitlines() for path in folder.glob(".workers/*/jobs-from-*.jsonl")]
    return [json.loads(lines[0])["process"] for lines in begun if lines]


def wait_until_trained(folder: Path, sweep: subprocess.Popen) -> None:
    """Wait until two workers train, and one run at least has a checkpoint."""
    while len(set(workers(folder))) < 2 or not list(folder.glob("*/checkpoints/last.pt")):
        assert sweep.poll() is None, sweep.communicate()
        time.sleep(0.02)


def assert_same(folder: Path, reference: Path) -> None:
    with (folder / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["seed"]) for row in rows) == list(range(JOBS))
    assert {row["status"] for row in rows} == {"completed"}
    expected = sorted(reference.glob("*/checkpoints/last.pt"))
    assert len(expected) == JOBS
    for path in expected:
        one, other = checkpoint_file.load(path), checkpoint_file.load(folder / path.relative_to(reference))
        assert one["step"] == other["step"]
        for name, weight in one["model"].items():
            assert torch.equal(weight, other["model"][name])
        assert one["optimizer"]["state"].keys() == other["optimizer"]["state"].keys()
        for number, state in one["optimizer"]["state"].items():
            for name, value in state.items():
                assert torch.equal(torch.as_tensor(value), torch.as_tensor(other["optimizer"]["state"][number][name]))


def lost(err: str) -> list[str]:
    """The causes of the losses that a sweep has told."""
    first, *others = err.splitlines()
    assert first.startswith("note: hydra.launcher.engine=ray: 2 workers on the Ray cluster at ")
    return [line.partition(" was lost (")[2].partition(")")[0] for line in others]


@pytest.mark.slow
def test_ray_changes_no_bit_of_a_result(cluster, undisturbed, tmp_path):
    sweep = begin(tmp_path / "s", *on_cluster(cluster))
    out, err = sweep.communicate(timeout=300)
    assert (lost(err), sweep.returncode) == ([], 0), out + err
    assert_same(tmp_path / "s", undisturbed)
    assert not (tmp_path / "s/.workers").exists()


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(20))
def test_a_killed_worker_costs_no_result(cluster, undisturbed, tmp_path, trial):
    sweep = begin(tmp_path / "s", *on_cluster(cluster))
    wait_until_trained(tmp_path / "s", sweep)
    time.sleep(0.1 * trial)
    os.kill(sorted(set(workers(tmp_path / "s")))[trial % 2], signal.SIGKILL)
    out, err = sweep.communicate(timeout=300)
    assert (lost(err), sweep.returncode) == (["a process or a node died"], 0), out + err
    assert_same(tmp_path / "s", undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(5))
def test_a_lost_node_costs_no_result(cluster, undisturbed, tmp_path, trial):
    node = second_node(cluster)
    sweep = begin(tmp_path / "s", *on_cluster(cluster))
    wait_until_trained(tmp_path / "s", sweep)
    time.sleep(0.3 * trial)
    cluster.remove_node(node, allow_graceful=False)
    out, err = sweep.communicate(timeout=300)
    assert sweep.returncode == 0, out + err
    assert lost(err)[0] in ("a Ray node died", "a process or a node died")
    assert_same(tmp_path / "s", undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["cluster", "local"])
def test_a_signal_saves_all_runs_and_the_sweep_goes_on(cluster, undisturbed, tmp_path, number, where):
    words = on_cluster(cluster)
    if where == "local":
        words[1] = "hydra.launcher.cluster=local"
    sweep = begin(tmp_path / "s", *words)
    wait_until_trained(tmp_path / "s", sweep)
    sweep.send_signal(number)
    out, err = sweep.communicate(timeout=60)
    assert sweep.returncode == 128 + number, out + err
    assert err.splitlines()[-1] == f"error: interrupted by {number.name}"
    assert "interrupted" in out
    again = subprocess.Popen([*PROGRAM, "resume=s", words[1]], cwd=tmp_path)
    assert again.wait(timeout=300) == 0
    assert_same(tmp_path / "s", undisturbed)


@pytest.mark.slow
def test_a_second_signal_kills_at_once(cluster, tmp_path):
    words = ["trainer.epochs=4000", "model.width=1024", "seed=range(2)", "trainer.batch_size=full"]
    sweep = begin(tmp_path / "s", *on_cluster(cluster), *words)
    while len(set(workers(tmp_path / "s"))) < 2:
        time.sleep(0.02)
    processes = set(workers(tmp_path / "s"))
    sweep.send_signal(signal.SIGINT)
    time.sleep(0.01)
    sweep.send_signal(signal.SIGINT)
    sweep.communicate(timeout=30)
    assert sweep.returncode == 130
    time.sleep(1)
    assert not [process for process in processes if Path(f"/proc/{process}").exists()]


@pytest.mark.slow
def test_a_lost_head_is_one_line_and_the_sweep_goes_on_elsewhere(undisturbed, tmp_path):
    cluster = nodes()
    address = cluster.address
    try:
        sweep = begin(tmp_path / "s", *on_cluster(cluster), "hydra.launcher.workers=1", "trainer.epochs=2000")
        while not workers(tmp_path / "s"):
            assert sweep.poll() is None, sweep.communicate()
            time.sleep(0.1)
        cluster.head_node.kill_gcs_server(check_alive=False)
        out, err = sweep.communicate(timeout=120)
    finally:
        cluster.shutdown()
    assert sweep.returncode == 4, out + err
    assert err.splitlines()[-1] == f"error: the head of the Ray cluster at {address} is lost"
    assert "go on      deeprob-train resume=s" in out
