import json

import pytest

from deeprob.config.own_modules import imported
from deeprob.config.own_parts import advice_for, changed_modules, own_parts, recorded_parts

MODULE = """
from dataclasses import dataclass
from deeprob.config import register
from deeprob.optim import SGDConfig

@register("optimizer", "heavy")
@dataclass
class HeavyConfig(SGDConfig):
    pass
"""
NOTEBOOK = {"option": "model=m", "module": "__main__", "file": None, "sha256": None, "import": None}


def part(**values: object) -> dict[str, object]:
    return {"option": "model=m", "module": "parts", "file": "parts.py", "sha256": "a", "import": "parts", **values}


@pytest.fixture
def told(tmp_path):
    """Write provenance.json, and return what is advised for model=m."""

    def write(content: object) -> str:
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        (tmp_path / "provenance.json").write_bytes(text.encode() if isinstance(text, str) else text)
        return advice_for(tmp_path, "model=m")

    return write


def test_own_parts_among_the_chosen_options(own):
    own("parts_own", MODULE)
    with imported(["parts_own"]):
        (found,) = own_parts([("model", "mlp"), ("optimizer", "heavy"), ("optimizer", "heavy"), ("optimizer", "none")])
    assert (found["option"], found["module"], found["import"]) == ("optimizer=heavy", "parts_own", "parts_own")
    assert found.keys() == part().keys()


def test_a_part_of_a_package_has_the_name_of_the_package(own, monkeypatch):
    own("parts_packed", MODULE)
    with imported(["parts_packed.py"]):
        pass
    monkeypatch.setattr("deeprob.config.own_parts.distribution_of", lambda cls: {"package": "packed", "version": "3"})
    (found,) = own_parts([("optimizer", "heavy")])
    assert (found["package"], found["version"]) == ("packed", "3")
    assert "import" not in found


def test_what_to_type_for_a_part_that_is_not_known(told, tmp_path):
    assert (
        told({"parts": [part()]})
        == "the run was trained with --import parts: add --import parts (in Python, import parts)"
    )
    spaced = told({"parts": [part(**{"import": "my parts/p.py"})]})
    assert (
        spaced
        == "the run was trained with --import 'my parts/p.py': add --import 'my parts/p.py' (in Python, import p)"
    )
    assert (
        told({"parts": [part(package="p", version="1")]}) == "it belongs to the package p, which is not installed here"
    )
    assert told({"parts": [NOTEBOOK]}).startswith("its class was in a notebook or a script: put it into a module")
    assert advice_for(tmp_path, "model=other") == ""
    assert advice_for(tmp_path / "none", "model=m") == ""


@pytest.mark.parametrize(
    "content",
    [
        "", "[", "[1]", "[" * 100_000, {"parts": 3}, {"parts": {"option": "model=m"}}, {"parts": [3, None, [part()]]},
        {"resumed": [1, {"parts": "x"}]}, b"\xff", {"parts": [part(option=["model=m"])]},
    ],
    ids=range(10),
)  # fmt: skip
def test_a_damaged_file_says_nothing(told, tmp_path, content):
    assert told(content) == ""
    assert changed_modules(tmp_path, [part(sha256="c")]) == []


@pytest.mark.parametrize("word", ["a;rm -rf x", "a\nerror: b", "\x1b[31m", "a" * 201, ["a"], "$(x)", "\u202eabc"])
def test_a_word_of_a_stranger_is_printed_only_if_it_is_a_name(told, word):
    assert told({"parts": [part(**{"import": word})]}) == "it was a part of the user's own: add --import MODULE"


def test_the_parts_of_a_resumed_run_come_last(told, tmp_path):
    told({"parts": [part()], "resumed": [{}, {"parts": [part(sha256="b")]}]})
    assert [each["sha256"] for each in recorded_parts(tmp_path)] == ["a", "b"]
    assert changed_modules(tmp_path, [part(sha256="a")]) == ["parts"]
    assert changed_modules(tmp_path, [part(sha256="b")]) == []
    assert changed_modules(tmp_path, [part(sha256="c", option="loss=new")]) == []
