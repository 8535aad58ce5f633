import pytest

from deeprob.data.dialect import Asked, find_dialect, number_columns, sep_line, text_lines, text_rows
from deeprob.errors import UserError


def found(text: str, **asked):
    return find_dialect("t.csv", text, Asked(**asked))


def test_rows_have_the_numbers_of_their_last_lines():
    text = 'sep=;\n# a\n\n1;"b\nc"\n  \n2; "d" \n#;3'
    assert list(text_rows('x;"b\nc"\n\n y ;d\n', ";")) == [(2, ["x", "b\nc"]), (4, ["y", "d"])]
    assert list(text_rows(text.replace('"d" ', '"d"'), ";", "#")) == [(5, ["1", "b\nc"]), (7, ["2", "d"])]


def test_a_comment_sign_in_a_quoted_cell_begins_no_comment():
    assert list(text_rows('1,"b\n# c"\n', ",", "#")) == [(2, ["1", "b\n# c"])]


def test_lines_end_with_nothing_but_line_breaks():
    assert list(text_lines("a\r\nb\rc\x85d\u2028e\nf")) == ["a\n", "b\n", "c\x85d\u2028e\n", "f"]
    assert (sep_line("sep=;\n"), sep_line("SEP=,"), sep_line("sep=x"), sep_line("a;b")) == (";", ",", "", "")


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2\n", ";"),
        ("5,1;3,5;a\n4,9;3,0;b\n", ";"),
        ("1,5 2,5 a\n1,5 2,5 b\n", " "),
        ("leaf length (cm),kind\n1,a\n", ","),
        ("a b,c\td\n1 2,3\t4\n", "\t"),
        ("12:30,1,a\n12:31,2,b\n", ","),
        ("a:b\n1:2\n", ":"),
        ("a|b,c\n1|2,5\n", "|"),
        ("a,b\n1,2,3\n4,5\n", ","),
    ],
)
def test_the_delimiter_gives_all_lines_the_same_number_of_cells(text, delimiter):
    assert found(text, header=True).delimiter == delimiter


def test_decimal_signs():
    assert found("x;y\n1,5;a\n").decimal == ","
    assert found("x;y\n1.5;a\n").decimal == "."
    assert found("x;y\n1,5;2.5\n").decimal == "."  # then 1,5 is refused as a cell
    assert found("x;y\n1,500;a\n", decimal=",").decimal == ","
    with pytest.raises(UserError, match=r"1,500 may be 1500 or 1\.500; set dataset\.decimal=comma"):
        found("x;y\n1,500;a\n")


HEADERS = {
    "x,kind\n1,a\n2,b\n": True,
    "1,a\n2,b\n1,a\n": False,
    "2019,2020,kind\n1,5,0\n2,4,1\n": True,
    "2019,2020,kind\n1,5,a\n2,4,b\n1,5,a\n": True,
    "1,2\n3,4\n5,6\n": False,
    "c,kind\nu,a\nv,b\nu,a\n": True,
    "u,a\nv,b\nu,a\n": False,
    "x,y\n": True,
    "1,2\n": False,
    "x,kind\n1,a\nmany,b\n": True,
    ",a,kind\n0,1,x\n1,2,y\n": True,
    "NA,a\n1,b\n2,a\n": False,
}


@pytest.mark.parametrize("text", HEADERS)
def test_whether_the_first_line_has_the_names(text):
    dialect = found(text)
    assert dialect.header == HEADERS[text]
    assert dialect.names == (
        tuple(text.split("\n")[0].split(",")) if dialect.header else tuple("012"[: len(dialect.names)])
    )


@pytest.mark.parametrize("text", ["1,a\n2,b\n3,c\n4,b\n5,c\n", "a,b\nc,d\ne,f\n", "many,a\n1,b\n2,a\n3,b\n"])
def test_a_doubtful_header_is_asked_for(text):
    with pytest.raises(UserError, match=r"may hold names or data; set dataset\.header=true or false"):
        found(text)
    assert found(text, header=True).header
    assert not found(text, header=False).header


def test_comments():
    assert found("# by hand\nx,y\n1,2\n").comment == "#"
    assert found("#1,a\n#2,b\n#1,a\n").comment == ""  # most lines
    named = found("# by hand\n# x y\n1 2\n3 4\n")
    assert (named.names, named.header, named.named_by_comment) == (("x", "y"), False, True)
    assert not found("# 7 8\n1 2\n3 4\n").named_by_comment


def test_columns_of_numbers():
    text = "x;y;z\n1,5;a;NA\n;1;2\n"
    assert number_columns(text, found(text)) == [True, False, True]
