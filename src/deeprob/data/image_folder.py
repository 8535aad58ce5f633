"""Pictures in one folder per class.

The class folders are directly in ``root``, or in ``root/train``, ``root/test`` and, optionally, ``root/val``.
"""

from dataclasses import dataclass

import torch
from omegaconf import MISSING

from deeprob.config import number, register
from deeprob.data.augmentation import PicturesConfig
from deeprob.data.base import place
from deeprob.data.examples import Examples, Splits
from deeprob.data.picture_cache import decoded
from deeprob.data.picture_listing import Listing, scan, split_folders
from deeprob.errors import UserError


@register("dataset", "image_folder")
@dataclass(kw_only=True, slots=True)
class ImageFolderConfig(PicturesConfig):
    """Your own pictures, in one folder for each class.

    Attributes
    ----------
    root
        The folder of pictures. It has train/CLASS/ and test/CLASS/, or only one folder per class. Example:
        ``dataset=image_folder dataset.root=FOLDER``.
    image_size
        The side of the square to which each picture is cropped and scaled, in pixels. With null, pictures are not
        changed; then all must have the same size.
    test_fraction
        The share of the pictures that is drawn as the test split. It is not used if there is a folder test/.
    """

    root: str = MISSING
    image_size: int | None = number(None, minimum=1, optional=True)
    test_fraction: float = number(0.2, above=0, below=1)

    @property
    def has_validation(self) -> bool:
        """Whether there is a validation split: either drawn at random, or given as a folder."""
        root = place(self.root)
        return self.val_fraction > 0 or (root.is_dir() and "val" in split_folders(root))

    def load(self) -> Splits:
        """Return the splits. Pictures come from the cache; if they are not in the cache, from their files.

        Raises
        ------
        UserError
            If a folder or a file is missing, empty or damaged, if a file is not a picture, or if pictures have
            different sizes. The message names the folder or the file.
        """
        listing = scan(place(self.root))
        drawn = self._draw(listing)
        used = [part.inputs for part in (drawn.train, drawn.val, drawn.test) if part is not None]
        pictures = decoded(listing.files, torch.cat(used), self.image_size)

        def read(part: Examples) -> Examples:
            return Examples(pictures[part.inputs], part.targets)

        val = None if drawn.val is None else read(drawn.val)
        return Splits(read(drawn.train), val, read(drawn.test), drawn.classes)

    def _draw(self, listing: Listing) -> Splits:
        """Draw the splits before any file is read.

        The inputs of a split are the positions (n,) of its files in `listing`. Later, only these files are decoded.
        """
        files = Examples(torch.arange(len(listing.targets)), listing.targets)
        if not listing.splits:
            return self.hold_out(files, self.test_fraction, listing.classes)
        parts = {split: files[part] for split, part in listing.splits.items()}
        if "val" in parts and self.val_fraction:
            raise UserError(
                f"dataset.val_fraction={self.val_fraction}: dataset.root={self.root} has a validation split already, "
                "in a folder of its own; set dataset.val_fraction=0, or move the folder elsewhere"
            )
        return self.finish(parts["train"], parts["test"], listing.classes, parts.get("val"))
