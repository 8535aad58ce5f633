"""The command line: exit status, one line for each mistake, nothing left behind."""

import csv
import os
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from deeprob.commands import main
from deeprob.config import options
from deeprob.config.application import Application
from deeprob.errors import UserError
from deeprob.models.activations import ACTIVATIONS

WRONG = {
    # keys
    "optimizer.lrr=1": "optimizer.lrr: no such key in optimizer; did you mean lr?",
    "lr=1": "lr: no such key; did you mean optimizer.lr?",
    "optimzer=sgd": "optimzer: no such key; did you mean optimizer?",
    "epochs=3": "epochs: no such key; did you mean trainer.epochs?",
    "model.foo.bar=1": "model.foo",
    "+optimizer.foo=1": "optimizer.foo: no such key; choose from",
    "+foo=1": "foo: no such key",
    "++trainer.epoch=1": "trainer.epoch: no such key; did you mean epochs?",
    "optimizer.lr.x=1": "optimizer.lr",
    "~optimizer.lr": "~optimizer.lr",
    "~model": "model is missing",
    "~seed": "seed is missing",
    "model.hidden.0=3": "model.hidden.0=3: expected a list of whole numbers at least 1 or null",
    "regularizer=none regularizer.x=1": "regularizer.x: no such key in regularizer; there are none",
    "model." + "x" * 1000 + "=1": "no such key in model",
    "++optimizer.lr" + ".x" * 300 + "=1": "optimizer.lr: expected a number",
    # the word at fault among right ones
    "model=linear ~foo": "error: ~foo: ",
    "optimizer=sgd features=null": "error: features=null: expected one of bag_of_words, chain",
    "optimizer=sgd seed=2 +seed=3": "error: +seed=3: Could not append",
    "seed=1 seed=x": "error: seed=x: expected a whole number",
    # keys of another option
    "optimizer.momentum=0.9": "optimizer.momentum: belongs to optimizer=",
    "regularizer.strength=1": "strength: belongs to regularizer=elastic_net or regularizer=l1 or regularizer=l2",
    "model=linear model.width=3": "model.width: belongs to model=mlp",
    "dataset.root=x": "dataset.root: belongs to dataset=cifar10 or dataset=csv or dataset=image_folder",
    "dataset.flip=true": "dataset.flip: belongs to dataset=",
    "scheduler=step scheduler.patience=3": "scheduler.patience: belongs to scheduler=plateau",
    # options
    "optimizer=adamm": "optimizer=adamm: no such option; did you mean adam?",
    "model=cnn": "model=cnn: no such option; choose from linear, mlp; an own one needs --import MODULE",
    "dataset=mnist": "dataset=mnist: no such option",
    "model=null": "model=null: expected one of linear, mlp",
    "model=[linear,mlp]": "model=[linear,mlp]: expected one of linear, mlp",
    "model={a:1}": "model.a: no such key",
    "optimizer@other=sgd": "optimizer@other",
    "optimizer=./adam": "optimizer=./adam: expected one of",
    "optimizer=adam.yaml": "optimizer=adam.yaml: expected one of",
    "optimizer=[adam]": "optimizer=[adam]: expected one of",
    "optimizer=/etc/passwd": "optimizer=/etc/passwd: no such option",
    # types
    "optimizer.lr=fast": "optimizer.lr=fast: expected a number greater than 0",
    "optimizer.lr=null": "optimizer.lr=null: expected a number greater than 0",
    "optimizer.lr=[1]": "optimizer.lr=[1]: expected a number",
    "optimizer.lr=true": "optimizer.lr=true: expected a number",
    "optimizer.lr=": "optimizer.lr=: expected a number",
    "model.layers=2.5": "model.layers=2.5: expected a whole number in",
    "model.layers=two": "model.layers=two: expected a whole number in",
    "model.hidden=true": "model.hidden=true",
    "model.hidden={}": "model.hidden={}: expected a list of whole numbers",
    "model.hidden=[1,x]": "model.hidden=[1,x]: expected a list of whole numbers at least 1 or null",
    "model.hidden=[4,[5]]": "model.hidden=[4,[5]]: expected",
    "optimizer.amsgrad=2": "optimizer.amsgrad=2: expected true or false",
    "optimizer.amsgrad=yes": "optimizer.amsgrad=yes: expected true or false",
    "optimizer.amsgrad=${seed}": "optimizer.amsgrad=${seed}: expected true or false",
    "trainer.preflight=${seed}": ": expected one of false, true, only",
    "trainer.batch_size=true": "trainer.batch_size=true",
    "trainer.batch_size=${trainer.progress}": ": expected a whole number at least 1 or full or auto",
    "sweep=${seed}": ": expected keys of its own",
    "seed=${model.activation}": "seed=${model.activation}: expected a whole number at least 0",
    "seed=${nope}": "seed: Interpolation key 'nope' not found",
    "trainer.batch_size=1.5": "trainer.batch_size=1.5",
    "seed=one": "seed=one: expected a whole number at least",
    # ranges
    "optimizer.lr=-1": "optimizer.lr=-1.0: expected a number greater than 0",
    "optimizer.lr=0": "optimizer.lr=0.0: expected a number greater than 0",
    "optimizer.lr=nan": "optimizer.lr=nan: expected a number greater than 0",
    "optimizer.lr=inf": "optimizer.lr=inf: expected a number greater than 0",
    "optimizer.beta1=1": "optimizer.beta1=1.0: expected a number in [0, 1)",
    "model.dropout=1.0": "model.dropout=1.0: expected a number in [0, 1)",
    "model.dropout=-0.1": "model.dropout=-0.1: expected a number in [0, 1)",
    "model.layers=0": "model.layers=0: expected a whole number in [1, 1000]",
    "model.hidden=[4,0]": "model.hidden=[4,0]: expected a list of whole numbers at least 1 or null",
    "trainer.epochs=0": "trainer.epochs=0: expected a whole number at least 1",
    "trainer.batch_size=0": "trainer.batch_size=0: expected a whole number at least 1 or full or auto",
    "trainer.batch_size=most": "trainer.batch_size=most: expected a whole number at least 1 or full or auto",
    "dataset.classes=1": "dataset.classes=1: expected a whole number at least 2",
    "dataset.val_fraction=1": "dataset.val_fraction=1.0: expected a number in [0, 1)",
    "scheduler.warmup=1": "scheduler.warmup=1.0: expected a number in [0, 1)",
    "seed=-1": "seed=-1: expected a whole number at least 0",
    # words
    "model.activation=rleu": f"model.activation=rleu: expected one of {', '.join(ACTIVATIONS)}, maxout",
    "trainer.device=gpu": "trainer.device=gpu: expected one of auto, cpu, cuda",
    "trainer.precision=float16": "trainer.precision=float16: expected one of float32, float64, bf16",
    "model.init=ones": "model.init=ones: expected one of scaled, standard_normal",
    "dataset=csv dataset.root=x dataset.task=ranking": "dataset.task=ranking: expected one of classification, regr",
    "dataset=csv dataset.root=x dataset.targets={y:1}": "dataset.targets={y:1}: expected a list of words, as in [a,b]",
    "dataset=csv dataset.root=x dataset.targets=[]": "dataset.targets=[]: expected a list of words",
    "dataset=csv dataset.root=x dataset.targets=[a,[b]]": "dataset.targets=['a',['b']]: expected a list of words",
    "dataset=csv dataset.root=x dataset.header=2": "dataset.header=2: expected true or false",
    "dataset=csv dataset.root=x dataset.delimiter=;": "cannot be read as key=value",
    "dataset=cifar10 dataset.crop=-1": "dataset.crop=-1: expected a whole number in [0, 1024]",
    "dataset=cifar10 dataset.flip=maybe": "dataset.flip=maybe: expected true or false",
    "scheduler=plateau scheduler.gamma=1": "scheduler.gamma=1.0: expected a number in (0, 1)",
    "trainer.monitor=accuracy": "trainer.monitor=accuracy: no metric of the validation split; did you mean val/acc",
    "trainer.patience_monitor=test/f1": "trainer.patience_monitor=test/f1: no metric of the validation split; choose",
    "trainer.monitor=val/top5 dataset.val_fraction=0.1": "trainer.monitor=val/top5: this validation split has no such",
    "trainer.monitor=val/recall/x dataset.val_fraction=0.1": "no such metric; did you mean val/recall/arm_",
    # contradictions
    "dataset=random_regression": "loss=cross_entropy needs classes, and the targets are numbers: set loss=",
    "dataset=random_regression loss=squared_error trainer.monitor=val/accuracy": "set val/loss",
    "dataset=cifar10 features=polar dataset.flip=true": "are computed once, before any augmentation: set dataset.",
    "optimizer=lbfgs dataset=cifar10 dataset.crop=4": "set dataset.crop=0",
    "model.layers=5 model.hidden=[4]": "model.layers=5: hidden=[4] makes 2 layers",
    "optimizer=sgd optimizer.nesterov=true": "optimizer.nesterov=true: needs optimizer.momentum > 0",
    "optimizer=lbfgs model.norm=batch": "set model.norm=none",
    "model.norm=group": "model.norm=group: expected one of none, batch, layer",
    "optimizer=lbfgs trainer.precision=bf16": "set trainer.precision=float32",
    "optimizer=lbfgs regularizer=l1 regularizer.proximal=true": "needs an optimizer with one gradient step per update",
    "optimizer=lbfgs trainer.batch_size=32": "set trainer.batch_size=full",
    "optimizer=lbfgs model.dropout=0.5": "set model.dropout=0",
    "optimizer=lbfgs trainer.batch_size=9 model.dropout=0.5": "set trainer.batch_size=full model.dropout=0",
    "trainer.patience=3": "set dataset.val_fraction=0.1",
    "dataset=image_folder": "dataset.root is missing: add dataset.root=",
    # syntax
    "foo": "foo: cannot be read as key=value",
    "=3": "=3: cannot be read as key=value",
    "optimizer.lr=${nope}": "optimizer.lr: Interpolation key 'nope' not found",
    "optimizer.lr=${": "cannot be read as key=value",
    "model.hidden=[1,2": "cannot be read as key=value",
    "model.activation='a\nb'": "model.activation=a\\nb: expected one of",
    "model.activation='\x1b[31m'": "model.activation=\\x1b[31m: expected one of",
    "optimizer.lr=3\nseed=4": "optimizer.lr=3\\nseed=4: cannot be read as key=value (at \\nseed=4)",
    "seed='\0'": "seed='\\x00': has a character that a command line cannot contain",
    "model.hidden=" + "[" * 500 + "]" * 500: "cannot be read as key=value",
    "optimizer.lr=1e-3,1e-2": "optimizer.lr=1e-3,1e-2: several values make a sweep; add -m",
    "seed=range(3)": "seed=range(3): several values make a sweep; add -m",
    "--epochs 3": "unrecognized arguments: --epochs",
    "--resolve": "--resolve goes with --cfg or --help",
    "--experimental-rerun x": "--experimental-rerun is not supported",
    "--config-dir nowhere": "--config-dir nowhere: no such folder",
    "--config-name nowhere": "nowhere",
    "--config-name model/mlp": "--config-name model/mlp: not a config of this command",
    "--cfg job --resolve seed=2 model.width=${nope}": "error: model.width=${nope}: Interpolation key 'nope' not found",
    "--info defaults-tree model=nope": "model=nope: no such option",
    "--hydra-help seed=x": "seed",
    "-m --cfg job": "give only one of",
    # numbers that no machine holds
    "seed=99999999999999999999": "seed=99999999999999999999: expected a whole number",
    "dataset.seed=9223372036854775808": "dataset.seed=9223372036854775808: expected a whole number",
    "trainer.epochs=" + "9" * 400: "expected a whole number at least 1",
    "seed=" + "9" * 5000: "cannot be read as key=value",
    "-m seed=range(0,3,0)": "seed=range(0,3,0): the range has no end, or more than 1000000 values",
    "-m seed=range(1000000000)": "or more than 1000000 values",
    "optimizer=lbfgs model.layers=9000000000000000000": "expected a whole number in [1, 1000]",
    "trainer.threads=100000": "trainer.threads=100000: expected a whole number in [1, 1024]",
    "dataset.noise=1e308": "dataset.noise=1e+308: expected a number in [0, 1000]",
    "model.width=9000000000000000000": "model.width or model.layers",
    "dataset.points_per_class=1000000000000000": "not enough memory",
    # Hydra's own settings
    "hydra.run.dir=${nope}": "hydra.run.dir",
    "hydra.run.dir=": "hydra.run.dir is empty",
    "hydra.job.chdir=true": "hydra.job.chdir=true is not supported",
    "hydra.job.chdir=${nope}": "hydra.job.chdir=${nope}: Interpolation key 'nope' not found",
    "hydra.verbose=3": "hydra.verbose=3",
    "hydra.searchpath=[nowhere]": "hydra.searchpath=[nowhere]",
    "+hydra.callbacks.a._target_=nope.x": "+hydra.callbacks.a._target_=nope.x: Error locating target",
    "seed=1 +hydra.callbacks.a._target_=os.system": "listed because it allows config data to control "
    "executable behavior or belongs to an execution-capable target family. It cannot be authorized with ",
    "-m seed=0,1 hydra.launcher._target_=os.system": "hydra.launcher._target_=os.system: ",
    "-m seed=0,1 +hydra.launcher.x=3": "hydra.sweeper and hydra.launcher: ",
    "hydra.output_subdir=.": "error: hydra.output_subdir=.: Hydra's files would have the names of",
    "hydra.output_subdir=a/..": "error: hydra.output_subdir=a/..: Hydra's files would have",
    "--cfg job --package nope": "nope",
    "--shell-completion install=nope": "--shell-completion",
    "dataset=image_folder dataset.root=": "dataset.root is empty",
    "dataset.root=/bilder-ü dataset=image_folder": "quote special characters",
    "-m optimizer.lr=interval(0,1)": "give the values, as in key=1,2,3",
    "-m hydra.sweep.subdir=x seed=0,1": "job 1 would write to 'x'; each job needs its own folder",
    "-m hydra.sweep.subdir=../x seed=0": "would write to '../x'",
    "-m hydra.sweep.dir=${nope} seed=0": "hydra.sweep.dir",
    # data
    "dataset=image_folder dataset.root=nowhere": "nowhere: no such folder",
    "dataset=csv dataset.root=nowhere dataset.header=null": "nowhere: No such file",
    "dataset.points_per_class=2 dataset.val_fraction=0.01": "dataset.val_fraction=0.01: 6 training examples give",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_mistake_is_one_line_status_2_and_leaves_nothing(deeprob, words):
    status, out, err = deeprob(*words.split(" "))
    assert (status, out) == (2, "")
    assert err.startswith("error: ") or "--package" in words
    assert err.count("\n") == 1
    assert WRONG[words] in err
    assert list(Path.cwd().iterdir()) == []


def test_flags_may_stand_anywhere(deeprob, small):
    status, _, err = deeprob(*small, "-m", "seed=0,1", "hydra.sweep.dir=s")
    assert (status, err) == (0, "")
    assert sorted(path.name for path in Path("s").iterdir()) == ["000_seed=0", "001_seed=1", "summary.csv"]


def test_help_shows_groups_values_and_flags(deeprob):
    status, out, err = deeprob("optimizer=sgd", "--help", "all")
    assert (status, err) == (0, "")
    assert f"\noptimizer: {', '.join(sorted(options('optimizer')))}\n" in out.replace("\n  r", " r")
    assert "\noptimizer=sgd:\n" in out
    assert "  momentum      0.0    The share of the last step" in out
    assert "--multirun" in out
    assert "schema" not in out


def test_cfg_job_prints_the_config(deeprob):
    status, out, _ = deeprob("--cfg", "job", "--package", "scheduler", "scheduler=constant")
    assert (status, out) == (0, "# @package scheduler\nwarmup: 0.0\n")


@pytest.mark.parametrize("flag", ["--info", pytest.param("--hydra-help", marks=pytest.mark.slow)])
def test_hydra_flags_go_on_working(deeprob, flag):
    assert deeprob(flag).status == 0
    assert list(Path.cwd().iterdir()) == []


def test_shell_completion_offers_options_and_keys(deeprob, monkeypatch):
    for line, offered in (("optimizer=", "optimizer=lbfgs"), ("optimizer.", "optimizer.lr=")):
        monkeypatch.setenv("COMP_LINE", f"deeprob-train {line}")
        monkeypatch.setenv("COMP_POINT", str(len(f"deeprob-train {line}")))
        status, out, _ = deeprob("-sc", "query=bash")
        assert status == 0
        assert offered in out.split()


def test_a_config_of_ones_own(deeprob, small, tmp_path):
    (tmp_path / "own" / "model").mkdir(parents=True)
    (tmp_path / "own" / "model" / "wide.yaml").write_text("defaults: [/schema/model/mlp@_here_]\nwidth: 9\n")
    words = [word for word in small if not word.startswith("model")]
    status, _, err = deeprob("--config-dir", str(tmp_path / "own"), "model=wide", *words, "hydra.run.dir=run")
    assert (status, err) == (0, "")
    assert "width: 9" in Path("run/config.yaml").read_text()


def test_the_process_is_as_before(deeprob, small):
    import logging

    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    before = (list(logging.getLogger().handlers), logging.getLogger().level, Path.cwd(), dict(os.environ))
    for words in (small, ("lr=1",), ("--info",), ("-m", "seed=0,1", *small)):
        deeprob(*words)
    assert (list(logging.getLogger().handlers), logging.getLogger().level, Path.cwd(), dict(os.environ)) == before
    assert not GlobalHydra.instance().is_initialized()
    assert HydraConfig.instance().cfg is None


def test_a_bug_of_ours_shows_its_traceback(deeprob, monkeypatch):
    from deeprob.running import run as running

    monkeypatch.setattr(running, "run", lambda *words: 1 / 0)
    status, _, err = deeprob()
    assert status == 1
    assert "ZeroDivisionError" in err
    assert not Path("outputs").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_a_library_has_caught_is_the_cause_of_what_fails_then(deeprob, monkeypatch, number):
    def swallow(*_, **__):
        try:
            os.kill(os.getpid(), number)
        except BaseException:
            raise UserError("defaults: no such key") from None

    monkeypatch.setattr(signal, "getsignal", lambda _: signal.default_int_handler)  # ignored behind a shell's &
    monkeypatch.setattr(Application, "compose", swallow)
    result = deeprob()
    assert (result.status, result.err) == (128 + number, f"error: interrupted by {number.name}\n")


def test_tracebacks_of_mistakes_on_demand(deeprob, monkeypatch):
    monkeypatch.setenv("DEEPROB_TRACEBACK", "1")
    assert "Traceback" in deeprob("optimizer.lr=-1").err


SCRIPTS = sorted((Path(__file__).parents[2] / "scripts").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_are_the_commands(deeprob, script, monkeypatch, capsys):
    """Run in this process: one of its own would import everything again."""
    monkeypatch.setattr(sys, "argv", [str(script), "nonsense=1"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(script), run_name="__main__")
    err = capsys.readouterr().err
    assert caught.value.code == 2
    assert err.startswith("error: nonsense: no such key")
    assert deeprob("nonsense=1", command=script.stem).err == err


def test_every_command_has_its_script():
    commands = (Path(main.__file__).parent).glob("[!_]*.py")
    assert {path.stem for path in SCRIPTS} == {path.stem for path in commands} - {"main", "command"}


def test_the_config_of_another_command_is_refused(deeprob):
    result = deeprob("--config-name", "evaluate", "--cfg", "job")
    assert result == (2, "", "error: --config-name evaluate: not a config of this command\n")


STRANGE = {
    "a callback": (
        "hydra:\n  callbacks:\n    a:\n      _target_: numpy.load\n      file: evil.npy\n",
        "has hydra, which",
    ),
    "a place": ("hydra:\n  run:\n    dir: /tmp/elsewhere\n", "has hydra, which"),
    "an interpolation": ("seed: ${oc.env:DEEPROB_SECRET}\n", "has ${…}, which"),
    "a part of another name": ("defaults: [train, _self_, model@hydra.callbacks: evil]\n", "has hydra, which"),
    "a part by its header": ("defaults: [train, _self_, evil]\n", "has hydra, which"),
}


@pytest.mark.parametrize("strange", STRANGE)
def test_a_config_of_a_run_that_is_no_plain_one_is_refused(deeprob, one_run, strange):
    text, said = STRANGE[strange]
    lines = (one_run / "config.yaml").read_text()
    (one_run / "config.yaml").write_text(text if "defaults" in text else re.sub("(?m)^seed: .*\n", "", lines) + text)
    (one_run / "model").mkdir()
    (one_run / "model" / "evil.yaml").write_text("a:\n  _target_: numpy.load\n")
    (one_run / "evil.yaml").write_text("# @package hydra.callbacks.a\n_target_: numpy.load\n")
    status, out, err = deeprob("--config-dir", "run", "--config-name", "config", "hydra.run.dir=again")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {one_run}/")
    assert f"{said} the config of a run must not have; remove it" in err
    assert not Path("again").exists()


def test_the_config_of_a_run_is_run_again_and_folders_of_ones_own_are_trusted(deeprob, one_run):
    assert deeprob("--config-dir", "run", "--config-name", "config", "hydra.run.dir=again").status == 0
    assert Path("again/config.yaml").read_bytes() == (one_run / "config.yaml").read_bytes()
    Path("own").mkdir()
    Path("own/mine.yaml").write_text((one_run / "config.yaml").read_text() + "hydra:\n  run:\n    dir: chosen\n")
    assert deeprob("--config-dir", "own", "--config-name", "mine").status == 0
    assert Path("chosen/summary.json").is_file()


def test_what_hydra_refuses_in_a_config_is_told_with_its_part(deeprob):
    Path("own").mkdir()
    Path("own/mine.yaml").write_text("defaults: [train, _self_]\nhydra: {callbacks: {a: {_target_: os.system}}}\n")
    status, _, err = deeprob("--config-dir", "own", "--config-name", "mine")
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith("error: hydra.callbacks: Target 'os.system' is bl")  # blocklisted; blacklisted in Hydra 1.4


@pytest.mark.parametrize("size", ["2", "0", "two"])
@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_number_of_processes_without_torchrun_is_refused(deeprob, monkeypatch, size, command):
    monkeypatch.setenv("WORLD_SIZE", size)
    said = "without RANK, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT: start several processes with torchrun"
    assert deeprob(command=command) == (2, "", f"error: WORLD_SIZE={size} {said}, or unset it\n")
    assert list(Path.cwd().iterdir()) == []
    assert deeprob("--help", command=command).status == 0


@pytest.mark.parametrize("line", ["train -m seed=1,2", "train experiment=capacity", "train resume=s", "evaluate run=s"])
def test_only_one_run_is_trained_by_several_processes(deeprob, small, on_ranks, line):
    command, *words = line.split()
    if "resume=s" in words:
        deeprob("-m", *small, "seed=0,1", "hydra.sweep.dir=s")
    before = sorted(Path.cwd().rglob("*"))
    results = on_ranks(2, lambda rank: main.main(words, command))
    assert [result.status for result in results] == [2, 2]
    lines = [result.out + result.err for result in results]
    assert "" in lines
    assert "".join(lines).startswith("error: WORLD_SIZE=2: ")
    assert "".join(lines).count("\n") == 1
    assert sorted(Path.cwd().rglob("*")) == before


@pytest.mark.parametrize("size", ["1", ""])
def test_a_launcher_that_starts_one_process(deeprob, small, monkeypatch, size):
    for name, value in {"WORLD_SIZE": size, "RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    assert deeprob(*small, "hydra.run.dir=run").status == 0


def status_with(streams: dict[int, int], *words: str, meanwhile: Callable[[], None] = lambda: None) -> int:
    """Return the exit status of a command in a process of its own, some of whose descriptors are others."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            for number, descriptor in streams.items():
                os.dup2(descriptor, number)
            os.closerange(3, 256)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            torch.set_num_threads(1)
            status = main.main(words)
            for stream in (sys.stdout, sys.stderr):
                stream.flush()  # as Python does when it ends
        finally:
            os._exit(status)
    meanwhile()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("words", [("--help",), ("hydra.run.dir=run",), ("-m", "seed=0,1", "hydra.sweep.dir=run")])
def test_a_full_output_is_one_line(deeprob, small, words):
    with Path("/dev/full").open("w") as full, Path("err").open("w") as err:
        assert status_with({1: full.fileno(), 2: err.fileno()}, *small, *words) == 2
    assert Path("err").read_text() == "error: standard output: No space left on device\n"
    if words == ("hydra.run.dir=run",):  # the run itself has all it should
        assert deeprob("run=run", command="evaluate").status == 0


def test_errors_that_nobody_can_be_told_keep_their_status(deeprob, small):
    with Path("/dev/full").open("w") as full, Path("out").open("w") as out:
        assert status_with({1: out.fileno(), 2: full.fileno()}, "lr=1") == 2
        words = ("-m", *small, "optimizer=sgd", "optimizer.lr=1e30,1e-3", "hydra.sweep.dir=s")
        assert status_with({1: out.fileno(), 2: full.fileno()}, *words) == 4
    assert [row.split()[2] for row in Path("out").read_text().splitlines()[1:3]] == ["diverged", "completed"]


@pytest.mark.parametrize("launcher", ["basic", "auto"])
def test_a_sweep_that_nobody_reads_ends_and_its_table_is_true(deeprob, small, launcher):
    reader, writer = os.pipe()

    def read_the_header():
        os.close(writer)
        assert os.read(reader, 3) == b"job"
        os.close(reader)

    words = ("-m", *small, "seed=range(4)", f"hydra/launcher={launcher}", "hydra.sweep.dir=s")
    with Path("err").open("w") as err:
        assert status_with({1: writer, 2: err.fileno()}, *words, meanwhile=read_the_header) == 141
    assert Path("err").read_text() == {"basic": "note: 3 of 4 jobs not started\n", "auto": ""}[launcher]
    rows = list(csv.DictReader(Path("s/summary.csv").read_text().splitlines()))
    done = {path.parent.name for path in Path("s").glob("*/summary.json")}
    assert all(row["status"] for row in rows)
    assert [row["status"] == "completed" for row in rows] == [f"00{job}_seed={job}" in done for job in range(4)]
    assert len(done) == 4 or launcher == "basic"


PROCESS = """
import gc, sys
from deeprob.commands.main import main
status = main(sys.argv[2:])
imported = [name for name in sys.argv[1].split() if name in sys.modules]
print(status, gc.isenabled(), gc.get_freeze_count() > 100_000, *imported)
"""
UNUSED = (
    "scipy sklearn pandas torchvision IPython tensorflow optuna loky ray submitit matplotlib pyparsing deeprob.figures"
)
BEFORE_A_RUN = f"{UNUSED} tensorboard google.protobuf torch._dynamo sympy deeprob.running.run deeprob.sweeps"


@pytest.mark.parametrize(
    ("status", "unused", "words"),
    [
        (0, BEFORE_A_RUN, ["--help"]),
        (2, BEFORE_A_RUN, ["modle=mlp"]),
        (2, BEFORE_A_RUN, ["optimizer.lr=fast"]),
        (0, UNUSED, ["trainer.figures=[]", "trainer.epochs=1", "dataset.points_per_class=9"]),
        (0, UNUSED, ["-m", "seed=0,1", "trainer.epochs=1", "dataset.points_per_class=9"]),
    ],
    ids=["help", "wrong key", "wrong value", "run without pictures", "short sweep"],
)
def test_a_command_imports_only_what_it_needs(tmp_path, status, unused, words):
    """Each of these modules costs 30 ms to a second. What torch makes is left out of garbage collections."""
    command = [sys.executable, "-c", PROCESS, unused, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == f"{status} True True"
