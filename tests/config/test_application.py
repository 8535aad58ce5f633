"""The parts of Hydra that are not its public API and that deeprob relies on, and the directories of runs."""

import inspect
from pathlib import Path

import pytest
from hydra._internal import config_loader_impl
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.default_element import ResultDefault
from hydra.core.utils import JobReturn, run_job
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf

from deeprob.config import application
from deeprob.config.application import claimed, config_directory, parse_arguments
from deeprob.errors import UserError


def parameters(function) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_internals_of_hydra_are_as_they_were():
    assert parameters(create_config_search_path) == ["search_path_dir"]
    assert parameters(Hydra.create_main_hydra2) == ["task_name", "config_search_path"]
    assert parameters(Hydra.compose_config)[1:4] == ["config_name", "overrides", "run_mode"]
    assert "validate_sweep_overrides" in parameters(Hydra.compose_config)
    assert parameters(Hydra.show_cfg)[1:6] == ["config_name", "overrides", "cfg_type", "package", "resolve"]
    assert parameters(Hydra.shell_completion)[1:] == ["config_name", "overrides"]
    assert parameters(Hydra.hydra_help)[1:4] == ["config_name", "args_parser", "args"]
    assert parameters(Hydra.show_info)[1:4] == ["info", "config_name", "overrides"]
    composing = ["config_name", "overrides", "run_mode", "from_shell", "validate_sweep_overrides"]
    assert parameters(ConfigLoaderImpl.load_configuration)[1:6] == composing
    assert parameters(ConfigLoaderImpl._load_single_config) == ["self", "default", "repo"]
    assert {"config", "path"} <= set(ConfigResult.__dataclass_fields__)
    assert "config_path" in ResultDefault.__dataclass_fields__
    assert parameters(run_job)[:5] == ["task_function", "config", "job_dir_key", "job_subdir_key", "hydra_context"]
    assert parameters(BasicSweeper.split_arguments) == ["overrides", "max_batch_size"]
    assert {"sweep", "setup"} <= set(dir(BasicSweeper))
    assert parameters(BasicSweeper.setup)[1:] == ["hydra_context", "task_function", "config"]
    assert parameters(BasicLauncher.launch)[1:] == ["job_overrides", "initial_job_idx"]
    assert parameters(ConfigLoaderImpl._apply_overrides_to_config) == ["overrides", "cfg"]
    assert parameters(ConfigLoaderImpl.validate_sweep_overrides_legal) == ["overrides", "run_mode", "from_shell"]
    if (naming := getattr(config_loader_impl, "get_overrides_dirname", None)) is not None:  # not in Hydra 1.4
        assert parameters(naming) == ["overrides", "exclude_keys", "item_sep", "kv_sep"]
    assert {"on_run_start", "on_run_end", "on_multirun_start", "on_multirun_end"} <= set(dir(Callbacks))
    assert "_return_value" in JobReturn.__dataclass_fields__
    assert {"overrides", "multirun", "cfg", "info", "shell_completion", "config_dir", "config_name"} <= set(
        vars(get_args_parser().parse_args([]))
    )


def test_internals_of_omegaconf_are_as_they_were():
    node = OmegaConf.create({"a": "${b}", "b": 3, "c": None, "d": "???", "e": {"f": True}})
    assert node._get_node("a")._value() == "${b}"
    assert node._get_node("a")._dereference_node()._value() == 3
    assert (node._get_node("c")._is_none(), node._get_node("d")._is_missing()) == (True, True)
    assert node._get_node("e")._get_node("f")._get_parent() is node._get_node("e")
    assert node._get_node("e")._get_root() is node
    assert node._get_node("c")._is_optional()


def test_other_modules_use_nothing_that_is_private_in_hydra():
    source = Path(application.__file__).parents[2]
    users = {str(path.relative_to(source)) for path in source.rglob("*.py") if "hydra._internal" in path.read_text()}
    config, plugins = "deeprob/config/", "hydra_plugins/deeprob_"  # Hydra loads its plugins' modules a second time
    assert users == {f"{config}application.py", f"{config}loader.py", f"{plugins}launcher.py", f"{plugins}sweeper.py"}


def test_configs_are_found():
    assert (config_directory() / "train.yaml").is_file()


def test_arguments_in_any_order():
    arguments, _ = parse_arguments(["a=1", "-m", "b=2"])
    assert (arguments.overrides, arguments.multirun) == (["a=1", "b=2"], True)


def test_what_stays_empty_is_taken_away_again(tmp_path):
    with claimed(tmp_path / "a" / "b" / "c", numbered=True) as directory:
        assert directory == tmp_path / "a" / "b" / "c"
        assert directory.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_before_stays(tmp_path):
    (tmp_path / "a").mkdir()
    with claimed(tmp_path / "a" / "b", numbered=True):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_was_written_stays_when_an_error_comes(tmp_path):
    def write_and_fail() -> None:
        with claimed(tmp_path / "a" / "b", numbered=True) as directory:
            (directory / "file").touch()
            raise KeyError

    with pytest.raises(KeyError):
        write_and_fail()
    assert (tmp_path / "a" / "b" / "file").exists()


@pytest.mark.parametrize("numbered", [True, False])
def test_a_directory_that_cannot_be_made_is_named_whole(tmp_path, monkeypatch, numbered):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught, claimed(Path("file/run"), numbered=numbered):
        pass
    assert str(caught.value) == f"{tmp_path}/file/run cannot be made (Not a directory); give another directory"


def test_a_name_that_is_taken_gets_a_number(tmp_path):
    for name in ("a", "a-2", "a-3"):
        with claimed(tmp_path / "a", numbered=True) as directory:
            (directory / "file").touch()
            assert directory == tmp_path / name


def test_a_name_of_ones_own_must_be_new_or_empty(tmp_path):
    def claim(path: Path) -> None:
        with claimed(path, numbered=False) as directory:
            (directory / "file").touch()

    (tmp_path / "empty").mkdir()
    claim(tmp_path / "empty")
    claim(tmp_path / "new")
    (tmp_path / "other").touch()
    for taken in ("empty", "new", "other"):
        with pytest.raises(UserError, match=f"{taken} exists already"):
            claim(tmp_path / taken)


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("defaults: [{override /dataset: spirls}]", (), "dataset=spirls: no such option; did you mean spirals?"),
        ("defaults: [{override /optimzer: sgd}]", (), "optimzer: no group of this command; see --help"),
        ("optimizer: {lr: -3}", ("seed=1",), "optimizer.lr=-3.0: expected a number greater than 0"),
        ("trainer: {epoch: 3}", (), "In 'experiment/own': ConfigKeyError raised"),
    ],
)
def test_a_mistake_in_a_file_of_ones_own_comes_with_the_file(deeprob, tmp_path, text, words, line):
    file = tmp_path / "configs" / "experiment" / "own.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"# @package _global_\n{text}\n")
    status, out, err = deeprob("--config-dir", str(tmp_path / "configs"), "experiment=own", *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {file}: {line}")


def test_a_group_that_comes_after_a_file_of_ones_own_is_not_called_unknown(deeprob, tmp_path):
    file = tmp_path / "configs" / "features" / "own.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("defaults: [raw, {override /model@_global_.model: linear}]\n")
    status, _, err = deeprob("--config-dir", str(tmp_path / "configs"), "features=own")
    assert status == 2
    assert err.startswith(f"error: {file}: In 'features/own': ")


def test_a_mistake_beside_a_file_of_ones_own_does_not(deeprob, tmp_path):
    file = tmp_path / "configs" / "experiment" / "own.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("# @package _global_\nmodel: {width: 8}\n")
    err = deeprob("--config-dir", str(tmp_path / "configs"), "experiment=own", "seed=-1").err
    assert err == "error: seed=-1: expected a whole number at least 0\n"
    file = file.with_name("invalid.yaml")
    file.write_text("# @package _global_\ntrainer: {epochs: [3}\n")  # the error has the file already
    err = deeprob("--config-dir", str(tmp_path / "configs"), "experiment=invalid").err
    assert err.startswith(f"error: {file}, line 2: not valid YAML")
