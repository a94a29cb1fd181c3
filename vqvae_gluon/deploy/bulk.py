"""Encode many images to one file of codes and back, batch by batch: memory does not grow with their number."""
import os
import tempfile
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Callable, Iterator, List, Optional, Tuple

import numpy as np
from tqdm import tqdm

from ..data.dataset import batches as read_in_batches
from ..data.dataset import to_bytes
from ..data.encoded import Encoded, Form
from ..data.image_file import write_png
from ..data.image_format import SUFFIXES
from ..data.record_file import RecordFile
from ..data.records import has_records
from ..errors import VQVAEError
from ..files import DAMAGES, new_folder, writing
from ..model_files.component import codebook_digest
from ..runtime import stop_if_asked
from .codes_archive import Archived, CodesArchive, File, Shard, write_archive, write_array_header
from .predictor import Predictor

NamedBatch = Tuple[List[bytes], np.ndarray]
Batch = Tuple[Optional[List[bytes]], np.ndarray]


def encode_to_file(predictor: Predictor, source: File, output: File, shard: Optional[Tuple[int, int]] = None) -> int:
    """Encode many images, write their codes to the file ``output`` and return the number of images.

    ``source`` is a folder of images, which are taken in sorted order, a record file, in the order of its index, or an
    ``.npy`` array (N, C, H, W) as :meth:`Predictor.encode` takes it. Images of folders and records are converted as
    single images are. With ``shard``, (number, count), only part ``number`` of ``count`` parts is encoded, counted from
    1; :func:`vqvae_gluon.deploy.merge.merge` joins the parts.

    Raises
    ------
    VQVAEError
        For an image or array that cannot be read, no images or fewer than parts, a part that does not exist, or a file
        that cannot be written; ``output`` is then left as it was.
    """
    part = _find_part(source, *shard) if shard else None
    start, end = part.bounds() if part else (0, None)
    batches = _reader(source)(predictor, Path(source), start, end)
    kind = np.min_scalar_type(len(predictor.codebook) - 1)
    count, longest = 0, 0
    with writing(output) as file, tempfile.TemporaryFile() as codes, tempfile.TemporaryFile() as names:
        with progress_bar(None if end is None else end - start) as bar:
            for batch_names, batch in batches:
                codes.write(predictor.encode(batch).astype(kind).tobytes())
                for name in batch_names or ():
                    names.write(name + b"\0")
                    longest = max(longest, len(name))
                count += len(batch)
                bar.update(len(batch))
        if not count:
            raise VQVAEError(f"{source}: holds no images")
        digest, shape = codebook_digest(predictor.codebook), predictor.codes_shape
        write_archive(file, Archived(digest, kind, count, shape, _chunks(codes), longest, _split(names), part))
    return count


def _find_part(source: File, number: int, count: int) -> Shard:
    """Return a part of a source; raise VQVAEError if it does not exist."""
    if count < 1:
        raise VQVAEError(f"shard was given as {number}/{count}: N must be at least 1")
    if not 1 <= number <= count:
        raise VQVAEError(f"shard was given as {number}/{count}: the parts are 1/{count} to {count}/{count}")
    images = _count(source)
    if images < count:
        raise VQVAEError(f"{source}: holds {images} images, fewer than the {count} parts that were asked for")
    return Shard(number, count, images)


def _reader(source: File) -> Callable[..., Iterator[Batch]]:
    if Path(source).is_dir():
        return folder_batches
    return record_batches if has_records(source) else array_batches


def _count(source: File) -> int:
    if Path(source).is_dir():
        return sum(1 for _ in _walk(str(source)))
    return len(RecordFile(source) if has_records(source) else _open_array(source))


def decode_to_folder(predictor: Predictor, source: File, output: File) -> int:
    """Decode a codes file to PNG files in a new or empty folder; return their number.

    A file has the name of its image, with ``.png`` appended if the name ends otherwise; without names, it is called by
    the image's number.

    Raises
    ------
    VQVAEError
        For a codes file that is damaged or from another model, names that lead out of the folder, or a folder that is
        neither new nor empty or that cannot be written; nothing is left behind then.
    """
    with CodesFile(predictor, source) as file, progress_bar(file.count) as bar:
        return write_folder(output, zip(file.paths(), file.images()), str(source), bar)


def write_folder(output: File, images: Iterator[Tuple[str, np.ndarray]], source: str, bar: tqdm) -> int:
    """Write images, each a path below the folder and (C, H, W) uint8, as PNG files to a new or empty folder.

    Returns their number. ``source`` is named in the error if two images have the same path. Raises VQVAEError for that,
    or if the folder is neither new nor empty or cannot be written; nothing is left behind then.
    """
    count = 0
    with new_folder(output) as folder:
        for name, image in images:
            stop_if_asked()
            target = folder / name
            if target.exists():
                raise VQVAEError(f"{source}: two of its images would be written to {name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            write_png(target, image)
            bar.update()
            count += 1
    return count


def decode_to_array(predictor: Predictor, source: File, output: File) -> int:
    """Decode a codes file to an ``.npy`` array (N, C, H, W) of uint8; return N.

    Raises VQVAEError as :func:`decode_to_folder` does; ``output`` is then left as it was.
    """
    with CodesFile(predictor, source) as file, writing(output) as target, progress_bar(file.count) as bar:
        write_array_header(target, np.dtype(np.uint8), (file.count, *predictor.image_shape))
        for image in file.images():
            target.write(image.tobytes())
            bar.update()
        return file.count


def numbered(number: int) -> str:
    """Return the file name of an image that has only a number."""
    return f"{number:07d}.png"


class CodesFile(CodesArchive):
    """A file of codes, opened for a predictor with the codebook that made them.

    Raises VQVAEError for a file that :class:`CodesArchive` refuses, or one from another model.
    """

    def __init__(self, predictor: Predictor, path: File) -> None:
        super().__init__(path)
        self._predictor = predictor
        if self.codebook != codebook_digest(predictor.codebook):
            raise VQVAEError(f"{path}: was made with another model's codebook; name that model with --model")
        if self.codes_shape != predictor.codes_shape:
            raise VQVAEError(f"{path}: holds codes of {self.codes_shape}, the model takes {predictor.codes_shape}")

    def images(self) -> Iterator[np.ndarray]:
        """Yield each image, (C, H, W) uint8."""
        for codes in self.codes(self._predictor.batch_size):
            yield from to_bytes(self._predictor.decode(codes))

    def paths(self) -> Iterator[str]:
        """Yield the path to write each image to, relative to a folder."""
        if not self.has_names:
            first = self.shard.bounds()[0] if self.shard else 0
            yield from (numbered(number) for number in range(first, first + self.count))
            return
        for name in self.names(self._predictor.batch_size):
            yield self._checked(os.fsdecode(name))

    def _checked(self, name: str) -> str:
        if not name or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
            raise VQVAEError(f"{self.path}: names an image {name!r}, which is no path below a folder")
        return name if name.lower().endswith(".png") else f"{name}.png"


def folder_batches(
    predictor: Predictor, folder: Path, start: int = 0, end: Optional[int] = None
) -> Iterator[NamedBatch]:
    """Yield the images below a folder in batches: their names, as bytes, and the encoder's input.

    ``start`` and ``end`` are the numbers, in sorted order, of the first image and the one after the last.
    """
    batch: List[str] = []
    for path in islice(_walk(str(folder)), start, end):
        batch.append(path)
        if len(batch) == predictor.batch_size:
            yield _read(predictor, folder, batch)
            batch = []
    if batch:
        yield _read(predictor, folder, batch)


def _read(predictor: Predictor, folder: Path, paths: List[str]) -> NamedBatch:
    return [os.fsencode(os.path.relpath(path, folder)) for path in paths], predictor.to_tensor(paths)


def _walk(folder: str) -> Iterator[str]:
    """Yield the image files below a folder: first its own, sorted, then those of its subfolders, sorted as well."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if os.path.splitext(name)[1].lower() in SUFFIXES:
                yield os.path.join(place, name)


def record_batches(
    predictor: Predictor, path: File, start: int = 0, end: Optional[int] = None
) -> Iterator[Batch]:
    """Yield the images of a record file in batches, without names; for ``start`` and ``end`` see a folder's."""
    if predictor.strict:
        raise VQVAEError(f"{path}: --strict looks at image files; leave it out for a record file")
    file = RecordFile(path)
    channels, height, width = predictor.image_shape
    form = Form(channels, (height, width), "stretch", predictor.background)
    images = Encoded(len(file), file.read, form).stream(np.arange(len(file))[start:end])
    for batch in read_in_batches(images, predictor.batch_size):
        yield None, batch


def array_batches(
    predictor: Predictor, path: File, start: int = 0, end: Optional[int] = None
) -> Iterator[Batch]:
    """Yield the images of an ``.npy`` array in batches, without names; for ``start`` and ``end`` see a folder's."""
    images = _open_array(path)[start:end]
    for first in range(0, len(images), predictor.batch_size):
        yield None, np.array(images[first : first + predictor.batch_size])


def _open_array(path: File) -> np.ndarray:
    try:
        images = np.load(str(path), mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise VQVAEError(f"{path}: no such file") from None
    except DAMAGES:
        images = None
    if not isinstance(images, np.ndarray):
        raise VQVAEError(f"{path}: is damaged or no .npy array")
    if images.ndim != 4:
        raise VQVAEError(f"{path}: holds an array of shape {images.shape}: give (N, C, H, W)")
    return images


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    return iter(lambda: file.read(1 << 20), b"")


def _split(file: BinaryIO) -> Iterator[bytes]:
    """Yield the names in a file, each of which ends with a zero byte."""
    rest = b""
    for chunk in _chunks(file):
        *names, rest = (rest + chunk).split(b"\0")
        yield from names


def progress_bar(total: Optional[int] = None) -> tqdm:
    return tqdm(total=total, unit=" images", leave=False, disable=None)


