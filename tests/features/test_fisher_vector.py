import numpy as np
import pytest
import torch

from deeprob.errors import UserError
from deeprob.features import FisherVectorConfig
from deeprob.features.fisher_vector import power_normalized

RNG = np.random.default_rng(0)


def photos(count: int = 20, channels: int = 3, size: tuple[int, int] = (10, 12)) -> torch.Tensor:
    return torch.from_numpy(RNG.integers(0, 256, (count, channels, *size), dtype=np.uint8))


def config(**fields) -> FisherVectorConfig:
    small = {"components": 5, "gaussians": 3, "patch": 4, "samples": 500, "iterations": 3}
    return FisherVectorConfig(**small | fields)


@pytest.mark.parametrize(("gaussians", "grid"), [(1, 1), (16, 2), (1024, 2)])
def test_two_n_r_64_numbers(gaussians, grid):
    vector = FisherVectorConfig(gaussians=gaussians, grid=grid).build((3, 32, 32))
    assert vector.output_count == 2 * gaussians * grid**2 * 64
    assert gaussians != 1024 or vector.output_count == 524_288


def test_normalized_by_hand():
    vectors = torch.tensor([[[4.0, -9.0]], [[0.0, 0.0]], [[16.0, 0.0]]])
    expected = torch.tensor([[[2.0, -3.0]], [[0.0, 0.0]], [[4.0, 0.0]]]) / torch.tensor([13**0.5, 1, 4])[:, None, None]
    torch.testing.assert_close(power_normalized(vectors), expected)


def test_against_numpy_step_by_step():
    pictures = photos(6)
    vector = config(grid=2).build((3, 10, 12))
    extracted = vector.fit(pictures)
    assert extracted.shape == (6, 2 * 3 * 4 * 5)
    mixture, projection = vector.mixture, vector.projection
    shares, means, variances = (
        values.double().numpy() for values in (mixture.shares, mixture.means, mixture.variances)
    )
    points = (vector.patches(pictures.float()).double() - projection.mean) @ projection.matrix.double()
    points = points.numpy().reshape(6, 7, 9, 5)
    expected = []
    for picture in points:
        for rows in (slice(0, 3), slice(3, 7)):
            for columns in (slice(0, 4), slice(4, 9)):
                region = picture[rows, columns].reshape(-1, 1, 5)
                logs = np.log(shares) - 0.5 * ((region - means) ** 2 / variances + np.log(2 * np.pi * variances)).sum(2)
                posteriors = np.exp(logs - np.logaddexp.reduce(logs, 1)[:, None])[..., None]
                scaled = (region - means) / np.sqrt(variances)
                to_means = (posteriors * scaled).mean(0) / np.sqrt(shares)[:, None]
                to_deviations = (posteriors * (scaled**2 - 1)).mean(0) / np.sqrt(2 * shares)[:, None]
                both = np.concatenate([to_means, to_deviations], 1)
                roots = np.sign(both) * np.sqrt(np.abs(both))
                expected.append((roots / np.sqrt((roots**2).sum())).ravel())
    np.testing.assert_allclose(extracted.numpy(), np.array(expected).reshape(6, -1), atol=2e-3)


def test_each_region_has_length_one():
    extracted = config(descriptor="edges").build((3, 10, 12)).fit(photos())
    torch.testing.assert_close(extracted.view(20, 4, -1).norm(dim=2), torch.ones(20, 4))


def test_one_seed_gives_one_mixture_and_the_state_holds_it():
    pictures, others = photos(), photos()
    one, two = config().build((3, 10, 12)), config().build((3, 10, 12))
    expected = one.fit(pictures)
    assert torch.equal(two.fit(pictures), expected)
    fresh = config().build((3, 10, 12))
    fresh.load_state_dict(one.state_dict())
    assert torch.equal(fresh.extract(others), one.extract(others))


def test_mirror_images_are_alike():
    pictures = photos()
    vector = config(mirror=True).build((3, 10, 12))
    torch.testing.assert_close(vector.fit(pictures), vector.extract(pictures.flip(3)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("descriptor", ["levels", "edges"])
def test_pictures_of_one_level_are_defined(descriptor):
    flat = torch.full((6, 3, 10, 12), 9, dtype=torch.uint8)
    vector = config(descriptor=descriptor).build((3, 10, 12))
    assert torch.isfinite(vector(vector.fit(flat))).all()
    assert torch.isfinite(vector(vector.extract(photos()))).all()


@pytest.mark.parametrize(
    ("fields", "shape", "message"),
    [
        ({"patch": 11}, (3, 10, 12), "features=fisher_vector patch=11: pictures have 12×10 pixels"),
        ({"components": 17}, (1, 10, 12), "components=17: patches have 16 numbers, so components is at most 16"),
        ({}, (2,), "features=fisher_vector needs pictures"),
    ],
)
def test_what_does_not_fit(fields, shape, message):
    with pytest.raises(UserError, match=message):
        config(**fields).build(shape)


def test_more_gaussians_than_patches():
    with pytest.raises(UserError, match="gaussians=600: there are only 500 patches to learn from"):
        config(gaussians=600).build((3, 10, 12)).fit(photos())
