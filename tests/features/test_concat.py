import numpy as np
import pytest
import torch

from deeprob import config as configs
from deeprob import load_run
from deeprob.errors import UserError
from deeprob.features import ColorHistogramConfig, ConcatConfig, HogConfig, RawConfig
from deeprob.features import concat as module

RNG = np.random.default_rng(0)


def photos(count: int = 30) -> torch.Tensor:
    return torch.from_numpy(RNG.integers(0, 256, (count, 3, 8, 8), dtype=np.uint8))


def seen(config, pictures: torch.Tensor) -> torch.Tensor:
    feature = config.build((3, 8, 8))
    return feature(feature.fit(pictures)).flatten(1)


def test_the_parts_in_turn_each_standardised():
    pictures = photos()
    expected = torch.cat([seen(HogConfig(), pictures), seen(ColorHistogramConfig(), pictures)], dim=1)
    torch.testing.assert_close(seen(ConcatConfig(parts=["hog", "color_histogram"]), pictures), expected)


def test_parts_have_values_of_their_own():
    pictures = photos()
    parts = [{"name": "hog", "cell": 2, "norm": "none"}, {"name": "raw", "standardize": "channel"}, "raw"]
    ours = seen(ConcatConfig(parts=parts), pictures)
    alone = [HogConfig(cell=2, norm="none"), RawConfig(standardize="channel"), RawConfig()]
    torch.testing.assert_close(ours, torch.cat([seen(config, pictures) for config in alone], dim=1))


def test_a_whole_number_where_a_part_takes_any():
    (part,) = ConcatConfig(parts=[{"name": "bag_of_words", "epsilon": 2, "words": 8}]).features()
    assert (type(part.epsilon), part.epsilon, type(part.words)) == (float, 2, int)


def test_the_wholes_standardisation_is_that_of_parts_without_their_own():
    pictures = photos()
    parts = ["raw", {"name": "raw", "standardize": "channel"}]
    ours = seen(ConcatConfig(parts=parts, standardize="none"), pictures)
    torch.testing.assert_close(ours[:, :192], pictures.flatten(1).float())
    torch.testing.assert_close(ours[:, 192:], seen(RawConfig(standardize="channel"), pictures))


def test_new_inputs_in_chunks(monkeypatch):
    feature = ConcatConfig().build((3, 8, 8))
    extracted = feature.fit(pictures := photos())
    monkeypatch.setattr(module, "_CHUNK", 7)
    torch.testing.assert_close(feature.extract(pictures), extracted)
    assert feature.output_count == extracted.shape[1]


def test_points_of_the_plane_too():
    points = torch.tensor([[3.0, 4.0], [0, 2], [-1, 0]])
    feature = ConcatConfig(parts=["raw", "polar"], standardize="none").build((2,))
    assert feature.fit(points)[0, :3].tolist() == [3, 4, 5]


def test_a_concat_of_concats():
    parts = [{"name": "concat", "parts": ["raw", {"name": "hog", "cell": 4}]}, "color_histogram"]
    assert ConcatConfig(parts=parts).build((3, 8, 8)).output_count == 192 + 36 + 384


def test_the_state_holds_every_part():
    pictures = photos()
    config = ConcatConfig(parts=[{"name": "color_quantization", "colors": 4}, "raw"])
    first, other = config.build((3, 8, 8)), config.build((3, 8, 8))
    extracted = first.fit(pictures)
    other.load_state_dict(first.state_dict())
    assert torch.equal(other(other.extract(pictures)), first(extracted))


def test_a_part_that_cannot_take_the_inputs():
    with pytest.raises(UserError, match="features=polar needs points of the plane"):
        ConcatConfig(parts=["raw", "polar"]).build((3, 8, 8))


WORDS = ("dataset=image_folder", "model=linear", "trainer.epochs=3", "features=concat")


def test_a_run(deeprob, pictures):
    parts = "features.parts=[{name: hog, cell: 2}, color_histogram]"
    result = deeprob(*WORDS, f"dataset.root={pictures}", parts, "hydra.run.dir=run")
    assert result.status == 0, result.err
    run = load_run("run")
    assert configs.flat(run.config)["features.parts"] == [{"name": "hog", "cell": 2}, "color_histogram"]
    assert run.evaluate("test")["loss"] == pytest.approx(run.metrics["test/loss"], rel=1e-5)
    assert run.features(run.examples("test").inputs).shape == (8, 9 * 36 + 384)
    again = deeprob("resume=run", "trainer.epochs=3")
    assert again.status == 0, again.err
    assert "complete already" in again.out + again.err


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("features.parts=[]", "features.parts=[]: expected a list of features"),
        ("features.parts={a:hog}", "features.parts={a:hog}: expected a list of features"),
        ("features.parts=[hog,colour]", "features.parts[1]=colour: no such feature"),
        ("features.parts=[{name: hog, cell: 9}]", "features=hog cell=9 block=2 needs pictures of 18×18 pixels"),
    ],
)
def test_mistakes_are_one_line(deeprob, pictures, word, message):
    result = deeprob(*WORDS, f"dataset.root={pictures}", word, "hydra.run.dir=run")
    assert result.status == 2
    assert message in result.err
    assert len(result.err.strip().splitlines()) == 1
