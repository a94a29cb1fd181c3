"""Files exported by the first version still load, and give the codes and bytes that it gave.

``first_export/`` is a residual model with random weights: an encoder whose heads are the encoding and the codes,
without losses or a manifest; and two images with their codes and reconstructions. No two codebook rows are almost
equally near and no pixel is almost half-way between two bytes, so another processor's rounding does not matter.
"""
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from conftest import BOTH
from vqvae_gluon import Predictor, get_model, read_image, to_bytes
from vqvae_gluon.data import to_unit
from vqvae_gluon.deploy.codes_file import read_codes

FOLDER = Path(__file__).resolve().parent / "first_export"
SETTINGS = {"width": 8, "decoder_width": 8, "image_size": (8, 8), "num_embeddings": 8, "embedding_dim": 4}

IMAGES, RECONSTRUCTIONS = (
    np.stack([read_image(FOLDER / f"{name}{i}.png", 1, (8, 8), strict=True) for i in range(2)])
    for name in ("image", "reconstruction")
)
CODES = np.stack([read_codes(FOLDER / f"codes{i}.txt", (2, 2), 8) for i in range(2)])


def test_predictor():
    predictor = Predictor(FOLDER)
    np.testing.assert_array_equal(predictor.encode(IMAGES), CODES)
    np.testing.assert_array_equal(to_bytes(predictor.decode(CODES)), RECONSTRUCTIONS)


def test_get_model():
    output = get_model("vqvae_residual", pretrained=True, root=FOLDER, **SETTINGS)(mx.nd.array(to_unit(IMAGES)))
    np.testing.assert_array_equal(output.codes.asnumpy(), CODES)
    np.testing.assert_array_equal(to_bytes(output.reconstruction.asnumpy()), RECONSTRUCTIONS)


@BOTH
@pytest.mark.parametrize("number", range(2))
def test_programs(run, number, tmp_path):
    image, output = FOLDER / f"image{number}.png", tmp_path / "out.png"
    assert run("encode", image, "--model", FOLDER).stdout == (FOLDER / f"codes{number}.txt").read_bytes()
    assert run("reconstruct", image, output, "--model", FOLDER).returncode == 0
    assert output.read_bytes() == (FOLDER / f"reconstruction{number}.png").read_bytes()
