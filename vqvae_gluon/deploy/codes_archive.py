"""A file with the codes of many images: an uncompressed ``.npz``, read and written piece by piece.

Its arrays are ``codes`` (N, h, w), unsigned integers of the smallest sufficient dtype; ``codebook``, the SHA-256 of the
codebook that made them; for a folder of images ``names`` (N,), their relative paths as bytes; and for a part of the
images ``shard``, the number of the part from 1, the number of parts, and the number of images in all parts.
"""
import zipfile
from pathlib import Path
from typing import IO, BinaryIO, Iterator, NamedTuple, Optional, Tuple, TypeVar, Union

import numpy as np
from numpy.lib import format as npy

from ..errors import VQVAEError
from ..files import DAMAGES

File = Union[str, Path]
Archive = TypeVar("Archive", bound="CodesArchive")

_LONGEST_NAME = 1 << 16  # bytes; the limit of the system is 4,096


class Shard(NamedTuple):
    """Part ``number``, counted from 1, of ``count`` parts, which have ``images`` images in all."""

    number: int
    count: int  # type: ignore[assignment]  # hides the method of tuples
    images: int

    def bounds(self) -> Tuple[int, int]:
        """Return the numbers, among all images, of the first image of the part and the one after its last."""
        return self.images * (self.number - 1) // self.count, self.images * self.number // self.count


class Member(NamedTuple):
    """One array of an archive, opened at its first value."""

    stream: IO[bytes]
    shape: Tuple[int, ...]
    dtype: np.dtype

    def rows(self, count: int) -> np.ndarray:
        """Return the next ``count`` rows; raise ValueError if there are fewer."""
        shape = (count, *self.shape[1:])
        content = self.stream.read(int(np.prod(shape)) * self.dtype.itemsize)
        return np.frombuffer(content, self.dtype).reshape(shape)


class CodesArchive:
    """A file of codes, opened and checked; raises VQVAEError if it is missing, damaged or not a file of codes."""

    def __init__(self, path: File) -> None:
        self.path = path
        try:
            self._archive = zipfile.ZipFile(str(path))
        except FileNotFoundError:
            raise VQVAEError(f"{path}: no such file") from None
        except DAMAGES:
            raise self.damaged() from None
        codes = self._open("codes", "u", 3)
        #: The number of images, the shape (h, w) of their codes, and the dtype of the codes.
        self.count, *grid = codes.shape
        self.codes_shape, self.kind = tuple(grid), codes.dtype
        #: The SHA-256 of the codebook.
        self.codebook = self._open("codebook", "S", 0).stream.read(64).decode("ascii", "replace")
        self.has_names = "names.npy" in self._archive.namelist()
        #: The part of the images that the file holds; None for all of them.
        self.shard = self._read_shard() if "shard.npy" in self._archive.namelist() else None

    def __enter__(self: Archive) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def codes(self, size: int) -> Iterator[np.ndarray]:
        """Yield the codes (n, h, w) of all images, up to ``size`` images at a time."""
        yield from self._pieces(self._open("codes", "u", 3), size)

    def names(self, size: int) -> Iterator[bytes]:
        """Yield the name of each image, reading ``size`` names at a time; only for a file with names."""
        member = self._open("names", "S", 1)
        if member.shape != (self.count,) or member.dtype.itemsize > _LONGEST_NAME:
            raise self.damaged()
        for names in self._pieces(member, size):
            yield from map(bytes, names)

    def damaged(self) -> VQVAEError:
        """Return the error for a file that is damaged or not a file of codes."""
        return VQVAEError(f"{self.path}: is damaged or no file of 'vqvae encode ... -o'")

    def _pieces(self, member: Member, size: int) -> Iterator[np.ndarray]:
        for start in range(0, self.count, size):
            try:
                yield member.rows(min(size, self.count - start))
            except DAMAGES:
                raise self.damaged() from None

    def _read_shard(self) -> Shard:
        member = self._open("shard", "u", 1)
        try:
            shard = Shard(*map(int, member.rows(3)))
        except DAMAGES:
            raise self.damaged() from None
        start, end = shard.bounds() if 1 <= shard.number <= shard.count <= shard.images else (0, -1)
        if end - start != self.count:
            raise self.damaged()
        return shard

    def _open(self, name: str, kind: str, axes: int) -> Member:
        try:
            stream = self._archive.open(f"{name}.npy")
            if npy.read_magic(stream) != (1, 0):
                raise self.damaged()
            shape, columns_first, dtype = npy.read_array_header_1_0(stream)
        except DAMAGES:
            raise self.damaged() from None
        if dtype.kind != kind or len(shape) != axes or columns_first or not dtype.itemsize or 0 in shape:
            raise self.damaged()
        return Member(stream, shape, dtype)


class Archived(NamedTuple):
    """The content to write to a file of codes.

    ``codes`` yields pieces of the bytes of (count, h, w) integers of dtype ``kind``. ``names`` yields the names, if
    there are any, to be padded to ``longest`` bytes; ``longest`` is 0 if there are none.
    """

    codebook: str
    kind: np.dtype
    count: int  # type: ignore[assignment]  # as above
    codes_shape: Tuple[int, ...]
    codes: Iterator[bytes]
    longest: int = 0
    names: Iterator[bytes] = iter(())
    shard: Optional[Shard] = None


def write_archive(file: BinaryIO, what: Archived) -> None:
    """Write a file of codes; equal content makes equal files."""
    with zipfile.ZipFile(file, "w") as archive:
        _add(archive, "codebook", np.dtype("S64"), (), iter([what.codebook.encode()]))
        _add(archive, "codes", what.kind, (what.count, *what.codes_shape), what.codes)
        if what.longest:
            padded = (name.ljust(what.longest, b"\0") for name in what.names)
            _add(archive, "names", np.dtype(f"S{what.longest}"), (what.count,), padded)
        if what.shard:
            _add(archive, "shard", np.dtype("<u8"), (3,), iter([np.array(what.shard, "<u8").tobytes()]))


def write_array_header(file: IO[bytes], dtype: np.dtype, shape: Tuple[int, ...]) -> None:
    """Write the header of an ``.npy`` array."""
    npy.write_array_header_1_0(file, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})


def _add(archive: zipfile.ZipFile, name: str, dtype: np.dtype, shape: Tuple[int, ...], chunks: Iterator[bytes]) -> None:
    # ZipInfo's default date is fixed, so that equal codes make equal files.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
        write_array_header(member, dtype, shape)
        for chunk in chunks:
            member.write(chunk)
