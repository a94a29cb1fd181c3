"""The metrics of an autoencoder over an epoch."""
from typing import Dict, Sequence

import numpy as np

from ..evaluation.metrics import CodeCounts, codes_used, perplexity
from ..workers import ALONE, Workers
from .loss import Part


class EpochMeter:
    """Sums loss terms and counts codes over an epoch."""

    def __init__(self, num_embeddings: int, image_numbers: int, workers: Workers = ALONE) -> None:
        self._workers = workers
        self._codes = CodeCounts(num_embeddings)
        self._image_numbers = image_numbers
        self._sums = np.zeros(4)
        self.images = 0
        #: How often each code was chosen (K,), over all workers, as of the last summary.
        self.usage = self._codes.counts

    def update(self, parts: Sequence[Part]) -> None:
        """Add a batch, one part for each device; raise FloatingPointError for values that are not finite."""
        for part in parts:
            figures = part.figures.asnumpy()
            if not np.isfinite(figures).all():
                raise FloatingPointError
            self._sums += figures.sum(axis=1, dtype=np.float64)
            self._codes.update(part.codes.asnumpy())
            self.images += figures.shape[1]

    def summary(self) -> Dict[str, float]:
        """Return the means per image of the loss terms, MSE per pixel, perplexity and codes used, over all workers."""
        sums, self.usage, images = self._workers.sum(self._sums, self._codes.counts, np.array(self.images))
        return self._means(sums, self.usage, images)

    def _means(self, sums: np.ndarray, counts: np.ndarray, images: np.ndarray) -> Dict[str, float]:
        reconstruction, commitment, codebook, squared_error = (float(mean) for mean in sums / images)
        return {
            "reconstruction": reconstruction,
            "commitment": commitment,
            "codebook": codebook,
            "mse": squared_error / self._image_numbers,
            "perplexity": perplexity(counts),
            "codes_used": codes_used(counts),
        }

    def progress(self) -> Dict[str, str]:
        """Return the means of this worker as short texts, without the MSE."""
        summary = self._means(self._sums, self._codes.counts, np.array(self.images))
        return {
            "rec": f"{summary['reconstruction']:.3f}",
            "commit": f"{summary['commitment']:.4f}",
            "codebook": f"{summary['codebook']:.4f}",
            "perplexity": f"{summary['perplexity']:.1f}",
            "codes": f"{summary['codes_used']}",
        }
