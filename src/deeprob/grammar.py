"""Reading ``key=value`` words by Hydra's grammar, each word once."""

import functools

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override


@functools.lru_cache(maxsize=4096)
def override_of(word: str, loader: ConfigLoader | None = None) -> Override:
    """Return what a word says, which takes Hydra a millisecond; a sweep has the same words in many jobs.

    Parameters
    ----------
    word
        Such as ``optimizer.lr=1e-3``.
    loader
        Knows the options that a sweep's ``glob(…)`` stands for.

    Raises
    ------
    OverrideParseException
        When it cannot be read.
    """
    (override,) = OverridesParser.create(loader).parse_overrides([word])
    return override
