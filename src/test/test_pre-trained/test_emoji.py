"""The colour model and its prior, on four test emoji (Twemoji, CC BY 4.0, see pre-trained/README.md)."""
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from conftest import PRETRAINED, run_cpp
from vqvae_gluon import Predictor, Sampler, get_model, read_image, to_bytes
from vqvae_gluon.data import to_unit

EMOJI = PRETRAINED / "emoji"
FILES = sorted((Path(__file__).parent / "emoji").glob("*.png"))


@pytest.fixture(scope="module")
def images():
    assert len(FILES) == 4
    return np.stack([read_image(path, 3, (64, 64), strict=True) for path in FILES])


def test_it_reconstructs_emoji(images):
    predictor = Predictor(EMOJI)
    assert (predictor.image_shape, predictor.codes_shape, len(predictor.codebook)) == ((3, 64, 64), (16, 16), 512)
    errors = np.square(predictor.reconstruct(images) - to_unit(images)).mean(axis=(1, 2, 3))
    assert errors.max() < 0.006  # a single colour, each image's mean, gives 0.05 to 0.2


def test_get_model_knows_its_settings(images):
    output = get_model("vqvae_residual", pretrained="emoji")(mx.nd.array(to_unit(images)))
    np.testing.assert_array_equal(output.codes.asnumpy(), Predictor(EMOJI).encode(images))


def test_both_languages_reconstruct_the_same(images, tmp_path):
    expected = to_bytes(Predictor(EMOJI).reconstruct(images))
    for path, image in zip(FILES, expected):
        result = run_cpp("reconstruct", path, tmp_path / "out.png", "--model", EMOJI)
        assert result.returncode == 0, result.stderr
        np.testing.assert_array_equal(read_image(tmp_path / "out.png", 3, (64, 64), strict=True), image)


def test_both_languages_draw_the_same(tmp_path):
    sampler = Sampler(EMOJI)
    expected = to_bytes(sampler.predictor.decode(sampler.sample(2, seed=3)))
    result = run_cpp("generate", f"{tmp_path / 'drawn'}/", "--model", EMOJI, "--count", 2, "--seed", 3)
    assert result.returncode == 0, result.stderr
    drawn = [read_image(path, 3, (64, 64), strict=True) for path in sorted((tmp_path / "drawn").iterdir())]
    np.testing.assert_array_equal(np.stack(drawn), expected)
