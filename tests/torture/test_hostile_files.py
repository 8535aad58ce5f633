"""Hostile files in a run's directory: nothing of them is run, nothing outside changes, one line says what is wrong.

Whoever makes such files can seal checkpoints too, so all checkpoints here have a valid checksum.
"""

import builtins
import collections
import functools
import importlib
import io
import json
import os
import pickle
import resource
import shutil
import stat
import subprocess
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deeprob import load_run
from deeprob.errors import UserError
from deeprob.tracking import checkpoint_file
from deeprob.training import checkpoint

Build = Callable[[Path], object]
"""Makes a file of a run hostile, given the run's directory."""

GENERATIONS = ("last.pt", "last.prev.pt", "best.pt", "best.prev.pt")


class Call:
    """What a pickle calls when it is loaded."""

    def __init__(self, function: Callable, *words: object, state: object = None) -> None:
        self.words = function, words, *(() if state is None else (state,))

    def __reduce__(self):
        return self.words


def sang(run: Path) -> str:
    """The file that must not appear."""
    return str(run.parent / "sang")


def touch(run: Path) -> Call:
    """A command that makes the file."""
    return Call(os.system, f"touch {sang(run)}")


def put(name: str, content: bytes | str) -> Build:
    """Write a file."""
    return lambda run: (run / name).write_bytes(content.encode() if isinstance(content, str) else content)


# ---------------------------------------------------------------- checkpoints


def put_all(run: Path, archive: bytes) -> None:
    for name in GENERATIONS:
        (run / "checkpoints" / name).write_bytes(checkpoint_file.seal(archive))


def saved(content: object) -> bytes:
    text = io.BytesIO()
    torch.save(content, text)
    return text.getvalue()


def holding(make: Callable[[dict[str, Any], Path], object]) -> Build:
    """Let all generations hold what is made of the content of the last, and the run's directory."""
    return lambda run: put_all(run, saved(make(checkpoint_file.load(run / "checkpoints/last.pt"), run)))


def top(**values: object) -> Build:
    """Let keys have other values."""
    return holding(lambda content, run: content | values)


def calling(make: Callable[[Path], object]) -> Build:
    """Let a call be among the weights."""
    return holding(lambda content, run: content | {"model": {**content["model"], "layers.0.bias": make(run)}})


def weight(change: Callable[[torch.Tensor], object]) -> Build:
    """Let a weight be another one."""
    name = "layers.0.weight"
    return holding(lambda content, run: content | {"model": {**content["model"], name: change(content["model"][name])}})


def rebuilt(offset: int, size: object, stride: object, *more: object) -> Build:
    """Let the weights be made of four numbers."""
    return calling(
        lambda run: Call(
            torch._utils._rebuild_tensor_v2, torch.ones(4)._typed_storage(), offset, size, stride, False, {}, *more
        )
    )


def moment(change: Callable[[Any], object], name: str = "exp_avg") -> Build:
    """Let a part of the optimizer's state be another one."""

    def make(content: dict[str, Any], run: Path) -> object:
        content["optimizer"]["state"][0][name] = change(content["optimizer"]["state"][0].get(name))
        return content

    return holding(make)


def group(**values: object) -> Build:
    """Let the optimizer's settings be others."""

    def make(content: dict[str, Any], run: Path) -> object:
        for one in content["optimizer"]["param_groups"]:
            one.update(values)
        return content

    return holding(make)


def inner(key: str, **values: object) -> Build:
    """Let keys inside of a part have other values."""
    return holding(lambda content, run: content | {key: content[key] | values})


def unsurpassed(run: Path) -> None:
    """Let the best be another model's, and let no epoch be better."""
    content = checkpoint_file.load(run / "checkpoints/last.pt")
    put_all(run, saved(content | {"model": {"layers.0.weight": torch.ones(1)}}))
    last = checkpoint_file.seal(saved(content | {"best": [9.0, -9.0, 1]}))
    (run / "checkpoints/last.pt").write_bytes(last)


def entries(change: Callable[[dict[str, bytes]], dict[str, bytes]], kind: int = zipfile.ZIP_STORED) -> Build:
    """Let the archive have other entries."""

    def build(run: Path) -> None:
        content = checkpoint_file.unseal((run / "checkpoints/last.pt").read_bytes())
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        text = io.BytesIO()
        with zipfile.ZipFile(text, "w", kind) as archive:
            for name, content in change(files).items():
                archive.writestr(name, content)
        put_all(run, text.getvalue())

    return build


def pickled(code: bytes) -> Build:
    """Let the pickle be these operations."""
    return entries(lambda files: files | {"archive/data.pkl": code})


def claiming(numbers: int) -> Build:
    """Let the pickle say that a storage has so many numbers."""
    claimed = b"X\3\0\0\0cpuq\xff" + b"J" + numbers.to_bytes(4, "little", signed=True)
    code = (
        b"\x80\2}X\5\0\0\0modelctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000"
    )
    code += claimed + b"tQK\0J" + numbers.to_bytes(4, "little", signed=True) + b"\x85K\1\x85\x89}tRs."
    return pickled(code)


def overlapping(run: Path) -> None:
    """An archive with a thousand entries, all of them the same million bytes."""
    text = io.BytesIO()
    with zipfile.ZipFile(text, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"step": 1}, 2))
        archive.writestr("archive/data/0", bytes(10**6))
        for number in range(1, 1000):
            archive.filelist.append(copied := zipfile.ZipInfo(f"archive/data/{number}"))
            source = archive.getinfo("archive/data/0")
            copied.header_offset, copied.CRC, copied.file_size = source.header_offset, source.CRC, source.file_size
            copied.compress_size = source.compress_size
    put_all(run, text.getvalue())


def old(run: Path) -> None:
    """The format before archives, with an empty archive behind it."""
    text = io.BytesIO()
    torch.save(checkpoint_file.load(run / "checkpoints/last.pt"), text, _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(text, "a"):
        pass
    put_all(run, text.getvalue())


def doubled(kind: type, times: int) -> object:
    """A value of a few hundred bytes that has 2^times parts."""
    value = kind()
    for _ in range(times):
        value = kind([value, value])
    return value


class Words(dict):
    """A dictionary of a class of one's own."""


NESTED = b"\x80\2" + b"]" * 100_000 + b"a" * 99_999 + b"."
TUPLES = b"\x80\2})" + b"".join(b"q%ch%c\x86" % (number, number) for number in range(40)) + b"K\1s."
SYSTEM = b"cposix\nsystem\nX\x0a\0\0\0touch sang\x85R."

CALLS: dict[str, Build] = {  # all refused
    "os.system": calling(touch),
    "os.system in place of everything": holding(lambda content, run: touch(run)),
    "os.system as a key": holding(lambda content, run: {touch(run): 1} | content),
    "os.system as a state": calling(lambda run: Call(collections.OrderedDict, state={"x": touch(run)})),
    "os.system, named by its own module": pickled(b"\x80\2" + SYSTEM),
    "os.system, of a later protocol": pickled(b"\x80\4\x8c\5posix\x8c\6system\x93\x8c\x0atouch sang\x85R."),
    "os.system, of the first protocol": pickled(b"cposix\nsystem\n(S'touch sang'\ntR."),
    "subprocess.Popen": calling(lambda run: Call(subprocess.Popen, ["touch", sang(run)])),
    "eval": calling(lambda run: Call(builtins.eval, f"open({sang(run)!r}, 'w')")),
    "exec": calling(lambda run: Call(builtins.exec, f"open({sang(run)!r}, 'w')")),
    "open": calling(lambda run: Call(builtins.open, sang(run), "w")),
    "getattr": calling(lambda run: Call(getattr, "x", "upper")),
    "importlib.import_module": calling(lambda run: Call(importlib.import_module, "this")),
    "functools.partial": calling(lambda run: Call(functools.partial, os.mkdir, sang(run))),
    "Path.touch": calling(lambda run: Call(Path.touch, Path(sang(run)))),
    "torch.load": calling(lambda run: Call(torch.load, sang(run))),
    "torch.save": calling(lambda run: Call(torch.save, 1, sang(run))),
    "torch.hub.load": calling(lambda run: Call(torch.hub.load, str(run), "x", "local")),
    "os.system inside of a tensor": calling(
        lambda run: Call(torch._utils._rebuild_tensor_v2, touch(run), 0, (1,), (1,), False, {})
    ),
    "os.system as what rebuilds a tensor": calling(
        lambda run: Call(torch._tensor._rebuild_from_type_v2, os.system, torch.Tensor, (f"touch {sang(run)}",), {})
    ),
    "os.system as a hook": calling(
        lambda run: Call(torch._utils._rebuild_parameter, torch.ones(8), True, {1: touch(run)})
    ),
    "a class of one's own": holding(lambda content, run: Words(content)),
    "an array of NumPy": weight(lambda tensor: tensor.numpy()),
    "an array of objects": weight(lambda tensor: np.array([Call(os.system, "touch sang")], object)),
    "a terabyte": calling(lambda run: Call(bytearray, 10**12)),
    "three gigabytes": calling(lambda run: Call(bytearray, 3 * 10**9)),
    "a tensor of a terabyte": calling(lambda run: Call(torch.FloatTensor, 25 * 10**10)),
    "a codec": calling(lambda run: Call(__import__("_codecs").encode, "A" * 1000, "idna")),
    "a dictionary of a number": calling(lambda run: Call(collections.OrderedDict, 5)),
    "a count of letters": calling(lambda run: Call(collections.Counter, "abc")),
    "a size of words": calling(lambda run: Call(torch.Size, ["a"])),
    "a parameter": weight(torch.nn.Parameter),
    "a parameter with attributes": calling(
        lambda run: Call(torch._utils._rebuild_parameter_with_state, torch.ones(8), True, {}, {"copy_": 1})
    ),
    "a device": calling(lambda run: torch.device("cuda:99")),
    "a generator": calling(lambda run: Call(torch.Generator)),
}  # fmt: skip

ARCHIVES: dict[str, Build] = {  # all refused
    "lists in lists, 100,000 deep": pickled(NESTED),
    "2^60 lists": top(model=doubled(list, 60)),
    "2^40 tuples as a key": pickled(TUPLES),
    "2^60 tuples as a weight": weight(lambda tensor: doubled(tuple, 60)),
    "a text of 4 GB": pickled(b"\x80\2X\xff\xff\xff\xffshort."),
    "a text of 2^63 bytes": pickled(b"\x80\2\x8d\xff\xff\xff\xff\xff\xff\xff\x7fshort."),
    "a number of 2 GB": pickled(b"\x80\2\x8b\xff\xff\xff\x7f\1."),
    "no end": pickled(b"\x80\2}"),
    "no operation": pickled(b""),
    "an end alone": pickled(b"\x80\2."),
    "what was never remembered": pickled(b"\x80\2j\xff\xff\xff\xff."),
    "an extension": pickled(b"\x80\2\x82\1."),
    "a list": holding(lambda content, run: [content]),
    "a tensor": holding(lambda content, run: torch.ones(3)),
    "None": holding(lambda content, run: None),
    "a plain pickle": lambda run: put_all(run, pickle.dumps({"step": 1}, 2) + b"\0\0"),
    "the old format": old,
    "TorchScript": entries(lambda files: files | {"archive/constants.pkl": b"\x80\2)."}),
    "a bomb: 100 MB in 100 kB": entries(lambda files: files | {"archive/data/9": bytes(10**8)}, zipfile.ZIP_DEFLATED),
    "a bomb: a gigabyte in one megabyte": overlapping,
    "no pickle": entries(lambda files: {name: files[name] for name in files if not name.endswith(".pkl")}),
    "no numbers": entries(lambda files: {name: files[name] for name in files if "/data/" not in name}),
    "numbers cut short": entries(lambda files: files | {"archive/data/0": files["archive/data/0"][:-1]}),
    "another byte order": entries(lambda files: files | {"archive/byteorder": b"middle"}),
    "more numbers than there are": claiming(2**30),
    "fewer numbers than there are": claiming(0),
    "less than no numbers": claiming(-1),
}  # fmt: skip

QUANTIZED = torch.ones(8)._typed_storage(), 0, (8,), (1,), (torch.per_tensor_affine, 0.1, 0), False, {}
TENSORS: dict[str, Build] = {  # all refused
    "a size below zero": rebuilt(0, (-8,), (1,)),
    "a stride below zero": rebuilt(7, (8,), (-1,)),
    "a stride past the end": rebuilt(0, (8,), (2**40,)),
    "a place before the beginning": rebuilt(-8, (8,), (1,)),
    "a place past the end": rebuilt(2**40, (8,), (1,)),
    "more numbers than stored": rebuilt(0, (8,), (1,)),
    "2^62 numbers": rebuilt(0, (2**31, 2**31), (2**31, 1)),
    "2^40 numbers that are one": rebuilt(0, (2**40,), (0,)),
    "as many sizes as there are strides, less one": rebuilt(0, (4, 2), (1,)),
    "sizes that are words": rebuilt(0, ("8",), ("1",)),
    "marks that are none": rebuilt(0, (4,), (1,), {"../../sang": 1}),
    "complex": weight(lambda tensor: tensor.to(torch.complex64)),
    "twice the precision": weight(torch.Tensor.double),
    "half the precision": weight(torch.Tensor.half),
    "whole numbers": weight(torch.Tensor.long),
    "sparse": weight(torch.Tensor.to_sparse),
    "quantized": calling(lambda run: Call(torch._utils._rebuild_qtensor, *QUANTIZED)),
    "without content": weight(lambda tensor: torch.empty_like(tensor, device="meta")),
    "one number for all": weight(lambda tensor: tensor[:1, :1].expand(tensor.shape)),
    "a row more": weight(lambda tensor: torch.cat([tensor, tensor[:1]])),
    "none": weight(lambda tensor: tensor[:0]),
    "turned": weight(lambda tensor: tensor.T),
    "a word": weight(lambda tensor: "weights"),
    "a list": weight(torch.Tensor.tolist),
    "a missing one": holding(lambda content, run: content | {"model": dict(list(content["model"].items())[1:])}),
    "one more": inner("model", **{"../../sang": torch.ones(1)}),
}  # fmt: skip

ESCAPES = {"archive/../../../sang": b"x", "archive//sang": b"x", "archive/data/../../sang": b"x"}
MANY = {f"archive/data/x{number}": b"" for number in range(1000)}
FEATURES = ("standardize.mean", "standardize.deviation")
OTHER = {"state": {99: {"exp_avg": torch.ones(1)}}, "param_groups": []}
FLAT = {"state": {0: {"d": torch.ones(99)}}, "param_groups": []}

VALUES: dict[str, tuple[str, Build]] = {
    "no model": ("both", holding(lambda content, run: {key: content[key] for key in content if key != "model"})),
    "a model that is a list": ("both", top(model=[])),
    "features of nothing": ("both", top(features={})),
    "features of another shape": ("both", top(features=dict.fromkeys(FEATURES, torch.ones(1)))),
    "inputs of 10^12 numbers": ("both", top(input_shape=[10**12])),
    "inputs of 10^9 numbers": ("both", top(input_shape=[10**9])),
    "inputs of 10^30 numbers": ("both", top(input_shape=[10**10] * 3)),
    "inputs of 100,000 dimensions": ("both", top(input_shape=[1] * 10**5)),
    "inputs of −2 numbers": ("both", top(input_shape=[-2])),
    "inputs of 2.0 numbers": ("evaluate", top(input_shape=[2.0])),
    "inputs of words": ("both", top(input_shape=["2"])),
    "inputs of no shape": ("both", top(input_shape=None)),
    "10^12 outputs": ("both", top(outputs=10**12)),
    "10^9 outputs": ("both", top(outputs=10**9)),
    "−1 outputs": ("both", top(outputs=-1)),
    "outputs that are a word": ("both", top(outputs="3")),
    "classes without names": ("both", top(classes=[1, 2, 3])),
    "a word for classes": ("both", top(classes="abc")),
    "100,000 classes": ("both", top(classes=["../../sang\nerror: x"] * 10**5)),
    "classes that are lists of lists": ("both", top(classes=doubled(list, 60))),
    "weights that are NaN": ("diverges", weight(lambda tensor: tensor * torch.nan)),
    "a step that is NaN": ("resume", top(step=float("nan"))),
    "a step below zero": ("resume", top(step=-1)),
    "a step past the end": ("resume", top(step=10**6)),
    "a step of 40 digits": ("resume", top(step=10**40)),
    "a step that is a word": ("resume", top(step="2")),
    "a step that is a tensor": ("resume", top(step=torch.tensor(2))),
    "no step": ("resume", top(step=None)),
    "10^30 evaluations": ("resume", top(evaluations=10**30)),
    "frozen": ("diverges", top(frozen=torch.tensor(1.0))),
    "frozen a hundred times": ("resume", top(frozen=torch.ones(100))),
    "a best that is NaN": ("neither", top(best=[float("nan"), float("nan"), 1])),
    "a best of words": ("resume", top(best=["a", "b", "c"])),
    "a best of one": ("resume", top(best=[1.0])),
    "infinite seconds": ("resume", top(seconds=float("inf"))),
    "seconds that are a word": ("resume", top(seconds="1")),
    "a metric that is NaN": ("resume", top(metrics={"train/loss": float("nan")})),
    "a metric that is a word": ("resume", top(metrics={"train/loss": "../../sang"})),
    "a metric of another name": ("resume", top(metrics={"../../sang": 1.0})),
    "a metric that is the status": ("resume", top(metrics={"status": 1.0})),
    "metrics in a list": ("resume", top(metrics=[1.0])),
    "sums of another shape": ("resume", inner("meters", sums=torch.zeros(1, dtype=torch.float64))),
    "sums that are NaN": ("resume", inner("meters", sums=torch.full((6,), torch.nan, dtype=torch.float64))),
    "counts below zero": ("resume", inner("meters", counts=[-30, -1, 0, 0])),
    "counts that are words": ("resume", inner("meters", counts=["a"] * 4)),
    "an epoch of nothing": ("resume", inner("meters", epoch=[])),
    "a schedule of another kind": ("resume", top(schedule={"drops": 10**9})),
    "lengths below zero": ("resume", top(lengths={"metrics": -5, "events": -(10**20)})),
    "lengths past the ends": ("neither", top(lengths={"metrics": 10**15, "events": 10**15})),
    "lengths of 40 digits": ("resume", top(lengths={"metrics": 10**40, "events": 10**40})),
    "lengths of other files": ("resume", top(lengths={"../../sang": 0, "/etc/passwd": 0})),
    "lengths of nothing": ("resume", top(lengths={})),
    "lengths that are words": ("resume", top(lengths={"metrics": "0", "events": "0"})),
    "moments of one number": ("resume", moment(lambda tensor: tensor.flatten()[:1])),
    "moments of a number for all": ("resume", moment(lambda tensor: tensor[:1, :1].expand(tensor.shape))),
    "moments of another type": ("resume", moment(torch.Tensor.double)),
    "moments of words": ("resume", moment(lambda tensor: "touch sang")),
    "moments of 2^60 lists": ("resume", moment(lambda tensor: doubled(list, 60))),
    "missing moments": ("resume", moment(lambda tensor: None)),
    "a step of the optimizer that is empty": ("resume", moment(lambda tensor: tensor.new_empty(0), "step")),
    "a step of the optimizer that is NaN": ("diverges", moment(lambda tensor: tensor * torch.nan, "step")),
    "a state that is a list": ("resume", top(optimizer={"state": [], "param_groups": []})),
    "a state of other parameters": ("resume", top(optimizer=OTHER)),
    "a state of another optimizer": ("resume", top(optimizer=FLAT)),
    "no optimizer": ("resume", top(optimizer=None)),
    "settings of the optimizer: a rate of 10^30": ("neither", group(lr=1e30, initial_lr=1e30)),
    "settings of the optimizer: kernels": ("neither", group(foreach=True, fused=False, differentiable=True)),
    "settings of the optimizer: words": ("neither", group(betas="ab", params=["x"])),
    "a best of another model that stays the best": ("both", unsurpassed),
    "keys of all kinds beside": ("neither", top(**{"../../sang": 1, "__class__": "x", "": None})),
    "keys that are numbers": ("neither", holding(lambda content, run: {1: 2, None: 3, 2.5: 4} | content)),
    "compressed, but not to less": ("neither", entries(lambda files: files, zipfile.ZIP_DEFLATED)),
    "entries with paths out of the archive": ("neither", entries(lambda files: files | ESCAPES)),
    "a thousand entries more": ("neither", entries(lambda files: files | MANY)),
}  # fmt: skip

# ---------------------------------------------------------------- config.yaml


def more(text: str) -> Build:
    """Add lines to the config."""
    return lambda run: (run / "config.yaml").write_text((run / "config.yaml").read_text() + text)


def swap(old: str, new: str) -> Build:
    """Let a line of the config be another one."""

    def build(run: Path) -> None:
        text = (run / "config.yaml").read_text()
        assert old in text
        (run / "config.yaml").write_text(text.replace(old, new, 1))

    return build


yaml = functools.partial(put, "config.yaml")
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
LAUGHS += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))

CONFIGS: dict[str, tuple[str, Build]] = {
    "_target_": ("both", more("_target_: os.system\ncommand: touch ../sang\n")),
    "_target_ in a group": ("both", swap("model:\n", "model:\n  _target_: os.system\n")),
    "_target_ in place of a group's option": ("both", swap("override model: mlp", "override model: os.system")),
    "a call": ("both", more("x: !!python/object/apply:os.system [touch ../sang]\n")),
    "a call in place of a number": ("both", swap("width: 8", "width: !!python/object/apply:os.system [touch ../sang]")),
    "a name": ("both", swap("width: 8", "width: !!python/name:os.system")),
    "a module": ("both", swap("width: 8", "width: !!python/module:this")),
    "a tag of one's own": ("both", swap("width: 8", "width: !sang 8")),
    "bytes": ("both", swap("width: 8", "width: !!binary AAAA")),
    "a set": ("both", swap("width: 8", "width: !!set {8}")),
    "a date": ("both", swap("width: 8", "width: 2024-01-01")),
    "the environment": ("both", swap("activation: relu", "activation: ${oc.env:HOME}")),
    "the environment, with a default": ("both", swap("width: 8", "width: ${oc.decode:${oc.env:NOT_THERE,8}}")),
    "the time": ("both", swap("activation: relu", "activation: ${now:%Y}")),
    "a value of Hydra's": ("both", swap("activation: relu", "activation: ${hydra:runtime.cwd}")),
    "another value": ("both", swap("width: 8", "width: ${seed}")),
    "itself": ("both", swap("width: 8", "width: ${model.width}")),
    "missing": ("both", swap("width: 8", "width: ???")),
    "defaults from elsewhere": ("neither", swap("- train\n", "- ../../../../etc/passwd\n- /etc/passwd\n")),
    "a group from elsewhere": ("both", swap("override model: mlp", "override ../../model: mlp")),
    "an option from elsewhere": ("both", swap("override model: mlp", "override model: ../../../sang")),
    "an option that is a list": ("both", swap("override model: mlp", "override model: [mlp]")),
    "defaults of words": ("both", swap("defaults:\n", "defaults: sang\nx:\n")),
    "Hydra's own part": ("both", more("hydra:\n  run:\n    dir: ../sang\n  launcher:\n    _target_: os.system\n")),
    "a billion laughs": ("both", more(LAUGHS)),
    "a billion laughs among the inputs": ("both", yaml(LAUGHS + "defaults: *a11\n")),
    "a list in itself": ("both", swap("hidden: null", "hidden: &x [*x]")),
    "merged keys": ("both", swap("model:\n", "x: &x {width: 8}\nmodel:\n  <<: *x\n")),
    "10^30": ("both", swap("width: 8", f"width: {10**30}")),
    "10^4000": ("both", swap("width: 8", f"width: {10**4000}")),
    "10^5000": ("both", swap("width: 8", f"width: 1{'0' * 5000}")),
    "16^5000": ("both", swap("width: 8", f"width: 0x{'f' * 5000}")),
    "60^1000": ("both", swap("width: 8", f"width: 1{':59' * 1000}")),
    "infinity": ("both", swap("dropout: 0.0", "dropout: .inf")),
    "not a number": ("both", swap("dropout: 0.0", "dropout: .nan")),
    "a negative number": ("both", swap("width: 8", "width: -8")),
    "true for a number": ("both", swap("width: 8", "width: true")),
    "a list for a number": ("both", swap("width: 8", "width: [8]")),
    "a mapping for a number": ("both", swap("width: 8", "width: {8: 8}")),
    "a number for a group": ("both", swap("model:\n", "model: 5\nx:\n")),
    "null for a group": ("both", swap("model:\n", "model: null\nx:\n")),
    "keys that are numbers": ("both", more("1: 2\n")),
    "a key that is a list": ("both", more("? [1, 2]\n: 3\n")),
    "a key of two lines": ("both", more('"a\\nerror: b": 1\n')),
    "a word of two lines": ("both", swap("activation: relu", 'activation: "relu\\nerror: x"')),
    "a word that clears the screen": ("both", swap("activation: relu", 'activation: "\\e[2J"')),
    "a word that is no UTF-8": ("both", swap("activation: relu", 'activation: "\\udcff"')),
    "a line of 10 MB": ("both", more("x: " + "a" * 10**7 + "\n")),
    "a line of 200 kB": ("both", more("x: " + "a" * 200_000 + "\n")),
    "100,000 brackets": ("both", more("x: " + "[" * 100_000)),
    "3,000 numbers": ("both", swap("hidden: null", f"hidden: [{'1,' * 3_000}]")),
    "a width of 10^12": ("both", swap("width: 8", "width: 1000000000000")),
    "10^12 points": ("both", swap("points_per_class: 30", "points_per_class: 1000000000000")),
    "a figure from elsewhere": ("resume", swap("figures: null", "figures: [../../../sang]")),
    "a device of words": ("both", swap("device: auto", "device: cpu; touch ../sang")),
    "another model": ("both", swap("override model: mlp", "override model: linear")),
    "a byte of zero": ("both", more("\0")),
    "no UTF-8": ("both", yaml(b"\xff\xfe\x00")),
    "empty": ("both", yaml("")),
    "a list": ("both", yaml("- 1\n- 2\n")),
    "a word": ("both", yaml("sang")),
    "several documents": ("both", more("---\na: 1\n")),
    "JSON": ("both", yaml('{"model": {"width": 8}}')),
    "a script": ("both", yaml("#!/bin/sh\ntouch ../sang\n")),
}  # fmt: skip

# ---------------------------------------------------------------- all other files


def linked(name: str, target: str) -> Build:
    """Let a name be a link out of the directory."""

    def build(run: Path) -> None:
        (run / name).unlink(missing_ok=True)
        (run.parent / "elsewhere").mkdir()
        (run.parent / "elsewhere/file").write_text("x" * 10_000)
        (run / name).symlink_to(run.parent / target)

    return build


def moved(name: str) -> Build:
    """Let a folder lie elsewhere."""

    def build(run: Path) -> None:
        (run / name).rename(run.parent / "elsewhere")
        (run / name).symlink_to(run.parent / "elsewhere")

    return build


def instead(name: str, make: Callable[[Path], object]) -> Build:
    """Let something else bear a name."""

    def build(run: Path) -> None:
        (run / name).unlink(missing_ok=True)
        make(run / name)

    return build


def all_instead(make: Callable[[Path], object]) -> Build:
    """Let something else bear the names of all checkpoints."""
    return lambda run: [instead(f"checkpoints/{name}", make)(run) for name in GENERATIONS]


def written(name: str, content: object) -> Build:
    return put(name, json.dumps(content))


DEEP = "[" * 100_000 + "]" * 100_000
ENDED = {"status": "completed", "epochs": 3, "test/loss": 1.0}
OTHERS: dict[str, tuple[str, Build]] = {
    "summary: a list": ("evaluate", written("summary.json", [])),
    "summary: no JSON": ("evaluate", put("summary.json", "status: completed")),
    "summary: lists in lists": ("both", put("summary.json", DEEP)),
    "summary: 10^5000": ("evaluate", put("summary.json", f'{{"epochs": {"9" * 5000}}}')),
    "summary: a status of another kind": ("neither", written("summary.json", {"status": ["completed"]})),
    "summary: epochs that are a word": ("resume", written("summary.json", ENDED | {"epochs": "3"})),
    "summary: a loss that is a word": ("resume", written("summary.json", ENDED | {"test/loss": "\u001b[2J"})),
    "summary: a loss that is NaN": ("neither", written("summary.json", ENDED | {"test/loss": float("nan")})),
    "summary: ended, but for all its numbers": ("neither", written("summary.json", {"status": "stopped"})),
    "summary: names from elsewhere": ("neither", written("summary.json", ENDED | {"../../sang": 1.0, "[red]": 1})),
    "summary: a pipe": ("resume", instead("summary.json", os.mkfifo)),
    "summary: a folder": ("resume", instead("summary.json", Path.mkdir)),
    "summary: a link": ("both", linked("summary.json", "elsewhere/file")),
    "provenance: a list": ("neither", written("provenance.json", [1])),
    "provenance: lists in lists": ("resume", put("provenance.json", DEEP)),
    "provenance: sessions that are a number": ("resume", written("provenance.json", {"resumed": 5})),
    "provenance: a command": ("neither", written("provenance.json", {"command": "touch ../sang; $(touch sang)"})),
    "provenance: no UTF-8": ("neither", put("provenance.json", b"\xff\xfe")),
    "provenance: a pipe": ("resume", instead("provenance.json", os.mkfifo)),
    "metrics: a folder": ("resume", instead("metrics.csv", Path.mkdir)),
    "metrics: a pipe": ("resume", instead("metrics.csv", os.mkfifo)),
    "metrics: a link": ("resume", linked("metrics.csv", "elsewhere/file")),
    "metrics: a link to nothing": ("resume", linked("metrics.csv", "sang")),
    "metrics: random bytes": ("neither", put("metrics.csv", np.random.default_rng(0).bytes(10_000))),
    "metrics: gone": ("neither", instead("metrics.csv", lambda path: None)),
    "events: a link": ("resume", linked("events.out.tfevents.9", "elsewhere/file")),
    "events: a pipe": ("resume", instead("events.out.tfevents.9", os.mkfifo)),
    "events: random bytes": ("neither", put("events.out.tfevents.9", np.random.default_rng(0).bytes(10_000))),
    "lock: a link": ("resume", linked(".lock", "elsewhere/file")),
    "lock: a link to nothing": ("resume", linked(".lock", "sang")),
    "lock: a pipe": ("resume", instead(".lock", os.mkfifo)),
    "lock: a folder": ("resume", instead(".lock", Path.mkdir)),
    "figures: a link": ("resume", linked("figures", "elsewhere")),
    "config: a pipe": ("both", instead("config.yaml", os.mkfifo)),
    "config: a folder": ("both", instead("config.yaml", Path.mkdir)),
    "config: a device without end": ("both", instead("config.yaml", lambda path: path.symlink_to("/dev/zero"))),
    "config: a link to itself": ("both", instead("config.yaml", lambda path: path.symlink_to("config.yaml"))),
    "events: a folder": ("resume", instead("events.out.tfevents.9", Path.mkdir)),
    "provenance: a folder": ("resume", instead("provenance.json", Path.mkdir)),
    "checkpoints: a link": ("resume", moved("checkpoints")),
    "checkpoints: the last a folder": ("resume", instead("checkpoints/last.pt", Path.mkdir)),
    "checkpoints: a file": ("both", lambda run: (shutil.rmtree(run / "checkpoints"), (run / "checkpoints").touch())),
    "checkpoints: pipes": ("both", all_instead(os.mkfifo)),
    "checkpoints: folders": ("both", all_instead(Path.mkdir)),
    "checkpoints: a leftover that is a link": ("resume", linked("checkpoints/last.pt.tmp", "elsewhere/file")),
}  # fmt: skip

# ---------------------------------------------------------------- all of them

CASES: dict[str, tuple[str, Build]] = {
    f"{kind}: {name}": case if isinstance(case, tuple) else ("both", case)
    for kind, cases in (
        ("calls", CALLS),
        ("archives", ARCHIVES),
        ("tensors", TENSORS),
        ("values", VALUES),
        ("config", CONFIGS),
        ("files", OTHERS),
    )
    for name, case in cases.items()
}
REFUSED = {"both": (2, 2), "evaluate": (2, 0), "resume": (0, 2), "neither": (0, 0), "diverges": (0, 3)}
"""The status of evaluating the run, and of going on with it."""


@pytest.fixture
def unfinished(deeprob, small) -> tuple[Path, tuple[str, ...]]:
    """A run that was killed after two of its checkpoints, and the words that began it."""
    words = (*small, "dataset.val_fraction=0.2", "trainer.checkpoint_steps=2", "trainer.progress=false")
    write = checkpoint.Checkpoints.write

    def kill(these: checkpoint.Checkpoints, lengths: dict[str, int]) -> None:
        write(these, lengths)
        if these.state.step == 4:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checkpoint.Checkpoints, "write", kill)
        assert deeprob(*words, "hydra.run.dir=run").status == 130
    return Path("run").resolve(), words


def everything(folder: Path) -> dict[Path, object]:
    """What lies in a folder: no link followed, no pipe opened."""
    found = {}
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        found[path] = (stat.S_IFMT(mode), path.read_bytes() if stat.S_ISREG(mode) else None)
    return found


def outside(run: Path, found: dict[Path, object]) -> dict[Path, object]:
    """What of all that was found lies around a run's directory."""
    return {path: content for path, content in found.items() if path != run and run not in path.parents}


def lines_are_fine(status: int, err: str) -> bool:
    """Whether there is one line that says error, for a command that failed alone, and before it at most a note."""
    lines = err.splitlines()
    kinds = [line.partition(":")[0] for line in lines]
    return kinds in ([["error"], ["note", "error"]] if status else [[], ["note"]]) and all(map(str.isprintable, lines))


def test_nothing_is_run_and_one_line_says_what_is_wrong(deeprob, unfinished, tmp_path, times, tell):
    whole, words = unfinished
    ways = {
        "evaluate": lambda run: deeprob(f"run={run}", command="evaluate"),
        "resume": lambda run: deeprob(f"resume={run}"),
        "auto": lambda run: deeprob(*words, f"hydra.run.dir={run}", "resume=auto"),
    }
    trials = [(name, way) for name in CASES for way in ways][:: times(20, 1)]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    faults = []
    for number, (name, way) in enumerate(trials):
        run = tmp_path / str(number) / "run"
        shutil.copytree(whole, run)
        kind, build = CASES[name]
        build(run)
        before, began = everything(run.parent), time.perf_counter()
        status, out, err = ways[way](run)
        seconds, after = time.perf_counter() - began, everything(run.parent)
        if status != 2:  # what is refused changes nothing at all
            before, after = outside(run, before), outside(run, after)
        fine = status == REFUSED[kind][way != "evaluate"] and lines_are_fine(status, err) and seconds < 20
        if not fine or after.keys() != before.keys() or after != before or (status == 2 and out):
            faults.append(
                (name, way, status, out, err, seconds, [k for k in before | after if before.get(k) != after.get(k)])
            )
        if (way, status) == ("evaluate", 2):
            with pytest.raises(UserError):
                load_run(run).data()
    assert faults == [], "\n".join(map(str, faults))
    assert list(tmp_path.rglob("sang")) == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 10**6  # kB
    tell(
        f"{len(CASES)} hostile checkpoints, configs, other files, {len(trials)} trials: nothing run or changed outside"
    )
