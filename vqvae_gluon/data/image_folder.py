"""Any folder of images as a data set."""
from pathlib import Path
from typing import List, Tuple, Union

import numpy as np
from tqdm import tqdm

from ..errors import VQVAEError
from .dataset import Dataset, Split
from .image_file import SUFFIXES, read_image


def find_images(folder: Union[str, Path]) -> List[Path]:
    """Return the image files (png, jpg, jpeg, bmp) below a folder in sorted order."""
    files = (path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
    return sorted(path for path in files if path.is_file())


def load_folder(
    folder: Union[str, Path],
    channels: int = 1,
    size: Tuple[int, int] = (28, 28),
    seed: int = 0,
) -> Dataset:
    """Load every image below a folder and split it 80 / 10 / 10 in an order fixed by ``seed``.

    Images are converted to ``channels`` and stretched to ``size`` (height, width) as in
    :func:`read_image`.

    Raises
    ------
    VQVAEError
        If the folder holds fewer than ten images, or one of them cannot be read.
    """
    paths = find_images(folder)
    if len(paths) < 10:
        raise VQVAEError(
            f"{folder}: holds {len(paths)} images ({', '.join(SUFFIXES)}); give at least 10 to split"
        )
    bar = tqdm(paths, desc="reading images", unit="image", disable=None)
    images = np.stack([read_image(path, channels, size) for path in bar])
    order = np.random.RandomState(seed).permutation(len(images))
    tenth = len(images) // 10
    test, validation, train = order[:tenth], order[tenth : 2 * tenth], order[2 * tenth :]
    return Dataset(Split(images[train]), Split(images[validation]), Split(images[test]))
