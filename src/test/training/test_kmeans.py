"""The k-means start of a codebook."""
import numpy as np
import pytest

from vqvae_gluon import VQVAEError
from vqvae_gluon.training.kmeans import kmeans, vectors_needed


def test_it_finds_the_clusters():
    rng = np.random.RandomState(0)
    centres = np.array([[-5.0, 0.0], [0.0, 5.0], [5.0, -5.0]])
    vectors = (centres[rng.randint(3, size=600)] + 0.01 * rng.randn(600, 2)).astype(np.float32)
    found, counts = kmeans(vectors, 3, rng)
    np.testing.assert_allclose(found[np.argsort(found[:, 0])], centres, atol=0.05)
    assert counts.sum() == 600


def test_repeated_vectors_count_but_start_one_row():
    vectors = np.array([0.0] * 8 + [5.0] * 2 + [9.0, 9.1], np.float32)[:, None]
    centres, counts = kmeans(vectors, 3, np.random.RandomState(0))
    order = np.argsort(centres[:, 0])
    np.testing.assert_allclose(centres[order, 0], [0, 5, 9.05], atol=1e-5)
    np.testing.assert_array_equal(counts[order], [8, 2, 2])


@pytest.mark.parametrize("rows", [16, 600])  # with k-means++ and without
def test_a_seed_gives_one_start_with_every_row_in_use(rows):
    vectors = np.random.RandomState(0).randn(vectors_needed(rows) // 4, 4).astype(np.float32)
    (centres, counts), (again, _) = (kmeans(vectors, rows, np.random.RandomState(1)) for _ in range(2))
    np.testing.assert_array_equal(centres, again)
    other, _ = kmeans(vectors, rows, np.random.RandomState(2))
    assert (centres != other).any()
    assert counts.sum() == len(vectors)
    assert (counts > 0).mean() > 0.99
    assert centres.shape == (rows, 4)
    assert centres.dtype == np.float32


@pytest.mark.parametrize("rows", [16, 600])
def test_centres_are_nearly_as_good_as_those_of_scipy(rows):
    from scipy.cluster.vq import kmeans2, vq

    rng = np.random.RandomState(0)
    vectors = (3 * rng.randn(40, 8)[rng.randint(40, size=8000)] + rng.randn(8000, 8)).astype(np.float32)
    ours, _ = kmeans(vectors, rows, rng)
    theirs, _ = kmeans2(vectors.astype(np.float64), rows, iter=10, minit="points", missing="warn", seed=rng)
    errors = [np.square(vq(vectors, centres)[1]).mean() for centres in (ours, theirs.astype(np.float32))]
    assert errors[0] < 1.1 * errors[1]


def test_fewer_vectors_than_rows_are_refused():
    with pytest.raises(VQVAEError, match="1 distinct vectors to start 5 embeddings: give more images or fewer"):
        kmeans(np.zeros((4, 3), np.float32), 5, np.random.RandomState(0))


@pytest.mark.parametrize("rows", [5, 600])
def test_as_many_vectors_as_rows_start_one_each(rows):
    vectors = np.random.RandomState(0).randn(rows, 3).astype(np.float32)
    centres, counts = kmeans(vectors, rows, np.random.RandomState(0))
    np.testing.assert_array_equal(np.unique(centres, axis=0), np.unique(vectors, axis=0))
    np.testing.assert_array_equal(counts, 1)


def test_a_stop_is_heeded(monkeypatch):
    from vqvae_gluon import runtime

    monkeypatch.setitem(runtime._stop, "asked", True)
    with pytest.raises(KeyboardInterrupt):
        kmeans(np.random.RandomState(0).randn(100, 2).astype(np.float32), 5, np.random.RandomState(0))
