"""The arrays of a ``.params`` file, read without trusting the sizes in it."""
import math
import struct
from pathlib import Path
from typing import Dict, Iterator, Tuple

import mxnet as mx
import numpy as np

from ..errors import VQVAEError
from ..files import read_bytes

_LIST, _ARRAYS = 0x112, (0xF993FAC9, 0xF993FACA)  # the first numbers of a .params file and of its arrays

#: Arrays by name.
Parameters = Dict[str, mx.nd.NDArray]


def load_arrays(path: Path) -> Parameters:
    """Read a ``.params`` file; raise VQVAEError if it is missing or damaged."""
    return parse_arrays(path, read_bytes(path))


def parse_arrays(path: Path, content: bytes) -> Parameters:
    """Return the arrays in the ``content`` of a ``.params`` file; raise VQVAEError if it is damaged."""
    try:
        return {name: mx.nd.array(array) for name, array in _unpack(content)}
    except (struct.error, ValueError, OverflowError):
        raise VQVAEError(f"{path}: is damaged or no MXNet parameter file") from None


def _unpack(content: bytes) -> Iterator[Tuple[str, np.ndarray]]:
    """Yield the named float32 arrays of a ``.params`` file; raise ValueError or struct.error if it is not such a file.

    MXNet's own reader trusts the sizes in the file, so that a small file can take all memory. Source: MXNet 1.9.1,
    NDArray::Save, versions 2 and 3.
    """
    place = 0

    def take(layout: str) -> Tuple[int, ...]:
        nonlocal place
        start, place = place, place + struct.calcsize(f"<{layout}")
        return struct.unpack_from(f"<{layout}", content, start)

    def require(holds: bool) -> None:
        if not holds:
            raise ValueError("no whole .params file")

    magic, _, count = take("QQQ")
    require(magic == _LIST and count <= len(content))
    arrays, names = [], []
    for _ in range(count):
        version, storage, axes = take("Iii")
        require(version in _ARRAYS and storage == 0 and 1 <= axes <= 32)
        shape = take(f"{axes}q")
        _, _, kind = take("iii")
        require(kind == 0 and min(shape) >= 0 and math.prod(shape) <= len(content))
        arrays.append(np.frombuffer(content, "<f4", math.prod(shape), place).reshape(shape))
        place += arrays[-1].nbytes
    require(take("Q") == (count,))
    for _ in range(count):
        (length,) = take("Q")
        require(length <= len(content) - place)
        names.append(content[place : place + length].decode())
        place += length
    require(place == len(content) and len(set(names)) == count)
    yield from zip(names, arrays)
