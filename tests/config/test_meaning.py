from dataclasses import dataclass

from deeprob.config.meaning import example, first_sentence, meaning, plain, summary


@dataclass
class Base:
    """A base. It has a second sentence.

    Attributes
    ----------
    shared
        What the base says.
    own
        What nobody sees.
    """

    shared: int = 0
    own: int = 0


@dataclass
class Derived(Base):
    """Made of
    two lines.

    A paragraph.

    Parameters
    ----------
    own : int
        The first line of `own`.
        And ``its`` second. Example: ``key=[1,2]``.

    Attributes
    ----------
    one, other
        Both.

    Raises
    ------
    shared
        No key at all.
    """

    one: int = 0
    other: int = 0


@dataclass
class Silent:
    field: int = 0


def test_an_entry_of_the_class_itself_comes_before_that_of_its_base():
    assert meaning(Derived, "own") == "The first line of `own`. And ``its`` second."
    assert meaning(Derived, "shared") == meaning(Base, "shared") == "What the base says."


def test_several_names_may_share_an_entry():
    assert meaning(Derived, "one") == meaning(Derived, "other") == "Both."


def test_what_has_no_entry_has_no_meaning():
    assert meaning(Silent, "field") == meaning(Derived, "nothing") == meaning(None, "own") == ""
    assert example(Silent, "field") == example(Base, "shared") == ""


def test_an_example_ends_an_entry():
    assert example(Derived, "own") == "key=[1,2]"


def test_the_first_sentence_sums_up():
    assert (summary(Base), summary(Derived)) == ("A base.", "Made of two lines.")
    assert first_sentence("In [0.5, 1.5]; then more. And more.") == "In [0.5, 1.5]; then more."


def test_plain_text_has_no_marks_of_code():
    assert plain("``a=1`` and `b`") == "a=1 and b"


def test_a_dataclass_without_a_docstring_has_no_summary():
    @dataclass
    class Bare:
        lr: float = 0.1

    assert Bare.__doc__ is not None
    assert summary(Bare) == ""
