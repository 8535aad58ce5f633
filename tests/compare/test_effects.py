"""Main effects and heat maps by hand, and against scipy."""

import pytest
from scipy import stats

from deeprob.compare.effects import chosen_map, effects, heat_map, other_maps, rest
from deeprob.compare.groups import group_runs
from deeprob.errors import UserError

KEYS = ["optimizer.lr", "model.width", "seed"]
METRIC = "test/accuracy"


@pytest.fixture
def groups(grid):
    return group_runs(grid, KEYS)


def test_marginal_means_by_hand(groups):
    lr, width = effects(groups, METRIC)
    assert (lr.key, width.key) == ("optimizer.lr", "model.width")
    assert [(level.word, level.number, level.lost) for level in lr.levels] == [("0.1", 4, 0), ("0.3", 4, 0)]
    assert [level.mean for level in lr.levels] == pytest.approx([0.66, 0.86])  # 0.5 + lr + (0.04 + 0.08) / 2
    assert [level.mean for level in width.levels] == pytest.approx([0.74, 0.78])


def test_shares_by_hand(groups):
    # about the mean: lr ±0.1, width ±0.02, seeds ±0.01, nothing else
    lr, width = effects(groups, METRIC)
    total = 0.1**2 + 0.02**2 + 0.01**2
    assert lr.share == pytest.approx(0.1**2 / total)
    assert width.share == pytest.approx(0.02**2 / total)
    left = rest(groups, METRIC, [lr, width])
    assert left.seeds == pytest.approx(0.01**2 / total)
    assert left.together == pytest.approx(0.0, abs=1e-12)


def test_a_share_is_that_of_an_analysis_of_variance(groups):
    values = [
        [n for group in groups if group.values["optimizer.lr"] == word for n in group.numbers(METRIC)]
        for word in ("0.1", "0.3")
    ]
    f = stats.f_oneway(*values).statistic
    assert effects(groups, METRIC)[0].share == pytest.approx(f / (f + 6), rel=1e-9)


def test_keys_that_work_together(grid):
    for run in grid:  # as in xor: neither key alone does anything
        run.metrics[METRIC] = float((run.values["optimizer.lr"] == 0.1) == (run.values["model.width"] == 4))
    groups = group_runs(grid, KEYS)
    found = effects(groups, METRIC)
    assert [effect.share for effect in found] == [0.0, 0.0]
    assert rest(groups, METRIC, found) == pytest.approx((1.0, 0.0))


def test_no_rest_without_a_full_grid(grid):
    groups = group_runs(grid[2:], KEYS)
    assert rest(groups, METRIC, effects(groups, METRIC)) is None
    grid[0].status = "diverged"
    groups = group_runs(grid, KEYS)
    assert rest(groups, METRIC, effects(groups, METRIC)) is None


def test_lost_runs_are_counted_where_they_were(grid):
    for run in grid[4:]:
        run.status = "diverged"
    lr, width = sorted(effects(group_runs(grid, KEYS), METRIC), key=lambda effect: effect.key, reverse=True)
    assert lr.share is None  # only one value is left
    assert [(level.mean, level.number, level.lost) for level in lr.levels] == [
        (pytest.approx(0.66), 4, 0),
        (None, 0, 4),
    ]
    assert width.share > 0


def test_a_key_of_some_groups_is_judged_among_these(grid):
    for run in grid[:4]:
        del run.values["model.width"]
    width = next(effect for effect in effects(group_runs(grid, KEYS), METRIC) if effect.key == "model.width")
    assert [(level.word, level.number) for level in width.levels] == [("4", 2), ("8", 2)]


def test_numbers_are_in_order_and_words_as_they_came(grid):
    for run, rate, width in zip(grid, (3e-5, 1e-4, 10.0, 2.0) * 2, ("b", "a") * 4, strict=True):
        run.values |= {"optimizer.lr": rate, "model.width": width}
    found = {effect.key: [level.word for level in effect.levels] for effect in effects(group_runs(grid, KEYS), METRIC)}
    assert found == {"optimizer.lr": ["3e-5", "0.0001", "2", "10"], "model.width": ["b", "a"]}


def test_a_heat_map_by_hand(groups):
    heat = heat_map(groups, METRIC, "model.width", "optimizer.lr")
    assert (heat.row_words, heat.column_words) == (["4", "8"], ["0.1", "0.3"])
    means = [[heat.cells[row, column].mean for column in heat.column_words] for row in heat.row_words]
    assert means == [pytest.approx([0.64, 0.84]), pytest.approx([0.68, 0.88])]


CONFIG = {"optimizer.lr": "0.1", "model.width": "4", "model.layers": "3"}


def chosen(groups, asked=None):
    return chosen_map(groups, METRIC, effects(groups, METRIC), asked, CONFIG)


def test_the_two_largest_effects_are_mapped_unless_told_otherwise(groups):
    assert chosen(groups)[:2] == ("optimizer.lr", "model.width")
    assert chosen(groups, ["model.width", "optimizer.lr"])[:2] == ("model.width", "optimizer.lr")
    assert chosen(groups[:2]) is None  # these have one learning rate


def test_keys_that_cannot_be_mapped(groups):
    with pytest.raises(UserError, match=r"heatmap: no key model.widht; did you mean model.width\?"):
        chosen(groups, ["model.widht", "optimizer.lr"])
    with pytest.raises(
        UserError, match=r"model.layers does not differ between groups of runs \(it is 3\); these keys differ: opt"
    ):
        chosen(groups, ["model.layers", "optimizer.lr"])
    with pytest.raises(UserError, match="no other key differs either, except seeds"):
        chosen(groups[:1], ["optimizer.lr", "model.width"])


def test_keys_that_no_run_has_both_of(grid):
    for run in grid[:4]:
        run.values["a.x"] = run.values.pop("model.width")
    with pytest.raises(UserError, match=r"no run has both a\.x and model\.width"):
        chosen(group_runs(grid, [*KEYS, "a.x"]), ["a.x", "model.width"])


def test_other_pairs_of_keys_are_mapped_too(grid):
    for place, run in enumerate(grid):
        run.values["a.x"] = place % 3
    groups = group_runs(grid, [*KEYS, "a.x"])
    found = effects(groups, METRIC)
    first = heat_map(groups, METRIC, "model.width", "optimizer.lr")
    assert {frozenset(heat[:2]) for heat in other_maps(groups, METRIC, found, first)} == {
        frozenset(("a.x", "model.width")), frozenset(("a.x", "optimizer.lr")),
    }  # fmt: skip
    assert other_maps(groups, METRIC, found[:2], heat_map(groups, METRIC, found[0].key, found[1].key)) == []
