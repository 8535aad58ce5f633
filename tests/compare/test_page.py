"""The page: whole, of itself alone, and with the numbers of the comparison."""

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from deeprob.compare import curves
from deeprob.compare.comparison import Comparison, compare_runs, gather
from deeprob.compare.page import page

VOID = {"meta", "input", "br", "link"}


class Reader(HTMLParser):
    """A page's tags with their attributes, its texts, and whether each tag is closed where it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    def of(self, tag, **wanted):
        return [found for name, found in self.tags if name == tag and wanted.items() <= found.items()]


@pytest.fixture
def comparison(make_run) -> Comparison:
    folders = [
        make_run(f"{lr}-{width}-{seed}", values, 0.5 + lr + width / 100 + 0.01 * seed, curve=(0.3, 0.5 + lr))
        for lr in (0.1, 0.3)
        for width in (4, 8)
        for seed in (0, 1)
        for values in [{"optimizer.lr": lr, "model.width": width, "seed": seed}]
    ]
    return compare_runs("a <sweep> & more", gather(None, folders)[0])


def test_it_is_whole_and_says_everything(comparison):
    read = Reader(page(comparison))
    said = " ".join(" ".join(read.texts).split())
    assert "a <sweep> & more" in said
    assert "8 runs 4 groups 8 completed" in said
    assert "deeprob-train model.width=8 optimizer.lr=0.3 seed=1" in said
    assert "optimizer.lr 95.9 %" in said  # 0.1² of 0.1² + 0.02² + 0.005²
    assert "test/accuracy by optimizer.lr and model.width" in said
    assert "The best 4 of 4 groups by test/accuracy: mean over seeds" in said
    assert "88.50 ± 6.35 %" in said  # 12.706·0.005
    rows = [row["data-words"] for row in read.of("tr") if "data-words" in row]
    assert (len(rows), rows[0]) == (4, "model.width=8 optimizer.lr=0.3")
    assert len(read.of("svg")) == 1


def test_it_needs_nothing_but_itself(comparison):
    text = page(comparison)
    read = Reader(text)
    assert not [found for _, found in read.tags if {"src", "href", "srcset", "data"} & set(found)]
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp", text)
    (policy,) = read.of("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none';")
    assert "$" not in re.sub(r"<script>.*</script>", "", text, flags=re.DOTALL)


def test_it_is_for_light_and_dark_and_for_phones(comparison):
    text = page(comparison)
    assert "prefers-color-scheme: dark" in text
    assert Reader(text).of("meta", name="viewport")
    used = set(re.findall(r"var\((--\w+)\)", text)) - {"--k"}
    light, dark = (set(re.findall(r"(--\w+):", block)) for block in re.findall(r":root \{(.*?)\}", text, re.DOTALL))
    assert used <= light == dark


def test_words_of_people_are_no_markup(comparison):
    evil = "<script>alert(1)</script>\"'&"
    groups = [dataclasses.replace(group, values={**group.values, "model.width": evil}) for group in comparison.groups]
    text = page(dataclasses.replace(comparison, title=evil, groups=groups, command=["deeprob-train", evil]))
    assert text.count("<script>") == 1
    assert evil in " ".join(Reader(text).texts)


def test_cells_of_the_table_sort_by_their_values(comparison):
    read = Reader(page(comparison))
    heads = [found for tag, found in read.tags if tag == "th" and "data-first" in found]
    assert [found.get("aria-sort") for found in heads] == [None, "descending", None, None, None]
    cells = [found["data-v"] for found in read.of("td") if "data-v" in found]
    assert len(cells) == 4 * len(heads)
    assert [cells[0], *cells[2:5]] == ["1", "8", "0.3", "2"]
    assert float(cells[1]) == comparison.best.estimate("test/accuracy").mean


def test_lost_runs_are_marked(grid):
    for run in grid[:4]:
        run.status = "diverged"
    grid[0].error, grid[0].directory = "the <data> loss", None
    text = page(compare_runs("lost", grid))
    read = Reader(text)
    assert [found for found in read.of("span") if found.get("class") == "chip lost"]
    assert len([row for row in read.of("tr") if row.get("class") == "lost"]) == 2
    assert "no directory  diverged  the <data> loss" in "\n".join(read.texts)


def test_little_to_tell_is_a_page_too(grid):
    text = page(compare_runs("seeds", grid[:2]))
    assert "All groups" in text
    assert "What each key does" not in text
    assert "There are none: no run has a metrics.csv (csv in trainer.trackers)." in text


def test_curves_are_named_by_what_differs_between_the_best(make_run):
    folders = [
        make_run(f"{width}", {"optimizer.lr": lr, "model.width": width}, 0.5 + lr + width / 100, curve=(0.3, 0.4))
        for width in range(1, 11)
        for lr in [0.1 if width < 5 else 0.3]
    ]
    read = Reader(page(compare_runs("ten", gather(None, folders)[0])))
    names = "".join(read.texts).partition("Learning curves")[2].partition("All groups")[0]
    assert "The best 6 of 10 groups by test/accuracy" in names
    assert "model.width=10" in names
    assert "optimizer.lr" not in names


@pytest.mark.parametrize(("most", "remark"), [(3, "mean over seeds"), (2, "mean over 2 seeds")])
def test_it_says_over_how_many_seeds_the_curves_of_a_large_group_are(make_run, monkeypatch, most, remark):
    monkeypatch.setattr(curves, "MOST_RUNS", most)
    folders = [make_run(f"{seed}", {"seed": seed}, 0.5, curve=(0.3, 0.4)) for seed in range(3)]
    assert f"{remark} at each epoch" in page(compare_runs("three", gather(None, folders)[0]))


def test_an_interval_of_shares_ends_at_all_of_them(comparison):
    shares = [{"test/accuracy": 0.98 + 0.02 * run.values["seed"]} for run in comparison.runs]
    runs = [dataclasses.replace(run, metrics=some) for run, some in zip(comparison.runs, shares, strict=True)]
    text = page(compare_runs("all right", runs))
    assert "99.00 % <small>−12.71 +1.00 %</small></div><p>mean ± 95 % confidence interval over seeds</p>" in text
    assert '<td data-v="0.99" class="sorted">99.00 <small>−12.71 +1.00 %</small></td>' in text
    assert "±" not in text.partition("All groups")[2].partition("</p>")[2]
