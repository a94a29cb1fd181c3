"""Data sets of images, and the batches that training reads from them."""
from pathlib import Path
from typing import Any, Callable, Sequence, Tuple

from ..background import parse_background
from ..errors import VQVAEError
from ..runtime import MEMORY
from .dataset import SPLITS, Dataset, Images, Split, batches, to_bytes, to_unit
from .image_file import read_image, write_png

__all__ = [
    "SPLITS",
    "Dataset",
    "Images",
    "Split",
    "batches",
    "check_classes",
    "from_gluon",
    "load_dataset",
    "read_image",
    "to_bytes",
    "to_unit",
    "write_png",
]


def __getattr__(name: str) -> Callable[..., Split]:
    if name == "from_gluon":  # imported late: it loads modules that prediction does not need
        from .gluon import from_gluon

        return from_gluon
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_dataset(
    source: str,
    channels: int = 1,
    image_size: Tuple[int, int] = (28, 28),
    split_seed: int = 0,
    mixed_sizes: str = "refuse",
    background: str = "",
    classes: str = "auto",
    memory: float = MEMORY,
) -> Dataset:
    """Load ``'mnist'``, a folder with MNIST's four IDX files, a record file ``FILE.rec``, or a folder of images.

    A folder may hold the splits as ``train.rec``, ``validation.rec`` and ``test.rec``. The other settings say how
    images are read, see :func:`load_folder` and :func:`load_records`; MNIST is always 1 x 28 x 28 with a fixed split.
    ``classes`` is 'auto' (labels if there are any), 'none' or 'folders' (each image must have a label). Images that
    take more than ``memory`` GiB are not kept in memory but read when they are needed; training gives the same numbers.
    """
    if not memory >= 0:
        raise VQVAEError(f"memory was given as {memory} GiB: it must be 0 or more")
    parse_background(background)
    if classes not in ("auto", "none", "folders"):
        raise VQVAEError(f"classes {classes!r} is unknown: choose one of auto, none, folders")
    dataset = _load(source, channels, image_size, split_seed, mixed_sizes, background, classes, memory)
    return Dataset(*(Split(split.images) for split in dataset)) if classes == "none" else dataset


def check_classes(source: str, split_seed: int = 0, splits: Sequence[str] = SPLITS) -> None:
    """Raise VQVAEError unless the classes of a source fit together, see :meth:`Classes.check`.

    Nothing is to be checked where they always do, as those of MNIST.
    """
    from .image_folder import check_classes as check_folder
    from .mnist import has_idx_files
    from .records import check_classes as check_records
    from .records import has_records

    if has_records(source):
        check_records(source, split_seed, splits)
    elif source != "mnist" and not has_idx_files(Path(source)):
        check_folder(source, split_seed, splits)


def _load(source: str, channels: int, image_size: Tuple[int, int], *how: Any) -> Dataset:
    from .records import has_records

    folder = Path(source)
    if has_records(folder):
        from .records import load_records

        return load_records(folder, channels, image_size, *how)
    if source != "mnist" and not folder.is_dir():
        raise VQVAEError(f"no data at {source!r}: give 'mnist', an existing folder or a record file FILE.rec")
    if source != "mnist":
        from .image_folder import load_folder
        from .mnist import has_idx_files, load_idx

        if not has_idx_files(folder):
            return load_folder(folder, channels, image_size, *how)
    if (channels, *image_size) != (1, 28, 28):
        raise VQVAEError(
            f"MNIST was asked for as {channels} x {image_size[0]} x {image_size[1]}: it is 1 x 28 x 28"
        )
    if source == "mnist":
        from .mnist import load_embedded

        return load_embedded()
    return load_idx(folder)
