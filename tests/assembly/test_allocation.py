import subprocess
import sys

import pytest
import torch

from deeprob.assembly.allocation import NoLargerThan


def test_what_fits_into_the_bytes_is_made_and_what_does_not_is_refused():
    with NoLargerThan([torch.zeros(2), torch.zeros(3, dtype=torch.float64)]):  # 8 + 24 bytes
        assert torch.empty(4, 8).shape == (4, 8)
        with pytest.raises(ValueError, match="a tensor of size"):
            torch.empty(33)
    assert torch.empty(33).shape == (33,)


def test_it_does_not_import_the_compiler_of_torch():
    words = "import sys; import torch; from deeprob.assembly.allocation import NoLargerThan\n"
    words += "with NoLargerThan([torch.zeros(9)]): torch.zeros(3)\nprint('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout == "False\n"
