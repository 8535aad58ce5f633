import pytest
import torch

from deeprob.data import Examples
from deeprob.features import RawConfig
from deeprob.training.training_data import DataOfRuns, TrainingData


def data(count: int = 4, inputs: int = 3, **more) -> TrainingData:
    examples = Examples(torch.zeros(count, inputs), torch.zeros(count, dtype=torch.int64))
    return TrainingData(RawConfig().build((inputs,)), examples, **more)


def test_equal_numbers_are_different_data():
    one, other = data(), data()
    found = DataOfRuns([one, other, one, other, other])
    assert found.different == [one, other]
    assert found.places is not None
    assert found.places.tolist() == [0, 1, 0, 1, 1]


def test_each_run_gets_the_tensor_of_its_data():
    one, other = data(), data()
    tensors = [torch.tensor([1, 2]), torch.tensor([3, 4])]
    assert DataOfRuns([other, one, other]).each(tensors).tolist() == [[1, 2], [3, 4], [1, 2]]


def test_shared_data_are_not_copied():
    one, tensor = data(), torch.tensor([1, 2])
    found = DataOfRuns([one, one, one])
    assert found.places is None
    assert found.each([tensor]).tolist() == [[1, 2]] * 3
    assert found.each([tensor]).data_ptr() == tensor.data_ptr()


@pytest.mark.parametrize("validation", [None, data(2).train])
def test_shapes(validation):
    one = data(validation=validation)
    assert one.shapes == data(validation=validation).shapes
    for changes in ({"count": 5}, {"inputs": 2}, {"validation": data(3).train}):
        assert one.shapes != data(**{"validation": validation, **changes}).shapes
