import numpy as np
import pytest
import torch

from deeprob.errors import UserError
from deeprob.features import ColorHistogramConfig, HogConfig, PixelsConfig
from deeprob.features import picture_features as module
from deeprob.features.steps import equalize, grayscale

RNG = np.random.default_rng(0)
CONFIGS = [HogConfig(cell=2), ColorHistogramConfig(grid=2), ColorHistogramConfig(joint=True, bins=3), PixelsConfig()]


def photos(count: int = 11) -> torch.Tensor:
    return torch.from_numpy(RNG.integers(0, 256, (count, 3, 9, 10), dtype=np.uint8))


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("numbers", [1, 3000, 10**9])
def test_chunks_extract_what_the_whole_does(config, numbers, monkeypatch):
    feature = config.build((3, 9, 10))
    expected = feature.extract(pictures := photos())
    monkeypatch.setitem(module.NUMBERS, "cpu", numbers)
    torch.testing.assert_close(feature.extract(pictures), expected)


def test_a_chunk_is_bounded(monkeypatch):
    sizes = []
    feature = HogConfig(cell=2).build((3, 9, 10))
    monkeypatch.setattr(feature, "describe", lambda chunk: sizes.append(len(chunk)) or torch.zeros(len(chunk), 1))
    monkeypatch.setitem(module.NUMBERS, "cpu", 4 * feature.numbers)
    feature.extract(photos())
    assert sizes == [4, 4, 3]


@pytest.mark.parametrize("config", CONFIGS)
def test_floats_in_0_to_1_are_the_same_pictures(config):
    feature = config.build((3, 9, 10))
    pictures = photos()
    torch.testing.assert_close(feature.extract(pictures / 255), feature.extract(pictures), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 2.0])
def test_other_floats_are_refused(value):
    pictures = photos() / 255
    pictures[3, 1, 2, 2] = value
    with pytest.raises(UserError, match="pictures of floats need values from 0 to 1, not"):
        HogConfig(cell=2).build((3, 9, 10)).extract(pictures)


@pytest.mark.parametrize("config", CONFIGS)
def test_pictures_are_left_alone(config):
    pictures = photos()
    floats = pictures / 255
    before = pictures.clone(), floats.clone()
    for inputs in (pictures, floats):
        config.build((3, 9, 10)).fit(inputs)
    assert torch.equal(pictures, before[0])
    assert torch.equal(floats, before[1])


@pytest.mark.parametrize("config", CONFIGS)
def test_double_precision(config):
    feature = config.build((3, 9, 10))
    single = feature.extract(pictures := photos())
    double = feature.to(torch.float64).extract(pictures)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS)
def test_no_pictures_at_all(config):
    feature = config.build((3, 9, 10))
    assert feature.extract(photos(0)).shape[0] == 0


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_constant_pictures_have_finite_features(config, level):
    pictures = torch.full((4, 3, 9, 10), level, dtype=torch.uint8)
    feature = config.build((3, 9, 10))
    assert feature(feature.fit(pictures)).isfinite().all()


def test_steps_come_first_and_in_order():
    pictures = photos()
    for before, expected in (
        (["equalize"], equalize(pictures)),
        (["grayscale", "equalize"], equalize(grayscale(pictures))),
        (["equalize", "grayscale"], grayscale(equalize(pictures))),
    ):
        plain = HogConfig(cell=2).build(tuple(expected.shape[1:])).extract(expected)
        feature = HogConfig(cell=2, before=before).build((3, 9, 10))
        assert torch.equal(feature.extract(pictures), plain)


def test_grey_has_no_color():
    with pytest.raises(
        UserError, match=r"needs pictures in colour \(3 channels\), not 1; take grayscale out of before"
    ):
        ColorHistogramConfig(before=["grayscale"]).build((3, 9, 10))
    with pytest.raises(UserError, match=r"needs pictures in colour \(3 channels\), not 4$"):
        ColorHistogramConfig().build((4, 9, 10))


def test_an_unknown_step_is_one_line(deeprob, pictures):
    words = ("dataset=image_folder", f"dataset.root={pictures}", "model=linear", "features=hog")
    result = deeprob(*words, "features.before=[equalise]")
    assert result.status == 2
    assert "features.before=['equalise']: expected a list of equalize, grayscale, as in [equalize]" in result.err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("config", CONFIGS)
def test_cuda_agrees_with_the_cpu(config):
    feature = config.build((3, 9, 10))
    expected = feature.extract(pictures := photos())
    there = feature.to("cuda").extract(pictures)
    assert there.device.type == "cuda"
    torch.testing.assert_close(there.cpu(), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(feature.extract(pictures), there)
