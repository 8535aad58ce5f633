"""Folders of pictures of any kind, which change between two starts."""

import io
import os
import random
import shutil
from contextlib import suppress
from pathlib import Path

from fuzzing.draw import SPLITS, Draw, quoted
from fuzzing.stock import noise
from fuzzing.tables import look_at
from fuzzing.words import right_words
from PIL import Image
from test_malformed_datasets import FINE, FOLDERS, good_folder

FORMATS = {
    "PNG": ("png", "PNG", "Png"), "JPEG": ("jpg", "jpeg", "JPG"), "GIF": ("gif",), "BMP": ("bmp",), "WEBP": ("webp",),
    "TIFF": ("tif", "tiff"), "PPM": ("ppm",),
}  # fmt: skip
MODES = ("RGB", "L", "P", "RGBA", "LA", "1", "CMYK")
CLASSES = [
    "cats", "dogs", "birds", "Ünï", "a b", "$x$", "[bold]", "=1", "1", "01", "true", "猫", "x" * 200, "a,b", "'", '"',
    "<b>", "\u202ex", "${seed}", "-x", "%", "class names that are long and have many words",
]  # fmt: skip
NAMES = ["{}", "a {}", "ä{}", "[{}]", "${}$", "={}", "{}.tar", "-{}", "🙂{}", "x" * 150 + "{}", "{}%"]
LAYOUTS = [("",), ("train", "test")]
ODD_LAYOUTS = [
    ("train", "test", "val"), ("Train", "Test"), ("TRAIN", "TEST"), ("train",), ("test",), ("train", "val"), ("data",),
]  # fmt: skip


def picture(rng: random.Random, size: tuple[int, int]) -> tuple[str, bytes]:
    """Draw a picture file: the end of its name, and its bytes."""
    kind, mode = rng.choice(["PNG"] * 4 + [*FORMATS]), rng.choice(MODES) if rng.random() < 0.997 else "I;16"
    image = Image.fromarray(noise(*size, rng.randrange(10**6)))
    image = image.convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)
    text, options = io.BytesIO(), {}
    if kind in ("GIF", "WEBP", "PNG", "TIFF") and rng.random() < 0.2:
        options = {"save_all": True, "append_images": [image.rotate(90 * n) for n in range(rng.randint(1, 3))]}
    if kind in ("JPEG", "PNG", "WEBP", "TIFF") and rng.random() < 0.3:
        exif = Image.Exif()
        exif[0x0112] = rng.choice([0, 1, 3, 5, 6, 8, 9])
        options["exif"] = exif
    try:
        image.save(text, kind, **options)
    except (OSError, ValueError):  # the format has no such mode
        text = io.BytesIO()
        image.convert("RGB").save(text, "PNG")
        kind = "PNG"
    data = text.getvalue()
    return rng.choice(FORMATS[kind]), data


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Cut bytes short, change or lengthen them."""
    if rng.random() < 0.3:
        return data[: rng.randrange(len(data))]
    if rng.random() < 0.5:
        place = rng.randrange(len(data))
        return data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :]
    return rng.choice([b"", b"text", data + rng.randbytes(50), rng.randbytes(200)])


def fill(rng: random.Random, root: Path) -> None:
    """Make a folder of pictures."""
    size = rng.choice([(8, 8), (8, 8), (12, 12), (1, 1), (3, 5), (16, 9), (33, 32)])
    classes = (
        rng.sample([*CLASSES, *SPLITS], 1) if rng.random() < 0.05 else rng.sample(CLASSES, rng.choice([2, 2, 3, 4]))
    )
    alike, names = rng.random() < 0.8, NAMES if rng.random() < 0.3 else ["{}"]
    for part in rng.choice(ODD_LAYOUTS if rng.random() < 0.1 else LAYOUTS):
        for name in classes:
            folder = root / part / name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(0 if rng.random() < 0.02 else rng.choice([1, 2, 5, 5, 9])):
                end, data = picture(rng, size if alike else (rng.randint(1, 40), rng.randint(1, 40)))
                data = damaged(rng, data) if rng.random() < 0.002 else data
                put(folder / f"{rng.choice(names).format(number)}.{end}", data)


def put(path: Path, data: bytes) -> None:
    """Write a file, if its name is not too long."""
    if len(os.fsencode(path.name)) < 256:
        path.write_bytes(data)


def meddle(rng: random.Random, root: Path) -> None:
    """Add, change, move or remove something."""
    folders = [path for path in sorted(root.rglob("*")) if path.is_dir() and ".deeprob-cache" not in path.parts] or [
        root
    ]
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and ".deeprob-cache" not in path.parts]
    folder = rng.choice(folders)
    file = rng.choice(files) if files else folder / "none"
    actions = {
        "add": lambda: put(folder / "more.png", picture(rng, (8, 8))[1]),
        "change": lambda: file.write_bytes(picture(rng, (8, 8))[1]),
        "damage": lambda: file.write_bytes(damaged(rng, file.read_bytes() or b"x")),
        "remove": lambda: file.unlink(missing_ok=True),
        "rename": lambda: file.rename(file.with_name(f"renamed{file.suffix}")),
        "touch": lambda: os.utime(file, (1e9, 1e9)),
        "remove folder": lambda: shutil.rmtree(folder),
        "rename folder": lambda: folder.rename(folder.with_name("renamed")),
        "empty folder": (folder / "empty").mkdir,
        "link to file": lambda: (folder / "link.png").symlink_to(file),
        "link to folder": lambda: (root / "linked").symlink_to(folder, target_is_directory=True),
        "link to nothing": lambda: (folder / "nothing.png").symlink_to("nowhere"),
        "hidden": lambda: (folder / ".DS_Store").write_bytes(b"x"),
        "text": lambda: (folder / "README.txt").write_text("x"),
        "forbidden file": lambda: file.chmod(0),
        "forbidden folder": lambda: folder.chmod(0),
        "written by nobody": lambda: folder.chmod(0o555),
        "spoil cache": lambda: [path.write_bytes(b"x") for path in (root / ".deeprob-cache").glob("*.npy")],
        "remove cache": lambda: shutil.rmtree(root / ".deeprob-cache"),
    }
    with suppress(OSError):  # where there is nothing to meddle with
        actions[rng.choice([*actions])]()


def pictures(draw: Draw) -> None:
    """Train on pictures, change the folder, and go on, start again, and measure."""
    rng = draw.rng
    root = draw.data / rng.choice(["pictures", "a b", "ünï", "$x", "x=1"])
    root.mkdir()
    if rng.random() < 0.15:
        good_folder(root)
        cases = {**FOLDERS, **{name: build for name, build in FINE.items() if name.startswith("pictures")}}
        cases[rng.choice([*cases])](root)
    else:
        fill(rng, root)
    if rng.random() < 0.2:
        meddle(rng, root)
    words = ["dataset=image_folder", f"dataset.root={quoted(str(root))}"]
    if rng.random() < 0.5:
        words.append(f"dataset.image_size={rng.choice([1, 2, 4, 8, 16])}")
    if rng.random() < 0.3:
        words += [rng.choice(["dataset.flip=true", "dataset.crop=1", "dataset.crop=9"])]
    words += right_words(draw, rng.choice([0, 1, 1, 2]), ["dataset", "loss"])
    words = [word for word in words if "points_per_class" not in word]
    first = draw.run(*words, "hydra.run.dir=run")
    for _ in range(rng.randint(0, 3)):
        meddle(rng, root)
    if first.status == 0 and (draw.work / "run/summary.json").exists():
        rng.choice([
            lambda: draw.run("run=run", f"split={rng.choice(['train', 'test'])}", command="evaluate", whole=False),
            lambda: draw.run("resume=run", "trainer.epochs=3", whole=False),
            lambda: look_at(draw, Path("run")),
        ])()  # fmt: skip
    draw.run(*words, "hydra.run.dir=again")
