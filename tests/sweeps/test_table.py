"""Numbers of several seeds as one."""

import shutil

import pytest

from deeprob import config as configs
from deeprob.assembly.config import RunConfig
from deeprob.sweeps.table import shown_metrics, spread


def test_a_val_folder_has_a_column(make_run, validated_pictures):
    run = make_run("run", {"dataset": "image_folder", "dataset.root": str(validated_pictures)})
    config = configs.read(RunConfig, run / "config.yaml")
    assert shown_metrics([config]) == ["train/accuracy", "val/accuracy", "test/accuracy"]
    shutil.rmtree(validated_pictures / "val")
    assert shown_metrics([config]) == ["train/accuracy", "test/accuracy"]


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("test/accuracy", [0.5, 0.52, 0.54], "52.00 ± 2.00 %"),
        ("time/seconds", [1.0, 3.0], "2.00 ± 1.41 s"),
        ("train/loss", [0.25, 0.75], "0.5000 ± 0.3536"),
        ("features/count", [9, 9, 9], "9"),
        ("test/accuracy", [0.5], "50.00 %"),
        ("test/accuracy", [], ""),
    ],
)
def test_mean_and_deviation(name, values, text):
    assert spread(name, values) == text
