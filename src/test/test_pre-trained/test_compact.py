"""The compact pair: fewer codes, and fewer bits per image."""
import mxnet as mx
import numpy as np
import pytest

from conftest import DIGITS, PRETRAINED, run_cpp
from vqvae_gluon import Predictor, Sampler, get_model, read_image, to_bytes
from vqvae_gluon.data import to_unit
from vqvae_gluon.evaluation.splits import evaluate_model

COMPACT = PRETRAINED / "compact"


def test_it_has_the_error_and_the_bits_that_its_card_tells():
    metrics = evaluate_model(COMPACT)
    assert (metrics["split"], metrics["images"]) == ("test", 10_000)
    assert metrics["mse"] <= 0.0042
    assert metrics["bits_per_image"] <= 73.1
    assert "bits_per_image_with_class" not in metrics


def test_get_model_knows_its_settings():
    images = np.stack([read_image(path, 1, (28, 28)) for path in DIGITS])
    output = get_model("vqvae_emadl", pretrained="compact")(mx.nd.array(to_unit(images)))
    np.testing.assert_array_equal(output.codes.asnumpy(), Predictor(COMPACT).encode(images))


@pytest.mark.parametrize("count", [1, 3])
def test_both_languages_draw_the_same(tmp_path, count):
    sampler = Sampler(COMPACT)
    expected = to_bytes(sampler.predictor.decode(sampler.sample(count, seed=3)))
    folder = tmp_path / "drawn"
    result = run_cpp("generate", f"{folder}/", "--model", COMPACT, "--count", count, "--seed", 3)
    assert result.returncode == 0, result.stderr
    files = sorted(folder.iterdir())
    drawn = np.stack([read_image(path, 1, (28, 28), strict=True) for path in files])
    np.testing.assert_array_equal(drawn, expected)
