"""Every option of a group: a dataclass under its name, and the YAML file that chooses it."""

import pytest
from omegaconf import OmegaConf

from deeprob.commands.optimizer_paths import OptimizerPathsConfig
from deeprob.commands.train import COMMAND as TRAIN
from deeprob.commands.visualize import VisualizeConfig
from deeprob.config import options
from deeprob.config.application import Application, config_directory, started

COMMANDS = {
    "train": (
        TRAIN.schema,
        ("dataset", "features", "model", "loss", "regularizer", "optimizer", "scheduler", "trainer"),
    ),
    "visualize": (VisualizeConfig, ("figure",)),
    "optimizer_paths": (OptimizerPathsConfig, ("surface",)),
}
FILES = [
    (group, path)
    for _, groups in COMMANDS.values()
    for group in groups
    for path in (config_directory() / group).iterdir()
]


@pytest.fixture(scope="module")
def application_of():
    """From a group to the command that has it."""
    with started(None) as hydra:
        yield {
            group: Application(hydra, name, schema) for name, (schema, groups) in COMMANDS.items() for group in groups
        }


def test_every_group_is_looked_at():
    folders = {path.name for path in config_directory().iterdir() if path.is_dir()}
    assert {group for group, _ in FILES} == folders - {"experiment", "hydra"}


def test_every_option_has_a_file():
    files = {(group, path.stem) for group, path in FILES}
    assert {(group, name) for group, _ in FILES for name in options(group)} <= files


@pytest.mark.parametrize(("group", "path"), FILES, ids=lambda value: getattr(value, "stem", value))
def test_a_file_says_what_it_is_and_fits_its_dataclass(application_of, group, path):
    assert path.read_text(encoding="utf-8").startswith("# ")
    config = application_of[group].compose([f"{group}={path.stem}"], multirun=False, check=False)
    kind = OmegaConf.get_type(config[group])
    assert kind is options(group).get(path.stem, kind)
    assert kind in options(group).values()
    assert kind.__doc__
