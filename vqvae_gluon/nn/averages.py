"""Moving averages that update a codebook in place of its gradient.

Source: van den Oord et al., "Neural Discrete Representation Learning" (2017), appendix A.1.
"""
from typing import Dict, Protocol, Sequence, Tuple

import mxnet as mx
import numpy as np

from ..errors import VQVAEError
from ..workers import ALONE, Workers
from .quantizer import VectorQuantizer


class CodebookRule(Protocol):
    """A way to update a codebook without a gradient, such as :class:`CodebookAverages`."""

    def codebook(self) -> np.ndarray:
        """Return the (K, D) float32 codebook."""

    def start(self, rows: np.ndarray, counts: np.ndarray) -> None:
        """Set the codebook to ``rows`` (K, D), each of which is nearest to ``counts`` (K,) vectors per batch."""

    def step(self, codes: Sequence[mx.nd.NDArray], z: Sequence[mx.nd.NDArray], rng: np.random.RandomState) -> int:
        """Update the codebook by the encoder's outputs ``z`` and their ``codes``; return how many rows it replaced."""

    def state(self) -> Dict[str, np.ndarray]:
        """Return the arrays that a checkpoint must hold besides the codebook."""

    def restore(self, state: Dict[str, np.ndarray]) -> None:
        """Restore the arrays of :meth:`state`."""


class CodebookAverages:
    """Updates a codebook by exponential moving averages of the vectors assigned to each row.

    Source: van den Oord et al. (2017), appendix A.1: N_k <- g N_k + (1-g) n_k, m_k <- g m_k + (1-g) sum of the vectors
    of code k, e_k = m_k / N_k with N_k Laplace-smoothed. A row whose average count falls below ``dead_below`` restarts
    at a random encoder output.

    The counts (K,) and sums (K, D) are float64 NumPy arrays in vectors per batch; they belong to a training, not to a
    model.

    Parameters
    ----------
    quantizer : VectorQuantizer
        An initialized quantizer with ``update='ema'``.
    decay : float
        The decay g in [0, 1).
    epsilon : float
        Laplace smoothing of the counts.
    dead_below : float
        The average number of vectors per batch, 0 or more, below which a row is dead; 0 replaces no rows.
    workers : Workers
        The workers that share each batch and keep copies of the codebook.

    Raises
    ------
    VQVAEError
        For a quantizer with another update rule, or a ``decay`` or ``dead_below`` out of range.
    """

    def __init__(
        self,
        quantizer: VectorQuantizer,
        decay: float = 0.99,
        epsilon: float = 1e-5,
        dead_below: float = 1.0,
        workers: Workers = ALONE,
    ) -> None:
        if quantizer.update != "ema":
            raise VQVAEError(
                f"moving averages were asked for a quantizer with update={quantizer.update!r}: "
                "build it with update='ema'"
            )
        if not 0 <= decay < 1:
            raise VQVAEError(f"decay was given as {decay}: it must be in [0, 1)")
        if not dead_below >= 0:
            raise VQVAEError(f"dead_below was given as {dead_below}: it must be 0 or more")
        self.quantizer = quantizer
        self.decay = decay
        self.epsilon = epsilon
        self.dead_below = dead_below
        self.workers = workers
        self.counts = np.ones(quantizer.num_embeddings)
        self.sums = self.codebook().astype(np.float64)

    def codebook(self) -> np.ndarray:
        """Return the (K, D) float32 codebook."""
        embeddings = self.quantizer.embeddings
        return embeddings.data(embeddings.list_ctx()[0]).asnumpy()

    def start(self, rows: np.ndarray, counts: np.ndarray) -> None:
        """Set the codebook to ``rows`` (K, D) and the averages as if each batch had brought ``counts`` (K,) vectors."""
        self.counts = np.maximum(counts, self.dead_below)
        self.sums = rows * self.counts[:, None]
        self._write(rows)

    def step(self, codes: Sequence[mx.nd.NDArray], z: Sequence[mx.nd.NDArray], rng: np.random.RandomState) -> int:
        """Update the averages by one training batch, and the codebook by the averages.

        ``codes`` (N, H, W) are those of the encoder's outputs ``z`` (N, D, H, W); both are lists with an array for each
        device. Returns the number of dead rows that were replaced. With several workers, each passes its own share of
        the batch.
        """
        vectors = np.concatenate([as_vectors(part.asnumpy()) for part in z])
        numbers = np.concatenate([part.asnumpy().ravel() for part in codes]).astype(np.int64)
        counts, sums, of_each = self.workers.sum(
            *vector_sums(vectors, numbers, len(self.counts)), self.workers.own(np.array(len(vectors)))
        )
        self.counts = self.decay * self.counts + (1 - self.decay) * counts
        self.sums = self.decay * self.sums + (1 - self.decay) * sums
        total = self.counts.sum()
        smoothed = (self.counts + self.epsilon) / (total + len(self.counts) * self.epsilon) * total
        codebook = self.sums / smoothed[:, None]

        dead = np.flatnonzero(self.counts < self.dead_below)
        if len(dead):
            chosen = rng.randint(int(of_each.sum()), size=len(dead))
            codebook[dead] = self.workers.rows(chosen, vectors, of_each)
            self.counts[dead] = self.dead_below
            self.sums[dead] = codebook[dead] * self.dead_below
        self._write(codebook)
        return len(dead)

    def state(self) -> Dict[str, np.ndarray]:
        """Return the arrays that a checkpoint must hold besides the codebook."""
        return {"counts": self.counts.copy(), "sums": self.sums.copy()}

    def restore(self, state: Dict[str, np.ndarray]) -> None:
        """Restore the arrays of :meth:`state`."""
        self.counts, self.sums = state["counts"].copy(), state["sums"].copy()

    def _write(self, codebook: np.ndarray) -> None:
        # Unlike mx.nd.array, from_numpy does not wait for MXNet's pending work.
        self.quantizer.embeddings.set_data(mx.nd.from_numpy(codebook.astype(np.float32)))


def as_vectors(z: np.ndarray) -> np.ndarray:
    """Return the vectors (N * H * W, D) of (N, D, H, W) encoder outputs."""
    return z.transpose(0, 2, 3, 1).reshape(-1, z.shape[1])


def vector_sums(vectors: np.ndarray, codes: np.ndarray, num_embeddings: int) -> Tuple[np.ndarray, np.ndarray]:
    """Return the count (K,) and the sum (K, D) of the vectors (V, D) of each of K codes; ``codes`` (V,) are theirs."""
    from scipy.sparse import csr_matrix

    # A sparse matrix of V ones: from K = 512 on, a dense product with (K, V) would take longer than the rest of a step.
    ones = (np.ones(len(codes)), codes, np.arange(len(codes) + 1))
    members = csr_matrix(ones, (len(codes), num_embeddings))
    return np.bincount(codes, minlength=num_embeddings), members.T @ vectors
