"""The dataset CIFAR-10: check the md5 of each file, then read the pictures with torchvision."""

import http.client
import os
import tarfile
import urllib.error
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from deeprob.config import register
from deeprob.data.augmentation import PicturesConfig
from deeprob.data.base import place
from deeprob.data.examples import Examples, Splits
from deeprob.errors import UserError, one_line
from deeprob.tracking.files import write_whole

_FAILURES = (OSError, RuntimeError, ValueError, EOFError, http.client.HTTPException)


@register("dataset", "cifar10")
@dataclass(kw_only=True, slots=True)
class CIFAR10Config(PicturesConfig):
    """CIFAR-10 (Krizhevsky, 2009): 50,000 training and 10,000 test pictures of 32×32 pixels, in ten classes.

    Attributes
    ----------
    root
        The folder that contains the archive ``cifar-10-python.tar.gz``, or the unpacked folder
        ``cifar-10-batches-py``. Example: ``dataset.root=FOLDER``.
    download
        Whether to download the archive (163 MB) if `root` does not contain it.
    url
        The address of the archive. null is the official address. Example:
        ``dataset.url=https://host/cifar-10-python.tar.gz``.
    """

    root: str = "~/.cache/deeprob/cifar10"
    download: bool = True
    url: str | None = None

    def load(self) -> Splits:
        """Download and unpack the archive if necessary, then read both splits.

        Raises
        ------
        UserError
            If a file is missing, or is not the official file. The message names the file, and says where to put the
            archive by hand.
        """
        from torchvision.datasets import CIFAR10
        from torchvision.datasets.utils import check_integrity

        root = place(self.root)
        archive = root / CIFAR10.filename
        if (wrong := _wrong(root)) is not None:
            if not check_integrity(archive, CIFAR10.tgz_md5):
                if not self.download:
                    culprit = archive if os.path.lexists(archive) or not wrong.parent.exists() else wrong
                    raise _fault(culprit, "missing, or not the official file", root)
                _fetch(self.url or CIFAR10.url, archive)
            _unpack(archive)
        train, test = (CIFAR10(str(root), train=part) for part in (True, False))
        return self.finish(_examples(train), _examples(test), tuple(train.classes))


def _files(root: Path) -> dict[Path, str]:
    """Return a dictionary from the path of each unpacked file to the md5 of the official file."""
    from torchvision.datasets import CIFAR10

    official = [*CIFAR10.train_list, *CIFAR10.test_list, [CIFAR10.meta["filename"], CIFAR10.meta["md5"]]]
    return {root / CIFAR10.base_folder / name: md5 for name, md5 in official}


def _wrong(root: Path) -> Path | None:
    """Return the first unpacked file that is missing or not official; None if all files are right."""
    from torchvision.datasets.utils import check_integrity

    return next((path for path, md5 in _files(root).items() if not check_integrity(path, md5)), None)


def _fault(culprit: Path, reason: str, root: Path) -> UserError:
    from torchvision.datasets import CIFAR10

    return UserError(
        f"{culprit}: CIFAR-10 is not complete there ({reason}); put the official {CIFAR10.filename} into {root}, "
        f"or set dataset.url to an address that has it (the official one, {CIFAR10.url}, is slow)"
    )


def _fetch(url: str, archive: Path) -> None:
    """Download the archive into a temporary file. When it is complete, rename it to `archive`."""
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import download_url

    part = archive.with_name(f"{archive.name}.part")
    made = [folder for folder in archive.parents if not folder.exists()]
    try:
        download_url(url, str(part.parent), part.name, CIFAR10.tgz_md5)
        part.replace(archive)
    except _FAILURES as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise _fault(archive, one_line(error), archive.parent) from error
    finally:
        part.unlink(missing_ok=True)
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _unpack(archive: Path) -> None:
    """Unpack the files listed by `_files`, and ignore all other files of the archive."""
    known = _files(archive.parent)
    with tarfile.open(archive) as content:
        for entry in content:
            file, path = content.extractfile(entry), archive.parent / entry.name
            if path in known and file is not None:
                path.parent.mkdir(exist_ok=True)
                write_whole(path, file.read())


def _examples(dataset: Any) -> Examples:
    """Return the pictures (N, 3, 32, 32) as uint8, and their classes."""
    pictures = torch.from_numpy(dataset.data).permute(0, 3, 1, 2).contiguous()
    return Examples(pictures, torch.tensor(dataset.targets))
