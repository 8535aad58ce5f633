import pytest
import torch

from deeprob.assembly.allocation import NoLargerThan


def test_what_fits_into_the_bytes_is_made_and_what_does_not_is_refused():
    with NoLargerThan([torch.zeros(2), torch.zeros(3, dtype=torch.float64)]):  # 8 + 24 bytes
        assert torch.empty(4, 8).shape == (4, 8)
        with pytest.raises(ValueError, match="a tensor of size"):
            torch.empty(33)
    assert torch.empty(33).shape == (33,)
