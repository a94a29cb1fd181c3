"""Figures that judge a VQ-VAE, over a whole split."""
from typing import Dict

import numpy as np


def perplexity(counts: np.ndarray) -> float:
    """Return exp(entropy) of how often each code was used: 1 (one code) to K (all alike)."""
    shares = counts[counts > 0] / counts.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


def codes_used(counts: np.ndarray) -> int:
    """Return how many codes were used at all."""
    return int(np.count_nonzero(counts))


def psnr(mse: float) -> float:
    """Return the peak signal-to-noise ratio in dB of a mean squared error of pixels in [0, 1]."""
    return float(-10 * np.log10(mse)) if mse > 0 else float("inf")


class CodeCounts:
    """Counts codes batch by batch."""

    def __init__(self, num_embeddings: int) -> None:
        self.counts = np.zeros(num_embeddings, np.int64)

    def update(self, codes: np.ndarray) -> None:
        """Add codes of any shape, integers in [0, K) of any type."""
        self.counts += np.bincount(codes.astype(np.int64).ravel(), minlength=len(self.counts))

    def summary(self) -> Dict[str, float]:
        """Return ``perplexity`` and ``codes_used``."""
        return {"perplexity": perplexity(self.counts), "codes_used": codes_used(self.counts)}
