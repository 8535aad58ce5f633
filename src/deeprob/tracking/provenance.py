"""The provenance of a run: command, code version, packages and device."""

import functools
import platform
import shlex
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from deeprob.tracking.device import device_name

_PACKAGES = ("deeprob", "torch", "torchvision", "hydra-core", "omegaconf", "tensorboard", "numpy")


def provenance(command: Sequence[str], device: torch.device, seed: int) -> dict[str, Any]:
    """Return the content of ``provenance.json``."""
    return {
        "command": shlex.join(command),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "seed": seed,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": _versions(),
        **_git(),
    }


@functools.cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}


@functools.cache
def _git() -> dict[str, Any]:
    """Return the git commit of this code, and whether files have changed since the commit.

    Both values are None if the code is not in a git repository, as for an installed package.
    """

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(Path(__file__).parent), *words], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    # an environment may lie inside another repository, whose commit says nothing about this package
    tracked = git("ls-files", "--error-unmatch", Path(__file__).name) is not None
    status = git("status", "--porcelain") if tracked else None
    return {
        "git_commit": git("rev-parse", "HEAD") if tracked else None,
        "git_dirty": None if status is None else bool(status),
    }
