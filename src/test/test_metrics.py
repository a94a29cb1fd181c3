"""Metrics against their definitions."""
import numpy as np

from vqvae_gluon.metrics import CodeCounts, perplexity, psnr


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
