"""A network as one C header without dependencies: C99, static arrays, arithmetic in float.

Each step reads one array and writes another one, which is its own or one that an earlier step no longer needs.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deeprob.errors import UserError
from deeprob.exports.c_functions import ACTIVATIONS_IN_C, DENSE, LARGEST, LAYER_NORM, NORMAL, QUANTILE, SOFTMAX
from deeprob.exports.model_card import c_name
from deeprob.exports.network import Network
from deeprob.exports.tensor_steps import (
    EMPTY,
    LEVEL,
    NUMBER,
    OTHER,
    BinPlaces,
    Encode,
    Grey,
    PolarCoordinates,
    Project,
    QuantileShares,
    Scale,
    Side,
    Step,
    Units,
)
from deeprob.models.activations import ActivationFormula, MaxoutFormula
from deeprob.models.dense import DenseFormula
from deeprob.models.dropout import DropoutFormula
from deeprob.models.norms import BatchNormFormula, LayerNormFormula


def write_c(network: Network, description: Mapping[str, Any], path: Path) -> None:
    """Write the header. Its functions begin with the name of the file: ``spirals_predict`` in ``spirals.h``.

    Raises
    ------
    UserError
        If the model has no formulas, or one that is not of `deeprob.models`.
    """
    path.write_text(_Header(c_name(path.stem), network, description).text(), encoding="ascii")


@dataclass
class _Header:
    """The parts of the header while it is being written.

    Attributes
    ----------
    arrays
        The definitions of the arrays of numbers.
    helpers
        The functions that some step calls.
    body
        The lines of the function that predicts.
    sizes
        The size of each array that a step writes.
    """

    name: str
    network: Network
    description: Mapping[str, Any]
    arrays: list[str] = field(default_factory=list)
    helpers: dict[str, str] = field(default_factory=dict)
    body: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)

    def text(self) -> str:
        """Return the header."""
        inputs = int(np.prod(self.network.shape))
        source = self._steps(self.network.before, "input", "x")
        source, count = self._model(source)
        if self.network.units is not None:
            source = self._each(source, count, self._affine(self.network.units), "x")
        outputs = self.description["outputs"]
        self.body.append(_loop(outputs, f"output[i] = {source}[i]"))
        return self._written(inputs, outputs)

    def _written(self, inputs: int, outputs: int) -> str:
        own, classes = self.name, self.description["classes"]
        guard = f"{own.upper()}_H"
        names = [f"static const char *const {own}_classes[{len(classes)}] = {{{_texts(classes)}}};"] if classes else []
        buffers = [f"    static float {key}[{size}];" for key, size in self.sizes.items()]
        after: list[str] = []
        if classes:
            after += [LARGEST.replace("NAME", own).replace("OUTPUTS", str(outputs))]
        if self.network.probabilities:
            after += [SOFTMAX.replace("NAME", own).replace("OUTPUTS", str(outputs))]
        return "\n".join(
            [
                _comment(self.name, self.description),
                f"#ifndef {guard}\n#define {guard}\n\n#include <math.h>\n#include <stddef.h>\n",
                f"#define {own.upper()}_INPUTS {inputs}\n#define {own.upper()}_OUTPUTS {outputs}\n",
                *names,
                *self.arrays,
                *(text.replace("NAME", own) for text in self.helpers.values()),
                f"\nstatic inline void {own}_predict(const float *input, float *output)\n{{",
                *buffers,
                *self.body,
                "}",
                *after,
                "\n#endif\n",
            ]
        )

    def _array(self, values: Tensor, kind: str = "float") -> str:
        """Define a constant array, and return its name."""
        key = f"{self.name}_{len(self.arrays)}"
        flat = values.detach().flatten()
        if not flat.isfinite().all():
            raise UserError("format=c: some weights are not finite numbers; choose another run or checkpoint")
        numbers = [_number(value, kind) for value in flat.to(torch.float32 if kind == "float" else flat.dtype).tolist()]
        lines = [", ".join(numbers[start : start + 8]) for start in range(0, len(numbers), 8)]
        self.arrays.append(f"static const {kind} {key}[{len(numbers)}] = {{\n    " + ",\n    ".join(lines) + "\n};")
        return key

    def _target(self, source: str, size: int, pair: str) -> str:
        """Return the array, of two with the letter `pair`, that does not hold the input of a step."""
        target = f"{pair}1" if source == f"{pair}0" else f"{pair}0"
        self.sizes[target] = max(self.sizes.get(target, 0), size)
        return target

    def _each(self, source: str, size: int, formula: str, pair: str) -> str:
        """Compute a formula of x, the number i of the source, for each number. Return where the results are."""
        target = source if source != "input" else self._target(source, size, pair)
        self.body.append(_loop(size, f"{{ float x = {source}[i]; {target}[i] = {formula}; }}"))
        return target

    def _dense(self, source: str, weight: Tensor, bias: Tensor | None, pair: str) -> str:
        self.helpers["dense"] = DENSE
        target = self._target(source, len(weight), pair)
        words = (self._array(weight), "NULL" if bias is None else self._array(bias), *map(str, weight.shape))
        self.body.append(f"    {self.name}_dense({', '.join(words)}, {source}, {target});")
        return target

    def _affine(self, step: Units) -> str:
        return f"x * {self._array(step.deviation)}[i] + {self._array(step.mean)}[i]"

    def _steps(self, steps: Sequence[Step], source: str, pair: str) -> str:
        """Write steps, and return the name of the array with their results."""
        for step in steps:
            source = self._step(step, source, pair)
        return source

    def _step(self, step: Step, source: str, pair: str) -> str:
        match step:
            case Encode():
                return self._encode(step, source, pair)
            case Scale():
                near, scale, rest = (self._array(part) for part in (step.near, step.scale, step.rest))
                return self._each(source, step.inputs, f"(x - {near}[i]) / {scale}[i] + {rest}[i]", pair)
            case Project():
                near, rest = self._array(step.near), self._array(step.rest)
                centred = self._each(source, step.inputs, f"x - {near}[i] - {rest}[i]", pair)
                return self._dense(centred, step.matrix.T, None, pair)
            case PolarCoordinates():
                target = self._target(source, 2, pair)
                self.body.append(f"    {target}[0] = hypotf({source}[0], {source}[1]);")
                self.body.append(f"    {target}[1] = atan2f({source}[1], {source}[0]);")
                return target
            case QuantileShares():
                return self._quantile(step, source, pair)
            case BinPlaces():
                return self._bins(step, source, pair)
            case Grey():
                target, count = self._target(source, step.outputs, pair), len(step.weights)
                weights = self._array(step.weights, "double")
                self.body.append(
                    _loop(
                        step.outputs,
                        f"{{ double s = 0.0; for (int c = 0; c < {count}; c++) "
                        f"s += {weights}[c] * (double){source}[c * {step.outputs} + i]; "
                        f"{target}[i] = (float)rint(s); }}",
                    )
                )
                return target
            case Side():
                return self._side(step, source, pair)
        raise AssertionError(f"no C for {type(step).__name__}")

    def _side(self, step: Side, source: str, pair: str) -> str:
        target, start = self._target(source, step.outputs, pair), 0
        for row in step.rows:
            assert isinstance(row, torch.nn.Sequential)
            own = [part for part in row if isinstance(part, Step)]
            found = self._kept(own, source, step.inputs, chr(ord(pair) - 1))
            count = own[-1].outputs if own else step.inputs
            self.body.append(_loop(count, f"{target}[{start} + i] = {found}[i]"))
            start += count
        return target

    def _kept(self, steps: Sequence[Step], source: str, inputs: int, pair: str) -> str:
        """Write steps that leave their input as it is, because others need it too."""
        if not steps or source == "input":
            return self._steps(steps, source, pair)
        copy = self._target(source, inputs, pair)
        self.body.append(_loop(inputs, f"{copy}[i] = {source}[i]"))
        return self._steps(steps, copy, pair)

    def _encode(self, step: Encode, source: str, pair: str) -> str:
        target = self._target(source, step.outputs, pair)
        for i in range(step.outputs):
            x, count = f"{source}[{int(step.source[i])}]", _number(float(step.levels[i]), "float")
            fill = step.fill[i].item()
            known = f"({x} >= 0.0f && {x} < {count} && {x} == floorf({x}))"
            formula = {
                NUMBER: x if math.isnan(fill) else f"isnan({x}) ? {_number(fill, 'float')} : {x}",
                LEVEL: f"{x} == {_number(float(step.level[i]), 'float')} ? 1.0f : 0.0f",
                OTHER: f"{known} || {'isnan(' + x + ')' if step.own_missing[i] else '0'} ? 0.0f : 1.0f",
                EMPTY: f"isnan({x}) ? 1.0f : 0.0f",
            }[int(step.kind[i])]
            self.body.append(f"    {target}[{i}] = {formula};")
        return target

    def _quantile(self, step: QuantileShares, source: str, pair: str) -> str:
        self.helpers["quantile"] = QUANTILE
        count = int((step.shares < 1).sum()) + 1  # the others repeat the last one
        quantiles = self._array(_as_inputs(step.quantiles[:, :count]), "double")
        shares = self._array(step.shares[:count], "double")
        found = f"{self.name}_share({quantiles} + {count} * i, {shares}, {count}, (double)x)"
        if step.normal:
            self.helpers["normal"] = NORMAL
            found = f"{self.name}_normal({found})"
        return self._each(source, step.inputs, f"(float){found}", pair)

    def _bins(self, step: BinPlaces, source: str, pair: str) -> str:
        target, bins = self._target(source, step.outputs, pair), step.low.shape[1]
        low, extent = (self._array(part, "double") for part in (step.low, torch.where(step.wide, step.extent, 0.0)))
        first, last = (self._array((part.isinf()).int(), "signed char") for part in (step.least, step.most))
        self.body.append(
            _loop(
                step.outputs,
                f"{{ double e = {extent}[i], p = e > 0.0 ? ((double){source}[i / {bins}] - {low}[i]) / e : 0.0; "
                f"p = p < 0.0 && !{first}[i] ? 0.0 : p; {target}[i] = (float)(p > 1.0 && !{last}[i] ? 1.0 : p); }}",
            )
        )
        return target

    def _maxout(self, source: str, count: int, pieces: int) -> tuple[str, int]:
        target = self._target(source, count, "x")
        largest = f"for (int k = 1; k < {pieces}; k++) m = fmaxf(m, {source}[i * {pieces} + k]);"
        self.body.append(_loop(count, f"{{ float m = {source}[i * {pieces}]; {largest} {target}[i] = m; }}"))
        return target, count

    def _model(self, source: str) -> tuple[str, int]:
        """Write the model's steps. Return the name and the size of the array with the scores."""
        model = self.network.model
        formulas, tensors = model.formulas(), model.state_dict()
        kind = type(model).__name__
        if formulas is None:
            raise UserError(f"{kind}: format=c needs a model with formulas; take format=onnx or format=torch_export")
        count, rest = 0, list(formulas)
        while rest:
            formula = rest.pop(0)
            match formula:
                case DenseFormula():
                    weight, bias = tensors[formula.weight].double(), tensors.get(formula.bias)
                    if rest and isinstance(norm := rest[0], BatchNormFormula):
                        weight, bias = _folded(weight, bias, norm, tensors)
                        del rest[0]
                    source, count = self._dense(source, weight, bias, "x"), len(weight)
                case LayerNormFormula():
                    target = source if source != "input" else self._target(source, count, "x")
                    text = LAYER_NORM.replace("@X", source).replace("@Y", target).replace("@COUNT", str(count))
                    for sign, part in (("@GAMMA", formula.weight), ("@BETA", formula.bias)):
                        text = text.replace(sign, self._array(tensors[part]))
                    self.body.append(text.replace("@EPS", f"{formula.eps!r}f"))
                    source = target
                case MaxoutFormula():
                    source, count = self._maxout(source, count // formula.pieces, formula.pieces)
                case ActivationFormula() if formula.activation.name in ACTIVATIONS_IN_C:
                    source = self._each(source, count, ACTIVATIONS_IN_C[formula.activation.name], "x")
                case DropoutFormula():
                    pass
                case _:
                    raise UserError(
                        f"{kind}: format=c does not know {type(formula).__name__}; take format=onnx or "
                        "format=torch_export"
                    )
        return source, count


def _folded(
    weight: Tensor, bias: Tensor | None, norm: BatchNormFormula, tensors: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return W and b of a layer that is followed by batch norm, for both together: γ/√(v + ε)·(Wx + b − m) + β."""
    mean, variance = (tensors[f"{norm.name}.{part}"].double() for part in ("running_mean", "running_var"))
    scale = tensors[norm.weight].double() / (variance + norm.eps).sqrt()
    shift = -mean if bias is None else bias.double() - mean
    return weight * scale[:, None], shift * scale + tensors[norm.bias].double()


def _as_inputs(quantiles: Tensor) -> Tensor:
    """Return quantiles (D, Q) in which repeated ones are rounded to float, as the inputs are that equal them."""
    same = quantiles[:, 1:] == quantiles[:, :-1]
    end = torch.zeros_like(same[:, :1])
    repeated = torch.cat([same, end], 1) | torch.cat([end, same], 1)
    return torch.where(repeated, quantiles.float().double(), quantiles).cummax(1).values


def _loop(count: int, statement: str) -> str:
    end = "" if statement.endswith("}") else ";"
    return f"    for (int i = 0; i < {count}; i++)\n        {statement}{end}"


def _number(value: float, kind: str) -> str:
    """Return a number as C writes it, with all digits of its type."""
    if kind == "signed char":
        return str(value)
    text = f"{value:.9g}" if kind == "float" else repr(value)
    if not any(sign in text for sign in ".en"):
        text += ".0"
    return text + "f" * (kind == "float")


def _texts(names: Sequence[str]) -> str:
    """Return names as texts of C: all bytes but letters, digits and blanks are written as numbers."""

    def escaped(name: str) -> str:
        return "".join(chr(byte) if chr(byte) in _PLAIN else f"\\{byte:03o}" for byte in name.encode())

    return ", ".join(f'"{escaped(name)}"' for name in names)


_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-.,"


def _comment(name: str, description: Mapping[str, Any]) -> str:
    """Return the comment at the top: how to call the header, and the description."""
    told = json.dumps(description, indent=1, ensure_ascii=True).replace("/", "\\u002f").replace("?", "\\u003f")
    own = name.upper()
    return (
        f"/* A network trained with deeprob. Use:\n\n"
        f"       float input[{own}_INPUTS] = {{...}}, output[{own}_OUTPUTS];\n"
        f"       {name}_predict(input, output);\n\n"
        "   Link with -lm. The working memory is static, so only one thread may predict at a time.\n"
        f"   What the inputs and outputs are:\n\n{told} */"
    )
