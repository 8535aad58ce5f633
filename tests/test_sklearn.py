"""Estimators: scikit-learn's own checks, and what its users do with them."""

import inspect
import pickle
import re
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import deeprob
from deeprob import sklearn as module
from deeprob.assembly.setup import Setup
from deeprob.errors import Diverged, UserError
from deeprob.sklearn import DeeprobClassifier, DeeprobRegressor

NEWTON = "optimizer=lbfgs trainer.batch_size=full trainer.precision=float64"
QUICK = "model=linear trainer.epochs=40 optimizer.lr=0.03"
FLOWERS = load_iris()
X, Y = FLOWERS.data, FLOWERS.target_names[FLOWERS.target]
RNG = np.random.default_rng(0)
WEIGHTS = {"check_sample_weight_equivalence_on_dense_data": "copies of rows change the mini-batches"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [DeeprobClassifier, DeeprobRegressor])
def test_every_check_of_scikit_learn_with_full_batches(kind):
    check_estimator(kind(NEWTON), on_skip=None)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [DeeprobClassifier, DeeprobRegressor])
def test_every_check_of_scikit_learn_but_one(kind):
    check_estimator(kind(), expected_failed_checks=WEIGHTS, on_skip=None)


def test_labels_come_back_as_they_were_given():
    for labels in (Y, FLOWERS.target, FLOWERS.target - 1.0, FLOWERS.target > 0, pd.Series(Y, dtype="category")):
        found = DeeprobClassifier(QUICK).fit(X, labels)
        assert found.classes_.dtype == found.predict(X).dtype
        assert found.classes_.tolist() == sorted(set(np.asarray(labels).tolist()))
        assert found.score(X, labels) > 0.9


def test_what_a_fitted_classifier_has():
    found = DeeprobClassifier(QUICK).fit(pd.DataFrame(X, columns=FLOWERS.feature_names), Y)
    assert (found.n_features_in_, found.n_iter_) == (4, 40)
    assert found.feature_names_in_.tolist() == FLOWERS.feature_names
    assert found.loss_curve_ == found.run_.history["train/loss"].tolist()
    with pytest.raises(
        UserError, match=r"^the run: an estimator keeps no data; call score\(X, y\) of the estimator, or"
    ):
        found.run_.evaluate("test")
    assert found.loss_curve_[-1] < 0.5 * found.loss_curve_[0]
    assert repr(found.run_) == "<Run given-linear-adamw: completed, epoch 40>"
    assert found.run_.classes == tuple(FLOWERS.target_names)
    frame = pd.DataFrame(X, columns=FLOWERS.feature_names)
    probabilities = found.predict_proba(frame)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    np.testing.assert_allclose(found.predict_log_proba(frame), np.log(probabilities))
    np.testing.assert_allclose(probabilities, found.run_.probabilities(frame), rtol=1e-4, atol=1e-6)
    assert (found.decision_function(frame).argmax(1) == probabilities.argmax(1)).all()
    two = DeeprobClassifier(QUICK).fit(X[:100], Y[:100])
    assert ((two.decision_function(X) > 0) == (two.predict(X) == "versicolor")).all()


@pytest.mark.slow
def test_it_is_the_run_of_the_same_words(deeprob):
    import deeprob as face

    run = face.train(QUICK, data=(X, Y), test=(X, Y), seed=3, progress=False)
    found = DeeprobClassifier(QUICK, random_state=3).fit(X, Y)
    pairs = zip(run.model.state_dict().values(), found.run_.model.state_dict().values(), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)
    assert found.run_.history["train/loss"].tolist() == run.history["train/loss"].tolist()


def test_seeds():
    def first_weights(words: str, random_state: object) -> list[float]:
        found = DeeprobClassifier(f"{QUICK} trainer.epochs=1 {words}", random_state=random_state).fit(X, Y)
        return found.predict_proba(X[:2]).ravel().tolist()

    assert first_weights("", None) == first_weights("", 0) == first_weights("seed=0", 0)
    assert first_weights("seed=5", None) == first_weights("", 5) != first_weights("", 0)
    assert first_weights("", np.random.RandomState(1)) == first_weights("", np.random.RandomState(1))
    rng = np.random.RandomState(1)
    assert first_weights("", rng) != first_weights("", rng)
    with pytest.raises(ValueError, match=r"^seed=5: random_state=0 is given too; leave one of both out$"):
        first_weights("seed=5", 0)
    with pytest.raises(ValueError, match="Seed must be between 0"):
        first_weights("", -1)


def test_categories_and_missing_cells():
    frame = pd.DataFrame({"size": RNG.normal(size=80), "color": np.tile(["red", "blue", None, "red"], 20)})
    kind = np.where((frame["color"] == "red") ^ (frame["size"] > 0), "a", "b")
    frame.loc[3, "size"] = None
    words = "model.width=16 trainer.epochs=60 optimizer.lr=0.02"
    with pytest.raises(ValueError, match=r"row 2, column color: the cell is missing; fill it in, .*dataset.missing"):
        DeeprobClassifier(words).fit(frame, kind)
    found = DeeprobClassifier(f"{words} dataset.missing=indicator").fit(frame, kind)
    assert found.score(frame, kind) > 0.9
    assert found.run_.encoding.names == ("size", "size missing", "color=blue", "color=red", "color missing")
    assert found.predict(pd.DataFrame({"size": [2.0], "color": ["green"]})).shape == (1,)
    with pytest.raises(ValueError, match="feature names"):
        found.predict(frame[["color", "size"]])
    numbers = frame[["size"]].to_numpy()
    assert found.__sklearn_tags__().input_tags.allow_nan
    assert DeeprobClassifier("dataset.missing=mean trainer.epochs=1").fit(numbers, kind).predict(numbers).shape == (80,)
    with pytest.raises(ValueError, match=r"^Input X contains NaN: fill them in, .* dataset\.missing=mean$"):
        DeeprobClassifier("trainer.epochs=1").fit(numbers, kind)


def test_texts_of_numbers_are_categories():
    frame = pd.DataFrame({"zip": ["01", "02", "1", "01"] * 5})
    found = DeeprobClassifier("model=linear trainer.epochs=1").fit(frame, list("abab") * 5)
    assert found.run_.encoding.names == ("zip=01", "zip=1", "zip=02")


def test_numbers_to_predict():
    inputs, target = load_diabetes(return_X_y=True)
    found = DeeprobRegressor(f"{NEWTON} model=linear").fit(inputs, target)
    exact = np.linalg.lstsq(np.c_[inputs, np.ones(len(inputs))], target, rcond=None)[0]
    np.testing.assert_allclose(found.predict(inputs), np.c_[inputs, np.ones(len(inputs))] @ exact, rtol=1e-4)
    both = DeeprobRegressor(f"{NEWTON} model=linear").fit(inputs, np.c_[target, 2 * target + 1])
    np.testing.assert_allclose(both.predict(inputs)[:, 1], 2 * found.predict(inputs) + 1, rtol=1e-4)
    assert DeeprobRegressor("trainer.epochs=1 loss=huber").fit(inputs, target[:, None]).predict(inputs).shape == (442,)
    assert found.run_.classes == ()


def test_weights_are_copies():
    copies = RNG.integers(0, 4, len(X))
    words = f"{NEWTON} model=linear regularizer=l2 regularizer.strength=0.01 optimizer.tolerance_grad=1e-12"
    found = DeeprobClassifier(words).fit(X, Y, sample_weight=copies)
    repeated = DeeprobClassifier(words).fit(X.repeat(copies, axis=0), Y.repeat(copies))
    np.testing.assert_allclose(found.predict_proba(X), repeated.predict_proba(X), rtol=1e-6, atol=1e-9)
    for wrong in (-copies, copies[:3], copies * np.nan):
        with pytest.raises(ValueError, match=r"negative|sample_weight"):
            DeeprobClassifier(words).fit(X, Y, sample_weight=wrong)


def test_passes():
    order = RNG.permutation(len(X))
    found = DeeprobClassifier("model.width=16 optimizer.lr=0.02")
    for number in range(30):
        for part in np.array_split(order, 3):
            found.partial_fit(X[part], Y[part], classes=None if number else FLOWERS.target_names)
    assert found.n_iter_ == len(found.loss_curve_) == 90
    assert found.score(X, Y) > 0.9
    with pytest.raises(ValueError, match="y has the label 'rose'; the classes are"):
        found.partial_fit(X[:2], ["rose", "setosa"])
    with pytest.raises(ValueError, match="the first call had"):
        found.partial_fit(X[:2], Y[:2], classes=["setosa", "rose"])
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        DeeprobClassifier().partial_fit(X, Y)


def test_passes_go_on_after_a_fit_and_a_pickle():
    found = DeeprobClassifier(QUICK).fit(X, Y)
    before, other = found.predict_proba(X), pickle.loads(pickle.dumps(found))
    assert len(pickle.dumps(found)) < 100_000
    np.testing.assert_array_equal(other.predict_proba(X), before)
    for one in (found, other):
        one.partial_fit(X[:50], Y[:50], sample_weight=np.ones(50))
    assert not np.allclose(found.predict_proba(X), before)
    np.testing.assert_array_equal(found.predict_proba(X), other.predict_proba(X))
    numbers = DeeprobRegressor(QUICK).partial_fit(X, X[:, 0])
    assert numbers.partial_fit(X[:5], X[:5, 0]).n_iter_ == 2


@pytest.mark.slow
def test_pipelines_searches_and_scores():
    pipe = make_pipeline(StandardScaler(), DeeprobClassifier())
    words = [f"model=linear trainer.epochs=20 optimizer.lr={lr}" for lr in (0.05, 1e-9)]
    grid = {"deeprobclassifier__words": words}
    search = GridSearchCV(pipe, grid, cv=3, error_score="raise").fit(X, Y)
    assert search.best_index_ == 0
    assert search.best_score_ > 0.85
    assert cross_val_score(clone(search.best_estimator_), X, Y, cv=3).mean() == pytest.approx(search.best_score_)


@pytest.mark.slow
def test_searches_in_other_processes():
    search = GridSearchCV(DeeprobClassifier(), {"words": [QUICK, "trainer.epochs=1"]}, cv=3, n_jobs=2).fit(X, Y)
    assert search.best_params_ == {"words": QUICK}


def test_a_validation_split_stops_training():
    words = "model.width=64 optimizer.lr=0.03 trainer.epochs=60 dataset.val_fraction=0.3 trainer.patience=5"
    found = DeeprobClassifier(words).fit(X, RNG.integers(0, 2, len(X)))
    assert found.n_iter_ == found.run_.history["val/loss"].idxmin() + 5 < 60


def test_losses_without_probabilities_have_none():
    found = DeeprobClassifier(f"{QUICK} loss=hinge").fit(X, Y)
    assert not hasattr(found, "predict_proba")
    assert found.score(X, Y) > 0.9


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("lr=0.1", "lr: no such key; did you mean optimizer.lr?"),
        ("dataset=spirals", "dataset=spirals: data are given already; leave one of both out"),
        ("model.width=4,8", "model.width=4,8: several values make a sweep"),
        ("trainer.patience=3", "trainer.patience needs a validation split"),
    ],
)
def test_wrong_words_are_errors_of_values(words, line):
    for kind in (DeeprobClassifier, DeeprobRegressor):
        with pytest.raises(ValueError, match=re.escape(line)) as caught:
            kind(words).fit(X, FLOWERS.target)
        assert isinstance(caught.value, UserError)


def test_wrong_data():
    for data, line in (
        ((X[:1], Y[:1]), "1 sample"),
        ((X[:5], Y[:5]), "y has one class only, .*setosa"),
        ((X, Y[::60]), "inconsistent numbers of samples"),
        ((X, None), "requires y to be passed, but the target y is None"),
    ):
        with pytest.raises(ValueError, match=line):
            DeeprobClassifier().fit(*data)
    with pytest.raises(NotFittedError):
        DeeprobClassifier().predict(X)
    with pytest.raises(Diverged):
        DeeprobRegressor("optimizer=sgd optimizer.lr=1e20 trainer.epochs=5").fit(X, X[:, 0])


def test_it_leaves_all_else_alone(capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(2)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), signal.getsignal(signal.SIGINT)
    found = DeeprobClassifier(QUICK).fit(X, Y)
    found.predict(X)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert (signal.getsignal(signal.SIGINT), torch.get_num_threads()) == (before[2], 2)
    assert capfd.readouterr() == ("", "")
    assert list(Path().iterdir()) == []


def test_an_interrupt_stops_and_leaves_it_unfitted(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    found = DeeprobClassifier(QUICK)
    monkeypatch.setattr(Setup, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        found.fit(X, Y)
    with pytest.raises(NotFittedError):
        found.predict(X)


def test_the_package_has_it():
    assert deeprob.sklearn is module
    assert list(inspect.signature(DeeprobClassifier).parameters) == ["words", "random_state"]


@pytest.mark.slow
def test_the_blocks_of_the_guide_run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[1] / "docs/guide/scikit_learn.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        exec(block, names)
    assert names["score"] > 0.9
