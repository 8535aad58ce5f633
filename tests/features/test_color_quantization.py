import numpy as np
import pytest
import torch

from deeprob import load_run
from deeprob.errors import UserError
from deeprob.features import ColorQuantizationConfig

RNG = np.random.default_rng(0)
COLORS = torch.tensor([[250, 10, 20], [0, 200, 30], [90, 90, 90], [10, 20, 240]], dtype=torch.uint8)


def painted(count: int = 12, noise: int = 3) -> torch.Tensor:
    """Pictures of four colors, up to some noise."""
    pixels = COLORS[torch.from_numpy(RNG.integers(0, 4, (count, 6, 7)))]
    noisy = pixels.int() + torch.from_numpy(RNG.integers(-noise, noise + 1, (count, 6, 7, 3)))
    return noisy.clamp(0, 255).to(torch.uint8).permute(0, 3, 1, 2)


def test_the_palette_is_the_colors_that_there_are():
    feature = ColorQuantizationConfig(colors=4, grid=1).build((3, 6, 7))
    feature.fit(painted())
    ours, there = (np.unique(np.round(colors.numpy() / 10), axis=0) for colors in (feature.palette, COLORS))
    np.testing.assert_array_equal(ours, there)


def test_shares_by_color():
    feature = ColorQuantizationConfig(colors=4, grid=1, standardize="none").build((3, 6, 7))
    pictures = painted()
    extracted = feature.fit(pictures)
    owners = np.square(pictures.numpy()[:, None].astype(float) - feature.palette.numpy()[:, :, None, None])
    owners = owners.sum(2).argmin(1)
    expected = [[(picture == k).mean() for k in range(4)] for picture in owners]
    np.testing.assert_allclose(extracted.numpy(), expected, atol=1e-6)


def test_regions():
    feature = ColorQuantizationConfig(colors=4, grid=2).build((3, 6, 7))
    extracted = feature.fit(painted())
    assert extracted.shape == (12, 16)
    torch.testing.assert_close(extracted.view(12, 4, 4).sum(1), torch.ones(12, 4))


def test_a_quantized_picture_has_the_nearest_colors():
    feature = ColorQuantizationConfig(colors=4).build((3, 6, 7))
    pictures = painted()
    feature.fit(pictures)
    quantized = feature.quantized(pictures)
    assert (quantized.dtype, quantized.shape) == (torch.uint8, pictures.shape)
    assert (quantized.int() - pictures.int()).abs().max() <= 6
    assert len(quantized.permute(0, 2, 3, 1).reshape(-1, 3).unique(dim=0)) == 4


def test_more_colors_are_nearer():
    pictures = torch.from_numpy(RNG.integers(0, 256, (20, 3, 6, 7), dtype=np.uint8))
    errors = []
    for colors in (2, 8, 32):
        feature = ColorQuantizationConfig(colors=colors).build((3, 6, 7))
        feature.fit(pictures)
        errors.append((feature.quantized(pictures).float() - pictures).square().mean())
    assert errors[0] > errors[1] > errors[2]


def test_the_state_holds_the_palette():
    pictures = painted()
    first, other = (ColorQuantizationConfig(colors=4, seed=seed).build((3, 6, 7)) for seed in (0, 1))
    first.fit(pictures)
    other.load_state_dict(first.state_dict())
    assert "palette" in first.state_dict()
    assert torch.equal(other.extract(pictures), first.extract(pictures))


def test_the_same_seed_learns_the_same_palette():
    pictures = torch.from_numpy(RNG.integers(0, 256, (20, 3, 6, 7), dtype=np.uint8))
    palettes = []
    for seed in (0, 0, 1):
        feature = ColorQuantizationConfig(seed=seed).build((3, 6, 7))
        feature.fit(pictures)
        palettes.append(feature.palette)
    assert torch.equal(palettes[0], palettes[1])
    assert not torch.equal(palettes[0], palettes[2])


@pytest.mark.parametrize("level", [0, 200])
def test_one_color_alone(level):
    pictures = torch.full((3, 3, 6, 7), level, dtype=torch.uint8)
    feature = ColorQuantizationConfig(colors=4, grid=1).build((3, 6, 7))
    assert feature.fit(pictures)[:, 0].tolist() == [1, 1, 1]
    assert (feature.palette == level).all()


def test_it_needs_color():
    with pytest.raises(UserError, match="features=color_quantization needs pictures in colour"):
        ColorQuantizationConfig().build((1, 6, 7))


def test_a_run_keeps_its_palette(deeprob, pictures):
    words = ("dataset=image_folder", f"dataset.root={pictures}", "model=linear", "trainer.epochs=3")
    assert deeprob(*words, "features=color_quantization", "features.colors=4", "hydra.run.dir=run").status == 0
    run = load_run("run")
    assert run.predictor.features.palette.shape == (4, 3)
    assert run.evaluate("test")["loss"] == pytest.approx(run.metrics["test/loss"], rel=1e-5)
