"""Many images to one file of codes and back, a batch at a time: memory does not grow with their number.

A codes file is an ``.npz`` without compression: ``codes`` (N, h, w), unsigned integers of the smallest
sufficient type; ``codebook``, the SHA-256 of the codebook that made them; and, for a folder of images, ``names`` (N,),
their paths below it as bytes.
"""
import os
import tempfile
import zipfile
from pathlib import Path
from typing import BinaryIO, Iterator, List, NamedTuple, Optional, Tuple, Union

import numpy as np
from numpy.lib import format as npy
from tqdm import tqdm

from ..data.dataset import to_bytes
from ..data.image_file import write_png
from ..data.image_format import SUFFIXES
from ..errors import VQVAEError
from ..files import DAMAGES, new_folder, writing
from ..runtime import stop_if_asked
from .artifacts import codebook_digest
from .predictor import Predictor

File = Union[str, Path]
Batch = Tuple[Optional[List[bytes]], np.ndarray]


def encode_to_file(predictor: Predictor, source: File, output: File) -> int:
    """Encode a folder of images, or an ``.npy`` array (N, C, H, W) as :meth:`Predictor.encode` takes it, to ``output``.

    Returns the number of images. Images of a folder are taken in sorted order, converted as single ones are.

    Raises
    ------
    VQVAEError
        For an unreadable image or array, none at all, or an unwritable file; ``output`` is then left as it was.
    """
    batches = folder_batches(predictor, Path(source)) if Path(source).is_dir() else _array_batches(predictor, source)
    kind = np.min_scalar_type(len(predictor.codebook) - 1)
    count, longest = 0, 0
    with writing(output) as file, tempfile.TemporaryFile() as codes, tempfile.TemporaryFile() as names:
        with progress_bar() as bar:
            for batch_names, batch in batches:
                codes.write(predictor.encode(batch).astype(kind).tobytes())
                for name in batch_names or ():
                    names.write(name + b"\0")
                    longest = max(longest, len(name))
                count += len(batch)
                bar.update(len(batch))
        if not count:
            raise VQVAEError(f"{source}: holds no images")
        with zipfile.ZipFile(file, "w") as archive:
            _add(archive, "codebook", np.dtype("S64"), (), iter([codebook_digest(predictor.codebook).encode()]))
            _add(archive, "codes", kind, (count, *predictor.codes_shape), _chunks(codes))
            if longest:
                _add(archive, "names", np.dtype(f"S{longest}"), (count,), _padded(names, longest))
    return count


def decode_to_folder(predictor: Predictor, source: File, output: File) -> int:
    """Decode a codes file to PNG files in a new or empty folder; return their number.

    A file has the name of its image, with ``.png`` added to any other suffix; without names, its number.

    Raises
    ------
    VQVAEError
        For a damaged codes file, another model's, names that leave the folder, or a folder that is taken or cannot be
        written; nothing is left behind then.
    """
    with CodesFile(predictor, source) as file, progress_bar(file.count) as bar:
        return write_folder(output, zip(file.names(), file.images()), str(source), bar)


def write_folder(output: File, images: Iterator[Tuple[str, np.ndarray]], source: str, bar: tqdm) -> int:
    """Write images, each a path below the folder and (C, H, W) uint8, as PNG files to a new or empty folder.

    Returns their number. ``source`` is what is blamed for two images of one name. Raises VQVAEError if the folder is
    taken or cannot be written; nothing is left behind then.
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
        _write_header(target, np.dtype(np.uint8), (file.count, *predictor.image_shape))
        for image in file.images():
            target.write(image.tobytes())
            bar.update()
        return file.count


def numbered(number: int) -> str:
    """Return the file name of an image that has only a number."""
    return f"{number:07d}.png"


class Member(NamedTuple):
    """One array of an archive, open at its first value."""

    stream: BinaryIO
    shape: Tuple[int, ...]
    dtype: np.dtype

    def rows(self, count: int) -> np.ndarray:
        """Return the next ``count`` rows; raise ValueError if there are fewer."""
        shape = (count, *self.shape[1:])
        content = self.stream.read(int(np.prod(shape)) * self.dtype.itemsize)
        return np.frombuffer(content, self.dtype).reshape(shape)


class CodesFile:
    """A codes file opened for a predictor: checked, and read a batch at a time."""

    def __init__(self, predictor: Predictor, path: File) -> None:
        self._predictor, self._path = predictor, path
        try:
            self._archive = zipfile.ZipFile(str(path))
        except FileNotFoundError:
            raise VQVAEError(f"{path}: no such file") from None
        except DAMAGES:
            raise self._damaged() from None
        codes = self._open("codes", "u", 3)
        digest = self._open("codebook", "S", 0)
        if digest.stream.read(64).decode("ascii", "replace") != codebook_digest(predictor.codebook):
            raise VQVAEError(f"{path}: was made with another model's codebook; name that model with --model")
        if codes.shape[1:] != predictor.codes_shape:
            raise VQVAEError(f"{path}: holds codes of {codes.shape[1:]}, the model takes {predictor.codes_shape}")
        #: The number of images.
        self.count = codes.shape[0]

    def __enter__(self) -> "CodesFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def images(self) -> Iterator[np.ndarray]:
        """Yield each image, (C, H, W) uint8."""
        member = self._open("codes", "u", 3)
        for size in self._sizes():
            yield from to_bytes(self._predictor.decode(self._rows(member, size)))

    def names(self) -> Iterator[str]:
        """Yield the path of each image to write, below any folder."""
        if "names.npy" not in self._archive.namelist():
            for number in range(self.count):
                yield numbered(number)
            return
        member = self._open("names", "S", 1)
        for size in self._sizes():
            for name in self._rows(member, size):
                yield self._checked(os.fsdecode(bytes(name)))

    def _checked(self, name: str) -> str:
        if not name or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
            raise VQVAEError(f"{self._path}: names an image {name!r}, which is no path below a folder")
        return name if name.lower().endswith(".png") else f"{name}.png"

    def _sizes(self) -> Iterator[int]:
        for start in range(0, self.count, self._predictor.batch_size):
            yield min(self._predictor.batch_size, self.count - start)

    def _rows(self, member: Member, count: int) -> np.ndarray:
        try:
            return member.rows(count)
        except DAMAGES:
            raise self._damaged() from None

    def _open(self, name: str, kind: str, axes: int) -> Member:
        try:
            stream = self._archive.open(f"{name}.npy")
            if npy.read_magic(stream) != (1, 0):
                raise self._damaged()
            shape, columns_first, dtype = npy.read_array_header_1_0(stream)
        except DAMAGES:
            raise self._damaged() from None
        if dtype.kind != kind or len(shape) != axes or columns_first or not dtype.itemsize or 0 in shape:
            raise self._damaged()
        return Member(stream, shape, dtype)

    def _damaged(self) -> VQVAEError:
        return VQVAEError(f"{self._path}: is damaged or no file of 'vqvae encode ... -o'")


def folder_batches(predictor: Predictor, folder: Path) -> Iterator[Batch]:
    """Yield the images below a folder in batches: their names, as bytes, and what enters the encoder."""
    batch: List[str] = []
    for path in _walk(str(folder)):
        batch.append(path)
        if len(batch) == predictor.batch_size:
            yield _read(predictor, folder, batch)
            batch = []
    if batch:
        yield _read(predictor, folder, batch)


def _read(predictor: Predictor, folder: Path, paths: List[str]) -> Batch:
    return [os.fsencode(os.path.relpath(path, folder)) for path in paths], predictor.to_tensor(paths)


def _walk(folder: str) -> Iterator[str]:
    """Yield the image files below a folder: those of a folder sorted, before its sorted subfolders'."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if os.path.splitext(name)[1].lower() in SUFFIXES:
                yield os.path.join(place, name)


def _array_batches(predictor: Predictor, path: File) -> Iterator[Batch]:
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
    for start in range(0, len(images), predictor.batch_size):
        yield None, np.array(images[start : start + predictor.batch_size])


def _add(archive: zipfile.ZipFile, name: str, dtype: np.dtype, shape: Tuple[int, ...], chunks: Iterator[bytes]) -> None:
    # The date is fixed: equal codes make equal files.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        _write_header(member, dtype, shape)
        for chunk in chunks:
            member.write(chunk)


def _write_header(file: BinaryIO, dtype: np.dtype, shape: Tuple[int, ...]) -> None:
    npy.write_array_header_1_0(file, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    return iter(lambda: file.read(1 << 20), b"")


def _padded(file: BinaryIO, width: int) -> Iterator[bytes]:
    rest = b""
    for chunk in _chunks(file):
        *names, rest = (rest + chunk).split(b"\0")
        yield b"".join(name.ljust(width, b"\0") for name in names)


def progress_bar(total: Optional[int] = None) -> tqdm:
    return tqdm(total=total, unit=" images", leave=False, disable=None)


