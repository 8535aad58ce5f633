"""Train on a folder of pictures, and draw the ones that the network is least sure about.

    python examples/own_pictures.py FOLDER

FOLDER has one folder of pictures per class. Without FOLDER the script draws pictures of circles and squares itself.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw

from deeprob import load_run
from deeprob.commands.main import main

DIRECTORY = Path("outputs/own_pictures")


def draw_shapes(folder: Path, count: int = 60) -> Path:
    """Draw noisy circles and squares of 16 × 16 pixels into a folder, and return it."""
    rng = np.random.default_rng(0)
    for shape in ("ellipse", "rectangle"):
        (folder / shape).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture = Image.fromarray(rng.integers(0, 120, (16, 16, 3), dtype=np.uint8))
            left, top, size = rng.integers(0, 5), rng.integers(0, 5), rng.integers(7, 11)
            getattr(ImageDraw.Draw(picture), shape)(
                (left, top, left + size, top + size), fill=tuple(rng.integers(90, 255, 3))
            )
            picture.save(folder / shape / f"{number:03}.png")
    return folder


def draw_unsure(path: Path, count: int = 8) -> None:
    """Draw the test pictures whose largest probability is smallest."""
    run = load_run(DIRECTORY)
    test = run.data().test
    probabilities = run(test.inputs).softmax(dim=1)
    unsure = probabilities.amax(dim=1).argsort()[:count].tolist()
    figure, axes = plt.subplots(1, len(unsure), figsize=(1.5 * len(unsure), 2), squeeze=False)
    for place, index in zip(axes[0], unsure, strict=True):
        best = int(probabilities[index].argmax())
        place.imshow(test.inputs[index].permute(1, 2, 0))
        place.set_title(f"{run.classes[best]}\n{100 * probabilities[index, best]:.0f} %", fontsize=8)
        place.set_axis_off()
    figure.savefig(path, bbox_inches="tight")
    print(f"pictures   {path}")


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else draw_shapes(Path("outputs/shapes"))
    words = ["dataset=image_folder", f'dataset.root="{folder}"', "features=hog", "model.width=64"]
    words += ["trainer.batch_size=16", f"hydra.run.dir={DIRECTORY}", "resume=auto"]
    if status := main(words):
        raise SystemExit(status)
    draw_unsure(DIRECTORY / "unsure.png")
