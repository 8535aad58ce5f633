import math

import pytest

from deeprob.data import cells


@pytest.mark.parametrize(
    ("cell", "number"),
    [("1", 1), ("-1.5", -1.5), ("+.5", 0.5), ("5.", 5), ("1e3", 1000), ("1E-3", 0.001), ("inf", math.inf), ("007", 7)],
)
def test_numbers(cell, number):
    assert cells.number_in(cell) == number
    assert cells.number_in(cell.replace(".", ","), ",") == number


@pytest.mark.parametrize("cell", ["", "x", "1_0", "0x10", "1,5", "1 0", "１", "٣", "1e", "nan", "--1", "1d3", "½"])
def test_no_numbers(cell):
    assert math.isnan(cells.number_in(cell))
    assert not cells.is_number(cell)


def test_a_point_beside_decimal_commas_is_no_number():
    assert math.isnan(cells.number_in("1.234", ","))
    assert math.isnan(cells.number_in("1,234,5", ","))


def test_what_looks_like_a_number_or_a_date():
    looks = ["1,234", "1 000", "1'000", "12%", "12 %", "$5", "€ 5", "5€", "1_0", "1,5", "1.234,5", "-1,5", "1.2.3"]
    assert [cell for cell in looks if not cells.looks_like_number(cell)] == []
    words = ["a1", "1a", "3rd", "x", "", "-", "#1", "1-2", "v1.2"]
    assert [cell for cell in words if cells.looks_like_number(cell)] == []
    dates = [
        "2026-01-31",
        "2026/1/31",
        "31.01.2026",
        "1/31/26",
        "12:30",
        "12:30:05.5",
        "2026-01-31T12:00:00Z",
        "9:05 PM",
    ]
    assert [cell for cell in dates if not cells.is_date(cell)] == []
    assert [cell for cell in ["2026", "1.5", "a", "1-2", "12:3", "1.2.3"] if cells.is_date(cell)] == []


def test_decimals_and_thousands():
    assert [cells.has_decimal_comma(cell) for cell in ("1,5", "1,500", "-,5", "1,5,0", "1.5", "15")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
    assert [cells.has_decimal_point(cell) for cell in ("1.5", ".5", "1,5", "15", "1.5.0")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert [cells.may_be_thousands(cell) for cell in ("1,500", "12,345", "0,500", "1,5", "1234,567")] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_equal_numbers_are_spelled_the_same():
    assert [cells.spelled(number) for number in (1.0, -0.0, 0.5, 1e3, 1e20, 1e-7)] == [
        "1", "0", "0.5", "1000", "1e+20", "1e-07",
    ]  # fmt: skip
