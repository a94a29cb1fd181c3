"""The residual and Inception-ResNet-v2 encoders and the channel reductions."""
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from conftest import SMALL_MODELS, make_model
from vqvae_gluon import VQVAEError, get_model, get_model_list
from vqvae_gluon.nn import (
    Branches,
    DenseLayerChannelReduction,
    InceptionResNetV2Encoder,
    PointwiseReduction,
    ResidualDecoder,
    ResidualEncoder,
    UpConvolution,
)
from vqvae_gluon.training.compare import count_parameters


def test_every_model_is_tested_here():
    assert set(SMALL_MODELS) == set(get_model_list())


@pytest.mark.parametrize("name", SMALL_MODELS)
@pytest.mark.parametrize("channels, size", [(1, (28, 28)), (3, (8, 12)), (1, (4, 4))])
def test_shapes_and_ranges(name, channels, size):
    model = make_model(name=name, channels=channels, image_size=size, **SMALL_MODELS[name])
    output = model(mx.nd.random.uniform(shape=(3, channels, *size)))
    assert output.reconstruction.shape == (3, channels, *size)
    assert output.z.shape == (3, 16, size[0] // 4, size[1] // 4)
    assert output.codes.shape == (3, size[0] // 4, size[1] // 4)
    reconstruction = output.reconstruction.asnumpy()
    assert reconstruction.min() >= 0 and reconstruction.max() <= 1


def convolutions(*layers, bias=False, norm=True):
    """Count by hand the parameters of (in, out, kernel area) layers, with biases or batch normalizations."""
    return sum(i * o * area + (o if bias else 0) + (2 * o if norm else 0) for i, o, area in layers)


def inception_parameters(n, channels, blocks):
    """Count the parameters of the seed's layers (docs/dlcr.md) for base width n, without the channel reduction."""
    stem = convolutions(
        (channels, n, 9), (n, n, 9), (n, 2 * n, 9), (2 * n, 3 * n, 1), (3 * n, 6 * n, 9),
        (6 * n, 3 * n, 1),
        (6 * n, 2 * n, 1), (2 * n, 2 * n, 25),
        (6 * n, 2 * n, 1), (2 * n, 3 * n, 9), (3 * n, 3 * n, 9),
        (6 * n, 2 * n, 1),
    )
    a = convolutions(
        (10 * n, n, 1), (10 * n, n, 1), (n, n, 9), (10 * n, n, 1), (n, 2 * n, 9), (2 * n, 2 * n, 9)
    ) + convolutions((4 * n, 10 * n, 1), bias=True, norm=False)
    reduction_a = convolutions(
        (10 * n, 12 * n, 9), (10 * n, 8 * n, 1), (8 * n, 8 * n, 9), (8 * n, 12 * n, 9)
    )
    b = convolutions(
        (34 * n, 6 * n, 1), (34 * n, 4 * n, 1), (4 * n, 5 * n, 7), (5 * n, 6 * n, 7)
    ) + convolutions((12 * n, 34 * n, 1), bias=True, norm=False)
    reduction_b = convolutions(
        (34 * n, 8 * n, 1), (8 * n, 12 * n, 9),
        (34 * n, 8 * n, 1), (8 * n, 9 * n, 9),
        (34 * n, 8 * n, 1), (8 * n, 9 * n, 9), (9 * n, 9 * n, 9),
    )
    c = convolutions(
        (64 * n, 6 * n, 1), (64 * n, 6 * n, 1), (6 * n, 7 * n, 3), (7 * n, 8 * n, 3)
    ) + convolutions((14 * n, 64 * n, 1), bias=True, norm=False)
    return stem + blocks[0] * a + reduction_a + blocks[1] * b + reduction_b + blocks[2] * c


@pytest.mark.parametrize("width, channels, blocks", [(32, 1, (1, 1, 1)), (3, 3, (1, 1, 1)), (2, 1, (10, 20, 10))])
def test_inception_parameters_by_hand(width, channels, blocks):
    encoder = InceptionResNetV2Encoder(channels, 64, width, blocks)
    pointwise = convolutions((64 * width, 64, 1), bias=True, norm=False)
    assert count_parameters(encoder) == inception_parameters(width, channels, blocks) + pointwise


def test_dlcr_parameters_by_hand():
    # 2048 -> 1024 -> ... -> 64, each step with two convolutions to a quarter of the channels, then 64 -> 16.
    steps = [(c, c // 4, 1) for c in (2048, 1024, 512, 256, 128) for _ in range(2)]
    reduction = DenseLayerChannelReduction(2048, 16, 64)
    assert count_parameters(reduction) == convolutions(*steps, (64, 16, 1), bias=True, norm=False)


def test_residual_parameters_by_hand():
    stack = 2 * convolutions((128, 32, 9), (32, 128, 1), norm=False)
    encoder = convolutions((1, 64, 16), (64, 128, 16), (128, 128, 9), (128, 64, 1), bias=True, norm=False)
    decoder = convolutions((64, 128, 9), (128, 64, 16), (64, 1, 16), bias=True, norm=False)
    assert count_parameters(ResidualEncoder()) == encoder + stack
    assert count_parameters(ResidualDecoder()) == decoder + stack


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("channels, sides", [(1, (1, 1)), (3, (3, 2))])
def test_shapes_and_ranges_of_larger_strides(stride, channels, sides):
    size = tuple(stride * side for side in sides)
    settings = {"stride": stride, "channels": channels, "image_size": size}
    model = make_model(name="vqvae_residual", **settings, **SMALL_MODELS["vqvae_residual"])
    output = model(mx.nd.random.uniform(shape=(3, channels, *size)))
    assert output.reconstruction.shape == (3, channels, *size)
    assert output.z.shape == (3, 16, *sides)
    assert output.codes.shape == (3, *model.codes_shape) == (3, *sides)
    reconstruction = output.reconstruction.asnumpy()
    assert reconstruction.min() >= 0 and reconstruction.max() <= 1


@pytest.mark.parametrize("stride, more", [(8, 1), (16, 2)])
@pytest.mark.parametrize("network", [ResidualEncoder, ResidualDecoder])
def test_a_larger_stride_adds_convolutions_of_the_width(network, stride, more):
    added = convolutions((8, 8, 16), bias=True, norm=False)
    assert count_parameters(network(width=8, stride=stride)) == count_parameters(network(width=8)) + more * added


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("stride", [8, 16])
def test_gradients_reach_every_parameter_at_larger_strides(stride, hybrid):
    size = (2 * stride, 3 * stride)
    settings = {"stride": stride, "image_size": size}
    model = make_model("gradient", name="vqvae_residual", **settings, **SMALL_MODELS["vqvae_residual"])
    model.hybridize(hybrid)
    images = mx.nd.random.uniform(shape=(4, 1, *size))
    with autograd.record():
        output = model(images)
        loss = (output.reconstruction - images).square().sum() + output.codebook_loss.sum()
    loss.backward()
    for name, parameter in model.collect_params().items():
        if parameter.grad_req != "null":
            assert np.abs(parameter.grad().asnumpy()).sum() > 0, name


@pytest.mark.parametrize("name", sorted(set(SMALL_MODELS) - {"vqvae_residual"}))
def test_other_encoders_take_their_own_stride_only(name):
    assert get_model(name, stride=4, image_size=(16, 8), **SMALL_MODELS[name]).codes_shape == (4, 2)
    assert get_model(name, decoder="residual", image_size=(16, 8)).codes_shape == (4, 2)


def numpy_dlcr(reduction, x):
    """Compute DLCR from its definition, one pixel at a time."""
    *steps, last = reduction.steps
    pixels = x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])
    for step in steps:
        linear, rectified = (
            pixels @ layer.weight.data().asnumpy()[:, :, 0, 0].T + layer.bias.data().asnumpy()
            for layer in step._children.values()
        )
        pixels = np.concatenate([linear, np.maximum(rectified, 0)], axis=1)
    pixels = pixels @ last.weight.data().asnumpy()[:, :, 0, 0].T + last.bias.data().asnumpy()
    return pixels.reshape(x.shape[0], *x.shape[2:], -1).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("width", [32, 16, 8])
def test_dlcr_is_what_the_diagram_shows(width):
    reduction = DenseLayerChannelReduction(64, 5, width)
    reduction.initialize(mx.init.Normal(0.3))
    x = mx.nd.random.normal(shape=(2, 64, 3, 4))
    np.testing.assert_allclose(reduction(x).asnumpy(), numpy_dlcr(reduction, x.asnumpy()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("hybrid", [False, True])
def test_gradients_reach_every_parameter_of_both_dlcr_branches(hybrid):
    name = "vqvae_inception_resnet_v2_dlcr"
    model = make_model("gradient", name=name, image_size=(16, 16), **SMALL_MODELS[name])
    model.hybridize(hybrid)
    images = mx.nd.random.uniform(shape=(8, 1, 16, 16))
    with autograd.record():
        output = model(images)
        loss = (output.reconstruction - images).square().sum() + output.codebook_loss.sum()
    loss.backward()
    parameters = {name: p for name, p in model.collect_params().items() if p.grad_req != "null"}
    assert len(parameters) > 100
    for name, parameter in parameters.items():
        assert np.abs(parameter.grad().asnumpy()).sum() > 0, name


@pytest.mark.parametrize("width", [1, 4, 8])
@pytest.mark.parametrize("hybrid", [False, True])
def test_branches_are_exactly_concatenated_forward_and_backward(width, hybrid):
    # 9 w + 7 w channels: MXNet's own concat has no backward pass there for w = 4 and 8.
    first, second = (PointwiseReduction(3, count * width) for count in (9, 7))
    block, after = Branches(first, second), PointwiseReduction(16 * width, 8)
    for part in (block, after):
        part.initialize(mx.init.Normal(1))
        part.hybridize(hybrid)
    x = mx.nd.random.normal(shape=(2, 3, 5, 6))
    x.attach_grad()
    with autograd.record():
        joined = block(x)
        loss = (after(joined) * mx.nd.arange(8).reshape((1, 8, 1, 1))).sum()
    loss.backward()
    expected = np.concatenate([part(x).asnumpy() for part in (first, second)], axis=1)
    np.testing.assert_allclose(joined.asnumpy(), expected, rtol=1e-6, atol=1e-6)
    block.plain = True
    block.hybridize(hybrid)
    np.testing.assert_array_equal(block(x).asnumpy(), joined.asnumpy())
    # d loss / d joined is the same at every pixel: the weighted sum of the last convolution's rows.
    upstream = np.arange(8) @ after.weight.data().asnumpy()[:, :, 0, 0]
    weights = np.concatenate([part.weight.data().asnumpy()[:, :, 0, 0] for part in (first, second)])
    by_hand = np.broadcast_to((upstream @ weights)[None, :, None, None], x.shape)
    np.testing.assert_allclose(x.grad.asnumpy(), by_hand, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("stride, kernel", [(1, 3), (2, 4), (2, 2), (4, 4)])
def test_one_channel_up_convolution_is_exactly_deconvolution_for_any_stride(stride, kernel):
    layer = UpConvolution(1, kernel, stride, 5, (3 * stride, 4 * stride))
    layer.initialize(mx.init.Normal(1))
    layer.bias.set_data(mx.nd.array([0.5]))
    x = mx.nd.random.normal(shape=(2, 5, 3, 4))
    x.attach_grad()
    with autograd.record():
        by_taps = layer(x)
    by_taps.backward()
    layer.plain = True
    np.testing.assert_allclose(by_taps.asnumpy(), layer(x).asnumpy(), rtol=1e-5, atol=1e-5)
    # The gradient of the sum: each input pixel is multiplied by the taps that stay inside the image.
    ones = mx.nd.ones((2, 1, 3 * stride, 4 * stride))
    pad = (kernel - stride) // 2
    weight = layer.weight.data()
    expected = mx.nd.Convolution(
        ones, weight, kernel=(kernel, kernel), stride=(stride, stride), pad=(pad, pad), num_filter=5, no_bias=True
    )
    np.testing.assert_allclose(x.grad.asnumpy(), expected.asnumpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_prediction_repeats_itself_and_leaves_the_model_alone(name):
    model = make_model(name=name, **SMALL_MODELS[name])
    images = mx.nd.random.uniform(shape=(2, 1, 28, 28))
    before = {key: p.data().asnumpy() for key, p in model.collect_params().items()}
    first, second = model(images), model(images)
    for one, other in zip(first, second):
        np.testing.assert_array_equal(one.asnumpy(), other.asnumpy())
    for key, parameter in model.collect_params().items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), before[key])


def test_batch_normalization_predicts_with_what_training_saw():
    encoder = InceptionResNetV2Encoder(1, 4, 2)
    encoder.initialize(mx.init.Xavier())
    images = mx.nd.random.uniform(shape=(16, 1, 8, 8))
    for _ in range(100):  # MXNet updates the running averages in the backward pass, with a momentum of 0.9
        with autograd.record():
            trained = encoder(images)
        trained.backward()
    # Once they have settled, a batch gives the same in prediction as in training, up to the bias of the variance.
    predicted = encoder(images)
    scale = np.abs(trained.asnumpy()).max()
    np.testing.assert_allclose(predicted.asnumpy() / scale, trained.asnumpy() / scale, rtol=0, atol=0.02)
    # and an image alone gives the same as in its batch: no batch statistics are used.
    np.testing.assert_allclose(encoder(images[:1]).asnumpy(), predicted[:1].asnumpy(), rtol=1e-4, atol=1e-5)


REFUSED = [
    ("vqvae_residual", {"width": 6}, "width of a residual network was given as 6: it must be a multiple of 4"),
    ("vqvae_residual", {"width": 0}, "given as 0: it must be a multiple of 4"),
    ("vqvae_residual", {"decoder_width": 2}, "given as 2: it must be a multiple of 4"),
    ("vqvae_inception_resnet_v2_1x1", {"width": 0}, "base width of Inception-ResNet-v2 was given as 0"),
    ("vqvae_inception_resnet_v2_1x1", {"blocks": (1, 2)}, r"blocks was given as \(1, 2\)"),
    ("vqvae_inception_resnet_v2_dlcr", {"width": 1, "reduced_width": 12}, "from 64 to 12 channels cannot be reached"),
    ("vqvae_inception_resnet_v2_dlcr", {"width": 1, "reduced_width": 64}, "choose one of 32, 16, 8, 4, 2"),
    ("vqvae_inception_resnet_v2_dlcr", {"width": 3, "embedding_dim": 64}, "from 192 to 64 channels"),
    ("vqvae_residual", {"image_size": (28, 30)}, "28x30 does not fit the model"),
    ("vqvae_residual", {"stride": 5}, "stride was given as 5: it must be 4, 8 or 16"),
    ("vqvae_residual", {"stride": 2}, "stride was given as 2: it must be 4, 8 or 16"),
    ("vqvae_residual", {"stride": 0}, "stride was given as 0: it must be 4, 8 or 16"),
    ("vqvae_residual", {"stride": 8}, "28x28 does not fit the model: height and width must be multiples of 8"),
    ("vqvae_residual", {"stride": 16, "image_size": (32, 40)}, "32x40 does .* width must be multiples of 16"),
    ("vqvae_residual", {"stride": 16, "image_size": (8, 8)}, "8x8 does .* width must be multiples of 16"),
    ("vqvae_residual", {"stride": 8, "image_size": (8, 8), "decoder": "emadl"}, "given for stride 8: it makes"),
    ("vqvae_inception_resnet_v2_1x1", {"stride": 8}, "stride was given as 8: that of InceptionResNetV2Encoder is .* 4"),
    ("vqvae_inception_resnet_v2_dlcr", {"stride": 16}, "stride was given as 16: that of Incep.* is always 4; leave it"),
    ("vqvae_emadl", {"stride": 8}, r"stride was given as 8: the EMADL text makes codes of \(7, 7\)"),
    ("vqvae_emadl", {"decoder": "mirror"}, "unknown decoder 'mirror': choose one of emadl, residual"),
    ("vqvae_emadl", {"width": 8}, "unexpected keyword argument 'width'"),
]


@pytest.mark.parametrize("name, settings, words", REFUSED)
def test_impossible_settings_are_refused(name, settings, words):
    with pytest.raises(VQVAEError, match=words):
        get_model(name, **settings)
