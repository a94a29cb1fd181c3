"""Any folder of images as a data set."""
from pathlib import Path
from typing import List, Tuple, Union

import numpy as np
from tqdm import tqdm

from ..errors import VQVAEError
from .dataset import SPLITS, Dataset, Split
from .image_file import SUFFIXES, read_pixels, stretch


def find_images(folder: Union[str, Path]) -> List[Path]:
    """Return the image files (png, jpg, jpeg, bmp) below a folder in sorted order."""
    files = (path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES)
    return sorted(path for path in files if path.is_file())


def load_folder(
    folder: Union[str, Path],
    channels: int = 1,
    size: Tuple[int, int] = (28, 28),
    seed: int = 0,
    mixed_sizes: str = "refuse",
) -> Dataset:
    """Load every image below a folder.

    Subfolders ``train``, ``validation`` and ``test`` are the splits; without them the images are split
    80 / 10 / 10 in an order fixed by ``seed``. Images are converted to ``channels`` and stretched to ``size``
    (height, width) as in :func:`read_image`; they must all have one size, unless ``mixed_sizes`` is 'stretch'.

    Raises
    ------
    VQVAEError
        If there are fewer than ten images, or in a subfolder none, if one of the three subfolders is missing, if
        an image cannot be read, or if two have different sizes.
    """
    paths = _find_splits(Path(folder), seed)
    images = iter(_read([path for split in paths for path in split], channels, size, mixed_sizes))
    return Dataset(*(Split(np.stack([next(images) for _ in split])) for split in paths))


def _find_splits(folder: Path, seed: int) -> List[List[Path]]:
    present = [name for name in SPLITS if (folder / name).is_dir()]
    if present and len(present) < len(SPLITS):
        missing = next(name for name in SPLITS if name not in present)
        raise VQVAEError(
            f"{folder}: holds {present[0]}/ but no {missing}/; give train/, validation/ and test/, or none of them"
        )
    if present:
        splits = [find_images(folder / name) for name in SPLITS]
        for name, paths in zip(SPLITS, splits):
            if not paths:
                raise VQVAEError(f"{folder / name}: holds no images ({', '.join(SUFFIXES)})")
        return splits
    paths = find_images(folder)
    if len(paths) < 10:
        raise VQVAEError(f"{folder}: holds {len(paths)} images ({', '.join(SUFFIXES)}); give at least 10 to split")
    order = [paths[index] for index in np.random.RandomState(seed).permutation(len(paths))]
    tenth = len(paths) // 10
    return [order[2 * tenth :], order[tenth : 2 * tenth], order[:tenth]]


def _read(paths: List[Path], channels: int, size: Tuple[int, int], mixed_sizes: str) -> List[np.ndarray]:
    images, first = [], None
    for path in tqdm(paths, desc="reading images", unit="image", disable=None):
        pixels = read_pixels(path, channels)
        first = first or (path, pixels.shape)
        if mixed_sizes == "refuse" and pixels.shape != first[1]:
            sizes = [f"{width}x{height}" for _, height, width in (first[1], pixels.shape)]
            raise VQVAEError(
                f"{path}: has {sizes[1]} pixels, {first[0]} has {sizes[0]}; make all images one size "
                "or add --mixed-sizes stretch"
            )
        images.append(stretch(pixels, size))
    return images
