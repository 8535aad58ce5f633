"""Features that are named in a list: what each part's config is, and what is wrong with one."""

import pytest

from deeprob.errors import UserError
from deeprob.features import BagOfWordsConfig, ConcatConfig, HogConfig, RawConfig
from deeprob.features.parts import PartsConfig, part_config


def test_a_part_is_a_name_or_values_of_one():
    assert PartsConfig(parts=["raw", {"name": "hog", "cell": 4}]).features() == [RawConfig(), HogConfig(cell=4)]


def test_a_part_without_a_standardisation_of_its_own_has_that_of_the_whole():
    first, second = PartsConfig(parts=["raw", {"name": "raw", "standardize": "none"}], standardize="channel").features()
    assert (first.standardize, second.standardize) == ("channel", "none")


def test_a_whole_number_is_taken_where_any_will_do():
    config = part_config({"name": "bag_of_words", "epsilon": 1}, "parts[0]", "feature")
    assert isinstance(config, BagOfWordsConfig)
    assert (type(config.epsilon), config.epsilon, config.standardize) == (float, 1.0, "feature")


def test_parts_may_have_parts():
    (inner,) = PartsConfig(parts=[{"name": "concat", "parts": ["raw", "hog"]}]).features()
    assert isinstance(inner, ConcatConfig)
    assert inner.features() == [RawConfig(), HogConfig()]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["hogg"], r"parts\[0\]=hogg: no such feature; did you mean hog\?"),
        (["raw", {"name": "hog", "cel": 4}], r"parts\[1\]\.cel: no such key of hog; did you mean cell\?"),
        (["raw", {"name": "hog", "cell": 0}], r"parts\[1\]\.cell=0: expected a whole number at least 1"),
        ([{"name": "hog", "cell": "big"}], r"parts\[0\]\.cell=big: expected a whole number at least 1"),
        ([{"name": "hog", "cell": 4.0}], r"parts\[0\]\.cell=4.0: expected a whole number at least 1"),
        ([{"name": "hog", "cell": None}], r"parts\[0\]\.cell=null: expected a whole number at least 1"),
        ([{"name": "bag_of_words", "epsilon": 0}], r"parts\[0\]\.epsilon=0\.0: expected a number greater than 0"),
        ([{"name": "bag_of_words", "epsilon": 2**63}], r"parts\[0\]\.epsilon=9223372036854775808: expected a number"),
        ([{"name": "hog", "signed": 1}], r"parts\[0\]\.signed=1: expected true or false"),
        ([{"name": "concat", "parts": "hog"}], r"parts\[0\]\.parts=hog: expected a list of features"),
        ([{"name": "hog", 3: 4}], r"parts\[0\]\.3: no such key of hog"),
        ([{"name": "hog", "norm": "l3"}], r"parts\[0\]\.norm=l3: expected one of none, l2, l2_hys"),
        ([{"cell": 4}], r"parts\[0\]=.*: expected the name of a feature"),
        ([3], r"parts\[0\]=3: expected the name of a feature"),
        ([{"name": "concat", "parts": ["hogg"]}], r"parts\[0\]\.parts\[0\]=hogg: no such feature"),
        ([{"name": "hog", "before": ["blur"]}], r"parts\[0\]\.before=\['blur'\]: expected a list of equalize, gray"),
    ],
)
def test_what_is_wrong_with_a_part(parts, message):
    (problem,) = PartsConfig(parts=parts).problems()
    with pytest.raises(UserError, match=message):
        raise UserError(problem)
    assert "\n" not in problem
