"""Metrics compared with their definitions."""
import numpy as np

from vqvae_gluon.evaluation.metrics import CodeCounts, perplexity, psnr, ssim


def test_perplexity_of_known_distributions():
    assert perplexity(np.array([7, 0, 0])) == 1
    np.testing.assert_allclose(perplexity(np.full(64, 3)), 64)
    np.testing.assert_allclose(perplexity(np.array([1, 1, 0, 2])), 2 ** 1.5)


def test_counts_add_up_over_batches():
    counts = CodeCounts(5)
    counts.update(np.array([[0.0, 1.0], [1.0, 4.0]]))
    counts.update(np.array([1]))
    np.testing.assert_array_equal(counts.counts, [1, 3, 0, 0, 1])
    assert counts.summary()["codes_used"] == 3


def test_psnr():
    np.testing.assert_allclose(psnr(0.01), 20)
    assert psnr(0.0) == float("inf")


def test_ssim_from_its_definition():
    rng = np.random.RandomState(0)
    x, y = rng.rand(2, 1, 13, 14), rng.rand(2, 1, 13, 14)
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    for image in range(2):
        values = []
        for i in range(3):
            for j in range(4):
                a, b = (picture[image, 0, i : i + 11, j : j + 11] for picture in (x, y))
                mean_a, mean_b = (window * a).sum(), (window * b).sum()
                variance_a, variance_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
                covariance = (window * (a - mean_a) * (b - mean_b)).sum()
                values.append(
                    (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
                    / ((mean_a**2 + mean_b**2 + 1e-4) * (variance_a + variance_b + 9e-4))
                )
        np.testing.assert_allclose(ssim(x, y)[image], np.mean(values), rtol=1e-6)
    np.testing.assert_allclose(ssim(x, x), 1)
