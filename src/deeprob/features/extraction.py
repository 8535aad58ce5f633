"""Fit and extract features. If this takes long, the results are kept in the user's cache folder for later runs."""

import functools
import hashlib
import inspect
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from deeprob import randomness
from deeprob.errors import UserError, memory_errors, one_line
from deeprob.features.base import Features
from deeprob.features.chain import Chain, standardized
from deeprob.tracking.cache import Cache, Damaged, fingerprint, user_cache
from deeprob.tracking.console import note
from deeprob.tracking.device import device_name

WORTH = 1.0
"""A result is written to the cache if its computation took at least this many seconds."""

_EXTRACTED = "extracted"


def fit(features: Features, inputs: Tensor, weights: Tensor | None = None) -> Tensor:
    """Fit features to the raw training inputs, and return the features of these inputs (see `Features.fit`).

    Parameters
    ----------
    features
        The result of `FeaturesConfig.make`, not yet fitted.
    inputs
        The raw inputs (N, …) of the training split.
    weights
        The weights (N,) of the examples. None: each has the weight 1.

    Returns
    -------
    Tensor
        The features (N, …). Features from the cache are exactly equal to newly computed ones.

    Raises
    ------
    UserError
        If there are weights, and features of the user's own do not take them.
    """
    weighted: tuple[Tensor, ...] = () if weights is None else (weights.to(features.like.device),)
    if weighted and len(inspect.signature(features.fit).parameters) < 2:
        raise UserError(
            f"features={features.name}: fit(inputs) takes no weights of examples; write fit(inputs, weights=None)"
        )
    if isinstance(features, Chain):  # each part has its own cache entry, which stays valid when a later part changes
        *before, last = features.steps()
        for part in before:
            inputs = standardized(part, fit(part, inputs, weights))
        return fit(last, inputs, weights)
    if features.unchanged:
        return features.fit(inputs, *weighted)

    def compute() -> dict[str, Tensor]:
        extracted = features.fit(inputs, *weighted)
        return {_EXTRACTED: extracted, **{f"state.{name}": value for name, value in features.state_dict().items()}}

    with memory_errors(advice=_size(features, inputs)):
        content = _kept(_cache_key("fit", features, inputs, *map(fingerprint, weighted)), compute)
    extracted = content.pop(_EXTRACTED)
    features.load_state_dict({name.removeprefix("state."): value for name, value in content.items()})
    return extracted


def extract(features: Features, inputs: Tensor) -> Tensor:
    """Return the features (N, …) of raw inputs (N, …), either from the cache or newly computed.

    Features from the cache are exactly equal to newly computed ones.
    """
    if isinstance(features, Chain):
        *before, last = features.steps()
        for part in before:
            inputs = standardized(part, extract(part, inputs))
        return extract(last, inputs)
    if features.unchanged:
        return features.extract(inputs)
    state = features.state_dict()
    fitted = _read(_cache_key("fit", features, inputs))  # not None if these inputs are the training split
    if fitted is not None and all(torch.equal(fitted[f"state.{name}"], value.cpu()) for name, value in state.items()):
        return fitted[_EXTRACTED]
    # standardisation comes after `extract`, so it is not part of the key
    learned = {name: value for name, value in state.items() if not name.startswith("standardize.")}
    words = [f"{name}={fingerprint(value)}" for name, value in learned.items()]
    key = _cache_key("extract", features, inputs, *words)
    with memory_errors(advice=_size(features, inputs)):
        return _kept(key, lambda: {_EXTRACTED: features.extract(inputs)})[_EXTRACTED]


def _size(features: Features, inputs: Tensor) -> str:
    """Return the advice that is printed if there is not enough memory for the features."""
    numbers = f"{features.output_count:,} numbers for each of {len(inputs):,} inputs"
    return f"features={features.name} has {numbers}; lower them, or dataset.limit"


def _read(key: str) -> dict[str, Tensor] | None:
    """Return the content that is in the cache under `key`, or None if there is none.

    If the content is damaged, print a note and return None.
    """
    try:
        return Cache(user_cache() / "features").get(key)
    except Damaged as error:
        note(f"{one_line(error)}; these features are computed again")
        return None


def _kept(key: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the content that is in the cache under `key`; if there is none, compute it.

    If the computation took at least `WORTH` seconds, the result is written to the cache. If the cache is damaged or
    cannot be written, a note is printed.
    """
    content = _read(key)
    if content is not None:
        return content
    began = time.monotonic()
    content = compute()
    if any(value.is_cuda for value in content.values()):
        torch.cuda.synchronize()
    if time.monotonic() - began >= WORTH:
        try:
            Cache(user_cache() / "features").put(key, content)
        except OSError as error:
            note(f"{one_line(error)}; these features cannot be kept, and are computed again each time")
    return content


def _cache_key(purpose: str, features: Features, inputs: Tensor, *state: str) -> str:
    """Return a cache key, which is a hash of everything that can change the features.

    These are the code, the settings, the machine, the inputs, and the fitted values `state`.
    """
    assert features.settings, "made by build() and not by make(): its settings are unknown"
    like = features.like
    machine = f"{device_name(like.device)} {torch.backends.cpu.get_cpu_capability()} {torch.get_num_threads()}"
    settings = f"{features.settings} {like.dtype}"
    words = [purpose, _code(features), settings, machine, fingerprint(inputs), *state]
    return hashlib.blake2b("\n".join(words).encode(), digest_size=16).hexdigest()


def _code(features: Features) -> str:
    """Return a hash of the code that computes the features.

    The cache key contains this hash, so a change of the code makes older features in the cache unused.
    """
    modules = {sys.modules[type(part).__module__] for part in features.modules()}
    files = {Path(file) for module in modules if (file := getattr(module, "__file__", None))}
    package_files = Path(__file__).parent.glob("*.py")
    return _hash_of(tuple(sorted({*files, *package_files, Path(randomness.__file__)})))


@functools.cache
def _hash_of(files: tuple[Path, ...]) -> str:
    digest = hashlib.blake2b(torch.__version__.encode(), digest_size=16)
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()
