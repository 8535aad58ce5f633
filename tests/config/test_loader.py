"""The caching loader gives what Hydra's own gives, configs and errors alike."""

import random
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

import deeprob.commands.main  # registers every option
from deeprob.config.application import started
from deeprob.config.loader import CachingLoader, copies_of, readable

assert deeprob.commands.main


@pytest.fixture(scope="module")
def loaders():
    with started(None) as hydra:
        search_path = hydra.config_loader.get_search_path()
    return ConfigLoaderImpl(search_path), CachingLoader(search_path)


def outcome(loader, overrides, mode):
    try:
        config = loader.load_configuration("train", list(overrides), mode)
    except (HydraException, ValueError) as error:
        cause = error.__cause__
        text = re.sub(r"^Error when parsing index.*\n", "", str(error))  # Hydra 1.4 counts words, the loader has one
        return type(error), text, type(cause), str(cause)
    return OmegaConf.to_container(config, resolve=False)


WORDS = [
    "optimizer.lr=0.5", "optimizer.lr=3", "seed=4", "seed=${trainer.epochs}", "model.width=7", "model.hidden=[3,4]",
    "optimizer=sgd", "optimizer=adam", "optimizer=lbfgs", "model=linear", "regularizer=l2", "dataset=circles",
    "optimizer.momentum=0.5", "regularizer.strength=0.1", "optimizer.nope=1", "nope=1", "+nope=1", "++seed=5",
    "~seed", "model=nope", "optimizer={lr: 2}", "hydra.run.dir=x", "hydra.job.name=a", "seed=[1", "seed='7'",
    "trainer.batch_size=full", "optimizer@x=sgd", "model=null",
]  # fmt: skip


def test_random_overrides_give_the_same_configs_and_errors(loaders):
    stock, caching = loaders
    rng = random.Random(0)
    errors = 0
    for _ in range(30):
        overrides = rng.sample(WORDS, rng.randint(0, 4))
        expected = outcome(stock, overrides, RunMode.RUN)
        assert outcome(caching, overrides, RunMode.RUN) == expected, overrides
        errors += isinstance(expected, tuple)
    assert 5 < errors < 25  # both kinds were compared


def test_sweeps_give_the_same_config(loaders):
    stock, caching = loaders
    overrides = ["seed=1,2", "optimizer=sgd,adam", "optimizer.lr=0.3"]
    expected = outcome(stock, overrides, RunMode.MULTIRUN)
    assert isinstance(expected, dict)
    assert outcome(caching, overrides, RunMode.MULTIRUN) == expected
    assert outcome(caching, overrides, RunMode.RUN) == outcome(stock, overrides, RunMode.RUN)


def test_one_composition_serves_all_values(loaders, monkeypatch):
    _, caching = loaders
    caching.load_configuration("train", ["dataset=moons"], RunMode.RUN)

    def refuse(*words, **named):
        raise AssertionError("composed again")

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", refuse)
    configs = [caching.load_configuration("train", ["dataset=moons", f"seed={n}"], RunMode.RUN) for n in (1, 2)]
    assert [config.seed for config in configs] == [1, 2]


def test_readable_names():
    assert readable(["optimizer.lr=0.001", "seed=2"]) == "optimizer.lr=0.001,seed=2"
    assert readable(["dataset.root=/a/../ü b", "x='y'"]) == "dataset.root=_a_.._b,x=_y_"
    assert len(readable(["x" * 500])) == 100
    assert readable(["a=1", "ab=2", "c=3"], {"a", "c"}) == "ab=2"


def test_copies_of_a_config_whose_class_only_a_function_knows():
    @dataclass
    class Local:
        rates: list[float] = field(default_factory=lambda: [0.5])

    copies = copies_of(OmegaConf.structured(Local))
    first = copies()
    first.rates.append(1.0)
    assert copies().rates == [0.5]
    assert OmegaConf.get_type(copies()) is Local


@pytest.mark.parametrize(("word", "value"), [("64", [64]), ("null", None), ("[8,4]", [8, 4]), ("8,4", [[8], [4]])])
def test_a_single_value_serves_as_a_list_of_one(deeprob, small, word, value):
    words = [word for word in small if not word.startswith("model")]
    sweep = "," in word and "[" not in word
    place = ("-m", "hydra.sweep.dir=s") if sweep else ("hydra.run.dir=s/r",)
    assert deeprob(*words, f"model.hidden={word}", *place).status == 0
    found = [yaml.safe_load(path.read_text())["model"]["hidden"] for path in sorted(Path("s").glob("*/config.yaml"))]
    assert found == (value if sweep else [value])


def test_a_single_word_does_too_for_a_run_that_goes_on(deeprob, small):
    assert deeprob(*small, "trainer.figures=[]", "hydra.run.dir=r").status == 0
    assert deeprob("resume=r", "trainer.figures=weights", "trainer.epochs=3").status == 0
