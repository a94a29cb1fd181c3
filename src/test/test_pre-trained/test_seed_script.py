"""The seed's own reconstruction test, as its users write it: three networks in SymbolBlocks, without this package."""
import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon

from conftest import DIGITS, PRETRAINED
from vqvae_gluon import emadl, read_image
from vqvae_gluon.data import to_unit
from vqvae_gluon.model_files.parameters import load_arrays

# Model folders, and the packages of their components.
OURS, EMADLS = (PRETRAINED / "model", "vqvae"), (PRETRAINED / "emadl" / "model", "vqvae")


def load(folder, package, component):
    prefix = folder / f"{package}.{component}" / "model_0_newest"
    with pytest.warns(UserWarning):
        return gluon.SymbolBlock.imports(f"{prefix}-symbol.json", ["data"], f"{prefix}-0000.params")


@pytest.fixture(params=["ours", "project"])
def model(request):
    """A model folder and its package: the pre-trained model's, and that of a user's project."""
    return OURS if request.param == "ours" else (request.getfixturevalue("project_run") / "model", "mnist")


def test_all_ten_digits_are_read_from_their_reconstructions(model):
    folder, package = model
    encoder, decoder, lenet = (load(folder, package, name) for name in ("Encoder", "Decoder", "LeNetNetwork"))
    for digit, path in enumerate(DIGITS):
        image = mx.image.imread(str(path), flag=0).transpose((2, 0, 1)).expand_dims(0).astype("float32") / 255
        encoded, _, _ = encoder(image)
        decoded = decoder(encoded)
        probabilities = lenet(decoded)[0]
        assert probabilities.sum().asscalar() == pytest.approx(1)
        assert int(probabilities.argmax(axis=0).asscalar()) == digit


@pytest.mark.parametrize("folder, package", [OURS, EMADLS], ids=["ours", "emadl"])
def test_the_lenet_beside_a_model_is_the_judge(folder, package):
    judge = {path.name: path.read_bytes() for path in (PRETRAINED / "judge").glob("model_0_newest*")}
    copies = {path.name: path.read_bytes() for path in (folder / f"{package}.LeNetNetwork").iterdir()}
    assert copies == judge and len(judge) == 4


def test_the_judge_is_what_its_text_says():
    network = emadl.build(emadl.read(emadl.LENET), "lenet_")
    arrays = load_arrays(PRETRAINED / "judge" / "model_0_newest-0000.params")
    network.collect_params().load_dict({name.split(":")[1]: array for name, array in arrays.items()}, mx.cpu())
    images = np.stack([read_image(path, 1, (28, 28)) for path in DIGITS])
    probabilities = network(mx.nd.array(to_unit(images))).asnumpy()
    lenet = load(PRETRAINED / "model", "vqvae", "LeNetNetwork")
    np.testing.assert_array_equal(probabilities, lenet(mx.nd.array(to_unit(images))).asnumpy())


def test_the_judges_loss_is_minus_the_logarithm_of_the_labels_probability():
    prefix = PRETRAINED / "judge" / "model_0_newest_loss"
    assert load_arrays(f"{prefix}-0000.params") == {} and mx.nd.load(f"{prefix}-0000.params") == []
    probabilities = np.random.RandomState(0).dirichlet(np.ones(10), 5).astype(np.float32)
    labels = np.array([3, 0, 9, 1, 3])
    inputs = {"data0": mx.nd.array(probabilities), "data1": mx.nd.array(labels)}
    loss = mx.sym.load(f"{prefix}-symbol.json")
    assert loss.list_arguments() == ["data0", "data1"]
    (head,) = loss.bind(mx.cpu(), inputs).forward()
    np.testing.assert_allclose(head.asnumpy(), -np.log(probabilities[np.arange(5), labels]), rtol=1e-5)
