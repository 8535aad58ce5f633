import subprocess
from importlib.metadata import version

import torch

from deeprob.tracking import provenance as module
from deeprob.tracking.device import device_name
from deeprob.tracking.provenance import provenance


def test_what_it_holds():
    content = provenance(["deeprob-train", "seed=3"], torch.device("cpu"), 3)
    assert content["command"] == "deeprob-train seed=3"
    assert (content["seed"], content["device"]) == (3, "cpu")
    assert content["packages"]["hydra-core"] == version("hydra-core")


def test_commit_and_dirt_of_the_checkout(tmp_path, monkeypatch):
    def git(*words):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.run(["git", "-C", tmp_path, *identity, *words], check=True, capture_output=True, text=True)

    monkeypatch.setattr(module, "__file__", str(tmp_path / "code.py"))
    (tmp_path / "code.py").write_text("1")
    git("init")
    module._git.cache_clear()
    assert module._git() == {"git_commit": None, "git_dirty": None}  # not tracked: not that repository's code
    git("add", ".")
    git("commit", "-m", "x")
    commit = git("rev-parse", "HEAD").stdout.strip()
    module._git.cache_clear()
    assert module._git() == {"git_commit": commit, "git_dirty": False}
    (tmp_path / "code.py").write_text("2")
    module._git.cache_clear()
    assert module._git() == {"git_commit": commit, "git_dirty": True}
    module._git.cache_clear()


def test_device_names(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    assert device_name(torch.device("cuda")) == "Some GPU"
    assert device_name(torch.device("cpu")) == "cpu"
