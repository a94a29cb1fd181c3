"""Ten components: each has the layers, shapes and parameters listed beside it, runs, and can be trained.

The .txt files were worked out by hand; a line's last number is its count of trainable parameters.
"""
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from emadl_texts import COMPONENTS
from vqvae_gluon.emadl import build, load, read

EACH = pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: path.stem)
TOTALS = {
    "AlexNet": 17_986,
    "Conditional": 6_922,
    "Inception": 2_295,
    "LeNet": 61_706,
    "Quantizing": 140,
    "ResNet": 6_292,
    "Stereo": 988,
    "UNet": 8_519,
    "Uneven": 148,
    "VGG": 4_230,
}


def random_inputs(component, rng, count=2):
    """Return a batch for each input: integers in the port's range for Z, else normally distributed numbers."""
    for port in component.inputs:
        shape = (count, *port.type.shape)
        for _ in range(port.length or 1):
            if port.element_type.domain == "Z":
                low, high = int(port.element_type.low), int(port.element_type.high)
                yield mx.nd.array(rng.randint(low, high + 1, shape))
            else:
                yield mx.nd.array(rng.randn(*shape))


def as_list(outputs):
    return [outputs] if isinstance(outputs, mx.nd.NDArray) else list(outputs)


def initialized(path):
    mx.random.seed(0)
    network = load(path)
    network.initialize(mx.init.Xavier())
    network.hybridize()
    return network, list(random_inputs(network.component, np.random.RandomState(0)))


@EACH
def test_layers_shapes_and_counts_are_those_worked_out_by_hand(path):
    assert read(path).describe() + "\n" == path.with_suffix(".txt").read_text()


@EACH
def test_total_is_the_sum_of_the_layers_counts(path):
    lines = path.with_suffix(".txt").read_text().splitlines()
    counts = [int(line.split()[-1].replace(",", "")) for line in lines if line.split()[0].isdigit()]
    assert sum(counts) == TOTALS[path.stem]
    assert lines[-1] == f"parameters: {TOTALS[path.stem]:,}"
    assert read(path).parameter_count == TOTALS[path.stem]


@EACH
def test_outputs_have_the_shapes_of_the_ports(path):
    network, inputs = initialized(path)
    wanted = [(2, *port.type.shape) for port in network.component.outputs for _ in range(port.length or 1)]
    outputs = as_list(network(*inputs))
    assert [output.shape for output in outputs] == wanted
    assert all(np.isfinite(output.asnumpy()).all() for output in outputs)


@pytest.mark.parametrize("hybrid", [False, True])
def test_several_outputs_are_a_tuple(hybrid):
    network, inputs = initialized(next(path for path in COMPONENTS if path.stem == "Stereo"))
    network.hybridize(hybrid)
    assert isinstance(network(*inputs), tuple)


@EACH
def test_trained_parameters_are_as_many_as_stated(path):
    network, _ = initialized(path)
    trained = [parameter for parameter in network.collect_params().values() if parameter.grad_req != "null"]
    assert sum(int(np.prod(parameter.shape)) for parameter in trained) == TOTALS[path.stem]


@EACH
def test_every_trained_parameter_has_a_finite_gradient(path):
    network, inputs = initialized(path)
    with autograd.record():
        outputs = as_list(network(*inputs))
        loss = sum((output * mx.nd.random.normal(shape=output.shape)).sum() for output in outputs)
    loss.backward()
    for name, parameter in network.collect_params().items():
        if parameter.grad_req == "null":
            continue
        gradient = parameter.grad().asnumpy()
        assert np.isfinite(gradient).all(), name
        # The straight-through estimator passes the gradient by the codebook.
        assert gradient.any() != name.endswith("embeddings"), name


@EACH
def test_exported_form_gives_the_numbers_of_the_training_form(path):
    network, inputs = initialized(path)
    by_training = [output.asnumpy() for output in as_list(network(*inputs))]
    exported = build(network.component)
    exported.collect_params().initialize()
    for one, other in zip(exported.collect_params().values(), network.collect_params().values()):
        one.set_data(other.data())
    exported.apply(lambda block: setattr(block, "plain", True))
    exported.hybridize()
    for one, other in zip(by_training, as_list(exported(*inputs))):
        np.testing.assert_allclose(other.asnumpy(), one, rtol=1e-4, atol=1e-5)
