import torch

from deeprob.figures.bank import picture
from deeprob.figures.of_models.template_bank import bank_of_classes, bank_of_units, in_rows, overview
from deeprob.figures.of_models.units import recombined

V = torch.randn(5, 1, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
W2 = torch.tensor([[0.1, 0.5, -0.3, 0.2, 0.0], [0.0, -1.0, 0.7, 0.1, 0.6]]).double()


def test_classes_in_even_rows_under_their_names():
    v = torch.rand(6, 1, 3, 4, 4)
    bank = bank_of_classes(v, [f"class {number}" for number in range(6)])
    assert [len(row) for row in bank.rows] == [3, 3]
    assert [tile.caption for row in bank.rows for tile in row] == [f"class {number}" for number in range(6)]
    assert torch.equal(bank.rows[1][2].pixels, picture(v[5]))


def test_a_long_name_is_shortened():
    bank = bank_of_classes(torch.rand(2, 1, 3, 4, 4), ["a" * 50, "b"])
    assert len(bank.rows[0][0].caption) <= 20


def test_each_class_has_the_sum_and_the_units_in_the_order_of_w2():
    bank = overview(V, W2, ["cat", "dog"], 3, two_layers=True)
    assert list(bank.names) == ["cat", "dog"]
    sums = W2 @ V[:, 0].flatten(1)
    for row, total, order in zip(bank.rows, sums, ([1, 3, 0], [2, 4, 3]), strict=True):
        assert torch.equal(row[0].pixels, picture(total.view(1, 3, 4, 4)))
        assert (row[1].pixels == 1).all()
        assert [torch.equal(tile.pixels, picture(V[unit])) for tile, unit in zip(row[2:], order, strict=True)] == [
            True
        ] * 3
    assert "summed by W₂" in bank.title


def test_of_deeper_networks_there_is_no_sum():
    bank = overview(V, W2, ["cat", "dog"], None, two_layers=False)
    assert torch.equal(bank.rows[0][0].pixels, picture(V[1]))
    assert [len(row) for row in bank.rows] == [5, 5]
    assert "W₂" not in bank.title


def test_the_units_of_one_class_say_by_how_much_they_feed_it():
    bank = bank_of_units(V, W2, ["cat", "dog"], 1, 4, two_layers=True)
    (row,) = bank.rows
    assert [tile.caption for tile in row] == ["sum by W₂", "+0.70", "+0.60", "+0.10", "+0.0"]
    assert torch.equal(row[0].pixels, picture(recombined(V, W2[1:])))
    assert torch.equal(row[2].pixels, picture(V[4]))
    assert "feed dog most" in bank.title


def test_the_units_of_all_classes_say_which_they_feed():
    bank = bank_of_units(V, W2, ["cat", "dog"], None, None, two_layers=True)
    assert [tile.caption for tile in bank.rows[0]] == ["dog +0.70", "dog +0.60", "cat +0.50", "cat +0.20", "cat +0.10"]


def test_pieces_of_a_unit_are_one_tile_as_wide_as_the_sum_with_its_margins():
    v = torch.rand(40, 2, 3, 4, 4).double()
    weights = torch.rand(3, 40).double()
    for row in bank_of_units(v, weights, ["a", "b", "c"], 0, None, two_layers=True).rows:
        assert {tile.pixels.shape for tile in row} == {(4, 9, 3)}
    bank = overview(v, weights, ["a", "b", "c"], None, two_layers=True)
    assert [len(row) for row in bank.rows] == [2 + 6] * 3
    assert "2 pieces" in bank.title


def test_in_rows():
    assert in_rows([1, 2, 3], 2) == [[1, 2], [3]]
