import re

import numpy as np
import pytest
import torch

from deeprob.figures.of_layers.stages import frame_of, project, tears


def test_principal_components_are_those_of_numpy():
    values = torch.randn(50, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 6)
    projection = project("relu 1", values)
    centred = values.numpy() - values.numpy().mean(0)
    _, singular, rows = np.linalg.svd(centred, full_matrices=False)
    found = projection(values).numpy()
    for place in range(2):
        sign = np.sign(rows[place][np.abs(rows[place]).argmax()])
        np.testing.assert_allclose(found[:, place], sign * centred @ rows[place], atol=1e-9)
    shares = 100 * singular**2 / (singular**2).sum()
    assert projection.labels == tuple(f"PC {k + 1} ({shares[k]:.0f} % of variance)" for k in range(2))
    assert not projection.by_unit


def test_three_scores_are_seen_whole_so_that_ties_are_three_straight_rays():
    scores = torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    projection = project("scores", scores)
    seen = projection(scores)
    differences = scores - scores.mean(1, keepdim=True)
    torch.testing.assert_close(torch.cdist(seen, seen), torch.cdist(differences, differences))
    one = torch.ones(3, dtype=torch.float64)
    torch.testing.assert_close(projection(scores + one), seen)  # what all scores have in common decides nothing
    assert sum(int(re.findall(r"\((\d+) %", label)[0]) for label in projection.labels) in (99, 100, 101)


def test_a_dead_layer_has_room_around_its_only_point():
    assert frame_of(torch.zeros(5, 2)) == (-0.5, 0.5, -0.5, 0.5)
    flat = torch.tensor([[0.0, 3.0], [2.0, 3.0]])
    assert frame_of(flat) == pytest.approx((-0.2, 2.2, 2.0, 4.0))


def test_a_jump_is_where_it_ends():
    line = torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.2, 3.0], [0.3, 3.0]])
    assert tears(line).tolist() == [False, False, True, False]


def test_one_example_has_two_axes():
    projection = project("relu 1", torch.tensor([[1.0, 2.0, 4.0]]))
    assert projection.labels == ("PC 1 (0 % of variance)", "PC 2 (0 % of variance)")
    assert projection(torch.tensor([[1.0, 2.0, 4.0]])).tolist() == [[0.0, 0.0]]
