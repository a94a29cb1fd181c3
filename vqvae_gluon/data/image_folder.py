"""Any folder of images as a data set."""
from collections import Counter
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
from tqdm import tqdm

from ..errors import VQVAEError
from .dataset import SPLITS, Dataset, Split
from .image_file import read_pixels, stretch
from .image_format import SUFFIXES


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
    background: str = "",
    classes: str = "auto",
) -> Dataset:
    """Load every image below a folder.

    Subfolders ``train``, ``validation`` and ``test`` are the splits; without them the images are split
    80 / 10 / 10 in an order fixed by ``seed``. Images are converted to ``channels`` and stretched to ``size``
    (height, width) as in :func:`read_image`; they must all have one size, unless ``mixed_sizes`` is 'stretch'.
    Those with an alpha channel are flattened onto ``background``.

    Where a folder holds a subfolder for each class, the images have labels: classes are those of the training split,
    sorted, and an image outside of their subfolders has the label -1. With ``classes`` 'none' no image has a label,
    with 'folders' each one must, see :func:`check_classes`.

    Raises
    ------
    VQVAEError
        If there are fewer than ten images, or in a subfolder none, if one of the three subfolders is missing, if
        an image cannot be read, or has an alpha channel and there is no background, or if two have different sizes;
        with 'folders', if classes do not fit together.
    """
    folder = Path(folder)
    paths = _find_splits(folder, seed)
    if classes == "folders":
        _check_classes(folder, paths, SPLITS)
    images = iter(_read([path for split in paths for path in split], channels, size, mixed_sizes, background))
    names, labels = ((), [None] * len(paths)) if classes == "none" else _find_classes(folder, paths)
    return Dataset(
        *(Split(np.stack([next(images) for _ in split]), of_split, names) for split, of_split in zip(paths, labels))
    )


def check_classes(folder: Union[str, Path], seed: int = 0, splits: Sequence[str] = SPLITS) -> None:
    """Raise VQVAEError, naming the folder or an image, unless the classes of some splits can be learnt and measured.

    There must be two classes at least, each of two images at least. Each image of ``splits`` must lie in the subfolder
    of a class that has images to train on; where the splits are subfolders, each must have all the classes. Where they
    are drawn by ``seed``, chance may leave a class out of validation or test.
    """
    _check_classes(Path(folder), _find_splits(Path(folder), seed), splits)


def _check_classes(folder: Path, paths: List[List[Path]], splits: Sequence[str]) -> None:
    names = dict(zip(SPLITS, _class_names(folder, paths)))
    way_out = "or learn without classes (--classes none)"
    classes = set(names["train"]) - {""}
    if len(classes) < 2:
        raise VQVAEError(
            f"{folder}: holds no classes: images to train on lie in {len(classes)} subfolders; give at least two "
            f"classes one each, {way_out}"
        )
    for name, count in sorted(Counter(name for of_split in names.values() for name in of_split).items()):
        if name and count == 1:
            raise VQVAEError(f"{folder}: class {name!r} has one image: give it more, {way_out}")
    for split in splits:
        found = set(names[split])
        if "" in found:
            path = paths[SPLITS.index(split)][names[split].index("")]
            count = f"{names[split].count('')} of {len(names[split])} images"
            raise VQVAEError(
                f"{folder}: the {split} split holds {count} without a class of the training split "
                f"({', '.join(sorted(classes))}), such as {path}: give each image one, {way_out}"
            )
        differences = [(name, split, "train") for name in found - classes]
        if _has_splits(folder):
            differences += [(name, "train", split) for name in classes - found]
        for name, present, absent in sorted(differences):
            raise VQVAEError(
                f"{folder}: class {name!r} has images in the {present} split and none in the {absent} split: "
                f"give it {'some there' if _has_splits(folder) else 'more'}, {way_out}"
            )


def _find_classes(folder: Path, paths: List[List[Path]]) -> Tuple[Tuple[str, ...], List[Optional[np.ndarray]]]:
    """Return the names of the classes and the labels of each split; nothing where images lie in less than two."""
    names = _class_names(folder, paths)
    classes = tuple(sorted({name for name in names[0] if name}))
    if len(classes) < 2:
        return (), [None] * len(paths)
    numbers: Dict[str, int] = {name: number for number, name in enumerate(classes)}
    return classes, [np.array([numbers.get(name, -1) for name in of_split], np.int64) for of_split in names]


def _class_names(folder: Path, splits: List[List[Path]]) -> List[List[str]]:
    """Return the name of the subfolder in which each image of each split lies, or nothing if it lies elsewhere."""
    roots = [folder / name for name in SPLITS] if _has_splits(folder) else [folder] * len(SPLITS)
    return [[_class_of(path, root) for path in paths] for paths, root in zip(splits, roots)]


def _has_splits(folder: Path) -> bool:
    return (folder / SPLITS[0]).is_dir()


def _class_of(path: Path, root: Path) -> str:
    """Return the name of the subfolder in which an image lies, or nothing if it lies elsewhere."""
    return path.parent.name if path.parent.parent == root else ""


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


def _read(
    paths: List[Path], channels: int, size: Tuple[int, int], mixed_sizes: str, background: str
) -> List[np.ndarray]:
    images, first = [], None
    for path in tqdm(paths, desc="reading images", unit="image", disable=None):
        pixels = read_pixels(path, channels, background=background)
        first = first or (path, pixels.shape)
        if mixed_sizes == "refuse" and pixels.shape != first[1]:
            sizes = [f"{width}x{height}" for _, height, width in (first[1], pixels.shape)]
            raise VQVAEError(
                f"{path}: has {sizes[1]} pixels, {first[0]} has {sizes[0]}; make all images one size "
                "or add --mixed-sizes stretch"
            )
        images.append(stretch(pixels, size))
    return images
