"""The text of ``--help``: a list of every key of a command, or a page about one group, option or key."""

import argparse
import dataclasses
import difflib
import math
import re
import shlex
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Any, NoReturn

from omegaconf import MISSING, DictConfig, OmegaConf

from deeprob.config.application import Application, without_hydra
from deeprob.config.installed import installed, package_of
from deeprob.config.meaning import example, first_sentence, meaning, plain, summary
from deeprob.config.schema import expected, options, owners
from deeprob.config.synonyms import KEYS
from deeprob.errors import UserError

WIDTH = 100
_NAMES = 24
_VALUES = 16
"""The largest widths of the columns of names and values, in characters. A longer entry gets a separate line."""

MANY = 30
"""If a command has more keys than this number, ``--help`` without a name lists only the keys in `MOST_USED`."""

MOST_USED = (
    "seed", "resume", "dataset.root", "dataset.val_fraction", "model.layers", "model.width", "model.activation",
    "model.dropout", "regularizer.strength", "optimizer.lr", "optimizer.momentum", "optimizer.weight_decay",
    "trainer.epochs", "trainer.batch_size", "trainer.device", "trainer.patience", "check.entries", "check.tolerance",
)  # fmt: skip


@dataclass(frozen=True)
class Key:
    """A key of a command's config.

    Parameters
    ----------
    name
        The full name, such as ``trainer.patience``.
    cls
        The dataclass that has the key as a field; None if there is no such dataclass.
    value
        The value as it is typed on the command line; None if the chosen option does not have the key.
    """

    name: str
    cls: type | None
    value: str | None

    @property
    def group(self) -> str:
        """The group or section of the key; empty for a key at the top level."""
        return self.name.rpartition(".")[0]

    @property
    def field(self) -> str:
        """The name of the key within its group."""
        return self.name.rpartition(".")[2]

    @property
    def accepts(self) -> str:
        """A text that says which values the key accepts."""
        return expected(self.cls, self.field)

    @property
    def line(self) -> str:
        """A short help text: the first sentence of the key's meaning, and the accepted values."""
        accepts = f"Accepts {self.accepts}." if self.accepts else ""
        return plain(f"{first_sentence(meaning(self.cls, self.field))} {accepts}".strip())


def help_text(application: Application, arguments: argparse.Namespace) -> str:
    """Return the text of ``--help``.

    Raises
    ------
    UserError
        If a word after ``--help`` is not the name of a group, option or key.
    """
    manual = Manual(application, tuple(arguments.overrides), arguments.multirun, arguments.resolve)
    return "\n\n".join(map(manual.page, arguments.topics)) if arguments.topics else manual.overview()


@dataclass(frozen=True)
class Manual:
    """The help pages of a command. They show each key with the value that it has after the overrides `words`.

    Parameters
    ----------
    application
        The command's configs.
    words
        The overrides typed with ``--help``.
    multirun
        Whether the overrides may contain several values of a key, as in a sweep.
    resolve
        Whether interpolations (``${…}``) are replaced by their values.
    """

    application: Application
    words: tuple[str, ...] = ()
    multirun: bool = False
    resolve: bool = False

    # ---------------------------------------------------------------- subjects

    @cached_property
    def config(self) -> DictConfig:
        """The composed config."""
        return self.application.compose(self.words, multirun=self.multirun, check=False)

    @property
    def command(self) -> str:
        """The command's name."""
        return str(self.config.hydra.help.app_name)

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """A dictionary from each group to its options."""
        return self.application.groups(self.config)

    @cached_property
    def keys(self) -> list[Key]:
        """The keys of the composed config."""
        task = without_hydra(self.config)
        values = OmegaConf.to_container(task, resolve=self.resolve)
        assert isinstance(values, dict)
        return list(_keys(task, values))

    @cached_property
    def others(self) -> list[Key]:
        """The keys of options that are not chosen. Keys of the composed config are left out.

        If several of these options have a key, the key occurs several times.
        """
        chosen = {key.name for key in self.keys}
        return [
            Key(f"{group}.{f.name}", cls, None)
            for group in self.groups
            for cls in options(group).values()
            for f in dataclasses.fields(cls)
            if f"{group}.{f.name}" not in chosen
        ]

    @cached_property
    def subjects(self) -> list[str]:
        """The names that have a help page: groups, sections such as ``sweep``, keys, and options (``group=option``)."""
        choices = [f"{group}={name}" for group, names in self.groups.items() for name in names]
        keys = [key.name for key in [*self.keys, *self.others]]
        sections = [key.group for key in self.keys if key.group]
        return list(dict.fromkeys([*self.groups, *sections, *keys, *choices]))

    def chosen(self, group: str) -> str | None:
        """Return the chosen option of a group."""
        name = self.config.hydra.runtime.choices[group]
        return None if name is None else str(name)

    # ---------------------------------------------------------------- pages

    def overview(self, *, whole: bool = False) -> str:
        """Return the command's help. If the command has many keys and `whole` is False, only some keys are listed."""
        short = len(self.keys) > MANY and not whole
        groups = (textwrap.fill(f"{group}: {', '.join(names)}", WIDTH, subsequent_indent="  ", break_on_hyphens=False)
                  for group, names in self.groups.items())  # fmt: skip
        return Template(self.config.hydra.help.template).substitute(
            APP_CONFIG_GROUPS="\n".join(groups),
            KEYS="The most used keys" if short else "All keys",
            CONFIG="\n\n".join([self._most_used()] if short else self._listings()) + "\n",
        )

    def page(self, topic: str) -> str:
        """Return the help page of a group, a section, an option or a key.

        `topic` is a full name, or the last part of a full name, such as ``lr`` for ``optimizer.lr``. If several names
        end in `topic`, return a list of these names. For ``all``, return the command's whole help.

        Raises
        ------
        UserError
            If there is no such name. The message suggests another name.
        """
        if topic == "all":
            return self.overview(whole=True)
        found = [topic] if topic in self.subjects else [name for name in self.subjects if _last(name) == topic]
        if not found:
            self._refuse(topic)
        if len(found) > 1:
            rows = [("", name, "", self._about(name)) for name in found]
            return "\n".join([f"{topic} may be one of these:", "", *_table(rows)])
        (name,) = found
        group, _, option = name.partition("=")
        if option and option != self.chosen(group):
            return dataclasses.replace(self, words=(*self.words, name)).page(name)
        if group == "experiment" and self.chosen(group):
            return self._experiment(str(self.chosen(group)))
        if group in self.groups:
            return self._group(group)
        if any(key.group == name for key in self.keys):
            return self._listing(name, [key for key in self.keys if key.group == name])
        return self._key(next(key for key in [*self.keys, *self.others] if key.name == name))

    def _most_used(self) -> str:
        """Return a row for each key of `MOST_USED` that the command has."""
        keys = {key.name: key for key in self.keys}
        used = [keys[name] for name in MOST_USED if name in keys]
        rows = [("", key.name, key.value or "", plain(first_sentence(meaning(key.cls, key.field)))) for key in used]
        return "\n".join(_table(rows))

    def _listings(self) -> Iterator[str]:
        """Yield the list of keys of each group and each section. The keys without a group come first."""
        for group in dict.fromkeys(["", *map(str, without_hydra(self.config)), *(key.group for key in self.keys)]):
            keys = [key for key in self.keys if key.group == group]
            if keys or group in self.groups:
                yield self._listing(group, keys)

    def _listing(self, group: str, keys: Sequence[Key]) -> str:
        """Return a heading, and a table with one row for each of `keys`."""
        heading = f"{group}={self.chosen(group)}" if group in self.groups else group or "without a group"
        rows = [("", key.field, key.value or "", key.line) for key in keys]
        if not self.groups and not group:
            return "\n".join(_table(rows))
        return "\n".join([f"{heading}:", *_table(rows)]) if keys else f"{heading}: no keys"

    def _group(self, group: str) -> str:
        """Return the page of a group: its options, and the keys of the chosen option."""
        chosen = self.chosen(group)
        rows = [
            ("*" if name == chosen else "", name, "", self._about(f"{group}={name}")) for name in self.groups[group]
        ]
        lines = [f"Options of {group} (choose with {group}=NAME; * is chosen):", "", *_table(rows)]
        keys = [key for key in self.keys if key.group == group]
        if keys:
            rows = [("", key.field, key.value or "", key.line) for key in keys]
            lines += ["", f"Keys of {group}={chosen} (change with {group}.KEY=VALUE):", "", *_table(rows)]
        elif chosen is not None:
            lines += ["", f"{group}={chosen} has no keys."]
        return "\n".join(lines)

    def _key(self, key: Key) -> str:
        """Return the page of a key."""
        chosen = self.chosen(key.group) if key.group in self.groups else None
        count, having = len(options(key.group)), owners(key.group, key.field)
        text = plain(meaning(key.cls, key.field))
        parts = {
            "value": key.value if key.value is not None else f"{key.group}={chosen} does not have this key",
            "accepts": key.accepts,
            "meaning": text,
            "options": ("all" if len(having) == count else ", ".join(having)) if chosen and count > 1 else "",
        }
        lines = [key.name, ""]
        for label, part in parts.items():
            lines += _wrapped(f"  {label:9}", part) if part else []
        command = self.command_for(key)
        return "\n".join(
            [*lines, *([f"  example  {command}"] if command else [])]
        )  # the command is one line, so that it can be copied

    def _experiment(self, name: str) -> str:
        """Return the page of an experiment: claim, command, expected result, time, and the keys that it sets."""
        file = self.application.file_of("experiment", name)
        lines = [f"experiment={name}", ""]
        for label, text in _paragraphs(file):
            lines += _wrapped(f"  {label.lower():9}" if len(label) < 9 else f"  {label.lower()} ", text)
        lines += ["", "It sets:", ""]
        for word in settings(file):
            lines += textwrap.wrap(f"  {word}", WIDTH, subsequent_indent="      ", break_on_hyphens=False)
        return "\n".join(lines)

    def _about(self, name: str) -> str:
        """Return one sentence about an option, a group or a key; empty if there is none."""
        group, _, option = name.partition("=")
        if option in options(group):
            return plain(summary(options(group)[option]))
        if group == "experiment" and option:
            return first_sentence(dict(_paragraphs(self.application.file_of(group, option))).get("Claim", ""))
        if option and (entry := installed(group).get(option)) is not None:
            return f"From the package {package_of(entry)}."
        if option:
            return first_sentence(_comment(self.application.file_of(group, option)))
        if name in self.groups:
            return f"A group of {len(self.groups[name])} options."
        return next((key.line for key in [*self.keys, *self.others] if key.name == name), "")

    def _refuse(self, topic: str) -> NoReturn:
        """Raise the error that there is no group, option or key with the name `topic`."""
        if topic.partition(".")[0].partition("/")[0] == "hydra":
            raise UserError(f"{topic}: Hydra's own settings are shown by --hydra-help and --cfg hydra")
        meant = [name for name in KEYS.get(_last(topic), ()) if name in self.subjects]
        if not meant:
            names = {name: name for name in self.subjects} | {_last(name): name for name in reversed(self.subjects)}
            close = difflib.get_close_matches(topic.lower(), names, n=1, cutoff=0.5)
            meant = [names[name] for name in close]
        first = ", ".join(name for name in self.subjects if not re.search(r"[.=]", name))
        advice = f"did you mean {' or '.join(meant)}?" if meant else f"choose from {first};"
        raise UserError(f"{topic}: no such group, option or key; {advice} --help all shows all")

    # ---------------------------------------------------------------- examples

    def command_for(self, key: Key) -> str:
        """Return an example of a command that sets a key; empty if there is no example.

        The example comes from the docstring of the key. If the docstring has no example, the command sets an accepted
        value that differs from the present value.
        """
        template = str(self.config.hydra.help.template)
        words = example(key.cls, key.field) or (f"{key.name}={_another_value(key)}" if key.accepts else "")
        if not words or (words.startswith("-m ") and " -m " not in template):  # this command has no sweeps
            return ""
        usual = re.search(rf"{re.escape(self.command)} +(?:(\w+)=)?", template)  # such as deeprob-evaluate run=…
        needed = [f"{usual[1]}=DIR"] if usual and usual[1] and key.name not in ("run", "runs", "sweep") else []
        if key.group in self.groups:
            owner = next((name for name, cls in options(key.group).items() if cls is key.cls), "")
            if owner and key.name not in {default.name for default in self._defaults}:
                needed.append(f"{key.group}={owner}")
            required = [f.name for f in dataclasses.fields(key.cls or Key) if f.default == MISSING]
            shown = [example(key.cls, name) for name in required if name != key.field]
            needed += [text.split()[-1] for text in shown if text]
        given = [word.partition("=")[0] for word in words.split()]
        needed = [word for word in dict.fromkeys(needed) if word.partition("=")[0] not in given]
        return " ".join([self.command, *needed, words])

    @cached_property
    def _defaults(self) -> list[Key]:
        """The keys of the config that is composed without overrides."""
        return dataclasses.replace(self, words=(), multirun=False).keys if self.words else self.keys


# ---------------------------------------------------------------- reading configs


def _keys(node: DictConfig, values: dict[Any, Any], prefix: str = "") -> Iterator[Key]:
    kind = OmegaConf.get_type(node)
    for name, value in values.items():
        child = node._get_node(name)
        if isinstance(child, DictConfig) and dataclasses.is_dataclass(OmegaConf.get_type(child)) and value is not None:
            yield from _keys(child, value if isinstance(value, dict) else {}, f"{prefix}{name}.")
        else:
            yield Key(f"{prefix}{name}", kind, written(value))


def written(value: Any, *, inside: bool = False) -> str:
    """Return a value as it is typed in an override. If it is `inside` a list or a dictionary, texts may get quotes."""
    if isinstance(value, list):
        return f"[{','.join(written(item, inside=True) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{name}:{written(item, inside=True)}' for name, item in value.items())}}}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    return f"'{text}'" if text == "" or (inside and re.search(r"[\s,:=\[\]{}]", text)) else text


def settings(file: Path | None) -> Iterator[str]:
    """Yield the words of a command line that set the same values as a config file."""
    content = OmegaConf.to_container(OmegaConf.load(file), resolve=False) if file else {}
    assert isinstance(content, dict)
    for entry in content.pop("defaults", []):
        if isinstance(entry, dict):
            yield from (f"{str(group).removeprefix('override ').lstrip('/')}={name}" for group, name in entry.items())
        elif entry != "_self_":
            yield f"experiment={entry}"
    hydra = content.pop("hydra", {})
    yield from _words(content)
    swept = hydra.get("sweeper", {}).pop("params", {})
    yield from _words({key: value for key, value in hydra.items() if value and key != "mode"}, "hydra.")
    if swept:
        yield f"-m {' '.join(shlex.quote(f'{key}={value}') for key, value in swept.items())}"


def _words(values: dict[Any, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _words(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}={written(value)}"


def _comment(file: Path | None) -> str:
    """Return the comment at the top of a config file, without the line ``# @package``."""
    lines = file.read_text(encoding="utf-8").splitlines() if file else []
    top = lines[: next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))]
    return "\n".join(line[1:].removeprefix(" ") for line in top if not line.startswith("# @package"))


def _paragraphs(file: Path | None) -> Iterator[tuple[str, str]]:
    """Yield the label and the text of each paragraph ``Label: text`` in the comment at the top of a config file.

    A sentence that starts with ``Takes`` is a separate paragraph with the label ``Time``.
    """
    for paragraph in re.split(r"\n(?=\S)", _comment(file)):
        label, _, text = paragraph.partition(": ")
        text, _, time = " ".join(text.split()).partition(" Takes ")
        yield label, text
        if time:
            yield "Time", time


# ---------------------------------------------------------------- values


def _another_value(key: Key) -> str:
    """Return a value that a key accepts and that differs from its present value."""
    accepts, value = key.accepts, key.value
    shown = re.search(r"as in (\[\S+\])", accepts)
    if shown:
        return shown[1]
    if "number" in accepts:
        return _another_number(key)
    words = re.split(r", | or ", accepts.removeprefix("one of "))
    return next((word for word in words if word not in (value, "null", "a word")), "WORD")


def _another_number(key: Key) -> str:
    f = next(f for f in dataclasses.fields(key.cls or Key) if f.name == key.field)
    accepted = f.metadata["accepted"]
    start = str(f.default) if key.value is None else key.value
    try:
        value = float(start)
    except ValueError:  # a word, or null
        value = math.nan
    candidates = [2 * value, value / 2, 1, 0.1, 2, 10, 100]
    if "whole" in key.accepts:
        candidates = [int(number) for number in candidates if not math.isnan(number) and number == int(number)]
    fitting = (number for number in candidates if accepted.holds(number) and number != value)
    return f"{next(fitting, 1):g}"


# ---------------------------------------------------------------- lines


def _last(name: str) -> str:
    return re.split(r"[.=]", name)[-1]


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=label, subsequent_indent=" " * len(label), break_on_hyphens=False
    )  # fmt: skip


def _table(rows: Iterable[tuple[str, str, str, str]]) -> list[str]:
    """Return the lines of a table with the columns mark, name, value and text. Texts are cut after two lines."""
    rows = list(rows)
    names = max((len(name) for _, name, _, _ in rows if len(name) <= _NAMES), default=0)
    values = max((len(value) for _, _, value, _ in rows if len(value) <= _VALUES), default=0)
    lines = []
    for mark, name, value, text in rows:
        head = f"{mark:2}{name:{names}}  " + (f"{value:{values}}  " if values else "")
        indent = " " * (2 + names + 2 + (values + 2 if values else 0))
        if len(head) > len(indent):  # too long for its column
            lines += textwrap.wrap(head.rstrip(), WIDTH, subsequent_indent="      ", break_on_hyphens=False)
            head = indent
        wrapped = textwrap.wrap(
            text, WIDTH, initial_indent=head, subsequent_indent=indent, max_lines=2, placeholder=" …",
            break_on_hyphens=False, drop_whitespace=True,
        )  # fmt: skip
        lines += wrapped or [head.rstrip()]
    return lines
