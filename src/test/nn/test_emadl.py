"""The EMADL blocks, layer by layer."""
import ast
import json

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import HybridBlock

from conftest import make_model
from vqvae_gluon import VQVAEError, get_model
from vqvae_gluon.nn import UpConvolution
from vqvae_gluon.nn.up_convolution import add_bias

# The seed's components: layer, channels, kernel and stride, which determine EMADL's "same" padding.
ENCODER = """
Convolution(kernel=(3,3), channels=32, stride=(2,2)) ->
Relu() ->
Convolution(kernel=(3,3), channels=64, stride=(2,2)) ->
Relu() ->
Convolution(kernel=(1,1), channels=16, stride=(1,1)) ->
Tanh() ->
VectorQuantize(num_embeddings=64, beta=0.25)
"""
DECODER = """
UpConvolution(kernel=(4,4), channels=64, stride=(2,2)) ->
Relu() ->
UpConvolution(kernel=(4,4), channels=32, stride=(2,2)) ->
Relu() ->
UpConvolution(kernel=(3,3), channels=1, stride=(1,1)) ->
Sigmoid()
"""


def emadl_layers(text):
    """Parse EMADL text into (operator, channels, kernel, stride, pad) or (function,)."""
    for call in text.replace("\n", " ").split("->"):
        name, settings = call.strip().split("(", 1)
        if name == "VectorQuantize":
            return
        if "Convolution" not in name:
            yield (name.lower(),)
            continue
        values = {word.arg: ast.literal_eval(word.value) for word in ast.parse(f"f({settings}").body[0].value.keywords}
        kernel, stride = values["kernel"][0], values["stride"][0]
        pad = kernel // 2 if name == "Convolution" else (kernel - stride) // 2
        operator = "Convolution" if name == "Convolution" else "Deconvolution"
        yield operator, values["channels"], (kernel, kernel), (stride, stride), (pad, pad)


def exported_layers(symbol):
    """Return the layers of an exported graph in the form of :func:`emadl_layers`, up to the quantizer."""
    nodes = json.loads(symbol.tojson())["nodes"]
    unbiased = 0
    for node in nodes:
        attributes = {key: ast.literal_eval(value) if value[0] in "(0123456789" else value
                      for key, value in node.get("attrs", {}).items()}
        if node["name"].startswith("vectorquantize0"):
            return
        if node["op"] == "Convolution" and not nodes[node["inputs"][1][0]]["name"].endswith("_weight"):
            unbiased -= 1  # the bias of the previous layer, see add_bias
        elif node["op"] in ("Convolution", "Deconvolution"):
            unbiased += attributes["no_bias"] == "True"
            yield tuple([node["op"]] + [attributes[key] for key in ("num_filter", "kernel", "stride", "pad")])
        elif node["op"] == "Activation":
            assert unbiased == 0
            yield (attributes["act_type"],)
        else:
            assert node["op"] == "null"


@pytest.mark.parametrize("name, text", [("vqvae.Encoder", ENCODER), ("vqvae.Decoder", DECODER)])
def test_exported_graph_has_the_layers_of_the_emadl_text(exported, name, text):
    symbol = mx.sym.load(str(exported / name / "model_0_newest-symbol.json"))
    layers = list(exported_layers(symbol))
    print("\n".join(map(str, layers)))
    assert layers == list(emadl_layers(text))


def test_codebook_has_emadls_size():
    assert get_model("vqvae_emadl").quantizer.embeddings.shape == (64, 16)


@pytest.mark.parametrize("name", ["vqvae.Encoder", "vqvae.Decoder"])
def test_no_literal_batch_size_in_the_graph(exported, name):
    symbol = mx.sym.load(str(exported / name / "model_0_newest-symbol.json"))
    _, sides = {"vqvae.Encoder": (1, (1, 28, 28)), "vqvae.Decoder": (1, (16, 7, 7))}[name]
    for batch in (1, 3, 500):
        _, outputs, _ = symbol.infer_shape(data=(batch, *sides))
        assert all(shape[0] == batch for shape in outputs)


@pytest.mark.parametrize("height, width, in_channels", [(1, 1, 1), (28, 28, 32), (5, 9, 3)])
def test_up_convolution_to_one_channel_is_exactly_deconvolution(height, width, in_channels):
    layer = UpConvolution(1, 3, 1, in_channels, (height, width))
    layer.initialize(mx.init.Normal(1))
    x = mx.nd.random.normal(shape=(2, in_channels, height, width))
    layer.bias.set_data(mx.nd.array([0.5]))
    by_taps = layer(x).asnumpy()
    layer.plain = True
    np.testing.assert_allclose(by_taps, layer(x).asnumpy(), rtol=1e-5, atol=1e-5)


def numpy_up_convolution_gradients(x, weight, upstream):
    """Gradients of a 3x3 stride-1 one-channel transposed convolution, from its definition."""
    height, width = x.shape[2:]
    padded = np.pad(upstream, ((0, 0), (0, 0), (1, 1), (1, 1)))
    by_x, by_weight = np.zeros_like(x), np.zeros_like(weight)
    for i in range(3):
        for j in range(3):
            window = padded[:, :, i : i + height, j : j + width]
            by_x += weight[None, :, :, i, j].transpose(0, 1, 2)[..., None] * window
            by_weight[:, 0, i, j] = (x * window).sum(axis=(0, 2, 3))
    return by_x, by_weight, upstream.sum(axis=(0, 2, 3))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 32, 28, 28), (3, 5, 4, 7), (128, 64, 14, 14), (1, 3, 64, 48)])
@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("plain", [False, True])
def test_bias_is_added_bit_for_bit_and_its_gradient_is_a_sum(shape, plain, hybrid):
    class Bias(HybridBlock):
        def hybrid_forward(self, F, x, bias):
            return add_bias(F, x, bias, shape[1], plain)

    x, bias = mx.nd.random.normal(shape=shape), mx.nd.random.normal(shape=shape[1:2])
    upstream = mx.nd.random.normal(shape=shape)
    for array in (x, bias):
        array.attach_grad()
    block = Bias()
    block.hybridize(hybrid)
    with autograd.record():
        y = block(x, bias)
    y.backward(upstream)
    np.testing.assert_array_equal(y.asnumpy(), x.asnumpy() + bias.asnumpy()[None, :, None, None])
    np.testing.assert_array_equal(x.grad.asnumpy(), upstream.asnumpy())
    np.testing.assert_allclose(bias.grad.asnumpy(), upstream.asnumpy().sum(axis=(0, 2, 3)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("channels, kernel, stride", [(1, 3, 1), (1, 4, 2), (3, 3, 1), (8, 4, 2), (32, 4, 2)])
def test_up_convolution_is_exactly_the_plain_operator(hybrid, plain, channels, kernel, stride):
    layer = UpConvolution(channels, kernel, stride, 16, (7 * stride, 5 * stride))
    layer.initialize(mx.init.Normal(1))
    layer.bias.set_data(mx.nd.random.normal(shape=(channels,)))
    layer.plain = plain
    layer.hybridize(hybrid)
    x = mx.nd.random.normal(shape=(3, 16, 7, 5))
    pad = (kernel - stride) // 2
    geometry = {"kernel": (kernel,) * 2, "stride": (stride,) * 2, "pad": (pad,) * 2, "num_filter": channels}
    parameters = (layer.weight.data(), layer.bias.data())
    expected = mx.nd.Deconvolution(x, *parameters, no_bias=False, **geometry).asnumpy()
    if plain:
        np.testing.assert_array_equal(layer(x).asnumpy(), expected)
    else:
        np.testing.assert_allclose(layer(x).asnumpy(), expected, rtol=1e-4, atol=1e-4)
    if channels == 1:
        return  # MXNet has no backward pass to compare with; see the tests against NumPy
    found = gradients(lambda: layer(x), x, layer)
    reference = gradients(lambda: mx.nd.Deconvolution(x, *parameters, no_bias=False, **geometry), x, layer)
    for one, other in zip(found, reference):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)


def gradients(compute, x, layer):
    """Gradients of a weighted sum of an output with respect to x, weight and bias."""
    x.attach_grad()
    with autograd.record():
        y = compute()
        loss = (y * mx.nd.arange(y.size).reshape(y.shape) / y.size).sum()
    loss.backward()
    return [array.grad.asnumpy().copy() for array in (x, layer.weight.data(), layer.bias.data())]


@pytest.mark.parametrize("hybrid", [False, True])
def test_up_convolution_gradients_by_hand(hybrid):
    # MXNet 1.9.1's own Deconvolution cannot run this backward pass.
    rng = np.random.RandomState(0)
    x, upstream = rng.randn(2, 4, 5, 6), rng.randn(2, 1, 5, 6)
    layer = UpConvolution(1, 3, 1, 4, (5, 6))
    layer.initialize(mx.init.Normal(1))
    layer.hybridize(hybrid)
    data = mx.nd.array(x)
    data.attach_grad()
    with autograd.record():
        loss = layer(data) * mx.nd.array(upstream)
    loss.backward()
    expected = numpy_up_convolution_gradients(x, layer.weight.data().asnumpy(), upstream)
    found = (data.grad, layer.weight.grad(), layer.bias.grad())
    for gradient, reference in zip(found, expected):
        np.testing.assert_allclose(gradient.asnumpy(), reference, rtol=1e-4, atol=1e-4)


def test_shapes_and_ranges():
    model = make_model()
    output = model(mx.nd.random.uniform(shape=(3, 1, 28, 28)))
    assert output.reconstruction.shape == (3, 1, 28, 28)
    assert output.z.shape == (3, 16, 7, 7)
    assert output.codes.shape == (3, 7, 7)
    assert output.commitment_loss.shape == output.codebook_loss.shape == (3,)
    reconstruction, z = output.reconstruction.asnumpy(), output.z.asnumpy()
    assert reconstruction.min() >= 0 and reconstruction.max() <= 1
    assert np.abs(z).max() <= 1


def test_other_sizes_and_channels():
    model = make_model(channels=3, image_size=(12, 20), num_embeddings=10, embedding_dim=5)
    output = model(mx.nd.random.uniform(shape=(2, 3, 12, 20)))
    assert output.reconstruction.shape == (2, 3, 12, 20)
    assert output.codes.shape == (2, 3, 5)


def test_hybridized_model_gives_the_same_numbers():
    model, images = make_model(), mx.nd.random.uniform(shape=(2, 1, 28, 28))
    plain = [part.asnumpy() for part in model(images)]
    model.hybridize(static_alloc=True, static_shape=True)
    for first, second in zip(plain, model(images)):
        np.testing.assert_allclose(first, second.asnumpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 3, 28, 28), (1, 1, 28, 32), (0, 1, 28, 28)])
def test_wrong_image_shapes_are_refused(shape):
    model = make_model()
    with mx.util.np_shape(True), pytest.raises(VQVAEError, match=r"it takes \(N, 1, 28, 28\)"):
        model(mx.nd.zeros(shape))


def test_image_size_must_fit_the_stride():
    with pytest.raises(VQVAEError, match="30x28 does not fit the model: height and width must be multiples of 4"):
        get_model("vqvae_emadl", image_size=(30, 28))


def test_byte_images_are_refused():
    with pytest.raises(VQVAEError, match="uint8 images: it takes float32"):
        make_model()(mx.nd.zeros((1, 1, 28, 28), dtype="uint8"))
