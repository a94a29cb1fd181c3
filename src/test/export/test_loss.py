"""The loss graphs beside the exported networks."""
import mxnet as mx
import numpy as np
import pytest

from conftest import make_model, random_images
from vqvae_gluon import get_recipe
from vqvae_gluon.data import to_unit
from vqvae_gluon.export.loss import export_loss, vqvae_loss
from vqvae_gluon.model_files.parameters import load_arrays
from vqvae_gluon.training.loss import Objective


@pytest.fixture(params=[("mse", "sum"), ("bce", "sum"), ("mse", "mean")], ids="-".join)
def batch(request, tmp_path):
    """A loss's kind and error weight, its inputs for a batch, the exported heads, and the training's objective."""
    model, images, beta = make_model("gradient"), mx.nd.array(to_unit(random_images(6))), 0.25
    output = model(images)
    kind, reduction = request.param
    recipe = get_recipe("emadl").replace(reconstruction_loss=kind, beta=beta, reduction=reduction)
    export_loss(tmp_path / "model", vqvae_loss(beta, kind, recipe.error_weight))
    inputs = (output.reconstruction, images, output.commitment_loss, output.codebook_loss)
    loss = mx.sym.load(str(tmp_path / "model_loss-symbol.json"))
    heads = loss.bind(mx.cpu(), {f"data{i}": array for i, array in enumerate(inputs)}).forward()
    part = Objective(model, recipe)(images)
    return (kind, 1 / 784 if reduction == "mean" else 1), inputs, [head.asnumpy() for head in heads], part


def test_the_loss_is_that_of_the_training(batch):
    _, _, (total, reconstruction), part = batch
    np.testing.assert_allclose(total, part.loss.asnumpy(), rtol=1e-5)
    np.testing.assert_allclose(reconstruction, part.figures.asnumpy()[0], rtol=1e-5)


def test_the_loss_is_emadls_formula(batch):
    (kind, weight), inputs, (total, reconstruction), _ = batch
    x, y, commitment, codebook = (array.asnumpy().astype(np.float64) for array in inputs)
    error = (x - y) ** 2 if kind == "mse" else -(y * np.log(x) + (1 - y) * np.log(1 - x))
    np.testing.assert_allclose(reconstruction, error.sum(axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(total, weight * error.sum(axis=(1, 2, 3)) + (0.25 * commitment + codebook), rtol=1e-5)


def test_the_files_are_those_of_emadl(tmp_path):
    export_loss(tmp_path / "model", vqvae_loss(0.25))
    loss = mx.sym.load(str(tmp_path / "model_loss-symbol.json"))
    assert loss.list_arguments() == ["data0", "data1", "data2", "data3"]
    for shape in ((5, 1, 28, 28), (1, 3, 8, 12)):
        assert loss.infer_shape(data0=shape, data1=shape, data2=shape[:1], data3=shape[:1])[1] == [shape[:1]] * 2
    parameters = tmp_path / "model_loss-0000.params"
    assert load_arrays(parameters) == {} and mx.nd.load(str(parameters)) == []
