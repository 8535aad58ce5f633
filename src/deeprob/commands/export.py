"""``deeprob-export``: writes a finished run's network as a file that other programs run."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deeprob.assembly.finished import CHECKPOINTS, load_run
from deeprob.commands.command import Command
from deeprob.config import choice, register
from deeprob.errors import UserError
from deeprob.exports.c_header import write_c
from deeprob.exports.description import described
from deeprob.exports.model_card import write_card
from deeprob.exports.network import Network, network_of
from deeprob.exports.onnx_file import write_onnx
from deeprob.exports.safetensors_file import write_safetensors
from deeprob.exports.torch_file import write_torch
from deeprob.tracking.console import note

SUFFIXES = {"onnx": ".onnx", "torch_export": ".pt2", "safetensors": ".safetensors", "c": ".h"}
_WRITERS: dict[str, Callable[[Network, dict[str, Any], Path], None]]
_WRITERS = {"onnx": write_onnx, "torch_export": write_torch, "c": write_c}
_PACKAGES = {"onnx": ("onnx", "onnxscript"), "safetensors": ("safetensors",)}


@register("", "export")
@dataclass(kw_only=True, slots=True)
class ExportConfig:
    """The config of ``deeprob-export``.

    Attributes
    ----------
    run
        The directory of the run whose network is exported. Example: ``run=DIR``.
    format
        The kind of file. ``onnx`` is a graph for ONNX Runtime and other programs. ``torch_export`` is a program for
        PyTorch without deeprob. ``c`` is a header in C99 for a microcontroller. ``safetensors`` has the weights and
        learned features alone.
    output
        The file to write. null writes ``export/model`` in the run's directory. Example: ``output=spirals.onnx``.
    overwrite
        Whether a file that is there already is replaced.
    checkpoint
        The checkpoint that is exported. ``best`` is the checkpoint with the best result on the validation split.
        ``last`` is the last checkpoint.
    """

    run: str | None = None
    format: str = choice("onnx", among=tuple(SUFFIXES))
    output: str | None = None
    overwrite: bool = False
    checkpoint: str = choice("best", among=CHECKPOINTS)

    def problems(self) -> Iterator[str]:
        """Yield a message for each key that is missing or wrong."""
        if self.run is None:
            yield "run is missing: add the directory of a run to the command"
        path, suffix = self.path, SUFFIXES[self.format]
        if path.suffix != suffix:
            yield f"output={self.output}: format={self.format} needs a name that ends in {suffix}"
        if path.exists() and not self.overwrite:
            yield f"output={path}: there is such a file; set overwrite=true, or another output"

    @property
    def path(self) -> Path:
        """The file to write."""
        suffix = SUFFIXES[self.format]
        return Path(self.run or "", "export", f"model{suffix}") if self.output is None else Path(self.output)


def export_run(config: ExportConfig) -> Path:
    """Write a run's network and its model card, print where they are, and return the path of the network.

    Raises
    ------
    UserError
        If a package is not installed, or if the features or the model cannot be exported.
    """
    for package in _PACKAGES.get(config.format, ()):
        if importlib.util.find_spec(package) is None:
            raise UserError(f'format={config.format} needs the package {package}: pip install "deeprob[export]"')
    assert config.run is not None
    run = load_run(config.run, config.checkpoint)
    path, description = config.path, described(run)
    network = None if config.format == "safetensors" else network_of(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=".deeprob-") as folder:
        made = Path(folder, path.name)
        if network is None:
            write_safetensors(run, description, made)
        else:
            _WRITERS[config.format](network, description, made)
        made.replace(path)
    print(f"{config.format:<13}{path} ({_size(path.stat().st_size)})")
    card = write_card(run, description, path, config.format)
    if card is None:
        note(f"{path.with_name('README.md')}: not written by deeprob, so there is no model card")
    else:
        print(f"{'model card':<13}{card}")
    return path


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


COMMAND = Command.once(ExportConfig, export_run, one="run")
