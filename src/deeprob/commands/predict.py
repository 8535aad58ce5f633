"""``deeprob-predict``: what a finished run, or several runs together, say about new inputs."""

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from deeprob.assembly.answers import Answers
from deeprob.assembly.finished import CHECKPOINTS, load_run
from deeprob.assembly.new_inputs import new_inputs
from deeprob.commands.command import Command
from deeprob.config import choice, register
from deeprob.errors import memory_errors
from deeprob.tracking.console import Bar
from deeprob.tracking.rows_file import KINDS, rows_file
from deeprob.training.trainer import DEVICES


@register("", "predict")
@dataclass(kw_only=True, slots=True)
class PredictConfig:
    """The config of ``deeprob-predict``.

    Attributes
    ----------
    run
        The directory of the run that predicts. Example: ``run=DIR``.
    runs
        The directories of several runs whose predictions are combined, instead of `run`. Example:
        ``runs=[DIR1,DIR2]``.
    input
        The new inputs: a table (CSV, Parquet, NPZ), a picture, or a folder of pictures at any depth. A table needs no
        targets, and its columns may have any order. Example: ``input=new.csv``.
    output
        The file to write, which ends in ``.csv``, ``.jsonl`` or ``.parquet``. null or ``-`` prints CSV. Example:
        ``output=answers.csv``.
    overwrite
        Whether a file that is there already is replaced.
    checkpoint
        The checkpoint that is loaded. ``best`` is the checkpoint with the best result on the validation split. ``last``
        is the last checkpoint.
    device
        The device on which the network runs. ``auto`` takes CUDA if there is a CUDA device.
    """

    run: str | None = None
    runs: list[str] = field(default_factory=list)
    input: str | None = None
    output: str | None = None
    overwrite: bool = False
    checkpoint: str = choice("best", among=CHECKPOINTS)
    device: str = choice("auto", among=DEVICES)

    def problems(self) -> Iterator[str]:
        """Yield a message for each key that is missing, wrong, or contradicts another key."""
        if self.run is None and not self.runs:
            yield "run is missing: add its directory to the command, or several to fuse"
        if self.run is not None and self.runs:
            yield "run and runs exclude each other: run=DIR takes one, runs=[DIR,DIR] fuses several"
        places = [Path(run).resolve() for run in self.runs]
        if len(places) == 1 or len(set(places)) < len(places):
            yield f"runs=[{','.join(self.runs)}]: expected two runs or more, each once; run=DIR takes one"
        if self.input is None:
            yield "input is missing: add input=FILE, a table or a picture, or a folder of pictures"
        path = self.path
        if path is not None and path.suffix.lower() not in KINDS:
            yield f"output={self.output}: expected a name that ends in {', '.join(KINDS)}"
        if path is not None and path.exists() and not self.overwrite:
            yield f"output={self.output}: there is such a file; set overwrite=true, or another output"
        if path is not None and not path.parent.is_dir():
            yield f"output={self.output}: no folder {path.parent}"

    @property
    def path(self) -> Path | None:
        """The file to write; None for standard output."""
        return None if self.output in (None, "-") else Path(self.output)


def predict_inputs(config: PredictConfig) -> int:
    """Write the predictions for all inputs, and return the number of inputs."""
    assert config.input is not None
    target = sys.stdout if config.path is None else config.path
    # beside a table on standard output, all else, such as a progress bar, goes to standard error
    with memory_errors(), redirect_stdout(sys.stderr if config.path is None else sys.stdout):
        runs = [load_run(run, config.checkpoint, config.device) for run in config.runs or [str(config.run)]]
        answers, inputs = Answers(runs), new_inputs(Path(config.input), runs)
        label = f"{inputs.label} of input" if inputs.label in answers.columns else inputs.label
        digits = 17 if runs[0].config.trainer.precision == "float64" else 9
        with (
            rows_file(target, [label, *answers.columns], digits) as file,
            Bar(len(inputs), "predicting", inputs.unit) as bar,
        ):
            for batch in inputs.batches():
                file.add([inputs.names(batch), *answers([inputs.read(run, batch) for run in runs])])
                bar.advance(batch.stop - batch.start)
    if config.path is not None:
        print(f"answers    {config.path} ({len(inputs)} {inputs.unit})")
    return len(inputs)


COMMAND = Command.once(PredictConfig, predict_inputs, one="run", several="runs")
