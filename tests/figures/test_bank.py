import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from deeprob.figures.bank import Bank, Tile, beside, picture


def tile(value, width=4, caption=""):
    return Tile(torch.full((4, width, 3), value), caption)


def drawn(bank):
    axes = Figure(layout="constrained").subplots()
    bank.draw(axes)
    (image,) = axes.images
    return axes, np.asarray(image.get_array())


def test_weight_0_is_mid_grey_and_the_largest_are_black_and_white():
    template = torch.tensor([0.0, 2.0, -2.0, 1.0]).view(1, 1, 2, 2).expand(1, 3, 2, 2).double()
    assert picture(template, share=1.0)[..., 0].tolist() == [[0.5, 1.0], [0.0, 0.75]]
    assert torch.equal(picture(-template, share=1.0), 1 - picture(template, share=1.0))


def test_what_lies_beyond_the_share_is_clipped():
    template = torch.ones(1, 3, 10, 10)
    template[0, 0, 0, 0] = 1000.0  # 1 of 300 weights
    template[0, 1, 5, 5] = -0.5
    pixels = picture(template)
    assert pixels[0, 0].tolist() == [1, 1, 1]
    assert pixels[5, 5].tolist() == [1, 0.25, 1]


def test_large_templates_are_averaged_over_squares():
    template = torch.zeros(1, 3, 130, 70)
    template[0, :, :3, :3] = 2.0
    template[0, :, 0, 0] = -1.0
    pixels = picture(template, share=1.0)
    assert pixels.shape == (43, 23, 3)
    assert pixels[0, 0].tolist() == [1, 1, 1]
    assert pixels[1:].unique().tolist() == [0.5]


def test_templates_of_nothing_are_grey():
    assert picture(torch.zeros(1, 3, 2, 2)).unique().tolist() == [0.5]


def test_pieces_share_a_scale_and_stand_side_by_side():
    pieces = torch.stack([torch.full((3, 2, 2), 1.0), torch.full((3, 2, 2), -0.5)])
    assert picture(pieces, share=1.0)[0, :, 0].tolist() == [1, 1, 1, 0.25, 0.25]
    gap = beside([torch.zeros(1, 2, 3), torch.zeros(1, 1, 3)], 2)
    assert gap[0, :, 0].tolist() == [0, 0, 1, 1, 0]


def test_rows_of_pictures_lie_where_their_captions_say():
    bank = Bank([[tile(0.1, caption="a"), tile(0.2, 6, "b")], [tile(0.3, caption="c")]])
    axes, image = drawn(bank)
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c"]
    for text, value in zip(axes.texts, (0.1, 0.2, 0.3), strict=True):
        x, y = text.get_position()
        rows = np.flatnonzero(np.isclose(image[:, round(x), 0], value))
        assert len(rows) == 4
        assert 0 < rows[0] - y < 1
        columns = np.flatnonzero(np.isclose(image[rows[0], :, 0], value))
        assert columns.mean() == x
    assert (image[:, -1] == 1)[-4:].all()  # nothing below b


def test_names_stand_at_the_middle_of_their_rows():
    axes, image = drawn(Bank([[tile(0.1)], [tile(0.2)]], ["first", "second"]))
    for place, label, value in zip(axes.get_yticks(), axes.get_yticklabels(), (0.1, 0.2), strict=True):
        rows = np.flatnonzero(np.isclose(image[:, 0, 0], value))
        assert place == pytest.approx(rows.mean() + 0.5, abs=0.51)
        assert label.get_text() == {0.1: "first", 0.2: "second"}[value]


@pytest.mark.parametrize("columns", [1, 3, 13, 40])
def test_a_bank_is_no_wider_than_a_page(columns):
    bank = Bank([[tile(0.1, caption="a") for _ in range(columns)]] * 2, ["one", "two"], "a title of some length")
    width, height = bank.size()
    assert width <= 8.3 + 1e-9
    assert height > 0.5
    assert Bank(bank.rows).size()[0] < width or columns > 3
