"""Raw inputs of every kind that people have, and one line for each that cannot be meant."""

import re

import numpy as np
import pytest
import torch

from deeprob.assembly.inputs import as_tensor
from deeprob.errors import UserError

ROWS = np.arange(12.0).reshape(4, 3)
PICTURES = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
READ_ONLY = ROWS.copy()
READ_ONLY.flags.writeable = False


class Frame:
    """What NumPy makes an array of by its own word, as a table of pandas."""

    def __array__(self, dtype=None, copy=None):
        return ROWS


TABLES = {
    "array": (ROWS, torch.float64),
    "upside down": (ROWS[::-1][::-1], torch.float64),
    "by column": (np.asfortranarray(ROWS), torch.float64),
    "every other": (np.repeat(ROWS, 2, 0)[::2], torch.float64),
    "read-only": (READ_ONLY, torch.float64),
    "big-endian": (ROWS.astype(">f8"), torch.float64),
    "long double": (ROWS.astype(np.longdouble), torch.float64),
    "single": (ROWS.astype(np.float32), torch.float32),
    "half": (ROWS.astype(np.float16), torch.float32),
    "int8": (ROWS.astype(np.int8), torch.float64),
    "uint64": (ROWS.astype(np.uint64), torch.float64),
    "lists": (ROWS.tolist(), torch.float64),
    "lists of whole numbers": (ROWS.astype(int).tolist(), torch.float64),
    "list of arrays": (list(ROWS), torch.float64),
    "list of tensors": ([torch.tensor(row, requires_grad=True) for row in ROWS], torch.float64),
    "list of tensors of bfloat16": (list(torch.tensor(ROWS).bfloat16()), torch.float32),
    "frame": (Frame(), torch.float64),
    "masked nowhere": (np.ma.array(ROWS), torch.float64),
    "tensor": (torch.tensor(ROWS), torch.float64),
    "tensor of bfloat16": (torch.tensor(ROWS).bfloat16(), torch.float32),
    "tensor of int32": (torch.tensor(ROWS).int(), torch.float64),
    "tensor by column": (torch.tensor(ROWS.T.copy()).T, torch.float64),
    "parameter": (torch.nn.Parameter(torch.tensor(ROWS)), torch.float64),
}


@pytest.mark.parametrize("kind", TABLES)
def test_rows_of_any_kind_of_numbers(kind):
    given, dtype = TABLES[kind]
    rows = as_tensor(given, (3,))
    assert rows.tolist() == ROWS.tolist()
    assert (rows.dtype, rows.requires_grad) == (dtype, False)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "uint16", "uint64", ">i4"])
def test_pictures_of_any_whole_numbers(dtype):
    for given in (PICTURES.astype(dtype), torch.from_numpy(PICTURES.astype(dtype.replace(">", ""))), PICTURES.tolist()):
        pictures = as_tensor(given, (3, 4, 5))
        assert pictures.dtype == torch.uint8
        assert pictures.tolist() == PICTURES.tolist()


def test_numbers_are_not_copied_without_need():
    rows, pictures = torch.zeros(2, 3), np.zeros((1, 3, 4, 5), np.uint8)
    assert as_tensor(rows, (3,)).data_ptr() == rows.data_ptr()
    pictures[0, 0, 0, 0] = 7
    assert as_tensor(pictures, (3, 4, 5)).max() == 7


@pytest.mark.parametrize("none", [np.zeros((0, 3)), torch.zeros(0, 3), np.zeros((0, 3), int)])
def test_no_rows_at_all(none):
    assert as_tensor(none, (3,)).shape == (0, 3)


def test_no_pictures_at_all():
    assert as_tensor(np.zeros((0, 3, 4, 5), int), (3, 4, 5)).shape == (0, 3, 4, 5)


def with_value(value: float) -> np.ndarray:
    rows = ROWS.copy()
    rows[2, 1] = value
    return rows


WRONG_ROWS = [
    (ROWS[:, :1], "inputs of shape [4, 1]: expected [N, 3]"),
    (torch.zeros(4, 5), "inputs of shape [4, 5]: expected [N, 3]"),
    (ROWS[0], "inputs of shape [3]: expected [N, 3]; this is a single input, and inputs[None] a batch of one"),
    ([0.1, 0.2, 3], "inputs of shape [3]: expected [N, 3]; this is a single input, and [[0.1, 0.2, 3]] a batch of one"),
    ([1 / 7] * 3, "inputs of shape [3]: expected [N, 3]; this is a single input, and [inputs] a batch of one"),
    (ROWS[None], "inputs of shape [1, 4, 3]: expected [N, 3]"),
    (3.0, "inputs of shape []: expected [N, 3]"),
    ([], "inputs of shape [0]: expected [N, 3]"),
    ([[1, 2, 3], [4, 5]], "inputs: no array of numbers; expected rows of one length"),
    ([torch.zeros(3), torch.zeros(2)], "inputs: no array of numbers; expected rows of one length"),
    ("table.csv", "inputs of <U9: expected numbers"),
    (None, "inputs of object: expected numbers"),
    ({"a": 1}, "inputs of object: expected numbers"),
    ([[1, 2, None]], "inputs of object: expected numbers"),
    (ROWS.astype(complex), "inputs of complex128: expected numbers"),
    (torch.zeros(4, 3, dtype=torch.complex64), "inputs of complex64: expected a dense tensor of real numbers"),
    (torch.zeros(4, 3).to_sparse(), "inputs of sparse_coo: expected a dense tensor of real numbers"),
    (np.ma.masked_greater(ROWS, 5), "inputs: some are masked; fill them in, or leave their rows out"),
    (with_value(np.nan), "inputs[2, 1] is nan: expected finite numbers (up to 3e38); correct it, or leave the row out"),
    (
        with_value(-np.inf),
        "inputs[2, 1] is -inf: expected finite numbers (up to 3e38); correct it, or leave the row out",
    ),
]


@pytest.mark.parametrize(("given", "line"), WRONG_ROWS, ids=[line for _, line in WRONG_ROWS])
def test_wrong_rows_are_one_line(given, line):
    with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
        as_tensor(given, (3,))


WRONG_PICTURES = [
    (PICTURES[0], "inputs of shape [3, 4, 5]: expected [N, 3, 4, 5]; this is a single input, and inputs[None] a batch"),
    (
        PICTURES.transpose(0, 2, 3, 1),
        "inputs of shape [2, 4, 5, 3]: expected [N, 3, 4, 5]; channels come before",
    ),
    (PICTURES[0].transpose(1, 2, 0), "inputs of shape [4, 5, 3]: expected [N, 3, 4, 5]; channels come before rows and"),
    (PICTURES.reshape(2, -1), "inputs of shape [2, 60]: expected [N, 3, 4, 5]"),
    (PICTURES / 255, "inputs of float64: expected pictures of uint8, from 0 to 255; if from 0 to 1, give (255 * inpu"),
    (torch.zeros(2, 3, 4, 5), "inputs of float32: expected pictures of uint8, from 0 to 255; if from 0 to 1, give (2"),
    (PICTURES > 9, "inputs of bool: expected pictures of uint8, from 0 to 255"),
    (PICTURES - 1, "inputs from -1 to 118: expected pictures of levels from 0 to 255"),
    (PICTURES + 137, "inputs from 137 to 256: expected pictures of levels from 0 to 255"),
]


@pytest.mark.parametrize(("given", "line"), WRONG_PICTURES, ids=[line for _, line in WRONG_PICTURES])
def test_wrong_pictures_are_one_line(given, line):
    with pytest.raises(UserError, match=f"^{re.escape(line)}"):
        as_tensor(given, (3, 4, 5))
