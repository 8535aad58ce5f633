"""Estimators for scikit-learn: the runs of deeprob behind ``fit`` and ``predict``.

An estimator composes a config from words, as `deeprob.train` does, and trains with the same setup and the same loop. It
writes no files, prints nothing, and leaves signals alone.
"""

import copy
import csv
import dataclasses
import functools
import io
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, ParamSpec, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprob import api
from deeprob import config as configs
from deeprob.assembly.config import RunConfig
from deeprob.assembly.in_memory import RunInMemory
from deeprob.assembly.python_data import typed_table
from deeprob.config.overrides import parse
from deeprob.data import GivenConfig
from deeprob.data.columns import Column, Table
from deeprob.data.frames import table_of
from deeprob.data.given import Given
from deeprob.errors import UserError

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import (
        _check_sample_weight,
        check_array,
        check_consistent_length,
        check_is_fitted,
        column_or_1d,
        validate_data,
    )
except ImportError as error:
    raise ImportError('deeprob.sklearn needs scikit-learn 1.6 or later: pip install "deeprob[sklearn]"') from error

P = ParamSpec("P")
T = TypeVar("T")
Array = npt.NDArray[Any]


class InvalidInput(UserError, ValueError):
    """A mistake of the user, which is a `ValueError` as scikit-learn expects."""


def _plainly(function: Callable[P, T]) -> Callable[P, T]:
    """Let a method raise a `UserError` as `InvalidInput`."""

    @functools.wraps(function)
    def call(*words: P.args, **named: P.kwargs) -> T:
        try:
            return function(*words, **named)
        except UserError as error:
            raise InvalidInput(str(error)) from None

    return call


def _config_of(words: str | Sequence[str], *, regression: bool) -> RunConfig:
    """Return the config of some words, for data that are put in later. It is shared, so nobody changes it."""
    registered = (part for group in dataclasses.fields(RunConfig) for part in configs.options(group.name).values())
    return _composed(tuple(api._typed(words)), regression, tuple(registered))


@functools.lru_cache(maxsize=64)
def _composed(words: tuple[str, ...], regression: bool, registered: tuple[type, ...]) -> RunConfig:
    """Compose a config. `registered` are the options that could be chosen: a notebook may register one anew."""
    own = ["dataset=given", "dataset.digest=later"]
    if regression:
        own.append("dataset.task=regression")
        if not any(override.key_or_group == "loss" for override in parse(words)):
            own.append("loss=squared_error")
    return api._composed([*own, *words]).run


def _dataset_of(config: RunConfig) -> GivenConfig:
    """Return the config of the dataset."""
    assert isinstance(config.dataset, GivenConfig)
    return config.dataset


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """What both estimators share. A subclass says how y becomes targets."""

    regression: ClassVar[bool]

    run_: api.TrainedRun
    n_iter_: int
    loss_curve_: list[float]
    _training: RunInMemory

    def __init__(self, words: str | Sequence[str] = "", *, random_state: Any = None) -> None:
        self.words = words
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._fills_missing()
        return tags

    @_plainly
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Train a network from new weights on all rows.

        Parameters
        ----------
        X
            Numbers (N, D), or a data frame, in which columns of words are categories.
        y
            Labels (N,), or for the regressor numbers (N,) or (N, K).
        sample_weight
            The weights (N,) of the rows: a whole number counts as so many copies, and 0 as none. None: each is 1.

        Raises
        ------
        ValueError
            If the words or the data are invalid.
        Diverged
            If a number became NaN or infinite.
        """
        with api._alone:
            config, _given = self._config(X, y, sample_weight)
            self._set(RunInMemory.trained(config))
        return self

    def _pass_over(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> Self:  # noqa: N803
        """Train on each row once, from the current weights and the current state of the optimizer."""
        with api._alone:
            if not hasattr(self, "run_"):
                config, _given = self._config(X, y, sample_weight, classes)
                self._set(RunInMemory.passed_over(config))
                return self
            inputs, targets = self._encoded(X), torch.from_numpy(self._targets(y))
            check_consistent_length(X, y)
            weights = None if sample_weight is None else torch.from_numpy(_weights(sample_weight, X))
            self._training.pass_over(inputs, targets, weights)
            self._set(self._training)
        return self

    def _config(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> tuple[RunConfig, Given]:  # noqa: N803
        """Return the config of a run on these data, and the data, which the run finds while somebody refers to them."""
        config = _config_of(self.words, regression=self.regression)
        table = self._table(X, reset=True)
        columns, names = self._target_columns(y, classes)
        targets = {_unused(f"target {place}" if place else "target", table): part for place, part in enumerate(columns)}
        check_consistent_length(X, y)
        others, dataset = dict(targets), _dataset_of(config)
        if sample_weight is not None:
            dataset = dataclasses.replace(dataset, weights=_unused("sample_weight", table))
            assert dataset.weights is not None
            others[dataset.weights] = Column(numbers=_weights(sample_weight, X))
        whole = Table("X", (*table.names, *others), (*table.columns, *others.values()), table.header)
        given = Given(whole, tuple(targets), classes=names).found()
        # no row is held out: a run needs a test split, but nothing is measured on this one
        dataset = dataclasses.replace(dataset, digest=given.digest, test=given.digest)
        return dataclasses.replace(config, dataset=dataset, seed=self._seed(config)), given

    def _set(self, training: RunInMemory) -> None:
        """Set the attributes of a fitted estimator."""
        rows, text = training.rows, io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
        metrics = {"status": "completed", "epochs": len(rows), **training.metrics}
        self._training, self.n_iter_ = training, len(rows)
        self.loss_curve_ = [row["train/loss"] for row in rows]
        self.run_ = api.TrainedRun(api.IN_MEMORY, training.config, metrics, training.predictor, rows=text.getvalue())

    def _table(self, X: Any, *, reset: bool) -> Table:  # noqa: N803
        """Check X as scikit-learn does, and return its table. `reset` says whether X is for training."""
        if hasattr(X, "columns"):
            table = typed_table(X, "X")
            if any(column.numbers is None for column in table.columns):
                validate_data(self, X, reset=reset, skip_check_array=True)
                return table
        finite: Any = "allow-nan" if self._fills_missing() else True
        try:
            array = validate_data(self, X, reset=reset, ensure_all_finite=finite, ensure_min_samples=2 if reset else 1)
        except ValueError as error:
            if "contains NaN" not in str(error):
                raise
            advice = "fill them in, leave the rows out, or fit with the words dataset.missing=mean"
            raise InvalidInput(f"Input X contains NaN: {advice}") from None
        return table_of(np.asarray(array, np.float64), getattr(self, "feature_names_in_", None))

    def _encoded(self, X: Any) -> Tensor:  # noqa: N803
        """Return the encoded rows of X (N, …)."""
        encoding = self.run_.encoding
        assert encoding is not None
        return encoding.encode(self._table(X, reset=False))

    def _scores(self, X: Any) -> Tensor:  # noqa: N803
        """Return the scores (N, C) of X, as float64.

        They are computed in float64, so that a row has the same scores alone as among others, up to 15 digits.
        """
        check_is_fitted(self, "run_")
        predictor = dataclasses.replace(copy.deepcopy(self.run_.predictor), bf16=False)
        predictor.to(predictor.features.like.device, torch.float64)
        return dataclasses.replace(self.run_, predictor=predictor).scores_of(self._encoded(X)).double()

    def _fills_missing(self) -> bool:
        """Return whether the words say what missing cells become."""
        try:
            return _dataset_of(_config_of(self.words, regression=self.regression)).missing != "error"
        except UserError:  # `fit` says what is wrong
            return False

    def _seed(self, config: RunConfig) -> int:
        """Return the seed of a run: `random_state`, or that of the words."""
        if self.random_state is None:
            return config.seed
        api._check_seed(api._typed(self.words), "random_state", self.random_state)
        rng = check_random_state(self.random_state)
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(rng.randint(2**31 - 1))


class DeeprobClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A classifier of scikit-learn: a network or a linear classifier of deeprob.

    Parameters
    ----------
    words
        The words of ``deeprob-train`` without a dataset, as one text or as a list. Example: ``"model.width=64
        optimizer=lbfgs"``.
    random_state
        The seed of weights, batch order and dropout: a whole number, or a ``RandomState`` that draws one. None takes
        the seed of the words, which is 0 by default: the same data then give the same network.

    Attributes
    ----------
    classes_
        The labels (C,), sorted.
    n_features_in_, feature_names_in_
        The number of columns of X, and their names if X was a data frame.
    run_
        The trained run, with its model, config, metrics and history. It does not keep the data.
    n_iter_
        The number of epochs.
    loss_curve_
        The training loss of each epoch.

    Examples
    --------
    >>> from deeprob.sklearn import DeeprobClassifier
    >>> letters = DeeprobClassifier("model=linear").fit([[0.0], [0.1], [0.9], [1.0]], ["a", "a", "b", "b"])
    >>> letters.predict([[2.0]])
    array(['b'], dtype='<U1')
    """

    regression: ClassVar[bool] = False
    classes_: Array

    @_plainly
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:  # noqa: N803
        """Train on each row once, from the current weights and the current state of the optimizer.

        The first call makes the network, and measures means, deviations and categories on its rows. Later calls keep
        them. The learning rate does not follow a schedule.

        Parameters
        ----------
        X, y, sample_weight
            See `fit`.
        classes
            All labels. The first call needs them.
        """
        if not hasattr(self, "run_") and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if hasattr(self, "run_") and classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            raise ValueError(f"classes={list(classes)}: the first call had {self.classes_.tolist()}")
        return self._pass_over(X, y, sample_weight, classes)

    @_plainly
    def predict(self, X: Any) -> Array:  # noqa: N803
        """Return the label (N,) with the highest score for each row of X."""
        places = self._scores(X).argmax(1).numpy()
        labels: Array = self.classes_[places]
        return labels

    @_plainly
    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Return the scores (N, C); for two classes, how much the second score exceeds the first (N,)."""
        scores = self._scores(X).numpy()
        return scores if len(self.classes_) > 2 else scores[:, 1] - scores[:, 0]

    def _has_probabilities(self) -> bool:
        return bool(_config_of(self.words, regression=False).loss.build().probabilities)

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    @_plainly
    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Return the probabilities (N, C) of the classes. It exists if the loss makes probabilities."""
        return self._scores(X).softmax(1).numpy()

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    @_plainly
    def predict_log_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Return the logarithms (N, C) of the probabilities: −∞ where a probability is too small for float64."""
        return self._scores(X).softmax(1).log().numpy()

    def _target_columns(self, y: Any, classes: Any) -> tuple[list[Column], tuple[str, ...]]:
        """Return the column of class numbers, and the names of the classes, which become `classes_`."""
        labels = _labels(y)
        self.classes_ = np.unique(labels if classes is None else column_or_1d(classes))
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has one class only, {self.classes_.tolist()[0]!r}; a classifier needs two or more classes"
            )
        names = tuple(map(str, self.classes_.tolist()))
        return [Column(codes=self._targets(labels).astype(np.int32), levels=names)], names

    def _targets(self, y: Any) -> npt.NDArray[np.int64]:
        """Return the class number (N,) of each label."""
        labels = _labels(y)
        known = np.isin(labels, self.classes_)
        if not known.all():
            raise ValueError(
                f"y has the label {labels[~known].tolist()[0]!r}; the classes are {self.classes_.tolist()}"
            )
        return np.searchsorted(self.classes_, labels).astype(np.int64)


class DeeprobRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A regressor of scikit-learn: a network or a linear model of deeprob. The loss is ``squared_error`` by default.

    Parameters
    ----------
    words, random_state
        See `DeeprobClassifier`.

    Attributes
    ----------
    n_features_in_, feature_names_in_, run_, n_iter_, loss_curve_
        See `DeeprobClassifier`.

    Examples
    --------
    >>> from deeprob.sklearn import DeeprobRegressor
    >>> line = DeeprobRegressor("model=linear optimizer=lbfgs").fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> line.predict([[3.0]]).round(3)
    array([7.])
    """

    regression: ClassVar[bool] = True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @_plainly
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Train on each row once, from the current weights and the current state of the optimizer.

        The first call makes the network, and measures means, deviations and categories on its rows, also of y. Later
        calls keep them. The learning rate does not follow a schedule.

        Parameters
        ----------
        X, y, sample_weight
            See `fit`.
        """
        return self._pass_over(X, y, sample_weight)

    @_plainly
    def predict(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """Return the predicted numbers: (N,), or (N, K) if there are K > 1."""
        numbers = self._scores(X).numpy()
        return numbers[:, 0] if numbers.shape[1] == 1 else numbers

    def _target_columns(self, y: Any, classes: None) -> tuple[list[Column], None]:
        """Return the columns of numbers, and None for the names of classes."""
        return [Column(numbers=part) for part in self._targets(y).T], None

    def _targets(self, y: Any) -> npt.NDArray[np.float64]:
        """Return the numbers (N, K)."""
        if y is None:
            raise ValueError(_NO_TARGETS)
        numbers: npt.NDArray[np.float64] = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        return numbers[:, None] if numbers.ndim == 1 else numbers


_NO_TARGETS = "requires y to be passed, but the target y is None"


def _labels(y: Any) -> Array:
    """Return the labels (N,)."""
    if y is None:
        raise ValueError(_NO_TARGETS)
    labels: Array = check_array(column_or_1d(y, warn=True), ensure_2d=False, dtype=None, input_name="y")
    check_classification_targets(labels)
    return labels


def _weights(sample_weight: Any, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
    """Return the weights (N,) of the rows of X."""
    weights: npt.NDArray[np.float64] = _check_sample_weight(sample_weight, X, dtype=np.float64)
    return weights


def _unused(name: str, table: Table) -> str:
    """Return a name that no column of a table has."""
    while name in table:
        name += "_"
    return name
