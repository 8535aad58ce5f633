"""Malformed datasets: one line that names what is at fault, nothing left behind, and no payload ever runs."""

import functools
import gzip
import hashlib
import io
import os
import pickle
import signal
import socket
import stat
import struct
import tarfile
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

from deeprob.data import ImageFolderConfig

Build = Callable[[Path], Path | str]
"""Spoils the dataset in a folder, and returns what the line must name."""


class Canary:
    """An object whose pickle makes a file when it is loaded."""

    def __init__(self, root: Path) -> None:
        self.path = root.parent / "sang"

    def __reduce__(self):
        return Path.touch, (self.path,)


def put(name: str, content: bytes | str | Callable[[Path], bytes]) -> Build:
    """Write a file, which is then at fault."""

    def build(root: Path) -> Path:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        made = content(root) if callable(content) else content
        path.write_bytes(made.encode() if isinstance(made, str) else made)
        return path

    return build


def naming(name: str, *builds: Build) -> Build:
    """Do several things; what the line must name is another path below the root, or the root."""

    def build(root: Path) -> Path:
        for one in builds:
            one(root)
        return Path(os.path.normpath(root / name))

    return build


def gone(name: str) -> Build:
    """Remove a file or a folder, which is then at fault."""

    def build(root: Path) -> Path:
        path = root / name
        for inner in (*path.glob("*"), path) if path.is_dir() else (path,):
            inner.rmdir() if inner.is_dir() else inner.unlink()
        return path

    return build


def link(name: str, target: str) -> Build:
    """Make a symbolic link, which is then at fault."""

    def build(root: Path) -> Path:
        (root / name).symlink_to(target)
        return root / name

    return build


def special(name: str) -> Build:
    """Make a named pipe, reading from which waits for ever."""

    def build(root: Path) -> Path:
        (root / name).unlink(missing_ok=True)
        os.mkfifo(root / name)
        return root / name

    return build


def listening(root: Path) -> Path:
    """Make a socket."""
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(root)  # a socket's path may have about 100 bytes
        one.bind("cats/0.png.bmp")
        os.chdir(here)
    return root / "cats/0.png.bmp"


# ---------------------------------------------------------------- folders of pictures

NOISE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
LARGE = NOISE.repeat(8, 0).repeat(8, 1)


def encoded(form: str, pixels: np.ndarray = NOISE, mode: str = "RGB", **options) -> bytes:
    text = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(text, form, **options)
    return text.getvalue()


def png(width: int, height: int, pixels: bytes, depth: int = 8, color: int = 2) -> bytes:
    """A PNG of any header."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


PNG, JPEG, GIF = encoded("PNG"), encoded("JPEG", LARGE), encoded("GIF", LARGE)
WIDE = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000


def good_folder(root: Path) -> tuple[str, ...]:
    for name in ("cats", "dogs"):
        for number in range(3):
            put(f"{name}/{number}.png", PNG)(root)
    return ("dataset=image_folder", f"dataset.root={root}", "dataset.test_fraction=0.4")


def splits(root: Path) -> None:
    """The same as train/ and test/."""
    for name in ("train", "test"):
        (root / name).mkdir()
        for kind in ("cats", "dogs"):
            put(f"{name}/{kind}/0.png", PNG)(root)
    for kind in ("cats", "dogs"):
        gone(kind)(root)


FOLDERS: dict[str, Build] = {
    "a JPEG cut in half": put("cats/1.jpg", JPEG[: len(JPEG) // 2]),
    "a JPEG of only its first bytes": put("cats/1.jpg", JPEG[:3]),
    "a JPEG with a marker that is none": put("cats/1.jpg", JPEG[:2] + b"\xff\x02" + JPEG[4:]),
    "a PNG cut in half": put("cats/1.png", PNG[: len(PNG) // 2]),
    "a PNG with a wrong checksum": put("cats/1.png", PNG.replace(b"IDAT", b"IDAT\1", 1)),
    "a PNG header with a flipped bit": put("cats/1.png", PNG[:19] + b"\t" + PNG[20:]),
    "a PNG of nothing but zeros inside": put("cats/1.png", png(8, 8, bytes(100))),
    "a PNG without pixels": put("cats/1.png", png(0, 0, zlib.compress(b""))),
    "a PNG that claims 10^18 pixels": put("cats/1.png", png(10**9, 10**9, zlib.compress(bytes(100)))),
    "a bomb: 144 million pixels in 1 kB": put("cats/0.png", png(12_000, 12_000, b"", 1, 0)),
    "a bomb: 2 billion pixels in 1 kB": put("cats/2.png", png(45_000, 45_000, b"", 1, 0)),
    "no bytes": put("cats/1.png", b""),
    "text": put("cats/1.jpg", "not a picture"),
    "a page of HTML": put("dogs/1.png", "<!DOCTYPE html><html>404</html>"),
    "a pickle with a payload": put("dogs/1.png", lambda root: pickle.dumps(Canary(root))),
    "a script": put("dogs/1.png", "#!/bin/sh\ntouch ../../sang\n"),
    "an SVG": put("dogs/1.png", '<svg xmlns="http://www.w3.org/2000/svg"/>'),
    "a PostScript program": put("dogs/1.png", "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(sang) (w) file\n"),
    "a GIF cut in half": put("dogs/1.gif", GIF[: len(GIF) // 2]),
    "a BMP of its header alone": put("dogs/1.bmp", b"BM" + bytes(60)),
    "a BMP of negative width": put("dogs/1.bmp", b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, -8, 8, 1, 24, 0)),
    "a WebP cut in half": put("dogs/1.webp", encoded("WEBP", LARGE)[:100]),
    "a TIFF cut in half": put("dogs/1.tif", encoded("TIFF", LARGE)[:6000]),
    "a TIFF whose directory points at itself": put("dogs/1.tif", b"II*\0\10\0\0\0\0\0\10\0\0\0"),
    "a PPM of letters": put("dogs/1.ppm", "P3\n8 8\n255\n" + "a " * 192),
    "a PPM of a huge size": put("dogs/1.ppm", "P6\n99999999 99999999\n255\n"),
    "pixels of 16 bits": put("dogs/1.png", encoded("PNG", WIDE, "I;16")),
    "pixels that are floats": put("dogs/1.tif", encoded("TIFF", WIDE, "F")),
    "another size": put("cats/1.png", encoded("PNG", NOISE[:, :7])),
    "another size of one only": put("dogs/2.png", encoded("PNG", LARGE)),
    "no suffix": put("cats/picture", PNG),
    "another suffix": put("cats/1.txt", PNG),
    "a system's leftovers": put("cats/Thumbs.db", b"\xd0\xcf\x11\xe0"),
    "a folder of a picture's name": naming("cats/x.jpg", put("cats/x.jpg/1.png", PNG)),
    "a folder among the pictures": naming("cats/more", put("cats/more/1.png", PNG)),
    "a link to nothing": link("cats/x.png", "nowhere.png"),
    "a link to itself": link("cats/x.png", "x.png"),
    "a link to a folder": link("cats/x.png", "../dogs"),
    "a link to a device without end": link("cats/x.png", "/dev/zero"),
    "a class that is a link to nothing": link("birds", "nowhere"),
    "a class that is a link to itself": link("birds", "birds"),
    "a pipe": special("cats/0.png"),
    "a pipe behind a link": naming("cats/0.jpg", special("pipe"), link("cats/0.jpg", "../pipe")),
    "a socket": listening,
    "a name of two lines": put("cats/1\nerror: 2.png", b""),
    "a name of two lines, of another size": put("dogs/1\n2.png", encoded("PNG", LARGE)),
    "a name that is no UTF-8": put(os.fsdecode(b"cats/caf\xe9.png"), b""),
    "a name that moves the cursor": put("cats/\x1b[2Jx.png", PNG),
    "a class of two lines": naming("a\nb", put("a\nb/1.png", PNG)),
    "a class that is no UTF-8": naming(os.fsdecode(b"caf\xe9"), put(os.fsdecode(b"caf\xe9/1.png"), PNG)),
    "one class": naming("", gone("dogs")),
    "no class": naming("", gone("dogs"), gone("cats")),
    "an empty class": naming("birds", lambda root: (root / "birds").mkdir()),
    "a class of hidden files": naming("birds", put("birds/.DS_Store", b"x")),
    "a class in train/ alone": naming("", splits, put("train/birds/1.png", PNG)),
    "a class in test/ alone": naming("", splits, put("test/birds/1.png", PNG)),
    "an empty class in test/": naming("test/dogs", splits, gone("test/dogs/0.png")),
    "train/ without test/": naming("", splits, gone("test/dogs"), gone("test/cats"), gone("test")),
    "test/ without train/": naming("", splits, gone("train/dogs"), gone("train/cats"), gone("train")),
    "no folder": naming("", gone("cats"), gone("dogs"), gone("")),
    "an archive": naming("", gone("cats"), gone("dogs"), gone(""), put("", b"PK\3\4")),
    "a link to nowhere": naming("../nowhere", gone("cats"), gone("dogs"), gone(""), link("", "nowhere")),
}  # fmt: skip

# ---------------------------------------------------------------- tables


def good_table(root: Path) -> tuple[str, ...]:
    put("table.csv", "x,y\n" + "1,a\n2,b\n" * 10)(root)
    return ("dataset=csv", f"dataset.root={root / 'table.csv'}")


csv = functools.partial(put, "table.csv")
TABLES: dict[str, Build] = {
    "empty": csv(""),
    "blank lines": csv("\n\n \n"),
    "a byte order mark alone": csv(b"\xef\xbb\xbf"),
    "names alone": csv("x,y\n"),
    "one row": csv("x,y\n1,a\n"),
    "one column": csv("x\n1\n2\n"),
    "only commas": csv(",,\n,,\n,,\n"),
    "ragged: a cell less": csv("x,y\n1,a\n2\n"),
    "ragged: a cell more": csv("x,y\n1,a\n2,b,c\n"),
    "a byte of zero": csv("x,y\n1,a\n2,\0b\n"),
    "a million bytes of zero": csv(bytes(10**6)),
    "UTF-16 without a mark": csv("x,y\n1,a\n2,b\n".encode("utf-16-le")),
    "UTF-32 without a mark": csv("x,y\n1,a\n2,b\n".encode("utf-32-le")),
    "a surrogate in UTF-8": csv(b"x,y\n1,\xed\xa0\x80\n2,b\n"),
    "not a number": csv("x,y\n1,a\nNaN,b\n"),
    "infinity": csv("x,y\n1,a\n-Infinity,b\n"),
    "a number past float64": csv("x,y\n1,a\n1e999,b\n"),
    "a number past float32": csv("x,y\n1,a\n-1e39,b\n"),
    "a number of 100,000 digits": csv("x,y\n1,a\n" + "9" * 100_000 + ",b\n"),
    "hexadecimal": csv("x,y\n1,a\n0x10,b\n"),
    "a date": csv("x,y\n1,a\n2024-01-01,b\n"),
    "a formula": csv("x,y\n1,a\n\"=cmd|'/C calc'!A0\",b\n"),
    "code": csv("x,y\n1,a\n__import__('os').system('touch ../sang'),b\n"),
    "an empty cell": csv("x,y\n1,a\n,b\n"),
    "an empty class": csv("x,y\n1,a\n2,\n"),
    "the same name twice": csv("x,x,y\n1,2,a\n3,4,b\n"),
    "a name twice, of two lines": csv('"x\ny","x\ny",z\n1,2,a\n3,4,b\n'),
    "a column of two lines that is no number": csv('"x\nz",y\n1,a\nhello,b\n'),
    "an open quote": csv('x,y\n1,"a\n2,b\n'),
    "a quote inside": csv('x,y\n1,"a"b\n2,b\n'),
    "a line of 10 million letters": csv("a" * 10**7),
    "100,000 names and no row": csv(",".join(map(str, range(100_000)))),
    "one class": csv("x,y\n1,a\n2,a\n"),
    "one class, of two lines": csv('x,y\n1,"a\nb"\n2,"a\nb"\n'),
    "a class a row": csv("x,y\n" + "".join(f"{i},c{i}\n" for i in range(50))),
    "gzip": csv(gzip.compress(b"x,y\n1,a\n2,b\n")),
    "a spreadsheet": csv(b"PK\3\4\x14\0\6\0\x08\0\0\0!\0\xff\xfe"),
    "a pickle with a payload": csv(lambda root: pickle.dumps(Canary(root))),
    "random bytes": csv(np.random.default_rng(0).bytes(5000)),
    "JSON": csv('{"x": [1, 2], "y": ["a", "b"]}'),
    "no file": gone("table.csv"),
    "a folder": naming("table.csv", gone("table.csv"), lambda root: (root / "table.csv").mkdir()),
    "a pipe": special("table.csv"),
    "a device without end": naming("/dev/zero", gone("table.csv"), link("table.csv", "/dev/zero")),
    "a link to nothing": naming("nowhere", gone("table.csv"), link("table.csv", "nowhere")),
    "a link to itself": naming("table.csv", gone("table.csv"), link("table.csv", "table.csv")),
}  # fmt: skip

# ---------------------------------------------------------------- CIFAR-10

BATCHES = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
CONTENTS = {name: pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [0], "": name}) for name in BATCHES}
CONTENTS["batches.meta"] = pickle.dumps({"label_names": [str(number) for number in range(10)]})
FOLDER, ARCHIVE = CIFAR10.base_folder, CIFAR10.filename


def packed(contents: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    """An archive, of the same bytes each time."""
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w") as archive:
        for name, content in contents.items():
            entry = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            entry.size = len(content) if isinstance(content, bytes) else 0
            archive.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return gzip.compress(text.getvalue(), mtime=0)


WHOLE = packed({f"{FOLDER}/{name}": content for name, content in CONTENTS.items()})


def linked(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


@pytest.fixture
def _official(monkeypatch):
    """Let a small archive be the official one."""
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in CONTENTS.items()}
    monkeypatch.setattr(CIFAR10, "train_list", [[name, md5[name]] for name in BATCHES[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": md5["batches.meta"]})
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(WHOLE).hexdigest())


def good_cifar(root: Path) -> tuple[str, ...]:
    put(ARCHIVE, WHOLE)(root)
    return ("dataset=cifar10", f"dataset.root={root}", "dataset.download=false")


def unpacked(root: Path) -> None:
    """The folder in place of the archive."""
    gone(ARCHIVE)(root)
    for name, content in CONTENTS.items():
        put(f"{FOLDER}/{name}", content)(root)


def batch(name: str, content: bytes | Callable[[Path], bytes]) -> Build:
    """Let a file in the folder be another one."""
    return lambda root: unpacked(root) or put(f"{FOLDER}/{name}", content)(root)


def canary(root: Path) -> bytes:
    return pickle.dumps(Canary(root))


archive = functools.partial(put, ARCHIVE)
ARCHIVES: dict[str, Build] = {
    "cut in half": archive(WHOLE[: len(WHOLE) // 2]),
    "a byte short": archive(WHOLE[:-1]),
    "a flipped bit": archive(WHOLE[:99] + bytes([WHOLE[99] ^ 1]) + WHOLE[100:]),
    "a byte more": archive(WHOLE + b"\0"),
    "empty": archive(b""),
    "text": archive("<html>moved</html>"),
    "no gzip": archive(gzip.decompress(WHOLE)),
    "a ZIP": archive(b"PK\3\4" + bytes(100)),
    "an archive of nothing": archive(packed({})),
    "a bomb: 50 MB of zeros in 50 kB": archive(gzip.compress(bytes(50_000_000), 9)),
    "a path out of the folder": archive(packed({"../../sang": b"x"})),
    "an absolute path": archive(lambda root: packed({str(root.parent / "sang"): b"x"})),
    "a link out of the folder": archive(packed({"l": linked("l", "../.."), "l/sang": b"x"})),
    "a hard link out of the folder": archive(packed({"h": linked("h", "../../sang", tarfile.LNKTYPE)})),
    "a device": archive(packed({"d": linked("d", "", tarfile.CHRTYPE)})),
    "pickles with a payload": archive(lambda root: packed({f"{FOLDER}/{name}": canary(root) for name in CONTENTS})),
    "nothing": gone(ARCHIVE),
    "a folder": naming(ARCHIVE, gone(ARCHIVE), put(f"{ARCHIVE}/x", b"")),
    "a pipe": special(ARCHIVE),
    "a link to nothing": naming(ARCHIVE, gone(ARCHIVE), link(ARCHIVE, "nowhere")),
    "a payload in the first batch": batch("data_batch_1", canary),
    "a payload in the test batch": batch("test_batch", canary),
    "a payload in the names": batch("batches.meta", canary),
    "an empty batch": batch("data_batch_2", b""),
    "a batch cut short": batch("data_batch_3", CONTENTS["data_batch_3"][:-1]),
    "another batch's content": batch("data_batch_4", CONTENTS["data_batch_5"]),
    "a batch that is text": batch("data_batch_5", b"text"),
    "a missing batch": lambda root: unpacked(root) or gone(f"{FOLDER}/data_batch_5")(root),
    "a missing test batch": lambda root: unpacked(root) or gone(f"{FOLDER}/test_batch")(root),
    "missing names": lambda root: unpacked(root) or gone(f"{FOLDER}/batches.meta")(root),
    "a batch that is a pipe": lambda root: unpacked(root) or special(f"{FOLDER}/data_batch_1")(root),
    "a root that is a file": naming("", gone(ARCHIVE), gone(""), put("", b"")),
}  # fmt: skip

# ---------------------------------------------------------------- what is odd, but fine

TIFF = encoded("TIFF", dpi=(72, 72))
ANIMATION = encoded("GIF", save_all=True, append_images=[Image.new("RGB", (8, 8))])
FINE: dict[str, Build] = {
    "pictures: CMYK": put("cats/1.jpg", encoded("JPEG", mode="CMYK")),
    "pictures: grey": put("cats/1.png", encoded("PNG", mode="L")),
    "pictures: black and white": put("cats/1.png", encoded("PNG", mode="1")),
    "pictures: a palette": put("cats/1.gif", encoded("GIF", mode="P")),
    "pictures: transparency": put("cats/1.webp", encoded("WEBP", mode="RGBA")),
    "pictures: an animation": put("cats/1.gif", ANIMATION),
    "pictures: a suffix of another format": put("cats/1.png", encoded("JPEG")),
    "pictures: bytes after the end": put("cats/1.jpg", encoded("JPEG") + b"\0" * 100),
    "pictures: remarks that are damaged": put("cats/1.jpg", encoded("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")),
    "pictures: a tag past the end": put("cats/1.tif", TIFF.replace(b"\x1a\1\5\0\1\0\0\0", b"\x1a\1\5\0\1\0\0\1")),
    "pictures: a link to a picture": link("cats/x.png", "../dogs/0.png"),
    "pictures: a link to a class": link("birds", "dogs"),
    "pictures: names of all kinds": put("cats/ „ñ 猫 🐈 \u202f'\".png", PNG),
    "pictures: a hidden pipe": special("cats/.pipe"),
    "pictures: a file beside the classes": put("README.md", "cats and dogs"),
    "table: UTF-16": csv(("x,y\n" + "1,a\n2,b\n" * 10).encode("utf-16")),
    "table: UTF-32": csv(("x,y\n" + "1,a\n2,b\n" * 10).encode("utf-32")),
    "table: latin-1": csv(("x,y\n" + "1,é\n2,b\n" * 10).encode("latin-1")),
    "table: no name": csv("x,,y\n" + "1,2,a\n3,4,b\n" * 10),
    "table: a cell of 200,000 letters": csv("x,y\n" + ("1," + "a" * 200_000 + "\n2,b\n") * 10),
    "table: lines end in CR": csv("x,y\r" + "1,a\r2,b\r" * 10),
    "table: names of two lines": csv('"x\n(mm)","the\r\nkind"\n' + '1,a\n2,"b\nc"\n' * 10),
    "table: classes that are formulas and code": csv("x,y\n" + "1,=cmd|'/C'!A0\n2,os.abort()\n" * 10),
    "CIFAR-10: a payload in a file that is none of it": batch("data_batch_6", canary),
    "CIFAR-10: a spoilt archive beside its whole content": lambda root: unpacked(root) or archive("spoilt")(root),
    "CIFAR-10: spoilt content beside the whole archive": naming(
        ARCHIVE, batch("data_batch_2", canary), archive(WHOLE)
    ),
}  # fmt: skip
CACHES: dict[str, Callable[[Path, bytes], bytes] | None] = {
    "a payload": lambda root, whole: npy(np.array([Canary(root)], object)),
    "a pickle": lambda root, whole: canary(root),
    "an archive with a payload": lambda root, whole: npz(np.array([Canary(root)], object)),
    "a payload after the header": lambda root, whole: whole[:-1152] + canary(root).ljust(1152),
    "text": lambda root, whole: b"text",
    "nothing": lambda root, whole: b"",
    "half": lambda root, whole: whole[: len(whole) // 2],
    "no pixels": lambda root, whole: whole[:-1152],
    "zeros of the right shape": lambda root, whole: whole[:-1152] + bytes(1152),
    "another shape": lambda root, whole: whole.replace(b"[6, 3, 8, 8]", b"[6, 3, 8, 9]"),
    "another type": lambda root, whole: whole.replace(b'"uint8"', b'"int64"'),
    "a length without end": lambda root, whole: whole[:32] + b"\xff" * 8 + whole[40:],
    "a pipe": None,
}  # fmt: skip
"""What is found in the place of six pictures of 8×8, of which the last 1,152 bytes of the file are the pixels."""


def npy(array: np.ndarray) -> bytes:
    text = io.BytesIO()
    np.save(text, array)
    return text.getvalue()


def npz(array: np.ndarray) -> bytes:
    text = io.BytesIO()
    np.savez(text, array)
    return text.getvalue()


# ---------------------------------------------------------------- all of them

GOOD = {"pictures": good_folder, "table": good_table, "CIFAR-10": good_cifar}
CASES = {
    f"{kind}: {name}": build
    for kind, builds in zip(GOOD, (FOLDERS, TABLES, ARCHIVES), strict=True)
    for name, build in builds.items()
}


def start(name: str, root: Path) -> tuple[str, ...]:
    """Make the good dataset that a case spoils, and return the words of a run on it."""
    return *GOOD[name.partition(":")[0]](root), "model=linear", "trainer.epochs=1"


def everything(folder: Path) -> dict[str, object]:
    """What lies in and under a folder: each name with its kind and content, no link followed, no pipe opened."""
    found = {}
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        content = path.read_bytes() if stat.S_ISREG(mode) else path.readlink() if stat.S_ISLNK(mode) else None
        found[str(path)] = (stat.S_IFMT(mode), content)
    return found


@pytest.fixture(autouse=True)
def _bounded(tmp_path, monkeypatch):
    """Let nothing wait for ever, ask the network, or write into the cache of whoever runs the tests."""

    def too_long(number, frame):
        raise AssertionError("it hangs")

    def asked(*words, **named):
        raise AssertionError("the network was asked")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request, "urlopen", asked)
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("_official")
def test_each_is_one_line_that_names_it_and_leaves_nothing(deeprob, tmp_path, times, tell):
    chosen = list(CASES)[:: times(5, 1)]
    faults = {}
    for number, name in enumerate(chosen):
        root = tmp_path / str(number) / "data"
        words = start(name, root)
        culprit = repr(str(CASES[name](root)))[1:-1]
        before = everything(tmp_path)
        status, out, err = deeprob(*words)
        one_line = err.startswith("error: ") and err.endswith("\n") and len(err.splitlines()) == 1
        left = everything(tmp_path).items() ^ before.items()
        if (status, out, one_line, culprit in err) != (2, "", True, True) or left:
            faults[name] = (status, out, err, left)
    assert faults == {}
    assert list(tmp_path.rglob("sang")) == []
    tell(
        f"{len(chosen)} of {len(CASES)} malformed datasets: one line that names the file, no payload run, nothing left"
    )


@pytest.mark.usefixtures("_official")
def test_what_is_odd_is_read(deeprob, tmp_path, times, tell):
    chosen = list(FINE)[:: times(5, 1)]
    for number, name in enumerate(chosen):
        root = tmp_path / str(number) / "data"
        words = start(name, root)
        FINE[name](root)
        result = deeprob(*words)
        told = [line for line in result.err.splitlines() if not line.startswith((f"note: {root}/table.csv: ", "  "))]
        assert (result.status, told) == (0, []), name
    assert list(tmp_path.rglob("sang")) == []
    tell(f"{len(chosen)} of {len(FINE)} odd datasets read")


def test_a_spoilt_cache_is_made_anew(tmp_path, tell, capsys):
    good_folder(tmp_path / "data")
    config = ImageFolderConfig(root=str(tmp_path / "data"))
    expected = config.load().train.inputs.clone()
    (cache,) = (tmp_path / "data/.deeprob-cache").iterdir()
    whole = cache.read_bytes()
    for name, spoilt in CACHES.items():
        cache.unlink()
        if spoilt is None:
            os.mkfifo(cache)
        else:
            cache.write_bytes(spoilt(tmp_path / "data", whole))
        assert cache.is_fifo() or cache.read_bytes() != whole, name
        assert torch.equal(config.load().train.inputs, expected), name
        line = capsys.readouterr().err
        assert (line.startswith(f"note: {cache}: "), line.count("\n")) == (True, 1), name
        assert torch.equal(config.load().train.inputs, expected), name
        assert capsys.readouterr().err == "", name
    assert not (tmp_path / "sang").exists()
    tell(f"{len(CACHES)} of {len(CACHES)} spoilt caches of pictures made anew, no payload run")
