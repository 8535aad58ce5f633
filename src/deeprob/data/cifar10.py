"""CIFAR-10 on its original pixels, through torchvision, which checks every file's md5 before it opens it."""

import dataclasses
import http.client
import tarfile
import urllib.error
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from deeprob.config import register
from deeprob.data.augmentation import PicturesConfig
from deeprob.data.examples import Examples, Splits
from deeprob.errors import UserError

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

_FAILURES = (OSError, RuntimeError, ValueError, EOFError, tarfile.TarError, http.client.HTTPException)


@register("dataset", "cifar10")
@dataclass(kw_only=True, slots=True)
class CIFAR10Config(PicturesConfig):
    """50,000 pictures to train on and 10,000 to test, 32×32, ten classes (Krizhevsky, 2009).

    Attributes
    ----------
    root
        The folder that holds ``cifar-10-python.tar.gz`` or what was unpacked from it.
    download
        Whether to fetch the archive (163 MB) when it is not there.
    url
        Another address than the official one, for the same archive.
    """

    root: str = "~/.cache/deeprob/cifar10"
    download: bool = True
    url: str | None = None

    def resolved(self) -> Self:
        """Return the config with an absolute root."""
        return dataclasses.replace(self, root=str(Path(self.root).expanduser().resolve()))

    def load(self) -> Splits:
        """Read both splits, after fetching and unpacking the archive if need be.

        Raises
        ------
        UserError
            Names the archive, and says how to put it there by hand.
        """
        from torchvision.datasets import CIFAR10

        root = Path(self.root).expanduser()
        source: type[CIFAR10] = CIFAR10
        if self.url is not None:
            source = type("CIFAR10", (CIFAR10,), {"url": self.url})
        archive = root / source.filename
        was_there = archive.exists()
        made = [folder for folder in (root, *root.parents) if not folder.exists()]
        try:
            train, test = (_open(source, root, part, self.download or was_there) for part in (True, False))
        except _FAILURES as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            if not was_there:
                archive.unlink(missing_ok=True)
            for folder in made:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(
                f"{archive}: no whole CIFAR-10 there ({reason}); put the official {source.filename} there by hand, or "
                f"set dataset.url to an address that has it (the official one, {CIFAR10.url}, is slow)"
            ) from error
        return self.finish(_examples(train), _examples(test), tuple(train.classes))


def _open(source: "type[CIFAR10]", root: Path, train: bool, download: bool) -> Any:
    return source(str(root), train=train, download=download)


def _examples(dataset: Any) -> Examples:
    """Return (N, 3, 32, 32) uint8 pictures and their classes."""
    pictures = torch.from_numpy(dataset.data).permute(0, 3, 1, 2).contiguous()
    return Examples(pictures, torch.tensor(dataset.targets))
