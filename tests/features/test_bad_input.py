"""Pictures that features cannot take, or that have nothing to tell: one line, or finite numbers."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deeprob import load_run

SMALL_BAG = ("features=bag_of_words", "features.words=4", "features.samples=200", "features.iterations=2")
SMALL_FISHER = ("features=fisher_vector", "features.gaussians=2", "features.components=3", "features.samples=200")
FEATURES = [
    ("features=hog", "features.cell=2"),
    ("features=hog", "features.norm=none", "features.soft=false", "features.signed=true"),
    ("features=color_histogram",),
    ("features=color_histogram", "features.joint=true", "features.bins=3"),
    ("features=color_quantization", "features.colors=4"),
    SMALL_BAG,
    (*SMALL_BAG, "features.code=hard", "features.epsilon=null", "features.contrast=null"),
    (*SMALL_BAG, "features.descriptor=edges", "features.patch=4"),
    SMALL_FISHER,
    ("features=pca", "features.components=3"),
    ("features=whiten",),
    ("features=pixels", "features.before=[equalize]"),
]


def words_of(root: Path) -> tuple[str, ...]:
    return ("dataset=image_folder", f"dataset.root={root}", "model=linear", "trainer.epochs=1", "hydra.run.dir=run")


def is_finite(run) -> bool:
    """Tell whether everything is that features have learned, and what a model sees and says."""
    state = run.predictor.features.state_dict().values()
    return all(
        t.isfinite().all() for t in (*state, run.features_of("train"), run.features_of("test"), run.scores("test"))
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("features=hog features.cell=5", "features=hog cell=5 block=2 needs pictures of 10×10 pixels or more, not 8×8"),
        ("features=hog features.cell=9 features.norm=none", "features=hog cell=9 needs pictures of 9×9 pixels"),
        ("features=color_histogram features.grid=9", "features=color_histogram grid=9: pictures have 8×8 pixels"),
        ("features=color_quantization features.grid=9", "features=color_quantization grid=9: pictures have 8×8 pixels"),
        ("features=bag_of_words features.patch=9", "features=bag_of_words patch=9: pictures have 8×8 pixels; patch is"),
        ("features=bag_of_words features.grid=4", "features=bag_of_words grid=4: pictures have 8×8 pixels, 3 patches"),
        ("features=bag_of_words features.words=217", "features=bag_of_words words=217: the training pictures have on"),
        (
            "features=bag_of_words features.samples=9",
            "features.words=1600: learning needs as many patches or more; raise",
        ),
        ("features=fisher_vector features.patch=9", "features=fisher_vector patch=9: pictures have 8×8 pixels; patch"),
        (
            "features=fisher_vector features.gaussians=217",
            "features=fisher_vector gaussians=217: there are only 216 pa",
        ),
        ("features=fisher_vector features.components=109", "features=fisher_vector components=109: patches have 108 "),
        (
            "features=pca features.components=193",
            "features=pca components=193: inputs have 192 numbers, so",
        ),
        (
            "features=color_histogram features.before=[grayscale]",
            "features=color_histogram needs pictures in colour (3 channels), not 1; take grayscale out of before",
        ),
        (
            "features=color_quantization features.before=[grayscale]",
            "features=color_quantization needs pictures in colour (3 channels), not 1; take grayscale out of before",
        ),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(deeprob, pictures, words, line):
    status, _, err = deeprob(*words_of(pictures), *words.split())
    assert status == 2
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


def test_a_class_folder_without_pictures_is_named(deeprob, pictures):
    shutil.rmtree(pictures / "train" / "dogs")
    (pictures / "train" / "dogs").mkdir()
    status, _, err = deeprob(*words_of(pictures), "features=hog", "features.cell=2")
    folder = pictures / "train" / "dogs"
    assert (status, err) == (2, f"error: {folder}: a class folder with no picture; add some or remove the folder\n")
    assert list(Path.cwd().iterdir()) == []


def test_a_class_of_which_no_picture_is_left_to_train_on_is_just_never_seen(deeprob, pictures):
    words = (*words_of(pictures), "features=hog", "features.cell=2", "dataset.limit=1")
    assert deeprob(*words).status == 0
    run = load_run("run")
    assert len(run.data().train) == 1
    assert is_finite(run)


@pytest.mark.parametrize("words", FEATURES, ids=" ".join)
def test_constant_pictures_have_finite_features(deeprob, pictures, words):
    for path in pictures.glob("*/*/*.png"):
        Image.new("RGB", (8, 8), (77, 77, 77)).save(path)
    assert deeprob(*words_of(pictures), *words).status == 0
    run = load_run("run")
    assert is_finite(run)
    assert torch.equal(run.features_of("train"), run.features_of("train")[:1].expand_as(run.features_of("train")))


@pytest.mark.parametrize("words", FEATURES, ids=" ".join)
def test_grey_pictures_have_finite_features(deeprob, pictures, words):
    rng = np.random.default_rng(1)
    for path in pictures.glob("*/*/*.png"):
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    assert deeprob(*words_of(pictures), *words).status == 0
    assert is_finite(load_run("run"))
