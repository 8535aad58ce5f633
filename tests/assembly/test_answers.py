"""What runs answer, alone and together."""

import numpy as np
import pytest

from deeprob import load_run
from deeprob.assembly.answers import Answers
from deeprob.errors import UserError


def test_one_run_answers_with_classes_and_probabilities(one_run):
    run = load_run(one_run)
    inputs = run.examples("test").inputs
    answers = Answers([run])
    assert answers.columns == ["class", "p(arm 0)", "p(arm 1)", "p(arm 2)"]
    names, *shares = answers([inputs])
    assert names.tolist() == run.predict(inputs).tolist()
    np.testing.assert_allclose(np.stack(shares, 1), run.probabilities(inputs))


def test_runs_together_are_the_mean_of_log_probabilities(one_run, deeprob, small):
    assert deeprob(*small[:2], "model=linear", "trainer.epochs=2", "hydra.run.dir=two").status == 0
    runs = [load_run(one_run), load_run("two")]
    inputs = runs[0].examples("test").inputs
    product = np.sqrt(runs[0].probabilities(inputs) * runs[1].probabilities(inputs))
    names, *shares = Answers(runs)([inputs, inputs])
    np.testing.assert_allclose(np.stack(shares, 1), product / product.sum(1, keepdims=True), rtol=1e-6)
    assert names.tolist() == [runs[0].classes[place] for place in product.argmax(1)]


def test_a_loss_without_probabilities_answers_with_classes_alone(deeprob, small, one_run):
    assert deeprob(*small, "loss=hinge", "hydra.run.dir=hinge").status == 0
    run = load_run("hinge")
    assert Answers([run]).columns == ["class"]
    assert len(Answers([run])([run.examples("test").inputs])) == 1
    with pytest.raises(UserError, match="loss=hinge makes no probabilities"):
        Answers([run, load_run(one_run)])


def test_numbers_are_averaged(deeprob, one_run):
    words = ("dataset=random_regression", "loss=squared_error", "trainer.epochs=1", "dataset.limit=50")
    for seed in (0, 1):
        assert deeprob(*words, f"seed={seed}", f"hydra.run.dir=run{seed}").status == 0
    runs = [load_run("run0"), load_run("run1")]
    inputs = runs[0].examples("test").inputs
    found = Answers(runs)([inputs, inputs])
    expected = (runs[0](inputs) + runs[1](inputs)).double().numpy() / 2
    np.testing.assert_allclose(np.stack(found, 1), expected, rtol=1e-6)
    count = runs[0].predictor.outputs
    assert Answers(runs).columns == (["target"] if count == 1 else [f"target {place}" for place in range(count)])
    with pytest.raises(UserError, match="predicts other classes or numbers than run0"):
        Answers([runs[0], load_run(one_run)])
