"""Metrics of a VQ-VAE over a whole split."""
from typing import Dict

import numpy as np


def perplexity(counts: np.ndarray) -> float:
    """Return exp(entropy) of the codes' usage ``counts`` (K,): from 1 (one code) to K (all used equally often)."""
    shares = counts[counts > 0] / counts.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


def codes_used(counts: np.ndarray) -> int:
    """Return the number of codes that were used at least once."""
    return int(np.count_nonzero(counts))


def psnr(mse: float) -> float:
    """Return the peak signal-to-noise ratio in dB for a mean squared error of pixels in [0, 1]."""
    return float(-10 * np.log10(mse)) if mse > 0 else float("inf")


def ssim(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the structural similarity (N,) of images (N, C, H, W) in [0, 1], at least 11 x 11.

    Gaussian window of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, averaged over the positions at which
    the window fits. Source: Wang et al., "Image quality assessment: from error visibility to structural
    similarity" (2004).
    """
    from scipy.ndimage import gaussian_filter

    def local_mean(images: np.ndarray) -> np.ndarray:
        means = gaussian_filter(images, sigma=(0, 0, 1.5, 1.5), truncate=3.5)  # 3.5 * 1.5 reaches 5 pixels
        return means[:, :, 5:-5, 5:-5]

    x, y = first.astype(np.float64), second.astype(np.float64)
    mean_x, mean_y = local_mean(x), local_mean(y)
    variance_x, variance_y = local_mean(x * x) - mean_x**2, local_mean(y * y) - mean_y**2
    covariance = local_mean(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).mean(axis=(1, 2, 3))


class CodeCounts:
    """Counts codes batch by batch."""

    def __init__(self, num_embeddings: int) -> None:
        self.counts = np.zeros(num_embeddings, np.int64)

    def update(self, codes: np.ndarray) -> None:
        """Count codes of any shape: whole numbers in [0, K) of any dtype."""
        self.counts += np.bincount(codes.astype(np.int64).ravel(), minlength=len(self.counts))

    def summary(self) -> Dict[str, float]:
        """Return ``perplexity`` and ``codes_used``."""
        return {"perplexity": perplexity(self.counts), "codes_used": codes_used(self.counts)}
