import numpy as np
import pytest
import torch

from deeprob.errors import UserError
from deeprob.features import PixelsConfig
from deeprob.features.steps import equalize

PICTURES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (5, 3, 20, 20), dtype=np.uint8))


def test_pixels_are_the_levels_after_the_steps():
    pixels = PixelsConfig(before=["equalize"]).build((3, 20, 20))
    assert torch.equal(pixels.extract(PICTURES), equalize(PICTURES).float())
    assert pixels.output_count == 1200


def test_channels_can_share_their_standardisation():
    pixels = PixelsConfig(before=["grayscale"], standardize="channel").build((3, 20, 20))
    seen = pixels(pixels.fit(PICTURES))
    assert seen.shape == (5, 1, 20, 20)
    assert pixels.standardize.mean.shape == (1, 1, 1)
    assert seen.mean().item() == pytest.approx(0, abs=1e-5)


def test_only_pictures():
    with pytest.raises(UserError, match="features=pixels needs pictures"):
        PixelsConfig().build((7,))
