"""MXNet's record files: a file of images with labels, and its index.

MXNet's ``im2rec`` and ``vqvae pack`` write ``FILE.rec`` and ``FILE.idx``; if there are classes, the latter adds
``FILE.labels`` with their names, one per line. Records are read by MXNet's reader. But it has to read a whole record to
get its label, trusts any length up to 512 MiB, and does not notice an index of another file. Therefore the heads of all
records are checked here first.
"""
import array
import ctypes
import os
import struct
import threading
from pathlib import Path
from typing import Iterator, Optional, Tuple, Union

import mxnet as mx
import numpy as np
from mxnet.base import _LIB, check_call
from mxnet.recordio import MXIndexedRecordIO, MXRecordIO, unpack

from ..errors import VQVAEError
from ..files import read_bytes

_MAGIC = 0xCED7230A
_HEAD = struct.Struct("<IIIf")  # magic, kind of part and length; number of labels that follow and, if 0, the label
_LENGTH_BITS = 29
_LARGEST = 1 << 24  # labels are float32, which represents all whole numbers up to here
_WHOLE, _FIRST, _LAST = 0, 1, 3  # kinds of part: a record that contains the magic number is stored in several parts


class RecordFile:
    """The images of a record file, numbered in the order of its index; several threads may read at once.

    ``labels`` (N,) int64 are -1 for records whose label is not a single whole number from 0. ``classes`` are the names
    in ``FILE.labels``; empty if there is no such file.

    Raises VQVAEError for a file that is missing, empty, damaged or truncated, for the index of another file, and for a
    label without a name. :meth:`read` raises it for a record that is damaged or has changed since.
    """

    def __init__(self, path: Union[str, Path]) -> None:
        self.path = Path(path)
        self._keys, self._places = _read_index(self.path)
        self._thread = threading.local()
        self.labels = self._read_labels()
        self.classes = _read_names(self.path)
        largest = self.labels.max()
        if self.classes and largest >= len(self.classes):
            number, count = int(self.labels.argmax()), len(self.classes)
            raise VQVAEError(
                f"{self.name(number)}: has the label {largest}, but {names_path(self.path)} ends with the name of "
                f"label {count - 1}, in line {count}: it is another file's or cut short; restore it, or remove it and "
                "the numbers are the names"
            )

    def __len__(self) -> int:
        return len(self._places)

    def name(self, number: int) -> str:
        """Return the name of a record for error messages."""
        return f"{self.path}: record {self._keys[number]}"

    def describe_label(self, number: int) -> str:
        """Return a description of the label in the head of a record."""
        with open(self.path, "rb") as file:
            *_, more, label = _head(file.fileno(), self._places[number])
        return f"a list of {more} label{'s' * (more != 1)}" if more else f"the label {label:g}"

    def read(self, number: int) -> Tuple[str, bytes]:
        """Return a record's name, for error messages, and the content of its image file."""
        try:
            reader = self._reader()
            check_call(_LIB.MXRecordIOReaderSeek(reader.handle, ctypes.c_size_t(self._places[number])))
            _, content = unpack(reader.read() or b"")
        except (mx.MXNetError, struct.error, ValueError):
            raise VQVAEError(f"{self.name(number)}: is damaged") from None
        return self.name(number), content

    def _reader(self) -> MXRecordIO:
        """Return this thread's own reader: a reader keeps a position in the file and the last record."""
        if not hasattr(self._thread, "reader"):
            self._thread.reader = MXRecordIO(str(self.path), "r")
        return self._thread.reader

    def _read_labels(self) -> np.ndarray:
        """Return the label of each record; check that the index lists exactly the records of the file."""
        labels, ends = np.empty((2, len(self)), np.int64)
        with open(self.path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            for number in range(len(self)):
                labels[number], ends[number] = self._read_head(file.fileno(), size, number)
        if not np.array_equal([*np.sort(self._places), size], [0, *np.sort(ends)]):
            raise VQVAEError(f"{index_path(self.path)}: does not name all records of {self.path}: it is another file's")
        return labels

    def _read_head(self, file: int, size: int, number: int) -> Tuple[int, int]:
        """Return the label of a record and the offset at which the next one begins."""
        place = self._places[number]
        magic, part, more, label = _head(file, place)
        if magic != _MAGIC or part >> _LENGTH_BITS not in (_WHOLE, _FIRST):
            raise VQVAEError(
                f"{self.name(number)}: is not where {index_path(self.path)} has it: the file is damaged or cut short, "
                "or the index is another file's"
            )
        for end, kind in _parts(file, place):
            if end > size or kind is None:
                raise VQVAEError(f"{self.name(number)}: is damaged or cut short")
        whole = not more and 0 <= label <= _LARGEST and label == int(label)
        return int(label) if whole else -1, end


def index_path(path: Path) -> Path:
    """Return the path of a record file's index."""
    return path.with_suffix(".idx")


def names_path(path: Path) -> Path:
    """Return the path of the file that names the classes of a record file."""
    return path.with_suffix(".labels")


def _head(file: int, place: int) -> Tuple[int, int, int, float]:
    return _HEAD.unpack(os.pread(file, _HEAD.size, place).ljust(_HEAD.size, b"\0"))


def _parts(file: int, place: int) -> Iterator[Tuple[int, Optional[int]]]:
    """Yield the end and the kind of each part of a record; the kind is None if the bytes are not a part."""
    while True:
        magic, part = struct.unpack("<II", os.pread(file, 8, place).ljust(8, b"\0"))
        kind, length = part >> _LENGTH_BITS, part & ((1 << _LENGTH_BITS) - 1)
        place += 8 + (length + 3) // 4 * 4
        yield place, kind if magic == _MAGIC else None
        if kind in (_WHOLE, _LAST) or magic != _MAGIC:
            return


def _read_index(path: Path) -> Tuple[array.array, array.array]:
    """Return the keys and the offsets of the records that a record file's index lists."""
    if not path.is_file():
        raise VQVAEError(f"{path}: no such file")
    if not path.stat().st_size:
        raise VQVAEError(f"{path}: is empty; make it with vqvae pack or im2rec")
    index = index_path(path)
    if not index.is_file():
        raise VQVAEError(f"{path}: its index {index} is missing; vqvae pack and im2rec write both")
    read_bytes(index)
    try:
        records = MXIndexedRecordIO(str(index), str(path), "r")
        places = array.array("Q", (records.idx[key] for key in records.keys))
        keys = array.array("q", records.keys)
        records.close()
    except (mx.MXNetError, ValueError, IndexError, OverflowError):
        raise VQVAEError(f"{index}: is damaged or no index of a record file") from None
    if not places:
        raise VQVAEError(f"{index}: names no records; make it anew with vqvae pack or im2rec")
    return keys, places


def _read_names(path: Path) -> Tuple[str, ...]:
    names = names_path(path)
    if not names.is_file():
        return ()
    try:
        found = tuple(read_bytes(names).decode().splitlines())
    except UnicodeDecodeError:
        found = ()
    if not found or len(set(found)) < len(found) or "" in found:
        raise VQVAEError(f"{names}: holds no list of different names, one in a line")
    return found
