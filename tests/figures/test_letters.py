import shutil
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

from deeprob.figures import letters
from deeprob.figures.style import drawn, png

SCRIPT = "ℊ"
"""Matplotlib brings a font that has it, STIX, and its DejaVu Sans does not: the same on every machine."""

NOWHERE, ELSEWHERE = "\U0010fffd", "\U0010fffc"
"""Of no font: code points for private use."""

STIX = Path(mpl.get_data_path()) / "fonts/ttf/STIXGeneral.ttf"


@pytest.fixture(autouse=True)
def matplotlibs_own_fonts(monkeypatch):
    """A process that has drawn nothing yet, on a machine with no other fonts."""
    own = [entry for entry in fontManager.ttflist if Path(entry.fname).is_relative_to(mpl.get_data_path())]
    monkeypatch.setattr(fontManager, "ttflist", own)
    monkeypatch.setattr(letters, "findSystemFonts", list)
    monkeypatch.setattr(letters, "_families", {})
    monkeypatch.setattr(letters, "_told", set())


def labelled(*names):
    """A figure with names as labels of ticks and in a legend, and its texts, as they are drawn."""

    def draw(canvas):
        axes = canvas.subplots()
        axes.set_yticks(range(len(names)), names)
        axes.set_title(names[0], loc="center")
        for name in names:
            axes.plot([0, 1], label=name)
        axes.legend(handles=axes.lines)

    figure = drawn((3, 2), draw)
    png(figure)
    (axes,) = figure.axes
    return figure, [text.get_text() for text in (axes.title, *axes.get_yticklabels(), *axes.get_legend().get_texts())]


def test_letters_of_the_usual_font_change_nothing(capsys):
    figure, texts = labelled("λR(W)", "مرحبا", "x₁")
    assert texts == ["λR(W)", "λR(W)", "مرحبا", "x₁", "λR(W)", "مرحبا", "x₁"]
    assert all(text.get_fontfamily() == ["DejaVu Sans"] for text in figure.findobj(Text))
    assert capsys.readouterr().err == ""


def test_a_letter_comes_from_the_font_that_has_it(capsys, caplog):
    figure, texts = labelled(f"{SCRIPT}mail", "other")
    assert texts == [f"{SCRIPT}mail", f"{SCRIPT}mail", "other", f"{SCRIPT}mail", "other"]
    (axes,) = figure.axes
    found, other = axes.get_yticklabels()
    assert found.get_fontfamily() == ["DejaVu Sans", "STIXGeneral"]
    assert other.get_fontfamily() == ["DejaVu Sans"]
    assert axes.title.get_fontweight() == "normal"  # STIX has no bold ℊ
    assert capsys.readouterr().err == ""
    assert caplog.records == []


def test_a_family_without_bold_fonts_stands_for_them(monkeypatch, caplog):
    monkeypatch.setattr(fontManager, "ttflist", [e for e in fontManager.ttflist if "Bol" not in e.fname])
    figure, _ = labelled("⃝")
    assert figure.axes[0].title.get_fontweight() == "bold"
    assert figure.axes[0].title.get_fontfamily() == ["DejaVu Sans", "STIXGeneral"]
    assert caplog.records == []


def test_a_font_that_came_after_matplotlibs_list_is_found(monkeypatch, tmp_path):
    path = str(shutil.copy(STIX, tmp_path / "new.ttf"))
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    monkeypatch.setattr(fontManager, "ttflist", [e for e in fontManager.ttflist if "STIX" not in e.fname])
    monkeypatch.setattr(letters, "findSystemFonts", lambda: [str(tmp_path / "broken.ttf"), path])
    _, texts = labelled(SCRIPT)
    assert set(texts) == {SCRIPT}
    assert path in {entry.fname for entry in fontManager.ttflist}


def test_letters_that_no_font_has_are_boxes_and_one_note(capsys):
    _, texts = labelled(f"{NOWHERE}mail", f"{SCRIPT}{ELSEWHERE}")
    assert texts == ["□mail", "□mail", f"{SCRIPT}□", "□mail", f"{SCRIPT}□"]
    note = f"note: no font here has {ELSEWHERE}, {NOWHERE}; figures show boxes in place of such letters"
    assert capsys.readouterr().err == f"{note} (install one, such as a Noto font)\n"
    _, texts = labelled(f"{NOWHERE}mail", "\U0010fffb")
    assert texts == ["□mail", "□mail", "□", "□mail", "□"]
    assert capsys.readouterr().err == ""


def test_a_letter_without_a_shape_is_left_out(capsys):
    _, texts = labelled("a\U000e0041b")  # a tag, as in flags
    assert set(texts) == {"ab"}
    assert capsys.readouterr().err == ""


def test_the_note_names_ten_letters(capsys):
    labelled("".join(chr(0x10FF00 + place) for place in range(11)))
    listed = capsys.readouterr().err.partition("has ")[2].partition(";")[0]
    assert listed == ", ".join([*(chr(0x10FF00 + place) for place in range(10)), "…"])
