import subprocess
import sys
import typing

import pytest

import deeprob.parts
from deeprob import parts
from deeprob.parts import protocols
from deeprob.parts.contract import CLAUSES


def protocol_classes() -> dict[str, type]:
    return {
        name: cls for name, cls in vars(protocols).items() if isinstance(cls, type) and typing.Protocol in cls.__bases__
    }


def members(cls: type) -> set[str]:
    return {name for name in {*vars(cls), *cls.__annotations__} if not name.startswith("_") or name == "__call__"}


def test_every_group_has_a_protocol_whose_members_the_base_class_has():
    found = protocol_classes()
    assert {name.removesuffix("Part").lower() for name in found if name.endswith("Part")} == set(CLAUSES)
    for name, cls in found.items():
        stem = name.removeprefix("Built").removesuffix("Part")
        base = getattr(parts, "Schedule" if name == "BuiltSchedule" else stem if "Built" in name else f"{stem}Config")
        of_object = {"output_shape"} if name == "BuiltFeatures" else set()
        known = {*dir(base), *getattr(base, "__annotations__", ()), *of_object}
        assert (
            members(cls) - known - {name for c in base.__mro__ for name in vars(c).get("__annotations__", ())} == set()
        )


def test_every_member_says_what_it_is():
    for cls in protocol_classes().values():
        assert cls.__doc__
        for name, member in vars(cls).items():
            if name in members(cls) and (callable(member) or isinstance(member, property)):
                assert member.__doc__, (cls, name)


def test_authors_find_every_name_at_one_place():
    assert [name for name in parts.__all__ if getattr(parts, name, None) is None] == []
    assert parts.ModelConfig is deeprob.models.ModelConfig
    assert parts.decay_groups is deeprob.optim.base.decay_groups
    with pytest.raises(AttributeError, match="has no attribute 'Network'"):
        parts.Network  # noqa: B018


def test_the_face_imports_what_is_used():
    light = "import sys, deeprob.parts; print('torch' in sys.modules, deeprob.parts.UserError.status)"
    done = subprocess.run([sys.executable, "-c", light], capture_output=True, text=True, check=True)
    assert done.stdout == "False 2\n"
