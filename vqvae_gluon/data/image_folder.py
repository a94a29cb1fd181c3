"""Load any folder of images as a data set."""
from pathlib import Path
from typing import List, Sequence, Tuple, Union

import numpy as np

from ..errors import VQVAEError
from ..files import read_bytes
from ..runtime import MEMORY
from .classes import Classes
from .dataset import SPLITS, Dataset
from .encoded import Encoded, Form, draw_splits
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
    memory: float = MEMORY,
) -> Dataset:
    """Load every image below a folder.

    Subfolders ``train``, ``validation`` and ``test`` are the splits; without them the images are split
    80 / 10 / 10 after a shuffle with ``seed``. Images are converted to ``channels`` and stretched to ``size``
    (height, width) as in :func:`read_image`; they must all have one size, unless ``mixed_sizes`` is 'stretch'.
    Those with an alpha channel are flattened onto ``background``. They are kept in memory if they take at most
    ``memory`` GiB, and otherwise read when they are needed.

    If a folder holds a subfolder for each class, the images have labels: the classes are those of the training split,
    sorted, and an image outside their subfolders has the label -1. With ``classes`` 'none' no image has a label,
    with 'folders' every image must have one, see :meth:`Classes.check`.

    Raises
    ------
    VQVAEError
        If only some of the three subfolders exist, if one of them holds no image or, without them, the folder fewer
        than ten; when images are read, if one cannot be read, has an alpha channel without a ``background``, or has
        another size than the first; with 'folders', if the classes do not fit together.
    """
    paths = _find_splits(Path(folder), seed)
    flat = [str(path) for of_split in paths for path in of_split]

    def read(number: int) -> Tuple[str, bytes]:
        return flat[number], read_bytes(flat[number])

    encoded = Encoded(len(flat), read, Form(channels, size, mixed_sizes, background))
    numbers = np.split(np.arange(len(flat)), np.cumsum([len(of_split) for of_split in paths])[:-1])
    streams = [encoded.stream(of_split) for of_split in numbers]
    return _classes(Path(folder), paths).dataset(classes, streams, memory)


def check_classes(folder: Union[str, Path], seed: int = 0, splits: Sequence[str] = SPLITS) -> None:
    """Raise VQVAEError unless the classes of these splits of a folder can be learnt, see :meth:`Classes.check`."""
    _classes(Path(folder), _find_splits(Path(folder), seed)).check(splits)


def find_classes(folder: Path, paths: List[Path]) -> Classes:
    """Return the classes of the images below a folder that is a single split."""
    return _named(folder, [paths], [folder], False)


def has_splits(folder: Path) -> bool:
    """Return whether a folder's subfolders are splits: whether there is one called ``train``."""
    return (folder / SPLITS[0]).is_dir()


def _classes(folder: Path, paths: List[List[Path]]) -> Classes:
    """Return the classes of a folder's splits: the class of an image is the name of the subfolder that it is in."""
    own = has_splits(folder)
    return _named(folder, paths, [folder / name for name in SPLITS] if own else [folder] * len(SPLITS), own)


def _named(folder: Path, paths: List[List[Path]], roots: List[Path], own: bool) -> Classes:
    names = [[_class_of(path, root) for path in of_split] for of_split, root in zip(paths, roots)]
    return Classes(
        source=str(folder),
        names=names,
        known=sorted(set(names[0]) - {""}),
        own_splits=own,
        few=lambda count: f"lie in {count} subfolders; give at least two classes one each",
        image=lambda split, number: str(paths[split][number]),
    )


def _class_of(path: Path, root: Path) -> str:
    """Return the name of the subfolder that holds an image, or '' if it is not in a direct subfolder of ``root``."""
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
    return [[paths[number] for number in numbers] for numbers in draw_splits(len(paths), seed)]
