import dataclasses
import importlib
import re
import shlex
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from deeprob.assembly.config import TrainConfig
from deeprob.config import options
from deeprob.config.application import Application, parse_arguments, started
from deeprob.config.help import MANY, MOST_USED, WIDTH, Key, Manual, settings, written
from deeprob.config.meaning import first_sentence, meaning, summary

COMMANDS = ("train", "evaluate", "visualize", "compare", "check_gradients", "optimizers", "optimizer_paths")
SCHEMAS = {name: importlib.import_module(f"deeprob.commands.{name}").COMMAND.schema for name in COMMANDS}
GROUPS = [f.name for schema in SCHEMAS.values() for f in dataclasses.fields(schema) if options(f.name)]
FIELDS = [
    (group, option, cls, f.name)
    for group in dict.fromkeys(GROUPS)
    for option, cls in options(group).items()
    for f in dataclasses.fields(cls)
]


@pytest.fixture(scope="module")
def manuals():
    """The pages of each command; what was composed is kept."""
    with started(None) as hydra:
        yield {name: Manual(Application(hydra, name, schema)) for name, schema in SCHEMAS.items()}


@pytest.fixture(scope="module", params=COMMANDS)
def manual(request, manuals):
    return manuals[request.param]


def all_keys(manual: Manual) -> list[Key]:
    """The keys of a command, whatever options are chosen."""
    return [*manual.keys, *manual.others]


def is_prose(text: str) -> bool:
    """Tell whether a text is one sentence or more."""
    return text.endswith(".") and (text[0].isupper() or text[0] == "`")


@pytest.mark.parametrize(("group", "option", "cls", "name"), FIELDS)
def test_every_key_of_every_option_has_a_meaning(group, option, cls, name):
    assert is_prose(meaning(cls, name))


def test_every_option_says_what_it_is():
    for cls in {cls for _, _, cls, _ in FIELDS}:
        assert summary(cls).endswith(".")


def test_every_key_of_every_command_has_a_meaning_and_says_what_it_accepts(manual):
    assert manual.keys
    for key in [*manual.keys, *manual.others]:
        assert is_prose(meaning(key.cls, key.field)), key.name
        assert key.accepts, key.name


def test_every_field_of_every_command_is_a_key_or_holds_keys(manual):
    fields = {f.name for f in dataclasses.fields(manual.application.schema)}
    assert fields <= {key.name for key in manual.keys} | {key.group for key in manual.keys} | set(manual.groups)


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.slow)])  # a page of an option takes 0.1 s
def test_pages_are_narrow_and_those_of_keys_short(manual, every):
    keys = {key.name for key in manual.keys}
    # its options are those of deeprob-train
    for subject in sorted(keys if manual.command == "deeprob-check-gradients" else manual.subjects)[::every]:
        page = manual.page(subject).splitlines()
        assert max(len(line) - 10 * line.startswith("  example  ") for line in page) <= WIDTH, subject
        assert all(line == line.rstrip() for line in page), subject
        if subject in keys:
            assert 1 < len(page) <= 15, subject


def test_the_overview_has_each_key_on_two_lines_at_most_and_none_cut(manual):
    text = manual.page("all")
    assert max(map(len, text.splitlines())) <= WIDTH
    listing = "\n\n".join(manual._listings())
    assert listing in text
    rows = [line for line in listing.splitlines() if line.startswith("  ")]
    assert len(manual.keys) <= len(rows) <= 2 * len(manual.keys)
    assert not any(row.endswith(" …") for row in rows)


def test_help_alone_is_short_and_has_all_options_and_the_most_used_keys(manual):
    text = manual.overview()
    assert len(text.splitlines()) <= 60
    for group, names in manual.groups.items():
        assert f"\n{group}: " in text
        assert set(names) <= set(re.findall(r"\w+", text))
    some = [key for key in manual.keys if key.name in MOST_USED or len(manual.keys) <= MANY]
    for key in some:
        assert f" {key.name if len(manual.keys) > MANY else key.field} " in text
    assert ("--help all " in text) == (len(some) < len(manual.keys))
    assert not any(line.endswith(" …") for line in manual._most_used().splitlines())


def test_the_most_used_keys_are_keys(manuals):
    assert set(MOST_USED) <= {key.name for name in ("train", "check_gradients") for key in all_keys(manuals[name])}


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_pages_of_groups_cut_no_meaning(manual, every):
    groups = {} if manual.command == "deeprob-check-gradients" else manual.groups  # they are those of deeprob-train
    for group, names in groups.items():
        for name in names[::every] if group != "experiment" else ():
            assert not any(line.endswith(" …") for line in manual.page(f"{group}={name}").splitlines()), name


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_every_example_is_a_command_that_is_valid(manual, every):
    # the keys of the other options are those of deeprob-train
    others = [] if manual.command == "deeprob-check-gradients" else manual.others
    examples = {manual.command_for(key): key for key in [*manual.keys, *others]}
    for line, key in list(examples.items())[::every]:
        if key.group == "sweep" and manual.command != "deeprob-train":
            assert line == ""  # the command has no sweeps
            continue
        command, *words = shlex.split(line)
        assert command == manual.command
        assert any(word.startswith(f"{key.name}=") for word in words), line
        manual.application.compose([word for word in words if word != "-m"], multirun="-m" in words)


def test_an_example_changes_the_value(manual):
    for key in manual.keys:
        assert f"{key.name}={key.value}" not in shlex.split(manual.command_for(key))


# ---------------------------------------------------------------- what is asked about

PAGES = {
    "trainer.patience": """\
trainer.patience

  value    0
  accepts  a whole number at least 0
  meaning  The number of epochs without a better validation metric after which the run stops. 0
           never stops it. It needs a validation split.
  example  deeprob-train dataset.val_fraction=0.2 trainer.patience=5
""",
    "optimizer.momentum": """\
optimizer.momentum

  value    optimizer=adamw does not have this key
  accepts  a number at least 0
  meaning  The share of the last step that is kept in the next one.
  options  rmsprop, sgd
  example  deeprob-train optimizer=sgd optimizer.momentum=0.9
""",
    "seed": """\
seed

  value    0
  accepts  a whole number at least 0
  meaning  The seed of weights, batch order, dropout and augmentation.
  example  deeprob-train seed=1
""",
    "patience": """\
patience may be one of these:

  trainer.patience    The number of epochs without a better validation metric after which the run
                      stops. Accepts a whole number at least 0.
  scheduler.patience  The number of epochs without a lower loss that change nothing. Accepts a whole
                      number at least 0.
""",
    "model=linear": """\
Options of model (choose with model=NAME; * is chosen):

* linear  A linear classifier: f(x) = Wx + b.
  mlp     A fully-connected network of N layers: N weight matrices and N − 1 hidden layers.

Keys of model=linear (change with model.KEY=VALUE):

  bias  true  Whether a bias is added to each score. Accepts true or false.
""",
    "experiment=capacity": """\
experiment=capacity

  claim    more hidden units give more capacity. With 3, 6 and 20 units in one hidden layer, the
           boundary bends more and more, and the training accuracy rises.
  command  deeprob-train experiment=capacity
  expect   training accuracies of about 82, 99 and 100 %. Every network with 20 units is better than
           every network with 3 units.
  time     40 seconds.

It sets:

  dataset=spirals
  model.layers=2
  optimizer.lr=0.02
  trainer.epochs=60
  sweep.figure=decision_boundary
  sweep.claims=['train/accuracy rises with model.width','train/accuracy of model.width=20 exceeds
      model.width=3']
  -m model.width=3,6,20 'seed=range(5)'
""",
}


@pytest.mark.parametrize("topic", PAGES)
def test_pages(deeprob, topic):
    assert deeprob("--help", topic) == (0, PAGES[topic], "")


SAME = {
    "momentum": "optimizer.momentum",  # what only one key is called
    "linear": "model=linear",
    "capacity": "experiment=capacity",
    "claims": "sweep.claims",
}


@pytest.mark.parametrize("topic", SAME)
def test_the_last_part_of_a_name_will_do(deeprob, topic):
    assert deeprob("--help", topic) == deeprob("--help", SAME[topic])


def test_a_group_is_shown_as_it_is_chosen(deeprob):
    assert deeprob("--help", "model", "model=linear").out == PAGES["model=linear"]
    assert deeprob("model=linear", "--help", "model").out == PAGES["model=linear"]
    assert deeprob("model", "model=linear", "-h").out == PAGES["model=linear"]


def test_what_stands_before_help_sets_values_of_the_whole(deeprob):
    out = deeprob("model=linear", "seed=7", "--help").out
    assert "\nThe most used keys with their values (" in out
    assert re.search("\n  seed +7 +The seed of weights", out)
    assert "\n  model.width " not in out
    out = deeprob("model=linear", "seed=7", "--help", "all").out
    assert "\nAll keys with their values (" in out
    assert "\nmodel=linear:\n  bias  true  Whether" in out
    assert "  seed    7     The seed of weights" in out
    assert "\nregularizer=none: no keys\n" in out


def test_a_value_beside_a_topic_is_shown(deeprob):
    assert "  value    0.5\n" in deeprob("--help", "optimizer.lr=0.5").out
    assert "  value    0.5\n" in deeprob("--help", "lr", "optimizer.lr=0.5").out


def test_several_words_are_several_pages(deeprob):
    out = deeprob("--help", "seed", "trainer.patience").out
    assert out == f"{PAGES['seed']}\n{PAGES['trainer.patience']}"


def test_the_words_of_hydra_are_no_topics():
    for words, topics in {
        ("--help", "hydra.verbose=true", "model=linear"): ["model"],
        ("model=linear", "--help"): [],
        ("model=linear", "--help", "~trainer", "seed"): ["seed"],
        ("-m", "--help", "+seed=1"): ["seed"],
    }.items():
        arguments, _ = parse_arguments(words)
        assert arguments.topics == topics


WRONG = {
    "train": ("nosuch", "patiance", "model.", "=", "", "optimizer.nosuch", "hydra.run.dir", "\x1b", "learning_rate"),
    "evaluate": ("nosuch", "model"),
    "visualize": ("nosuch", "figure.nosuch"),
    "compare": ("nosuch",),
    "check_gradients": ("nosuch",),
    "optimizers": ("nosuch",),
    "optimizer_paths": ("nosuch",),
}


@pytest.mark.parametrize(("command", "word"), [(command, word) for command in WRONG for word in WRONG[command]])
def test_what_is_not_there_is_one_line_and_status_2(deeprob, command, word):
    status, out, err = deeprob("--help", word, command=command)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("patiance", "trainer.patience"),
        ("learning_rate", "optimizer.lr"),
        ("trainer.num_epochs", "trainer.epochs"),
        ("optimizer.momentun", "optimizer.momentum"),
        ("expirement", "experiment"),
        ("capasity", "experiment=capacity"),
        ("nosuch", "dataset.noise"),
    ],
)
def test_what_is_not_there_is_guessed(deeprob, word, meant):
    line = f"error: {word}: no such group, option or key; did you mean {meant}? --help all shows all\n"
    assert deeprob("--help", word) == (2, "", line)


def test_what_is_like_nothing_gets_a_list(deeprob):
    line = "error: xyz: no such group, option or key; choose from show; --help all shows all\n"
    assert deeprob("--help", "xyz", command="optimizers") == (2, "", line)


def test_a_command_without_groups_has_no_headings(deeprob):
    out = deeprob("--help", command="optimizers").out
    assert "\n\n  show  lecture  The optimizers that are shown. Accepts one of lecture, all.\n" in out


def test_an_option_of_ones_own(deeprob, tmp_path):
    (tmp_path / "own" / "model").mkdir(parents=True)
    text = "# Wide. It has two lines.\ndefaults: [/schema/model/mlp@_here_]\nwidth: 9\n"
    (tmp_path / "own" / "model" / "wide.yaml").write_text(text)
    out = deeprob("--config-dir", str(tmp_path / "own"), "--help", "wide").out
    assert "* wide    Wide.\n" in out
    assert "  width              9 " in out


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1e-8, "1e-08"),
        ("", "''"),
        ("a b", "a b"),
        ([], "[]"),
        ([1, "a b", "c"], "[1,'a b',c]"),
        ([{"name": "hog", "cell": 8}, "raw"], "[{name:hog,cell:8},raw]"),
    ],
)
def test_values_as_they_are_typed(value, text):
    assert written(value) == text


def test_a_key_without_a_class_says_nothing():
    assert Key("a.b", None, "1").line == ""
    assert (Key("a.b", None, "1").group, Key("a.b", None, "1").field, Key("seed", None, "1").group) == ("a", "b", "")


def test_a_key_is_summed_up_in_a_line():
    line = Key("trainer.epochs", TrainConfig.__dataclass_fields__["trainer"].type, "30").line
    assert line == "The number of passes over the training split. Accepts a whole number at least 1 or auto."


def test_what_an_experiment_sets(tmp_path):
    file = tmp_path / "x.yaml"
    content = {
        "defaults": ["other", {"override /model": "linear"}, "_self_"],
        "trainer": {"epochs": 3},
        "hydra": {"mode": "MULTIRUN", "job": {"num": 1}, "sweeper": {"params": {"seed": "0,1", "model.width": "2,3"}}},
    }
    file.write_text(OmegaConf.to_yaml(OmegaConf.create(content)))
    lines = ["experiment=other", "model=linear", "trainer.epochs=3", "hydra.job.num=1", "-m seed=0,1 model.width=2,3"]
    assert list(settings(file)) == lines
    assert list(settings(None)) == []


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_every_experiment_has_its_page(manuals, every):
    for name in manuals["train"].groups["experiment"][::every]:
        page = manuals["train"].page(f"experiment={name}")
        for label in ("claim", "command", "expect", "time", "It sets:"):
            assert f"\n  {label} " in page or f"\n{label}\n" in page, name
        assert f"deeprob-train experiment={name}\n" in page


def test_first_sentences_are_short(manuals):
    for key in manuals["train"].keys:
        assert len(first_sentence(meaning(key.cls, key.field))) <= 110, key.name


def test_a_key_that_was_added_has_a_page(deeprob):
    assert deeprob("--help", "+foo=3").out == "foo\n\n  value    3\n"


def test_help_writes_nothing(deeprob):
    deeprob("--help", "model")
    assert list(Path.cwd().iterdir()) == []
