"""Runs, a table and pictures that draws copy: made once in a process, by commands that are as fixed as their names."""

import shutil
from functools import cached_property
from pathlib import Path

import numpy as np
import nursery
from test_malformed_datasets import encoded

SMALL = ("dataset.points_per_class=30", "dataset.test_points_per_class=20", "model.width=8", "trainer.epochs=3",
         "trainer.progress=false", "trainer.figures=[]")  # fmt: skip
VAL = "dataset.val_fraction=0.2"
PICTURES = ("dataset=image_folder", "dataset.root=PICTURES", "trainer.epochs=2", "trainer.figures=[]", VAL)
RUNS = {
    "mlp": (*SMALL, VAL),
    "mlp again": (*SMALL, VAL, "seed=1"),
    "wide": (*SMALL, VAL, "model.width=9", "model.norm=batch", "model.dropout=0.2"),
    "longer": (*SMALL, VAL, "scheduler=constant", "optimizer=sgd", "trainer.epochs=4"),
    "shown": (*SMALL, "trainer.figures=[decision_boundary]"),
    "deep": (*SMALL, "model.layers=3", "model.width=2", "optimizer.lr=0.1", "regularizer=l2"),
    "linear": (*SMALL[:2], *SMALL[3:], "model=linear", "loss=hinge", "dataset=moons", VAL),
    "lbfgs": (*SMALL, "optimizer=lbfgs", "trainer.precision=float64"),
    "regression": ("dataset=random_regression", "dataset.examples=20", "dataset.test_examples=9", "dataset.inputs=3",
                   "dataset.outputs=2", "loss=squared_error", "trainer.epochs=3", "trainer.figures=[]"),
    "table": ("dataset=csv", "dataset.root=TABLE", "trainer.epochs=3", "trainer.figures=[]", VAL),
    "pixels": (*PICTURES, "model=linear"),
    "hog": (*PICTURES, "features=hog", "features.cell=4", "model.width=8"),
    "words": (*PICTURES, "features=bag_of_words", "features.words=5", "features.patch=3", "model=linear"),
    "colors": (*PICTURES, "features=color_histogram", "model=linear"),
    "sweep": ("-m", *SMALL, VAL, "model.width=2,8", "seed=0,1", "hydra/launcher=basic"),
    "stack": ("-m", *SMALL, VAL, "optimizer.lr=0.001,0.01", "seed=0,1"),
}  # fmt: skip
DIVERGED = (*SMALL, VAL, "optimizer=sgd", "optimizer.lr=1e30")
UNFINISHED = (*SMALL, VAL, "trainer.epochs=6", "trainer.checkpoint_steps=2", "scheduler=constant")
ALONE = [*(name for name, words in RUNS.items() if "-m" not in words), "diverged", "unfinished"]
SWEEPS = ("sweep", "stack")


class Stock:
    """Lies in a folder that it makes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    @cached_property
    def table(self) -> Path:
        """A table of two numbers and one of three classes."""
        path = self.folder / "table.csv"
        rows = [f"{n % 7},{n % 5 - 1.5},{'abc'[(n % 7) // 3]}" for n in range(40)]
        path.write_text("\n".join(["length,width,kind", *rows]) + "\n")
        return path

    @cached_property
    def pictures(self) -> Path:
        """Twelve pictures of 12×12, of two classes."""
        folder = self.folder / "pictures"
        for name in ("cats", "dogs"):
            (folder / name).mkdir(parents=True)
            for number in range(6):
                pixels = noise(12, 12, number + 10 * (name == "dogs"))
                (folder / name / f"{number}.png").write_bytes(encoded("PNG", pixels))
        return folder

    def run(self, name: str) -> Path:
        """Return the directory of a run or a sweep, made now if it is not yet there."""
        directory = self.folder / name
        if not directory.exists():
            self._make(directory, self.words(name), kill=name == "unfinished")
        return directory

    def words(self, name: str) -> list[str]:
        """Return the words that make a run or a sweep, but for its directory."""
        words = {"diverged": DIVERGED, "unfinished": UNFINISHED, **RUNS}[name]
        return [word.replace("PICTURES", str(self.pictures)).replace("TABLE", str(self.table)) for word in words]

    def copy(self, name: str, to: Path) -> Path:
        """Copy a run or a sweep."""
        return Path(shutil.copytree(self.run(name), to, symlinks=True))

    def _make(self, directory: Path, words: list[str], *, kill: bool) -> None:
        place = "sweep" if "-m" in words else "run"
        words = [*words, f'hydra.{place}.dir="{directory}"']
        answer = nursery.answer(words, str(self.folder), writes=5 if kill else None)
        assert answer["status"] in (0, 3, -9), answer


def noise(width: int, height: int, seed: int) -> np.ndarray:
    """Return random pixels (H, W, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
