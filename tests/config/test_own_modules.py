import hashlib
import sys
from pathlib import Path

import pytest

from deeprob.config.own_modules import import_words, imported, is_own, source_of
from deeprob.config.schema import number
from deeprob.errors import UserError
from deeprob.optim import SGDConfig

OPTION = """
from dataclasses import dataclass
from deeprob.config import register
from deeprob.optim import SGDConfig

@register("optimizer", "heavy")
@dataclass
class HeavyConfig(SGDConfig):
    momentum: float = 0.9
"""


def complaint(*words: str) -> str:
    path, modules = list(sys.path), set(sys.modules)
    with pytest.raises(UserError) as caught, imported(words):
        pass
    assert sys.path == path
    assert set(sys.modules) == modules
    assert import_words() == []
    return str(caught.value)


def test_a_module_of_the_current_folder_is_imported_once(own):
    own("parts_once", "import parts_beside\nparts_beside.count.append(1)")
    own("parts_beside", "count = []")
    path = list(sys.path)
    with imported(["parts_once", "parts_once.py"]):
        assert import_words() == ["--import", "parts_once", "--import", "parts_once.py"]
        assert sys.path == [*path, str(Path.cwd())]
    assert (sys.path, import_words()) == (path, [])
    with imported(["parts_once"]):
        pass
    assert sys.modules["parts_beside"].count == [1]


def test_the_current_folder_is_not_searched_for_a_module_that_is_elsewhere(own, monkeypatch):
    own("far/parts_elsewhere", "")
    monkeypatch.syspath_prepend("far")
    path = list(sys.path)
    with imported(["parts_elsewhere"]):
        assert sys.path == path


def test_a_file_in_another_folder_finds_what_lies_beside_it(own):
    own("far/parts_far", "from parts_near import value")
    own("far/parts_near", "value = 3")
    with imported(["far/parts_far.py"]):
        assert sys.modules["parts_far"].value == 3


def test_a_module_of_a_package(own):
    own("parts_package/__init__", "")
    own("parts_package/inner", "from . import other")
    own("parts_package/other", "")
    with imported(["parts_package.inner"]):
        assert "parts_package.other" in sys.modules


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("no_such", "--import no_such: no module no_such in the current folder or on the path"),
        ("no_such.inner", "--import no_such.inner: no module no_such in the current folder or on the path"),
        ("no/such.py", "--import no/such.py: no such file"),
        (
            "model=mlp",
            "--import model=mlp: expected the name of a module, as in my_parts, or a file, as in my_parts.py",
        ),
        ("sys", None),  # an installed module registers nothing, which is fine
    ],
)
def test_what_is_no_module(own, word, line):
    if line is None:
        with imported([word]):
            assert import_words() == ["--import", word]
    else:
        assert complaint(word) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = 1\nif x\n", "parts_bad.py, line 2: SyntaxError: expected ':'"),
        ("\nimport einstein", "parts_bad.py, line 2: ModuleNotFoundError: No module named 'einstein'"),
        ("def f():\n    return {}['k']\nf()", "parts_bad.py, line 2: KeyError: 'k'"),
        ("import json\n\njson.loads('[')", "parts_bad.py, line 3: JSONDecodeError: Expecting value: line 1 column 2"),
        ("raise SystemExit(3)", "parts_bad.py, line 1: SystemExit: ended with exit status 3"),
        (
            OPTION.replace('"heavy"', '"sgd"'),
            "parts_bad.py, line 6: ValueError: optimizer=sgd is deeprob.optim.sgd.SGDConfig; choose another name",
        ),
        (OPTION.replace("@dataclass\n", ""), "parts_bad.py, line 6: TypeError: HeavyConfig is no dataclass; add @data"),
    ],
)
def test_a_module_that_cannot_be_imported(own, text, line):
    own("parts_bad", text)
    assert complaint("parts_bad").startswith(f"--import parts_bad: {line}")


def test_a_file_with_the_name_of_another_module(own):
    file = own("wave", "")
    line = complaint("wave")
    assert line.startswith("--import wave: wave.py has the name of another module (")
    assert line.endswith("wave.py); rename the file")
    assert complaint("wave.py") == line.replace("import wave:", "import wave.py:")
    file.unlink()
    own("time", "")
    assert complaint("time") == "--import time: time.py has the name of another module (built-in); rename the file"
    own("parts-dash", "")
    assert "only letters, digits and _; rename the file" in complaint("parts-dash.py")


def test_the_source_of_a_class(own):
    file = own("far/parts_source", OPTION)
    with imported(["far/parts_source.py"]):
        cls = sys.modules["parts_source"].HeavyConfig
    written = hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_text("changed after the import")
    assert source_of(cls) == {
        "module": "parts_source",
        "file": "parts_source.py",
        "sha256": written,
        "import": "far/parts_source.py",
    }
    assert is_own(cls)
    assert not is_own(SGDConfig)


def test_a_class_of_a_module_that_a_script_imported_itself():
    assert source_of(type(number(1)))["import"] == "dataclasses"
    shell = type("InNotebook", (), {"__module__": "__main__"})
    assert source_of(shell)["import"] is None
