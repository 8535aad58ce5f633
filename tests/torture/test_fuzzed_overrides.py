"""Command lines drawn from a grammar over the real schema: each wrong one is refused in one line that names the key.

What a field takes is read from what the program says of it ("a number in [0, 1)"), not from the code that decides, so
that the two are held against each other; and a new field is fuzzed without a change here.
"""

import dataclasses
import math
import random
import re
import shutil
import string
import types
import typing
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deeprob import config as configs
from deeprob.assembly.config import RunConfig, TrainConfig
from deeprob.commands.evaluate import EvaluateConfig
from deeprob.config.schema import expected
from deeprob.running import run as running

LINES = {
    "prefixes": [
        "+{key}=1", "~{key}", "~{key}=77", "~{group}", "~{group}=x", "~nope", "~sweep", "~seed", "~resume", "~model.x",
        "+++{key}=1", "+~{key}=1", "~+{key}=1", "~~{key}", "+ {key}=1", "+{group}={option}", "++{group}={option}",
        "+nope=1", "++nope.x=1 → nope", "+_target_=os.system", "++{group}.x=1", "++defaults=[x]",
    ],
    "packages": [
        "{group}@{group}={option}", "{group}@x={option}", "+{group}@x={option}", "+{group}@_global_={option}",
        "~{group}@x={option}", "{group}@={option}", "{group}@a:b={option}", "{group}@a@b={option}",
        "@{group}={option}", "{key}@x=1",
    ],
    "syntax": [
        " → an empty word", "  →  ", "= → =", "=3 → =", "+ → +", "~ → ~", "++= → =", ".", "..", ".=1", "@=1", "[1]",
        "{key}", "{key}.=1", ".{key}=1", " {key}=1", "{key} =1", "{key}:1", "{key}==1", "{key}=1=2", "0=1", "/=1",
        "{key}..x=1", "{group}/x=1", "{key};seed=1", "'{key}'=1", "'{key}=1'", "{key}+=1", "—{key}=1", "$=1",
        "OPTIMIZER.LR=1 → OPTIMIZER",
    ],
    "options": [
        "{group}=", "{group}=null", "{group}=3", "{group}=true", "{group}=???", "{group}=[]", "{group}=[{option}]",
        "{group}=[a,b]", "{group}=${{nope}}", "{group}=${{group}}", "{group}=../{group}/{option}", "{group}=./{option}",
        "{group}={option}.yaml", "{group}={option}/", "{group}=/etc/passwd", "{group}='{option}\n'", "{group}={{x:1}}",
        "experiment=nope", "experiment=null", "experiment.x=1 → experiment", "sweep=3", "sweep=${{seed}}", "sweep=[]",
    ],
    "unbalanced": [
        *("{key}=" + text for text in ("${{", "${{}}", "${{a", "'${{a'", "'${{}}'", "$", "[", "]", "[1,2", "{{a:1")),
        *("{key}=" + text for text in ("'1", "1'", "''1'", "(1", "(1)", "int(1", "int(x)", "f(1)", "range(", "[1,]")),
    ],
    "resume": [
        *("resume=" + text for text in ("nowhere", "", ".", "[a]", "{{}}", "3", "a,b", "'a\nb'", "${{nope}}", "a=b")),
        "+resume=nowhere", "++resume=nowhere", "resume=auto ; resume=nowhere", f"resume={'x' * 300} → {'x' * 300}",
        "-m ; resume=nowhere", "-m ; resume=auto,nowhere",
    ],
    "hydra": [
        "hydra.foo=1", "hydra.run.dir=", "hydra.run.dir=[1]", "hydra.run.dir=null", "hydra.run.dir='a\0b'", "hydra=x",
        "hydra.run.dir=${{nope}}", "hydra.run.x=1", "hydra.verbose=3", "hydra.job.chdir=true", "hydra.job.chdir=x",
        "hydra.job.chdir=${{nope}}", "hydra.mode=x", "hydra.mode=${{nope}}", "hydra.searchpath=[nowhere]", "~hydra",
        "hydra.job=null", "hydra.job.env_copy=[NOPE]", "hydra/launcher=nope", "hydra/nope=x", "hydra.run.dir=a,b",
        "+hydra.callbacks.a._target_=nope.x", "hydra.sweeper.max_batch_size=x",
    ],
    "flags": [
        "-x → unrecognized arguments: -x", "--seed ; 3 → unrecognized arguments: --seed", "--cfg=nope → argument --cfg",
        "--a\nb → unrecognized arguments: --a\\nb", "--config-dir=x → --config-dir x", "--cfg=job ; {key}={{a:1}}",
        "--help ; {key}={{a:1}}", "--info=defaults-tree ; {key}=[", "--cfg=job ; --resolve ; {key}=${{nope}}",
        "--help ; --resolve ; {key}=${{nope}}",
    ],
    "cycles": [
        "{key}=${{{key}}}", "{key}='x${{{key}}}'", "{key}=${{{other}}} ; {other}=${{{key}}} → {key}|{other}",
        "{key}=${{{other}}} ; {other}='a${{{key}}}b' → {key}|{other}",
    ],
}  # fmt: skip
"""Wrong lines, and after → the start of the message where that is not the key of the last word."""

SIGNS = [*"éλ№🙂\u202e\u0301\u200b\u00a0\u2028\x00\x1b\x7f\n\r\ud800\udcff", *"\"'!;#,(){}*?&<|%`^"]
INTERVAL = re.compile(
    r"(?P<listed>a list of )?(a )?(?P<whole>whole )?numbers?( that is finite| at least (?P<least>\S+)"
    r"| greater than (?P<above>\S+)| at most (?P<most>\S+)| in (?P<left>.)(?P<low>\S+), (?P<high>[^\])]+)(?P<right>.))"
)


class Field(NamedTuple):
    """A key, and what the program says it takes."""

    key: str
    hint: Any
    text: str

    @property
    def group(self) -> str:
        return self.key.partition(".")[0]

    @property
    def kinds(self) -> set[Any]:
        return set(typing.get_args(self.hint)) if isinstance(self.hint, types.UnionType) else {self.hint}

    @property
    def interval(self) -> re.Match[str] | None:
        return INTERVAL.match(self.text)

    @property
    def bounds(self) -> list[float]:
        return [float(self.interval[name] or 0) for name in ("least", "above", "low", "most", "high")]

    @property
    def words(self) -> list[str]:
        """The words that it takes; empty where any will do."""
        if self.interval:
            words = re.findall(r" or (\w+)", self.text)
        elif ", or a list" in self.text:
            words = self.text.partition(", or a list")[0].split(", ")
        else:
            few = self.text.startswith("one of ") or bool in self.kinds
            words = re.split(", | or ", self.text.removeprefix("one of ")) if few else []
        return [word for word in words if word != "null"]

    def inside(self, number: float) -> bool:
        part = self.interval
        low, high = part["least"] or part["above"] or part["low"] or -math.inf, part["most"] or part["high"] or math.inf
        above = number > float(low) if part["above"] or part["left"] == "(" else number >= float(low)
        below = number < float(high) if part["right"] == ")" else number <= float(high)
        return above and below and (abs(number) < 2**63 if part["whole"] else math.isfinite(number))


class Trial(NamedTuple):
    """A command line: wrong, with what the message may start with; or right, with the values that it gives."""

    words: list[str]
    named: Sequence[str] = ()
    values: Mapping[str, Any] = types.MappingProxyType({})
    command: str = "train"


def fields_of(cls: type, prefix: str = "") -> Iterator[Field]:
    for f in dataclasses.fields(cls):
        if dataclasses.is_dataclass(f.type) and not configs.options(f.name):
            yield from fields_of(f.type, f"{prefix}{f.name}.")
        elif not configs.options(f.name) and f.name != "resume":
            yield Field(f"{prefix}{f.name}", f.type, expected(cls, f.name))


def problems(config: Any, prefix: str = "") -> Iterator[str]:
    """Yield the keys of what contradicts itself."""
    for f in dataclasses.fields(config):
        if dataclasses.is_dataclass(value := getattr(config, f.name)):
            yield from problems(value, f"{prefix}{f.name}.")
    for line in getattr(config, "problems", lambda: ())():
        yield prefix + re.split("[=: ]", line)[0]


class Grammar:
    """Draws command lines; `default` is the config of an empty one, and `run` a directory that holds it."""

    def __init__(self, default: RunConfig, run: Path) -> None:
        self.rng = random.Random(20)
        self.default, self.flat, self.run = default, configs.flat(default), run
        groups = [f.name for f in dataclasses.fields(TrainConfig) if configs.options(f.name)]
        self.groups = {g: {o: [*fields_of(c, f"{g}.")] for o, c in configs.options(g).items()} for g in groups}
        self.fields = [([], field) for field in fields_of(TrainConfig)]
        for group, options in self.groups.items():
            for option, fields in options.items():
                if not self.contradictions(choice := self.choice(group, option), {}):
                    self.fields += [(choice, field) for field in fields]

    # ------------------------------------------------------------ what there is

    def field(self, *kinds: Any) -> tuple[list[str], Field]:
        """Draw a field, and the words that choose its option; those of rare types come as often as the others."""
        found = [pair for pair in self.fields if not kinds or pair[1].kinds & set(kinds)]
        hint = self.rng.choice(sorted({str(field.hint) for _, field in found}))
        return self.rng.choice([pair for pair in found if str(pair[1].hint) == hint])

    def choice(self, group: str, option: str) -> list[str]:
        """Return the words that an option needs: its choice, and what it has no default for."""
        missing = [f.name for f in dataclasses.fields(configs.options(group)[option]) if f.default == "???"]
        chosen = [] if option == self.flat[group] else [f"{group}={option}"]
        return chosen + [f"{group}.{name}=somewhere" for name in missing]

    def key(self) -> str:
        """Draw a key of the default config that has a value."""
        keys = [key for key, value in self.flat.items() if value is not None and key not in self.groups]
        return self.rng.choice(keys)

    def contradictions(self, words: list[str], values: Mapping[str, Any]) -> list[str]:
        """Return the keys that may be named when these choices and values, each of them right, go together."""
        parts = {}
        for word in words:
            group, _, option = word.partition("=")
            if option in self.groups.get(group, ()):
                parts[group] = configs.options(group)[option]()
        for key, value in values.items():
            group, _, name = key.rpartition(".")
            if group in self.groups:
                parts[group] = dataclasses.replace(parts.get(group, getattr(self.default, group)), **{name: value})
        return [*problems(dataclasses.replace(self.default, **parts))]

    # ------------------------------------------------------------ values

    def right(self, field: Field) -> tuple[str, Any]:
        """Draw what a field takes: how it is typed, and what it is."""
        if types.NoneType in field.kinds and (self.rng.random() < 0.1 or list[str] in field.kinds):
            return "null", None  # for some words would have to be the names of figures
        if field.hint == list[str]:
            return "[]", []
        if field.hint == list[Any]:
            return "[raw]", ["raw"]  # parts of `concat`
        if field.words and (not field.interval or self.rng.random() < 0.3):
            word = self.rng.choice(field.words)
            return word, {"true": True, "false": False}.get(word, word)
        if not field.interval:
            return self.rng.choice([("a/b-c_1.txt", "a/b-c_1.txt"), ("'ü (1) 🙂'", "ü (1) 🙂"), ("12", "12")])
        if field.interval["listed"]:
            numbers = [self.number(field) for _ in range(self.rng.randint(0, 3))]
            return f"[{','.join(text for text, _ in numbers)}]", [value for _, value in numbers]
        return self.number(field)

    def number(self, field: Field) -> tuple[str, float]:
        near, sign = self.rng.choice(field.bounds), self.rng.choice([-1, 1])
        if field.interval["whole"]:
            value = int(near) + sign * self.rng.choice([0, 1, 2, 7, 30, 1000])
            texts = [str(value), f"{value:+}", f"{value:_}", f"int({value}.0)"]
        else:
            value = near + sign * self.rng.choice([0, 0.1, 0.5, 1, 7e-5, 3e4, 1e-300])
            texts = [repr(value), f"{value:.17e}", f"float({value!r})", re.sub(r"^0\.", ".", repr(value))]
        if not field.inside(value):
            return self.number(field)
        return self.rng.choice(texts + [f"'{value!r}'"] * (str not in field.kinds)), value

    def wrong(self, field: Field) -> str:
        """Draw what has the wrong type for a field, or is none of the words that it takes."""
        wrong = ["[[x]]", "[a,[b]]", "{a:1}", "{}"] + ["null"] * (types.NoneType not in field.kinds)
        if list[int] in field.kinds:
            wrong += ["3", "[x]", "[1,x]", "[1,[1]]", "[1.5]", "[1.0]", "[true]", "[null]", "'[1]'", "${seed}"]
        elif list[str] in field.kinds:
            wrong += ["a", "3", "true", "[null]", "[{a:1}]", "''", "", "${seed}", "${model.activation}"]
        elif field.interval:
            wrong += ["x", "'x'", "true", "[1]", "", "''", "1e", "1.2.3", "--1", "0x1p", "None", "1 2", "${model.bias}"]
            wrong += ["2.5", "2.0", "1e3", "0x10", "float(1)", "${optimizer.lr}"] * bool(field.interval["whole"])
            wrong += ["'12'"] * (str in field.kinds)
        elif bool in field.kinds:
            wrong += ["2", "0", "1", "yes", "on", "off", "'true'", "1.0", "[true]", "", "maybe", "${seed}", "None"]
        elif field.words:
            word = self.rng.choice(field.words)
            wrong += [word.upper() + "x", f"[{word}]", f"' {word}'", "3", "", "''"]
            wrong += [self.misspelt(word, field.words) for _ in range(4)]
        return self.rng.choice(wrong)

    def outside(self, field: Field) -> str:
        """Draw a number that is none of those that a field takes."""
        if field.interval["whole"]:
            near = [int(bound) + step for bound in field.bounds for step in (-1, 0, 1)]
            far = [str(2**63), str(-(2**63)), "9" * 400, "9" * 5000, "-" + "9" * 5000]
        else:
            ends = (-math.inf, math.inf)
            near = [number for b in field.bounds for number in (b, b - 1, b + 1, *(math.nextafter(b, e) for e in ends))]
            far = ["nan", "inf", "-inf", "NaN", "1e999", "-1e999", "9" * 400, "'inf'", "'nan'", "9" * 5000]
        text = self.rng.choice([repr(number) for number in near if not field.inside(number)] + far)
        return f"[1,{text}]" if field.interval["listed"] else text

    def misspelt(self, word: str, real: Iterable[str]) -> str:
        """Drop, double, swap or insert a letter."""
        place, letter = self.rng.randrange(len(word)), self.rng.choice(string.ascii_letters)
        head, here, tail = word[:place], word[place], word[place + 1 :]
        others = [head + tail, head + 2 * here + tail, head + tail[:1] + here + tail[1:], head + letter + here + tail]
        other = self.rng.choice(others)
        return self.misspelt(word, real) if other in real or not re.fullmatch(r"[a-zA-Z_]\w*", other) else other

    # ------------------------------------------------------------ wrong lines

    def given(self, choice: list[str], field: Field, text: str) -> Trial:
        words = [word for word in choice if not word.startswith(f"{field.key}=")]
        return Trial([*words, f"{self.rng.choice(['', '', '', '++'])}{field.key}={text}"], [field.key])

    def wrong_type(self) -> Trial:
        choice, field = self.field()
        return self.given(choice, field, self.wrong(field))

    def out_of_range(self) -> Trial:
        choice, field = self.field(int, float, list[int])
        return self.given(choice, field, self.outside(field))

    def misspelt_key(self) -> Trial:
        choice, field = self.field()
        group, dot, name = field.key.rpartition(".")
        real = {field.key.rpartition(".")[2] for _, field in self.fields} | {*self.groups, "resume", "sweep"}
        key = group + dot + self.misspelt(name, real)
        return Trial([*choice, f"{self.rng.choice(['', '', '+', '++'])}{key}={self.right(field)[0]}"], [key])

    def misspelt_group(self) -> Trial:
        group = self.rng.choice([*self.groups])
        key, option = self.misspelt(group, self.groups), self.misspelt(self.flat[group], self.groups[group])
        line = self.rng.choice([f"{key}={self.flat[group]}", f"{key}.x=1", f"{key}.lr.y=1", f"{group}={option}"])
        return Trial([line], [group if line.startswith(f"{group}=") else key])

    def key_of_another_option(self) -> Trial:
        choice, field = self.field()
        option = self.rng.choice([*self.groups.get(field.group, [""])])
        if not choice or field.key in {f.key for f in self.groups[field.group][option]}:
            return self.key_of_another_option()
        return self.given(self.choice(field.group, option), field, self.right(field)[0])

    def too_deep(self) -> Trial:
        choice, field = self.field()
        if list[int] in field.kinds and self.rng.random() < 0.5:
            below = self.rng.choice(["5", "x", "0.x", "0.0"])
            return Trial([*choice, f"{field.key}=[3]", f"{field.key}.{below}=1"], [field.key])
        below = self.rng.choice([".x", ".0", ".x.y", ".__class__", ".a" * 300])
        return Trial([*choice, f"{self.rng.choice(['', '+', '++'])}{field.key}{below}=1"], [field.key])

    def signs(self) -> Trial:
        """Letters of other scripts, control characters and punctuation, in keys and in values."""
        sign, quote = self.rng.choice(SIGNS), self.rng.choice(["", "", '"'])
        if self.rng.random() < 0.5:
            key = self.key()
            return Trial([f"{key[:-1]}{sign}{key[-1]}=1"], [key[:-1]])
        choice, field = self.field(int, float, bool)
        return self.given(choice, field, f"{quote}x{sign}y{quote}")

    def interpolation(self) -> Trial:
        choice, field = self.field(int, float, bool)
        names = ["nope", "oc.env:DEEPROB_NOPE", "now:", "unknown:1", ".nope", "....nope", "a.b.c", "dataset", "oc.env:"]
        names += ["model.activation.x", "oc.decode:x", "pad:x", "hydra:", "hydra:job.name", "oc.create:[x]", "a\nb"]
        name = self.rng.choice(names)
        return self.given(choice, field, self.rng.choice([f"${{{name}}}", f"'x${{{name}}}y'"]))

    def huge(self) -> Trial:
        choice, field = self.field(int, float, bool)
        texts = ["x" * 100_000, f"'{'ü ' * 5000}'", "9" * 100_000, f"'${{{'x' * 10_000}}}'", "[" * 500]
        texts += [opening * 500 + "1" + closing * 500 for opening, closing in (("[", "]"), ("{a:", "}"), ("int(", ")"))]
        keys = ["x" * 100_000, "x" * 300, "x" + ".y" * 1000, "model.x" + "x" * 10_000]
        wrong_key = Trial([f"{self.rng.choice(keys)}=1"], ["x", "model.x"])
        return self.rng.choice([wrong_key, self.given(choice, field, self.rng.choice(texts))])

    def twice(self) -> Trial:
        choice, field = self.field(int, float, bool)
        return Trial([*choice, f"{field.key}={self.right(field)[0]}", f"{field.key}={self.wrong(field)}"], [field.key])

    def sweep_without_flag(self) -> Trial:
        choice, field = self.field(int, float)
        values = f"{self.right(field)[0]},{self.right(field)[0]}"
        text = self.rng.choice([values, f"choice({values})", "range(1,4)", "interval(0,1)", "glob(*)", "sort(1,2)"])
        return self.given(choice, field, text)

    def sweep(self) -> Trial:
        """One of its jobs is wrong, or one of its ranges, or what is the same in all jobs."""
        choice, field = self.field(int, float, bool)
        values = ",".join(self.rng.sample([self.right(field)[0], self.wrong(field)], 2))
        ranges = ["range(0,3,0)", "range(0,inf)", "range(1000000000)", "interval(0,1)", "1,", "glob(*)"]
        swept = self.given(choice, field, self.rng.choice([values, values, self.rng.choice(ranges)]))
        constant = self.rng.choice([self.wrong_type, self.out_of_range, self.misspelt_key, self.misspelt_group])()
        trial = self.rng.choice([swept, constant._replace(words=["seed=0,1", *constant.words])])
        return trial._replace(words=["-m", *trial.words])

    def beside_resume(self) -> Trial:
        field = self.rng.choice([field for choice, field in self.fields if not choice])
        trial = self.given([], field, self.wrong(field))
        return trial._replace(words=self.rng.sample([f"resume={self.run}", *trial.words], 2))

    def of_evaluate(self) -> Trial:
        fields = [*fields_of(EvaluateConfig)]
        field = self.rng.choice(fields)
        key = self.misspelt(field.key, [f.key for f in fields])
        trial = self.rng.choice([self.given([], field, self.wrong(field)), Trial([f"{key}=1"], [key])])
        return trial._replace(words=["run=nowhere"] * (field.key != "run") + trial.words, command="evaluate")

    def contradiction(self) -> Trial:
        words, values = self.right_words(3)
        named = self.contradictions(words, values)
        return Trial(words, named) if named else self.contradiction()

    def line(self, kind: str) -> Trial:
        """Draw one of `LINES`, and put names in their places."""
        group = self.rng.choice([group for group, options in self.groups.items() if len(options) > 1])
        option = self.rng.choice([option for option in self.groups[group] if option != self.flat[group]])
        names = {"group": group, "option": option, "key": self.key(), "other": self.key()}
        line, _, named = self.rng.choice(LINES[kind]).format(**names).partition(" → ")
        words = line.split(" ; ")
        return Trial(words, named.split("|") if named else [words[-1].lstrip("+~").partition("=")[0]])

    def among_right_ones(self, trial: Trial) -> Trial:
        """Put the words of a line, in their order, between others that are right, of other groups."""
        taken = {re.split("[.=@/]", key.lstrip("+~"))[0] for key in [*trial.words, *trial.named]}
        words, values = self.right_words(self.rng.choice([0, 0, 1, 2]), taken)
        if taken & {"resume", "run"} or self.contradictions([*words, *trial.words], values):
            return trial
        places = sorted(self.rng.randint(0, len(words)) for _ in trial.words)
        for shift, (place, word) in enumerate(zip(places, trial.words, strict=True)):
            words.insert(place + shift, word)
        return trial._replace(words=words)

    # ------------------------------------------------------------ right lines

    def right_words(self, count: int, without: Iterable[str] = ()) -> tuple[list[str], dict[str, Any]]:
        """Draw choices in some groups, each with a value or two, that are right one by one."""
        free = [group for group in self.groups if group not in without]
        words, values = [], {}
        for group in self.rng.sample(free, min(count, len(free))):
            option = self.rng.choice([*self.groups[group]])
            fields = self.groups[group][option]
            choice, values[group] = self.choice(group, option), option
            needed = [field for field in fields if f"{field.key}=somewhere" in choice]
            words += choice[: len(choice) - len(needed)]
            for field in dict.fromkeys([*needed, *self.rng.sample(fields, min(2, len(fields)))]):
                text, values[field.key] = self.right(field)
                words.append(f"{self.rng.choice(['', '', '++'])}{field.key}={text}")
        return words, values

    def right_line(self) -> Trial:
        words, values = self.right_words(self.rng.randint(1, 4))
        if self.contradictions(words, values):
            return self.right_line()
        if self.rng.random() < 0.2:
            return Trial(["-m", "hydra/launcher=basic", "seed=1,2", *words], values={**values, "seed": 2})
        return Trial(words, values=values)

    def right_interpolation(self) -> Trial:
        choice, field = self.field(int, float, bool)
        key = self.key()
        value = self.flat[key]
        fits = type(value) in field.kinds & {int, float, bool} and (type(value) is bool or field.inside(value))
        if not fits or key.startswith(field.group) or self.contradictions(choice, {field.key: value}):
            return self.right_interpolation()
        return Trial([*choice, f"{field.key}=${{{key}}}"], values={field.key: value})

    def right_beside_resume(self) -> Trial:
        numbers = {key: value for key, value in self.flat.items() if isinstance(value, int | float)}
        key, value = self.rng.choice([*numbers.items()])
        return Trial([f"resume={self.run}", f"{key}={str(value).lower()}"], values={key: value})


WRONG = [
    Grammar.wrong_type, Grammar.out_of_range, Grammar.misspelt_key, Grammar.misspelt_group, Grammar.too_deep,
    Grammar.key_of_another_option, Grammar.signs, Grammar.interpolation, Grammar.huge, Grammar.twice, Grammar.sweep,
    Grammar.sweep_without_flag, Grammar.beside_resume, Grammar.of_evaluate, Grammar.contradiction, *LINES,
]  # fmt: skip
RIGHT = [Grammar.right_line, Grammar.right_line, Grammar.right_interpolation, Grammar.right_beside_resume]


@pytest.fixture
def reached(monkeypatch) -> list[RunConfig]:
    """The configs that would have been trained."""
    seen = []

    def run(config, *words, **named):
        seen.append(config)
        return {"status": "completed"}

    monkeypatch.setattr(running, "run", run)
    return seen


def fault(trial: Trial, result: Any, reached: list[RunConfig]) -> str:
    """Say what is wrong with the program's answer to a command line, if anything is."""
    status, out, err = result
    if not trial.named:
        if (status, err) != (0, "") or not reached:
            return "refused"
        flat = configs.flat(reached[-1])
        taken = {key: flat.get(key, value) for key, value in trial.values.items()}
        return "" if repr(taken) == repr(dict(trial.values)) else f"taken for {taken}"
    others, named = ("|".join(map(re.escape, words)) for words in (trial.words, trial.named))
    faults = {
        "accepted": reached,
        f"ended with {status}": status != 2,
        f"printed {out[:200]}": out,
        "told in more than a line that a terminal shows": not err[:-1].isprintable() or len(err) > 3000,
        f"told without {named}": not re.match(rf"error: (job \d+ \(.*\): )?(({others}) )*[+~]*({named})", err),
        f"left {sorted(Path.cwd().iterdir())}": [*Path.cwd().iterdir()],
    }
    return "; ".join(name for name, present in faults.items() if present)


def test_each_wrong_line_is_refused_in_one_that_names_the_key(deeprob, reached, tmp_path, times, tell):
    assert deeprob().status == 0
    default = reached[0]
    (tmp_path / "a run").mkdir()
    (tmp_path / "a run/config.yaml").write_bytes(configs.to_yaml(default.resolved()))
    grammar = Grammar(default, tmp_path / "a run")
    productions = [*WRONG, *RIGHT * 2]
    faults, counts = [], Counter()
    for number in range(times(32, 1000)):
        production = productions[number % len(productions)]
        trial = grammar.line(production) if production in LINES else production(grammar)
        if trial.named and trial.command == "train":
            trial = grammar.among_right_ones(trial)
        reached.clear()
        result = deeprob(*trial.words, command=trial.command)
        if said := fault(trial, result, reached):
            faults.append(f"{[word[:300] for word in trial.words]}: {said}: {result.err[-500:]}")
        counts[bool(trial.named)] += 1
        for left in Path.cwd().iterdir():
            shutil.rmtree(left)
    assert faults == []
    tell(f"{counts[True]} wrong command lines of {len(WRONG)} kinds refused, {counts[False]} right ones taken as meant")
