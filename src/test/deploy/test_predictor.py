"""The predictor on arrays and files."""
import numpy as np
import pytest

from conftest import DIGITS, random_images
from vqvae_gluon import Predictor, VQVAEError, read_image, to_bytes
from vqvae_gluon.data import to_unit

IMAGES = random_images(7)


@pytest.fixture(scope="module")
def predictor(exported):
    return Predictor(exported)


def test_shapes_come_from_the_files(predictor):
    assert predictor.image_shape == (1, 28, 28)
    assert predictor.codes_shape == (7, 7)
    assert predictor.codebook.shape == (64, 16)


def test_arrays_and_files_give_the_same(predictor):
    arrays = np.stack([read_image(path, 1, (28, 28)) for path in DIGITS])
    codes = predictor.encode(arrays)
    assert codes.shape == (10, 7, 7) and codes.dtype == np.int64
    np.testing.assert_array_equal(predictor.encode(DIGITS), codes)
    np.testing.assert_array_equal(predictor.encode(str(DIGITS[3])), codes[3:4])
    np.testing.assert_array_equal(predictor.encode(to_unit(arrays)), codes)
    np.testing.assert_array_equal(predictor.encode(to_unit(arrays).astype(np.float64)), codes)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 500])
def test_batch_size_does_not_change_a_bit(predictor, exported, batch_size):
    other = Predictor(exported, batch_size=batch_size)
    np.testing.assert_array_equal(other.encode(IMAGES), predictor.encode(IMAGES))
    np.testing.assert_array_equal(other.reconstruct(IMAGES), predictor.reconstruct(IMAGES))


def test_reconstruct_is_decode_of_encode(predictor):
    images = predictor.reconstruct(IMAGES)
    assert images.shape == IMAGES.shape and images.dtype == np.float32
    assert images.min() >= 0 and images.max() <= 1
    np.testing.assert_array_equal(images, predictor.decode(predictor.encode(IMAGES)))
    assert to_bytes(images).dtype == np.uint8


@pytest.mark.parametrize(
    "images, words",
    [
        (IMAGES[:, 0], r"shape \(7, 28, 28\): the model takes \(N, 1, 28, 28\)"),
        (IMAGES[:0], "N at least 1"),
        (IMAGES.astype(np.int32), "given as int32: give uint8, or floats"),
        (IMAGES.astype(np.float32), r"outside \[0, 1\]"),
        (np.full((1, 1, 28, 28), np.nan), "not a number"),
        ([], "shape"),
    ],
)
def test_wrong_images_are_refused(predictor, images, words):
    with pytest.raises(VQVAEError, match=words):
        predictor.encode(images)


@pytest.mark.parametrize(
    "codes, words",
    [
        (np.zeros((7, 7), int), r"shape \(7, 7\): the model takes \(N, 7, 7\)"),
        (np.zeros((0, 7, 7), int), "N at least 1"),
        (np.zeros((1, 7, 7)), "given as float64: give integers"),
        (np.full((1, 7, 7), 64), "from 64 to 64: the model has 0 to 63"),
        (np.full((1, 7, 7), -1), "from -1 to -1"),
    ],
)
def test_wrong_codes_are_refused(predictor, codes, words):
    with pytest.raises(VQVAEError, match=words):
        predictor.decode(codes)


def test_wrong_batch_size_is_refused(exported):
    with pytest.raises(VQVAEError, match="batch_size was given as 0"):
        Predictor(exported, batch_size=0)
