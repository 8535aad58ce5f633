"""The parts keep their contracts, and train a network together."""

import sys

import pytest

from deeprob.commands.main import main


@pytest.mark.parametrize("option", ["model=resmlp", "optimizer=signum"])
def test_the_contract(option: str) -> None:
    """Each part keeps what ``deeprob-check-part`` tries."""
    assert main([option], "check_part") == 0


def test_a_run(tmp_path, capsys) -> None:  # noqa: ANN001
    """A small run learns the spirals."""
    small = ["dataset.points_per_class=100", "trainer.epochs=20", "trainer.figures=[]", f"hydra.run.dir={tmp_path}/run"]
    assert main(["model=resmlp", "optimizer=signum", *small]) == 0
    assert "own_parts.parts" in sys.modules
