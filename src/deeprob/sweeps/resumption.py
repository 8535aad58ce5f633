"""Resume a sweep: read its overrides from the files of its jobs."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from deeprob.config.application import parse_arguments
from deeprob.config.overrides import parse
from deeprob.config.own_modules import FLAG, import_words
from deeprob.errors import UserError
from deeprob.running.resume import print_resume
from deeprob.tracking import console
from deeprob.tracking.run_dir import RunDirectory

_HARMLESS = re.compile(
    r"hydra/launcher=\w+|hydra\.launcher\.[a-z]\w*=[\w.+-]+|hydra\.sweep\.subdir=[^$]+"
    r"|hydra\.launcher\.resources(\.\w+=[\d.]+|=\{(\w+: ?[\d.]+,? ?)*\})"
)
"""The overrides of Hydra's own keys that are safe to repeat: a launcher, its settings, and the names of folders.

Other overrides of Hydra could call any function. So could the cluster at an address that a stranger has written.
"""
_OF_ENGINE = re.compile(r"hydra\.launcher\.(cluster|resources)\b")
"""The settings of a launcher that only its engine knows."""
_FORMER = ("hydra.launcher.compile",)
"""Settings that earlier versions had. They never changed a result."""


def words_of_sweep(directory: Path, more: Sequence[str] = ()) -> list[str] | None:
    """Return the overrides of the sweep in a directory; None if no job of a sweep has begun there.

    The overrides are read from a job's ``provenance.json``. The overrides in `more` are added. If `more` chooses a
    launcher, the earlier launcher of the sweep and its settings are left out. If `more` sets one of these settings,
    only its earlier value is left out.

    Raises
    ------
    UserError
        If the sweep's command cannot be parsed, or if it has a part that is unsafe to take from a file.
    """
    commands = (
        RunDirectory(path.parent).read_json("provenance").get("command")
        for path in sorted(directory.glob("*/provenance.json"))
    )
    command = next((command for command in commands if isinstance(command, str)), None)
    if command is None:
        return None
    given = {override.key_or_group for override in parse(more)}
    by_hand = f"resume={directory}: type the sweep's command again, with hydra.sweep.dir={directory} resume=auto"
    try:
        arguments, _ = parse_arguments(shlex.split(command)[1:])
        words: list[str] = arguments.overrides
        parsed = list(zip(parse(words), words, strict=True))
    except (UserError, ValueError) as error:
        raise UserError(f"{by_hand} (provenance.json does not have this command)") from error
    if not (arguments.multirun or (directory / "summary.csv").exists()):
        return None
    kept = [
        word
        for override, word in parsed
        if override.key_or_group not in ("resume", "hydra.sweep.dir", *_FORMER)
        and not ("hydra/launcher" in given and re.match(r"hydra[/.]launcher\b", override.key_or_group))
        and not (override.key_or_group in given and override.key_or_group.startswith("hydra.launcher."))
        and not ("hydra.launcher.engine" in given and _OF_ENGINE.match(override.key_or_group))
    ]
    asked = {"--config-dir": arguments.config_dir, "--config-name": arguments.config_name}
    if arguments.imports and not import_words():
        flags = shlex.join([word for module in arguments.imports for word in (FLAG, module)])
        raise UserError(f"resume={directory}: the sweep was started with {flags}: add {flags}")
    refused = [f"{flag} {value}" for flag, value in asked.items() if value is not None]
    refused += [
        word
        for override, word in parsed
        if word in kept and ("${" in word or (override.is_hydra_override() and not _HARMLESS.fullmatch(word)))
    ]
    if refused and refused[0].startswith("hydra.launcher.cluster="):
        raise UserError(f"resume={directory}: add {refused[0]}, which deeprob does not take from a file")
    if refused:
        raise UserError(f"{by_hand} (it has {refused[0]}, which deeprob does not take from a file)")
    return [*kept, *more]


def print_sweep(directory: Path, *, finished: bool) -> None:
    """Print the directory of a sweep, and the command that compares its runs.

    If the sweep is not finished, also print the command that resumes it. If no job has begun, print only the directory.
    """
    console.say(f"\nsweep      {console.near(directory)}")
    if not any(directory.glob("*/config.yaml")):  # no job has begun
        return
    if not finished:
        print_resume(directory)
    console.say(f"compare    {shlex.join(['deeprob-compare', *import_words(), console.near(directory)])}")
