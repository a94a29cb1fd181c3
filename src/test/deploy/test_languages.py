"""Python and C++ agree on codes and bytes for every model of the zoo; the C++ program knows no architecture.

Neither does a program written as EMADL's generator does (cpp/test/emadl_test.cpp).
"""
import subprocess

import mxnet as mx
import numpy as np
import pytest

from conftest import ROOT, SMALL_MODELS, export_newest, make_model, random_images, reconstruct_by_cpp
from vqvae_gluon import Predictor, Training, export_run, to_bytes
from vqvae_gluon.data import Dataset, Split


def assert_languages_agree(model, images, folder):
    predictor = Predictor(model)
    codes = predictor.encode(images)
    reconstructions = to_bytes(predictor.decode(codes))
    assert len(np.unique(codes)) > 3
    np.testing.assert_array_equal(Predictor(model, batch_size=1).encode(images), codes)
    for batch_size in (1, 7):
        cpp_codes, cpp_reconstructions = reconstruct_by_cpp(model, images, folder, batch_size)
        np.testing.assert_array_equal(cpp_codes, codes.ravel())
        np.testing.assert_array_equal(cpp_reconstructions, reconstructions.ravel())


def make_eventful(model, images):
    """Give a model with random weights running statistics that matter and a codebook that its encoder uses."""
    for name, parameter in model.collect_params().items():
        if name.endswith("running_mean"):
            parameter.set_data(mx.nd.random.normal(0, 0.1, shape=parameter.shape))
        if name.endswith("running_var"):
            parameter.set_data(mx.nd.random.uniform(0.5, 1.5, shape=parameter.shape))
    z = model.encoder(mx.nd.array(images / 255)).asnumpy()
    vectors = z.transpose(0, 2, 3, 1).reshape(-1, z.shape[1])
    rows = np.random.RandomState(0).choice(len(vectors), model.quantizer.num_embeddings, replace=False)
    model.quantizer.embeddings.set_data(mx.nd.array(vectors[rows]))


@pytest.mark.parametrize("name", SMALL_MODELS)
@pytest.mark.parametrize("channels, size", [(1, (28, 28)), (3, (16, 24))])
def test_random_weights(name, channels, size, tmp_path):
    model = make_model(name=name, channels=channels, image_size=size, **SMALL_MODELS[name])
    images = random_images(20, channels, size)
    make_eventful(model, images)
    assert_languages_agree(export_newest(model, tmp_path / "model"), images, tmp_path)


@pytest.mark.parametrize("stride, size", [(8, (128, 128)), (16, (48, 32))])
def test_random_weights_of_larger_strides(stride, size, tmp_path):
    settings = {"channels": 3, "image_size": size, "stride": stride}
    model = make_model(name="vqvae_residual", **settings, **SMALL_MODELS["vqvae_residual"])
    images = random_images(20, 3, size)
    make_eventful(model, images)
    assert_languages_agree(export_newest(model, tmp_path / "model"), images, tmp_path)


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_trained_weights(name, small_recipe, small_dataset, tmp_path):
    train_export_and_compare(small_recipe.replace(model=name, **SMALL_MODELS[name]), small_dataset, tmp_path)


@pytest.mark.parametrize("stride", [8, 16])
def test_trained_weights_of_larger_strides(stride, small_recipe, small_dataset, tmp_path):
    times = stride // 4  # images grow with the stride, so that the codes stay 2 x 2
    images = (split.images.repeat(times, axis=2).repeat(times, axis=3) for split in small_dataset)
    settings = {"stride": stride, "image_size": (2 * stride, 2 * stride), **SMALL_MODELS["vqvae_residual"]}
    recipe = small_recipe.replace(model="vqvae_residual", **settings)
    train_export_and_compare(recipe, Dataset(*map(Split, images)), tmp_path)


def train_export_and_compare(recipe, dataset, tmp_path):
    # Settings that keep several of the codes from the k-means start in use.
    Training(recipe.replace(num_epoch=2, pictures=0, learning_rate=1e-3, beta=8.0), dataset, tmp_path / "run").run()
    export_run(tmp_path / "run")
    assert_languages_agree(tmp_path / "run", dataset.test.images, tmp_path)
    generated = [ROOT / "cpp" / "build" / "emadl_test", tmp_path / "run" / "model", "vqvae"]
    result = subprocess.run([str(word) for word in generated], capture_output=True)
    assert result.returncode == 0, result.stdout.decode()
