import pytest
import torch

from deeprob.features import RawConfig


def test_extract_returns_the_inputs_themselves():
    inputs = torch.zeros(2, 3, 4, 5, dtype=torch.uint8)
    assert RawConfig().build((3, 4, 5)).extract(inputs) is inputs


@pytest.mark.parametrize(("shape", "count"), [((2,), 2), ((3, 32, 32), 3072), ((3, 4, 5), 60)])
def test_output_count_is_the_number_of_entries(shape, count):
    assert RawConfig().build(shape).output_count == count


@pytest.mark.parametrize(
    ("standardize", "expected"),
    [
        ("feature", [[-1, -1], [1, 1]]),
        ("channel", [[-1, -1], [1, 1]]),
        ("none", [[0, 10], [2, 30]]),
    ],
)
def test_the_config_chooses_the_standardisation(standardize, expected):
    inputs = torch.tensor([[0.0, 10.0], [2.0, 30.0]])
    features = RawConfig(standardize=standardize).build((2,))
    assert features(features.fit(inputs)).tolist() == expected


def test_pictures_stay_bytes_until_the_batch():
    inputs = torch.tensor([[[[0, 4]]], [[[2, 8]]]], dtype=torch.uint8)  # one channel, two pixels
    features = RawConfig(standardize="channel").build((1, 1, 2))
    extracted = features.fit(inputs)
    assert extracted.dtype == torch.uint8
    # mean 14/4 = 3.5; deviation √((3.5² + 0.5² + 1.5² + 4.5²)/4) = √8.75
    expected = torch.tensor([-3.5, 0.5, -1.5, 4.5]).reshape(2, 1, 1, 2) / 8.75**0.5
    torch.testing.assert_close(features(extracted), expected)
