"""The codes of a data set, as the data set that a prior is trained on."""
import hashlib
from typing import NamedTuple, Tuple

import numpy as np

from ..errors import VQVAEError


class CodesSplit(NamedTuple):
    """``codes`` (N, h, w) int64 in [0, K) and ``labels`` (N,) int64 in [0, C), all 0 if there are no classes."""

    codes: np.ndarray
    labels: np.ndarray


class CodesDataset(NamedTuple):
    """The codes of the training and the validation split; there is no test split that could be learnt from by mistake.

    ``classes`` are the names of the C classes. ``codebook`` is the SHA-256 of the codebook that the codes index.
    ``moved`` has, for each shift of the training images, the codes (N, h, w) of the shifted images.
    """

    train: CodesSplit
    validation: CodesSplit
    num_embeddings: int
    classes: Tuple[str, ...]
    codebook: str
    moved: Tuple[np.ndarray, ...] = ()

    def split(self, name: str) -> CodesSplit:
        """Return the split called ``name``; raise VQVAEError for an unknown one."""
        if name not in ("train", "validation"):
            raise VQVAEError(f"unknown split {name!r}: choose one of train, validation")
        return getattr(self, name)

    def fingerprint(self) -> str:
        """Return a SHA-256 over everything that a prior learns from."""
        digest = hashlib.sha256(repr((self.num_embeddings, self.classes, self.codebook)).encode())
        for array in (*self.train, *self.validation, *self.moved):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array, np.int64).data)
        return digest.hexdigest()
