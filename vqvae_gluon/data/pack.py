"""Pack a folder of images into a record file; the files are copied unchanged, so their pixels stay the same."""
import contextlib
import os
import tempfile
from pathlib import Path
from typing import List, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet.recordio import IRHeader, MXIndexedRecordIO, pack
from tqdm import tqdm

from ..errors import VQVAEError
from ..files import read_bytes
from ..runtime import stop_if_asked
from .dataset import SPLITS
from .image_file import decode
from .image_folder import find_classes, find_images, has_splits
from .image_format import SUFFIXES
from .record_file import RecordFile, index_path, names_path
from .records import SUFFIX


def pack_folder(folder: Union[str, Path], output: Union[str, Path], classes: str = "auto") -> RecordFile:
    """Write the image files below a folder, in sorted order, to a record file ``OUT.rec`` and its index ``OUT.idx``.

    If the images have classes (see :func:`load_folder` for ``classes``), a record's label is the number of its class,
    or -1 for none, and ``OUT.labels`` holds the names of the classes. Otherwise all labels are 0, as im2rec writes
    them.

    Raises
    ------
    VQVAEError
        For a folder without images or with splits as subfolders, an image that cannot be read, classes that do not
        fit together, or an output that exists already or cannot be written. Nothing is left behind then.
    """
    folder, output = Path(folder), Path(output)
    if output.suffix != SUFFIX:
        raise VQVAEError(f"{output}: a record file ends in {SUFFIX}")
    paths = _find(folder)
    names, labels = _classes(folder, paths, classes)
    targets = [output, index_path(output), names_path(output)]
    for path in targets:
        if path.exists():
            raise VQVAEError(f"{path}: is there already; remove it or choose another name")
    try:
        with tempfile.TemporaryDirectory(dir=str(output.resolve().parent), prefix=".pack-") as temporary:
            staged = Path(temporary, output.name)
            _write(paths, labels, staged)
            if names:
                names_path(staged).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
            records = _read_whole(staged, len(paths))
            for path in targets[: 3 if names else 2]:
                os.replace(Path(temporary, path.name), path)
    except OSError as error:
        raise VQVAEError(f"{output}: cannot be written ({error.strerror})") from None
    except mx.MXNetError:
        raise VQVAEError(f"{output}: could not be written whole; is the disk full?") from None
    records.path = output  # it was read from the temporary folder
    return records


def _find(folder: Path) -> List[Path]:
    if not folder.is_dir():
        raise VQVAEError(f"{folder}: is no folder; give one of PNG, JPEG or BMP files")
    if has_splits(folder):
        raise VQVAEError(f"{folder}: holds {', '.join(SPLITS)}; pack each of them, as {SPLITS[0]}{SUFFIX} and so on")
    paths = find_images(folder)
    if not paths:
        raise VQVAEError(f"{folder}: holds no images ({', '.join(SUFFIXES)})")
    return paths


def _classes(folder: Path, paths: List[Path], classes: str) -> Tuple[Tuple[str, ...], np.ndarray]:
    names, (labels,) = find_classes(folder, paths).labels(classes, SPLITS[:1])
    if labels is None:
        return (), np.zeros(len(paths), np.int64)
    for name in names:
        if len(name.splitlines()) > 1 or not name.isprintable():
            raise VQVAEError(f"{folder}: the subfolder {name!r} cannot name a class in a line; rename it")
    return names, labels


def _write(paths: List[Path], labels: np.ndarray, target: Path) -> None:
    with contextlib.closing(MXIndexedRecordIO(str(index_path(target)), str(target), "w")) as records:
        for number, path in enumerate(tqdm(paths, desc="packing", unit="image", leave=False, disable=None)):
            stop_if_asked()
            content = read_bytes(path)
            decode([(str(path), content)], 3, "black")  # a damaged image is found now, not in training
            records.write_idx(number, pack(IRHeader(0, float(labels[number]), number, 0), content))


def _read_whole(path: Path, count: int) -> RecordFile:
    """Return the record file if it is complete, else raise MXNetError: MXNet does not always report a full disk."""
    with contextlib.suppress(VQVAEError):
        records = RecordFile(path)
        if len(records) == count:
            return records
    raise mx.MXNetError
