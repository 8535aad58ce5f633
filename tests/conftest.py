import json
import os
import shutil
import socket
import sys
import traceback
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from deeprob import config as configs
from deeprob.assembly.automatic import decided
from deeprob.assembly.config import RunConfig
from deeprob.commands.main import main
from deeprob.config import options, schema
from deeprob.config.loader import CachingLoader
from deeprob.config.own_modules import is_own
from deeprob.running import watch


class Result(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _same_threads_after():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


COMPOSED: dict[str, dict] = defaultdict(dict)
"""What Hydra composed for earlier commands, for each search path: most of a small command is composing, 90 ms."""


def be_quick(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let commands run in an empty folder, with a cache of files of their own and what was composed before."""
    folder.joinpath("work").mkdir()
    patch.chdir(folder / "work")
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    patch.setattr(watch, "suited", lambda run, live: [])  # drawing takes longer than a test; see test_watch.py
    begin = CachingLoader.__init__

    def begin_warm(loader, search_path):
        begin(loader, search_path)
        loader._composed = COMPOSED[str(search_path)]

    patch.setattr(CachingLoader, "__init__", begin_warm)


@pytest.fixture
def deeprob(tmp_path, monkeypatch, capsys) -> Callable[..., Result]:
    """Run a command in an empty folder: deeprob("model=linear") or deeprob("run=…", command="evaluate")."""
    be_quick(monkeypatch, tmp_path)

    def run(*words: str, command: str = "train") -> Result:
        status = main(words, command)
        out, err = capsys.readouterr()
        return Result(status, out, err)

    return run


@pytest.fixture
def own(deeprob, monkeypatch) -> Callable[..., Path]:
    """Write a module into the current folder: own("my_parts", text). After the test, nothing knows the module."""
    monkeypatch.setitem(globals(), "COMPOSED", defaultdict(dict))
    before, known = set(sys.modules), {group: set(choices) for group, choices in schema._OPTIONS.items()}

    def write(name: str, text: str) -> Path:
        path = Path(f"{name}.py").absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    yield write
    for group, choices in schema._OPTIONS.items():  # of deeprob's modules, a test may be the first to import one
        for name in [name for name, cls in choices.items() if is_own(cls) and name not in known.get(group, ())]:
            del choices[name]
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(Path.cwd())):
            del sys.modules[name]


@pytest.fixture
def pictures(tmp_path) -> Path:
    """A folder of 8×8 pictures: train/ and test/ of cats (dark, 12 and 4) and dogs (light, 12 and 4)."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 4)):
        for name, low in (("cats", 0), ("dogs", 128)):
            folder = tmp_path / "pictures" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(low, low + 128, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number:04}.png")
    return tmp_path / "pictures"


@pytest.fixture
def validated_pictures(pictures) -> Path:
    """The same folder, in which val/ has what test/ has."""
    shutil.copytree(pictures / "test", pictures / "val")
    return pictures


SMALL = ("dataset.points_per_class=30", "dataset.test_points_per_class=20", "model.width=8", "trainer.epochs=3")


@pytest.fixture
def small() -> tuple[str, ...]:
    """Overrides that make a run take a few milliseconds: 90 points, 3 updates an epoch, 3 epochs."""
    return SMALL


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Path:
    """The directory of a small finished run with a validation split, which tests leave as it is."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        be_quick(patch, tmp_path_factory.mktemp("finished"))
        assert main((*SMALL, "dataset.val_fraction=0.2", "hydra.run.dir=run")) == 0
        directory = Path("run").resolve()
    torch.set_num_threads(threads)
    return directory


@pytest.fixture
def one_run(finished_run, deeprob) -> Path:
    """The directory of a copy of `finished_run`: ``run`` in the current folder."""
    return Path(shutil.copytree(finished_run, "run")).resolve()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests with ranks first: a copy of a process that has used autograd cannot use autograd."""
    items.sort(key=lambda item: "on_ranks" not in getattr(item, "fixturenames", ()))


@pytest.fixture
def on_ranks(tmp_path) -> Callable[..., list[Result]]:
    """Call a function of the rank in several processes, which have the environment that torchrun gives them.

    The function returns the exit status. The processes are copies of this one: new ones would import everything again.
    """

    def call(count: int, work: Callable[[int], int]) -> list[Result]:
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        files = [[tmp_path / f"{name}-{rank}" for name in ("out", "err")] for rank in range(count)]
        children = [os.fork() or _as_rank(rank, count, port, files[rank], work) for rank in range(count)]
        # torchrun has this store too; its thread starts after the copies are made, so they hold none of its locks
        store = torch.distributed.TCPStore(
            "127.0.0.1", port, is_master=True, wait_for_workers=False, master_listen_fd=listening.detach()
        )
        statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        del store
        texts = [[path.read_text() for path in pair] for pair in files]
        return [Result(status, *pair) for status, pair in zip(statuses, texts, strict=True)]

    return call


def _as_rank(rank: int, count: int, port: int, files: list[Path], work: Callable[[int], int]) -> None:
    status = 99
    try:
        place = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count}
        agent = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": True}
        for name, value in {**place, **agent}.items():
            os.environ[name] = str(value)
        torch.set_num_threads(1)
        for number, path in enumerate(files, 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        status = work(rank)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


CHOICES = {
    "dataset": "spirals", "features": "raw", "model": "mlp", "loss": "cross_entropy", "regularizer": "none",
    "optimizer": "adamw", "scheduler": "cosine", "trainer": "default",
}  # fmt: skip


EXAMPLES = 2400
"""The number of training examples of each made run."""


def run_config(values: Mapping[str, Any]) -> RunConfig:
    """Return the config with some choices and values, and the rest as it comes."""
    chosen = {group: options(group)[values.get(group, name)]() for group, name in CHOICES.items()}
    config = RunConfig(**chosen, seed=values.get("seed", 0))
    for key, value in values.items():
        group, _, name = key.partition(".")
        if name:
            setattr(getattr(config, group), name, value)
    return config.resolved()


@pytest.fixture
def config_of() -> Callable[[Mapping[str, Any]], RunConfig]:
    """Make the config of some choices and values: config_of({"optimizer": "sgd", "optimizer.lr": 0.1})."""
    return run_config


@pytest.fixture
def make_run(tmp_path) -> Callable[..., Path]:
    """Write a run directory: make_run("s/000", {"optimizer.lr": 0.1}, accuracy=0.9); status=None leaves no summary."""

    def make(
        name: str,
        values: Mapping[str, Any],
        accuracy: float | None = None,
        status: str | None = "completed",
        curve: tuple[float, ...] = (),
        **others: float,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_bytes(configs.to_yaml(decided(run_config(values), EXAMPLES)))
        measured = {} if accuracy is None else {"test/accuracy": accuracy}
        if status is not None:
            named = {key.replace("_", "/", 1): value for key, value in others.items()}
            ending = {"status": status, "epochs": 3, "examples/train": EXAMPLES}
            (folder / "summary.json").write_text(json.dumps({**ending, **measured, **named}))
        rows = [f"{epoch},{3 * epoch},{value}" for epoch, value in enumerate(curve, 1)]
        if curve:
            (folder / "metrics.csv").write_text("\n".join(["epoch,step,train/accuracy", *rows]) + "\n")
        return folder

    return make


@pytest.fixture
def hparams_tab() -> Callable[..., Any]:
    """Ask TensorBoard's own HParams plugin of the runs in a folder: returns the experiment, and a function that returns
    the runs that pass the filters of some columns, in their order.
    """
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

    def opened(folder: Path) -> tuple[Any, Callable[..., list[Any]]]:
        runs = EventMultiplexer().AddRunsFromDirectory(str(folder))
        runs.Reload()
        tab = backend_context.Context(TBContext(data_provider=MultiplexerDataProvider(runs, str(folder))))
        experiment = get_experiment.Handler(RequestContext(), tab, "", api_pb2.GetExperimentRequest()).run()

        def listed(*columns: Any) -> list[Any]:
            statuses = api_pb2.Status.values()
            request = api_pb2.ListSessionGroupsRequest(allowed_statuses=statuses, col_params=columns, slice_size=10_000)
            return list(list_session_groups.Handler(RequestContext(), tab, "", request).run().session_groups)

        return experiment, listed

    return opened
