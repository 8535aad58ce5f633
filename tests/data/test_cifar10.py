"""CIFAR-10 from a small archive of the official layout and a local server: whole, cut, with a flipped byte."""

import functools
import hashlib
import http.server
import io
import pickle
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from deeprob.data.cifar10 import CIFAR10Config
from deeprob.errors import UserError

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FILES = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]


@pytest.fixture
def official(tmp_path, monkeypatch) -> dict[str, np.ndarray]:
    """An archive in tmp_path/served with 4 pictures a batch; torchvision is told its checksums."""
    rng = np.random.default_rng(0)
    pixels = {name: rng.integers(0, 256, (4, 3072), dtype=np.uint8) for name in FILES}
    contents = {
        name: pickle.dumps({"data": pixels[name], "labels": [number % 10 for number in range(start, start + 4)]})
        for start, name in enumerate(FILES)
    } | {"batches.meta": pickle.dumps({"label_names": NAMES})}
    served = tmp_path / "served"
    served.mkdir()
    with tarfile.open(served / CIFAR10.filename, "w:gz") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(f"{CIFAR10.base_folder}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(CIFAR10, "train_list", [[name, md5[name]] for name in FILES[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": md5["batches.meta"]})
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5((served / CIFAR10.filename).read_bytes()).hexdigest())
    return pixels


@pytest.fixture
def url(tmp_path) -> str:
    """The address of what lies in tmp_path/served."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{CIFAR10.filename}"
        server.shutdown()
        thread.join()


def archive_of(tmp_path: Path) -> Path:
    return tmp_path / "served" / CIFAR10.filename


def test_the_whole_archive(official, url, tmp_path):
    config = CIFAR10Config(root=str(tmp_path / "root"), url=url)
    splits = config.load()
    assert splits.classes == tuple(NAMES)
    assert (splits.train.inputs.shape, splits.test.inputs.shape) == ((20, 3, 32, 32), (4, 3, 32, 32))
    np.testing.assert_array_equal(splits.train.inputs[4:8].reshape(4, 3072), official["data_batch_2"])
    np.testing.assert_array_equal(splits.test.inputs.reshape(4, 3072), official["test_batch"])
    assert splits.test.targets.tolist() == [5, 6, 7, 8]
    archive_of(tmp_path).unlink()
    assert torch.equal(config.load().train.inputs, splits.train.inputs)  # nothing is fetched again


def test_an_archive_put_there_by_hand(official, tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / CIFAR10.filename).write_bytes(archive_of(tmp_path).read_bytes())
    assert len(CIFAR10Config(root=str(tmp_path / "root"), download=False).load().train) == 20


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "cut":
        del content[len(content) // 2 :]
    elif how == "flipped byte":
        content[len(content) // 2] ^= 1
    elif how == "no archive":
        content[:] = b"<html>moved</html>"
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["cut", "flipped byte", "no archive", "nothing there"])
def test_what_is_not_whole_is_refused_and_not_kept(official, url, tmp_path, how):
    if how == "nothing there":
        archive_of(tmp_path).unlink()
    else:
        damage(archive_of(tmp_path), how)
    with pytest.raises(UserError) as caught:
        CIFAR10Config(root=str(tmp_path / "a" / "root"), url=url).load()
    line = str(caught.value)
    assert line.startswith(f"{tmp_path / 'a' / 'root' / CIFAR10.filename}: CIFAR-10 is not complete there (")
    assert f"put the official {CIFAR10.filename} into" in line
    assert "\n" not in line
    assert not (tmp_path / "a").exists()


def test_an_address_without_a_server(tmp_path):
    with pytest.raises(UserError, match=r"set dataset\.url"):
        CIFAR10Config(root=str(tmp_path / "root"), url="http://127.0.0.1:9/x").load()


def test_without_download_nothing_is_fetched(official, url, tmp_path):
    with pytest.raises(UserError, match="CIFAR-10 is not complete there"):
        CIFAR10Config(root=str(tmp_path / "root"), url=url, download=False).load()


@pytest.mark.parametrize("download", [False, True])
def test_a_damaged_archive_is_kept_unless_a_whole_one_takes_its_place(official, url, tmp_path, download):
    put_there = tmp_path / "root" / CIFAR10.filename
    put_there.parent.mkdir()
    put_there.write_bytes(b"cut")
    config = CIFAR10Config(root=str(tmp_path / "root"), url=url, download=download)
    if download:
        assert len(config.load().train) == 20
        assert put_there.read_bytes() == archive_of(tmp_path).read_bytes()
        return
    with pytest.raises(UserError, match=rf"{put_there}: CIFAR-10 is not complete there \(missing, or not the official"):
        config.load()
    assert put_there.read_bytes() == b"cut"


def test_a_failed_download_leaves_the_damaged_archive_and_nothing_else(official, url, tmp_path):
    put_there = tmp_path / "root" / CIFAR10.filename
    put_there.parent.mkdir()
    put_there.write_bytes(b"cut")
    damage(archive_of(tmp_path), "flipped byte")
    with pytest.raises(UserError):
        CIFAR10Config(root=str(tmp_path / "root"), url=url).load()
    assert [(path.name, path.read_bytes()) for path in put_there.parent.iterdir()] == [(put_there.name, b"cut")]


def test_a_damaged_batch_is_named_or_unpacked_anew(official, url, tmp_path):
    config = CIFAR10Config(root=str(tmp_path / "root"), url=url)
    whole = config.load()
    batch = tmp_path / "root" / CIFAR10.base_folder / "data_batch_2"
    damage(batch, "flipped byte")
    assert torch.equal(config.load().train.inputs, whole.train.inputs)
    damage(batch, "flipped byte")
    (tmp_path / "root" / CIFAR10.filename).unlink()
    with pytest.raises(UserError, match=f"{batch}: CIFAR-10 is not complete there"):
        CIFAR10Config(root=str(tmp_path / "root"), download=False).load()


def test_a_hostile_archive_is_never_opened(official, tmp_path):
    class Canary:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sang",))

    folder = tmp_path / "root" / CIFAR10.base_folder
    folder.mkdir(parents=True)
    for name in [*FILES, "batches.meta"]:
        (folder / name).write_bytes(pickle.dumps(Canary()))
    with pytest.raises(UserError):
        CIFAR10Config(root=str(tmp_path / "root"), download=False).load()
    assert not (tmp_path / "sang").exists()


def test_a_relative_root_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert CIFAR10Config(root="x").resolved().root == str(tmp_path / "x")


def test_the_command_line_says_it_in_one_line(deeprob, tmp_path):
    words = ("dataset=cifar10", f"dataset.root={tmp_path / 'root'}", "dataset.download=false")
    status, out, err = deeprob(*words)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []
