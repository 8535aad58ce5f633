"""The model card: a page beside an exported network that says what it is, how good it is, and how to call it."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deeprob.assembly.finished import SPLITS, Run
from deeprob.config import flat, to_yaml
from deeprob.errors import first_few
from deeprob.tracking.files import read_text, write_whole

_MARK = "<!-- written by deeprob-export: "
_MOST_SHOWN = 8  # numbers of an example row in a snippet


def write_card(run: Run, description: Mapping[str, Any], file: Path, kind: str) -> Path | None:
    """Write the card of a network beside its file, and return the path of the card.

    The card is ``README.md``. If there is one of the same run already, the new one also describes the other files that
    it described. A README.md that deeprob did not write is left as it is, and the result is None.
    """
    path = file.with_name("README.md")
    files = {file.name: kind}
    if path.exists():
        earlier = _earlier(path)
        if earlier is None:
            return None
        if (earlier.get("config"), earlier.get("data")) == (description["config"], description["data"]):
            there = {name: known for name, known in earlier["files"].items() if file.with_name(name).exists()}
            files = there | files
    mark = json.dumps({"config": description["config"], "data": description["data"], "files": files})
    text = "\n".join([f"{_MARK}{mark} -->", *_lines(run, description, files)])
    write_whole(path, (text + "\n").encode())
    return path


def _earlier(path: Path) -> dict[str, Any] | None:
    """Return what the first line of an earlier card says; None if it is no card."""
    try:
        first = read_text(path).split("\n", 1)[0]
        found = json.loads(first.removeprefix(_MARK).removesuffix("-->")) if first.startswith(_MARK) else None
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("files"), dict) else None


def _lines(run: Run, description: Mapping[str, Any], files: Mapping[str, str]) -> Iterator[str]:
    values = flat(run.config)
    task = f"one of {len(run.classes)} classes" if run.classes else f"{run.predictor.outputs} number(s)"
    yield f"# {values['dataset']}-{values['model']}-{values['optimizer']}\n"
    yield f"A network that predicts {task} from {_inputs_in_words(description['inputs'])}. It was trained with"
    yield f"deeprob {description['deeprob']}; all that comes before the network is inside the file.\n"
    yield "## Use\n"
    for name, kind in files.items():
        yield f"{_USES[kind]}\n"
        yield snippet(name, kind, description)
    yield "## Data\n"
    yield from _data(run, description, values)
    yield "\n## Results\n"
    yield from _results(run.metrics)
    yield "\n## Training\n"
    yield from _training(run)
    yield "\nAll settings:\n"
    yield f"```yaml\n{to_yaml(run.config).decode().rstrip()}\n```"


def _inputs_in_words(inputs: Any) -> str:
    if isinstance(inputs, list):
        return f"the {len(inputs)} column(s) of a table"
    shape = inputs["shape"]
    if len(shape) == 3:
        return f"pictures of {shape[2]}×{shape[1]} pixels, {shape[0]} channels, with levels from 0 to 255"
    return f"{shape[0]} numbers"


_USES = {
    "onnx": "With ONNX Runtime (`pip install onnxruntime`):",
    "torch_export": "With PyTorch, without deeprob:",
    "safetensors": "The tensors, without the formulas:",
    "c": "In C, with `cc -std=c99 main.c -lm`:",
}


def snippet(name: str, kind: str, description: Mapping[str, Any]) -> str:
    """Return a program that calls the network in the file `name`, as a block of Markdown.

    It runs in the folder of the file.
    """
    outputs = "scores, probabilities" if description["probabilities"] else "scores,"
    row = _example(description["inputs"])
    if kind == "onnx":
        return _block(
            "python",
            "import numpy as np\nimport onnxruntime\n",
            f'session = onnxruntime.InferenceSession("{name}")',
            f"inputs = {row.replace('TORCH', 'np')}",
            f'{outputs} = session.run(None, {{"input": inputs}})',
        )
    if kind == "torch_export":
        return _block(
            "python",
            "import torch\n",
            f'network = torch.export.load("{name}").module()',
            f"inputs = {row.replace('TORCH', 'torch').replace('array', 'tensor')}",
            f"{outputs} = network(inputs)",
        )
    if kind == "safetensors":
        return _block(
            "python",
            "from safetensors import safe_open\n",
            f'with safe_open("{name}", "pt") as file:',
            "    tensors = {name: file.get_tensor(name) for name in file.keys()}",
            "    about = file.metadata()",
        )
    own = c_name(Path(name).stem)
    return _block(
        "c",
        f'#include <stdio.h>\n#include "{name}"\n\nint main(void)\n{{',
        f"    float input[{own.upper()}_INPUTS] = {{0.0f}}, output[{own.upper()}_OUTPUTS];",
        f"    {own}_predict(input, output);",
        f"    for (int i = 0; i < {own.upper()}_OUTPUTS; i++)",
        '        printf("%g\\n", output[i]);\n    return 0;\n}',
    )


def c_name(stem: str) -> str:
    """Return the name that begins the functions of a header, such as ``spirals`` for ``spirals.h``."""
    name = re.sub(r"\W", "_", stem, flags=re.ASCII)
    return name if name[:1].isalpha() else f"network_{name}"


def _example(inputs: Any) -> str:
    """Return the Python expression of a batch with one input."""
    if isinstance(inputs, list):
        if len(inputs) > _MOST_SHOWN:
            return f"TORCH.zeros((1, {len(inputs)}), dtype=TORCH.float64)"
        row = [f"{column['fill'] or 0.0:.6g}" if column["kind"] == "number" else "0" for column in inputs]
        return f"TORCH.array([[{', '.join(row)}]], dtype=TORCH.float64)"
    shape = ", ".join(map(str, inputs["shape"]))
    return f"TORCH.zeros((1, {shape}), dtype=TORCH.{'uint8' if 'levels' in inputs else 'float32'})"


def _block(language: str, *lines: str) -> str:
    body = "\n".join(lines)
    return f"```{language}\n{body}\n```\n"


def _data(run: Run, description: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[str]:
    place = f", `{values['dataset.root']}`" if values.get("dataset.root") else ""
    yield f"- dataset: {values['dataset']}{place}"
    if run.seal:
        yield f"- hash of the training inputs: `{run.seal}`"
    if run.classes:
        counts = () if run.encoding is None else run.encoding.counts
        shown = [f"{name} ({count})" for name, count in zip(run.classes, counts, strict=False)] or list(run.classes)
        yield f"- classes, in the order of the scores: {first_few(shown, 100)}"
    elif description["targets"]:
        yield f"- targets, in the order of the outputs: {', '.join(description['targets'])}"
    if not isinstance(description["inputs"], list):
        return
    yield "\nThe inputs, in this order, are one number for each column:\n"
    yield "| column | number |"
    yield "|---|---|"
    for column in description["inputs"]:
        meaning = "the number itself" + (
            f"; NaN becomes {column['fill']:.6g}" if column.get("fill") is not None else ""
        )
        if column["kind"] == "category":
            levels = [f"{place} {level}" for place, level in enumerate(column["levels"])]
            meaning = f"{first_few(levels, 100)}; any other number is a level that training has not seen"
            meaning += "; NaN is a missing cell" * column["missing"]
        yield f"| {_cell(column['name'])} | {_cell(meaning)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _results(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table with a row for each measure and a column for each split."""
    splits = [split for split in SPLITS if f"examples/{split}" in metrics]
    names = dict.fromkeys(name.partition("/")[2] for name in metrics if name.partition("/")[0] in splits)
    yield "| measure | " + " | ".join(f"{split} ({metrics[f'examples/{split}']} examples)" for split in splits) + " |"
    yield "|---" * (1 + len(splits)) + "|"
    for name in names:
        cells = [metrics.get(f"{split}/{name}") for split in splits]
        shown = ["" if cell is None else f"{cell:.5g}" for cell in cells]
        yield f"| {_cell(name)} | {' | '.join(shown)} |"


def _training(run: Run) -> Iterator[str]:
    try:
        known = json.loads(read_text(run.directory / "provenance.json"))
    except (OSError, ValueError):  # a run without a command, or a damaged file
        known = {}
    dirty = ", with changes since" if known.get("git_dirty") else ""
    for name, value in (
        ("command", f"`{known['command']}`" if "command" in known else None),
        ("started", known.get("started")),
        ("commit", f"{known['git_commit']}{dirty}" if known.get("git_commit") else None),
        ("device", known.get("device")),
        ("Python", known.get("python")),
        ("packages", ", ".join(f"{name} {version}" for name, version in known.get("packages", {}).items())),
    ):
        if value:
            yield f"- {name}: {value}"
