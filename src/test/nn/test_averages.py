"""The moving averages of a codebook, compared with values worked out by hand."""
import mxnet as mx
import numpy as np
import pytest

from vqvae_gluon import VQVAEError
from vqvae_gluon.nn import CodebookAverages, VectorQuantizer
from vqvae_gluon.nn.averages import as_vectors, vector_sums


def make_quantizer(update="ema", codebook=None, k=5, d=3):
    quantizer = VectorQuantizer(k, d, update)
    quantizer.initialize()
    if codebook is not None:
        quantizer.embeddings.set_data(mx.nd.array(codebook))
    return quantizer


def move(averages, z, codes):
    """Update averages with one batch from one device."""
    return averages.step([mx.nd.array(codes)], [mx.nd.array(z)], np.random.RandomState(0))


@pytest.mark.parametrize("k, d, n, side", [(1, 1, 1, 1), (64, 16, 128, 7), (5, 3, 2, 4), (512, 64, 3, 2)])
def test_vector_sums_are_those_of_a_loop(k, d, n, side):
    rng = np.random.RandomState(0)
    z, codes = rng.randn(n, d, side, side).astype(np.float32), rng.randint(k, size=(n, side, side))
    expected_counts, expected_sums = np.zeros(k), np.zeros((k, d))
    for place in np.ndindex(codes.shape):
        expected_counts[codes[place]] += 1
        expected_sums[codes[place]] += z[place[0], :, place[1], place[2]]
    counts, sums = vector_sums(as_vectors(z), codes.ravel(), k)
    np.testing.assert_array_equal(counts, expected_counts)
    np.testing.assert_allclose(sums, expected_sums, rtol=1e-12, atol=1e-12)


def test_averages_start_at_rows_and_counts():
    averages = CodebookAverages(make_quantizer(k=2, d=2), dead_below=0.5)
    averages.start(np.array([[1, 2], [3, 4]], np.float32), np.array([8.0, 0.0]))
    np.testing.assert_array_equal(averages.codebook(), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(averages.counts, [8, 0.5])  # no row is dead at the start
    np.testing.assert_array_equal(averages.sums, [[8, 16], [1.5, 2]])


def test_devices_are_added_up():
    z = np.arange(12, dtype=np.float32).reshape(2, 2, 1, 3)
    codes = np.array([[[0, 1, 1]], [[1, 0, 0]]], np.float32)
    together, apart = (CodebookAverages(make_quantizer(codebook=np.zeros((2, 2)), k=2, d=2)) for _ in range(2))
    together.step([mx.nd.array(codes)], [mx.nd.array(z)], np.random.RandomState(0))
    parts = [[mx.nd.array(array[index : index + 1]) for index in range(2)] for array in (codes, z)]
    apart.step(*parts, np.random.RandomState(0))
    np.testing.assert_array_equal(together.sums, apart.sums)
    np.testing.assert_array_equal(together.counts, apart.counts)


def test_ema_update_by_hand():
    codebook = np.array([[0.0, 0.0], [1.0, 1.0]], np.float32)
    averages = CodebookAverages(make_quantizer("ema", codebook, 2, 2), decay=0.5, epsilon=0.1, dead_below=0)
    # Counts start at 1 and sums at the rows. Three vectors: two with code 0, one with code 1.
    z = np.array([[0.2, 0.4, 0.8], [0.0, 0.2, 1.2]], np.float32).reshape(1, 2, 1, 3)
    move(averages, z, [[[0, 0, 1]]])
    np.testing.assert_allclose(averages.counts, [0.5 * 1 + 0.5 * 2, 0.5 * 1 + 0.5 * 1])
    sums = np.array([[0.5 * 0 + 0.5 * 0.6, 0.5 * 0 + 0.5 * 0.2], [0.5 * 1 + 0.5 * 0.8, 0.5 * 1 + 0.5 * 1.2]])
    np.testing.assert_allclose(averages.sums, sums, rtol=1e-6)
    smoothed = np.array([1.5 + 0.1, 1.0 + 0.1]) / (2.5 + 2 * 0.1) * 2.5
    np.testing.assert_allclose(averages.codebook(), sums / smoothed[:, None], rtol=1e-6)


def test_dead_rows_restart_with_their_count_and_sum():
    codebook = np.array([[0.0], [9.0]], np.float32)
    averages = CodebookAverages(make_quantizer("ema", codebook, 2, 1), decay=0.5, dead_below=0.75)
    z = np.array([0.1, 0.2, 0.3], np.float32).reshape(1, 1, 1, 3)
    replaced = move(averages, z, [[[0, 0, 0]]])
    assert replaced == 1
    new = averages.codebook()[1, 0]
    assert new in z
    assert averages.counts[1] == 0.75
    np.testing.assert_allclose(averages.sums[1], 0.75 * new)


def test_dead_rows_are_left_alone_when_asked():
    codebook = np.array([[0.0], [9.0]], np.float32)
    averages = CodebookAverages(make_quantizer("ema", codebook, 2, 1), decay=0.5, dead_below=0)
    z = np.zeros((1, 1, 1, 3), np.float32)
    assert move(averages, z, [[[0, 0, 0]]]) == 0
    np.testing.assert_allclose(averages.codebook()[1], 9.0, rtol=1e-4)


def test_averages_need_a_quantizer_that_lets_them():
    with pytest.raises(VQVAEError, match="build it with update='ema'"):
        CodebookAverages(make_quantizer("gradient"))


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"decay": 1.5}, r"decay was given as 1.5: it must be in \[0, 1\)"),
        ({"decay": 1.0}, "decay was given as 1.0"),
        ({"decay": -0.1}, "decay was given as -0.1"),
        ({"decay": np.nan}, "decay was given as nan"),
        ({"dead_below": -0.5}, "dead_below was given as -0.5: it must be 0 or more"),
        ({"dead_below": np.nan}, "dead_below was given as nan"),
    ],
)
def test_averages_refuse_what_a_recipe_refuses(settings, words):
    with pytest.raises(VQVAEError, match=words):
        CodebookAverages(make_quantizer("ema"), **settings)
