import numpy as np
import pytest
import torch

from deeprob.errors import UserError
from deeprob.features import BagOfWordsConfig
from deeprob.features.bag_of_words import CODES
from deeprob.features.picture_features import NUMBERS

RNG = np.random.default_rng(0)


def photos(count: int = 20, channels: int = 3, size: tuple[int, int] = (10, 12)) -> torch.Tensor:
    return torch.from_numpy(RNG.integers(0, 256, (count, channels, *size), dtype=np.uint8))


def config(**fields) -> BagOfWordsConfig:
    return BagOfWordsConfig(**{"words": 9, "patch": 4, "samples": 500, "iterations": 2} | fields)


def slow_bag(picture: np.ndarray, bag, patch: int, stride: int, grid: int, code: str) -> np.ndarray:
    """Everything step by step for one picture (C, H, W)."""
    mean, matrix, words = (values.double().numpy() for values in (bag.whitening.mean, bag.whitening.matrix, bag.words))
    _, height, width = picture.shape
    rows, columns = (height - patch) // stride + 1, (width - patch) // stride + 1
    codes = np.zeros((rows, columns, (2 if code == "threshold" else 1) * len(words)))
    for r in range(rows):
        for c in range(columns):
            x = picture[:, r * stride : r * stride + patch, c * stride : c * stride + patch].astype(float).ravel()
            x = (x - x.mean()) / np.sqrt(x.var(ddof=1) + 10)
            z = matrix @ (x - mean)
            distances = np.linalg.norm(words - z, axis=1)
            if code == "hard":
                codes[r, c, distances.argmin()] = 1
            elif code == "threshold":
                codes[r, c] = np.maximum(0, np.concatenate([words @ z, -words @ z]) - 0.15)
            else:
                codes[r, c] = np.maximum(0, distances.mean() - distances)
    down, right = ([i * side // grid for i in range(grid + 1)] for side in (rows, columns))
    return np.concatenate(
        [codes[down[i] : down[i + 1], right[j] : right[j + 1]].mean((0, 1)) for i in range(grid) for j in range(grid)]
    )


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("channels", "stride", "grid"), [(3, 1, 2), (1, 2, 3), (3, 3, 1)])
def test_against_numpy_step_by_step(channels, stride, grid, code):
    pictures = photos(channels=channels)
    bag = config(code=code, stride=stride, grid=grid).build((channels, 10, 12))
    extracted = bag.fit(pictures)
    count = (18 if code == "threshold" else 9) * grid**2
    assert extracted.shape == (20, count)
    assert bag.output_count == count
    expected = [slow_bag(picture.numpy(), bag, 4, stride, grid, code) for picture in pictures]
    np.testing.assert_allclose(extracted.numpy(), expected, atol=2e-5)


def test_hard_shares_of_a_region_sum_to_one():
    extracted = config(code="hard").build((3, 10, 12)).fit(photos())
    torch.testing.assert_close(extracted.view(20, 4, 9).sum(2), torch.ones(20, 4))


def test_the_codebook_lies_among_whitened_patches():
    pictures = photos(200)
    bag = config(samples=20_000, epsilon=1e-3).build((3, 10, 12))
    bag.fit(pictures)
    patches = bag.whitening(bag.patches(pictures.float())).flatten(0, 1)
    np.testing.assert_allclose(np.cov(patches.numpy().T).diagonal(), 1, atol=0.15)


def test_words_of_directions_have_length_1():
    bag = config(code="threshold").build((3, 10, 12))
    bag.fit(photos())
    torch.testing.assert_close(bag.words.square().sum(1), torch.ones(9))
    plain = config().build((3, 10, 12))
    plain.fit(photos())
    assert (plain.words.square().sum(1) - 1).abs().min() > 0.01


def test_only_training_pictures_count_and_one_seed_gives_one_codebook():
    pictures, others = photos(), photos()
    one, two, another = (config(seed=seed).build((3, 10, 12)) for seed in (0, 0, 1))
    for bag in (one, two, another):
        bag.fit(pictures)
    words = one.words.clone()
    one.extract(others)
    assert torch.equal(one.words, words)
    assert torch.equal(one.words, two.words)
    assert not torch.equal(one.words, another.words)


def test_chunks_make_no_difference(monkeypatch):
    bag = config().build((3, 10, 12))
    pictures = photos()
    whole = bag.fit(pictures)
    monkeypatch.setitem(NUMBERS, "cpu", 1)
    torch.testing.assert_close(bag.extract(pictures), whole)


def test_state_goes_through_a_checkpoint():
    pictures = photos()
    fitted, fresh = config().build((3, 10, 12)), config().build((3, 10, 12))
    expected = fitted.fit(pictures)
    fresh.load_state_dict(fitted.state_dict())
    assert torch.equal(fresh.extract(pictures), expected)
    assert torch.equal(fresh(expected), fitted(expected))


@pytest.mark.parametrize("descriptor", ["levels", "edges"])
def test_mirror_images_are_alike(descriptor):
    pictures = photos()
    bag = config(mirror=True, descriptor=descriptor).build((3, 10, 12))
    once = bag.fit(pictures)
    torch.testing.assert_close(bag.extract(pictures.flip(3)), once)
    plain = config(descriptor=descriptor).build((3, 10, 12))
    plain.fit(pictures)
    torch.testing.assert_close((plain.extract(pictures) + plain.extract(pictures.flip(3))) / 2, once)


@pytest.mark.parametrize("epsilon", [None, 1.0])
@pytest.mark.parametrize("code", CODES)
def test_pictures_of_one_level_are_defined(code, epsilon):
    flat = torch.full((6, 3, 10, 12), 9, dtype=torch.uint8)
    bag = config(code=code, epsilon=epsilon).build((3, 10, 12))
    extracted = bag.fit(flat)
    assert torch.isfinite(bag(extracted)).all()
    assert torch.isfinite(bag(bag.extract(photos()))).all()
    mixed = torch.cat([flat, photos()])
    bag = config(code=code, epsilon=epsilon).build((3, 10, 12))
    assert torch.isfinite(bag(bag.fit(mixed))).all()


def test_floats_are_levels_too():
    pictures = photos()
    bag = config().build((3, 10, 12))
    expected = bag.fit(pictures)
    torch.testing.assert_close(bag.extract(pictures.float() / 255), expected, atol=1e-4, rtol=1e-4)
    with pytest.raises(UserError, match="pictures of floats need values from 0 to 1"):
        bag.extract(torch.full((1, 3, 10, 12), torch.nan))


def test_double_precision():
    pictures = photos()
    bag = config().build((3, 10, 12)).double()
    extracted = bag.fit(pictures)
    assert extracted.dtype == torch.float64
    expected = [slow_bag(picture.numpy(), bag, 4, 1, 2, "triangle") for picture in pictures]
    np.testing.assert_allclose(extracted.numpy(), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"patch": 11}, "features=bag_of_words patch=11: pictures have 12×10 pixels; patch is at most 10"),
        (
            {"grid": 8},
            "features=bag_of_words grid=8: pictures have 12×10 pixels, 7 patches per side; grid is at most 7",
        ),
    ],
)
def test_pictures_too_small(fields, message):
    with pytest.raises(UserError, match=message):
        config(**fields).build((3, 10, 12))


def test_inputs_that_are_no_pictures():
    with pytest.raises(UserError, match="features=bag_of_words needs pictures, not inputs of shape \\[2\\]"):
        config().build((2,))


def test_more_words_than_patches():
    assert list(config(words=501).problems()) == [
        "words=501: learning needs as many patches or more; raise samples=500"
    ]
    bag = config(words=127).build((3, 10, 12))
    with pytest.raises(UserError, match="words=127: the training pictures have only 126 patches"):
        bag.fit(photos(2))


def test_edges_need_whole_cells():
    assert list(config(descriptor="edges", patch=6).problems()) == [
        "patch=6: descriptor=edges cuts a patch into 4×4 cells; set patch=8"
    ]
