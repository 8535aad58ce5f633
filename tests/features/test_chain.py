import numpy as np
import pytest
import torch

from deeprob import config as configs
from deeprob import load_run
from deeprob.errors import UserError
from deeprob.features import ChainConfig, HogConfig, PcaConfig, WhitenConfig
from deeprob.features import chain as module

RNG = np.random.default_rng(0)
POINTS = torch.tensor([[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0], [5.0, -12.0]])


def photos(count: int = 200) -> torch.Tensor:
    return torch.from_numpy(RNG.integers(0, 256, (count, 3, 8, 8), dtype=np.uint8))


def test_each_part_sees_what_the_one_before_returned_standardised():
    pictures = photos()
    hog = HogConfig(cell=4).build((3, 8, 8))
    seen = hog(hog.fit(pictures)).flatten(1)
    values, vectors = np.linalg.eigh(np.cov(seen.double().numpy().T, bias=True))
    chain = ChainConfig(parts=[{"name": "hog", "cell": 4}, {"name": "pca", "components": 3, "standardize": "none"}])
    feature = chain.build((3, 8, 8))
    ours = feature(feature.fit(pictures))
    assert ours.shape == (200, 3)
    np.testing.assert_allclose(ours.var(0, correction=0).numpy(), values[::-1][:3], rtol=1e-4)
    expected = np.abs(seen.double().numpy() @ vectors[:, ::-1][:, :3])
    np.testing.assert_allclose(np.abs(ours.numpy()), expected, atol=1e-4)


def test_parts_by_hand():
    """Radii 5, 2, 1, 13 and angles; nothing standardised but the radii, of mean 5¼, by the last part."""
    parts = [{"name": "polar", "standardize": "none"}, {"name": "raw", "standardize": "feature"}]
    feature = ChainConfig(parts=parts, standardize="none").build((2,))
    radii = feature.fit(POINTS)[:, 0]
    assert radii.tolist() == [5, 2, 1, 13]
    deviation = np.std([5, 2, 1, 13])
    np.testing.assert_allclose(feature(feature.fit(POINTS))[:, 0], (radii.numpy() - 5.25) / deviation, rtol=1e-6)


def test_the_wholes_standardisation_is_that_of_parts_without_their_own():
    feature = ChainConfig(parts=["raw", {"name": "raw", "standardize": "feature"}, "raw"], standardize="none").build(
        (2,)
    )
    seen = feature(feature.fit(POINTS))
    np.testing.assert_allclose(seen.mean(0).numpy(), 0, atol=1e-6)
    np.testing.assert_allclose(seen.std(0, correction=0).numpy(), 1, rtol=1e-6)


def test_whitened_features_are_uncorrelated():
    feature = ChainConfig(parts=["raw", {"name": "whiten", "method": "cholesky", "epsilon": 1e-6}]).build((3, 2, 2))
    pictures = photos(500)[..., :2, :2].contiguous()
    seen = feature(feature.fit(pictures)).flatten(1)
    np.testing.assert_allclose(np.cov(seen.numpy().T, bias=True), np.eye(12), atol=1e-4)


def test_shape_and_standardisation_are_those_of_the_last_part():
    feature = ChainConfig(parts=["raw", {"name": "whiten", "standardize": "channel"}]).build((3, 8, 8))
    assert feature.output_shape == (3, 8, 8)
    assert feature.output_count == 192
    seen = feature(feature.fit(photos()))
    np.testing.assert_allclose(seen.mean((0, 2, 3)).numpy(), 0, atol=1e-5)
    np.testing.assert_allclose(seen.std((0, 2, 3), correction=0).numpy(), 1, rtol=1e-4)


def test_new_inputs_in_chunks(monkeypatch):
    feature = ChainConfig(parts=["hog", "whiten"]).build((3, 8, 8))
    extracted = feature.fit(pictures := photos())
    monkeypatch.setattr(module, "_CHUNK", 7)
    torch.testing.assert_close(feature.extract(pictures), extracted)
    assert feature.extract(pictures[:0]).shape == (0, 36)


def test_chains_and_concats_within_one_another():
    inner = {"name": "concat", "parts": ["color_histogram", {"name": "chain", "parts": ["hog", "whiten"]}]}
    chain = ChainConfig(parts=[inner, {"name": "pca", "components": 5}])
    feature = chain.build((3, 8, 8))
    assert feature.fit(photos()).shape == (200, 5)


def test_the_state_holds_every_part():
    pictures = photos()
    config = ChainConfig(parts=["hog", {"name": "whiten", "method": "cholesky"}, {"name": "pca", "components": 4}])
    first, other = config.build((3, 8, 8)), config.build((3, 8, 8))
    extracted = first.fit(pictures)
    other.load_state_dict(first.state_dict())
    assert torch.equal(other(other.extract(pictures)), first(extracted))


def test_double_precision_all_along():
    feature = ChainConfig(parts=["hog", "whiten"]).build((3, 8, 8)).double()
    assert feature(feature.fit(photos())).dtype == torch.float64


def test_a_chain_of_one_is_that_one():
    feature = ChainConfig(parts=[{"name": "pca", "components": 2}]).build((3, 8, 8))
    alone = PcaConfig(components=2).build((3, 8, 8))
    pictures = photos()
    assert torch.equal(feature(feature.fit(pictures)), alone(alone.fit(pictures)))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["hog", "whitten"], r"parts\[1\]=whitten: no such feature; did you mean whiten\?"),
        ([{"name": "whiten", "method": "qr"}], r"parts\[0\]\.method=qr: expected one of zca, cholesky"),
    ],
)
def test_what_is_wrong_with_a_part(parts, message):
    (problem,) = ChainConfig(parts=parts).problems()
    with pytest.raises(UserError, match=message):
        raise UserError(problem)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (["hog", "color_histogram"], r"features=color_histogram needs pictures, not inputs of shape \[36\]"),
        (["hog", {"name": "pca", "components": 37}], "features=pca components=37: inputs have 36 numbers, so"),
    ],
)
def test_a_part_that_cannot_take_what_the_one_before_returns(parts, message):
    with pytest.raises(UserError, match=message):
        ChainConfig(parts=parts).build((3, 8, 8))


def test_default_parts_go_together():
    assert ChainConfig().build((3, 32, 32)).output_shape == WhitenConfig().build((1764,)).output_shape


WORDS = ("dataset=image_folder", "model=linear", "trainer.epochs=3", "features=chain")


def test_a_run(deeprob, pictures):
    parts = "features.parts=[{name: hog, cell: 2}, {name: whiten, method: cholesky}]"
    result = deeprob(*WORDS, f"dataset.root={pictures}", parts, "hydra.run.dir=run")
    assert result.status == 0, result.err
    run = load_run("run")
    assert configs.flat(run.config)["features.parts"] == [
        {"name": "hog", "cell": 2},
        {"name": "whiten", "method": "cholesky"},
    ]
    assert run.evaluate("test")["loss"] == pytest.approx(run.metrics["test/loss"], rel=1e-5)
    again = deeprob("resume=run", "trainer.epochs=3")
    assert again.status == 0, again.err
    assert "complete already" in again.out + again.err


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("features.parts=[]", "features.parts=[]: expected a list of features"),
        ("features.parts=[hog,{name: pca, components: 99}]", "features=pca components=99: inputs have 36 numbers"),
    ],
)
def test_mistakes_are_one_line(deeprob, pictures, word, message):
    result = deeprob(*WORDS, f"dataset.root={pictures}", word, "hydra.run.dir=run")
    assert result.status == 2
    assert message in result.err
    assert len(result.err.strip().splitlines()) == 1
