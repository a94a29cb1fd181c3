"""Images in, batches out."""
from pathlib import Path
from typing import Tuple

from ..background import parse_background
from ..errors import VQVAEError
from .dataset import SPLITS, Dataset, Split, batches, to_bytes, to_unit
from .image_file import read_image, write_png

__all__ = [
    "SPLITS",
    "Dataset",
    "Split",
    "batches",
    "load_dataset",
    "read_image",
    "to_bytes",
    "to_unit",
    "write_png",
]


def load_dataset(
    source: str,
    channels: int = 1,
    image_size: Tuple[int, int] = (28, 28),
    split_seed: int = 0,
    mixed_sizes: str = "refuse",
    background: str = "",
) -> Dataset:
    """Load ``'mnist'``, a folder with MNIST's four IDX files, or a folder of images.

    The other settings say how a folder of images is read, see :func:`load_folder`; MNIST is 1 x 28 x 28 in a
    fixed split.
    """
    parse_background(background)
    folder = Path(source)
    if source != "mnist" and not folder.is_dir():
        raise VQVAEError(f"no data at {source!r}: give 'mnist' or an existing folder")
    if source != "mnist":
        from .image_folder import load_folder
        from .mnist import has_idx_files, load_idx

        if not has_idx_files(folder):
            return load_folder(folder, channels, image_size, split_seed, mixed_sizes, background)
    if (channels, *image_size) != (1, 28, 28):
        raise VQVAEError(
            f"MNIST was asked for as {channels} x {image_size[0]} x {image_size[1]}: it is 1 x 28 x 28"
        )
    if source == "mnist":
        from .mnist import load_embedded

        return load_embedded()
    return load_idx(folder)
