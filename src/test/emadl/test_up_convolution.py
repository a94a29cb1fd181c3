"""UpConvolution compared with NumPy's sums over taps: its numbers, its gradients, and its two forms."""
import itertools

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from emadl_texts import component
from vqvae_gluon.emadl import build, parse

# Kernel and stride of one axis: even and odd differences, and kernels smaller than the stride.
AXES = [(1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (2, 2), (3, 2), (4, 2), (5, 2), (1, 3), (2, 3), (3, 3), (4, 3), (7, 3)]
PAIRS = [*zip(AXES, AXES), *zip(AXES, AXES[5:] + AXES[:5])]


def up_convolution(image, weight, bias, stride, padding="same"):
    """Return the transposed convolution of images (N, C, H, W) by a weight (C, channels, kernel height, width)."""
    count, _, *sides = image.shape
    _, channels, *kernel = weight.shape
    whole = [step * (side - 1) + long for side, long, step in zip(sides, kernel, stride)]
    result = np.zeros((count, channels, *whole))
    for i, j in np.ndindex(*sides):
        top, left = i * stride[0], j * stride[1]
        taps = np.einsum("nc,coij->noij", image[:, :, i, j], weight)
        result[:, :, top : top + kernel[0], left : left + kernel[1]] += taps
    if padding == "same":
        # floor((kernel - stride) / 2) is cut off before; after, the rest is cut off or padded.
        for axis, (side, long, step) in enumerate(zip(sides, kernel, stride), 2):
            first = max(0, (long - step) // 2)
            result = np.take(result, range(first, min(first + side * step, result.shape[axis])), axis=axis)
            missing = [(0, 0)] * 4
            missing[axis] = (0, side * step - result.shape[axis])
            result = np.pad(result, missing)
    return result + bias[:, None, None]


def make(channels, kernel, stride, in_channels=2, sides=(3, 2), padding="same", plain=False):
    """Return a block of one UpConvolution, and its weight and bias in NumPy."""
    same = [side * step for side, step in zip(sides, stride)]
    valid = [step * (side - 1) + long for side, long, step in zip(sides, kernel, stride)]
    height, width = same if padding == "same" else valid
    text = component(
        f'data -> UpConvolution(kernel={kernel}, channels={channels}, stride={stride}, padding="{padding}") -> result;',
        f"in Q^{{{in_channels},{sides[0]},{sides[1]}}} data, out Q^{{{channels},{height},{width}}} result",
    )
    network = build(parse(text, "Sample.emadl"))
    network.initialize()
    rng = np.random.RandomState(1)
    values = [rng.randn(in_channels, channels, *kernel), rng.randn(channels)]
    weight, bias = parameters(network)
    weight.set_data(mx.nd.array(values[0]))
    bias.set_data(mx.nd.array(values[1]))
    network.apply(lambda block: setattr(block, "plain", plain))
    return network, values


def parameters(network):
    found = network.collect_params()
    return [next(found[name] for name in found if name.endswith(end)) for end in ("weight", "bias")]


@pytest.mark.parametrize("plain", [False, True], ids=["training", "exported"])
@pytest.mark.parametrize("channels", [1, 3])
def test_same_gives_stride_times_the_size(channels, plain):
    for high, wide in PAIRS:
        kernel, stride = zip(high, wide)
        network, (weight, bias) = make(channels, kernel, stride, plain=plain)
        image = np.random.RandomState(2).randn(2, 2, 3, 2)
        found = network(mx.nd.array(image)).asnumpy()
        assert found.shape == (2, channels, 3 * stride[0], 2 * stride[1])
        expected = up_convolution(image, weight, bias, stride)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg=f"{high}, {wide}")


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("channels, kernel, stride", [(16, (4, 4), (2, 2)), (16, (2, 3), (3, 2)), (1, (5, 2), (2, 3))])
def test_both_forms_give_the_same_numbers(channels, kernel, stride, hybrid):
    image = np.random.RandomState(2).randn(3, 5, 4, 6)
    for plain in (False, True):
        network, (weight, bias) = make(channels, kernel, stride, in_channels=5, sides=(4, 6), plain=plain)
        network.hybridize(hybrid)
        expected = up_convolution(image, weight, bias, stride)
        np.testing.assert_allclose(network(mx.nd.array(image)).asnumpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("plain", [False, True], ids=["training", "exported"])
@pytest.mark.parametrize("channels", [1, 2])
def test_valid_cuts_nothing(channels, plain):
    for kernel, stride in (((3, 3), (1, 1)), ((4, 2), (3, 2)), ((1, 2), (2, 3))):
        network, (weight, bias) = make(channels, kernel, stride, padding="valid", plain=plain)
        image = np.random.RandomState(2).randn(2, 2, 3, 2)
        expected = up_convolution(image, weight, bias, stride, "valid")
        np.testing.assert_allclose(network(mx.nd.array(image)).asnumpy(), expected, rtol=1e-4, atol=1e-5)


def test_without_a_bias_there_is_none():
    text = component(
        "data -> UpConvolution(kernel=(2,2), channels=1, stride=(2,2), no_bias=true) -> result;",
        "in Q^{3,2,2} data, out Q^{1,4,4} result",
    )
    network = build(parse(text, "Sample.emadl"))
    network.initialize()
    assert [parameter.shape for parameter in network.collect_params().values()] == [(3, 1, 2, 2)]
    np.testing.assert_array_equal(network(mx.nd.zeros((1, 3, 2, 2))).asnumpy(), np.zeros((1, 1, 4, 4)))


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kernel, stride", [((3, 3), (1, 1)), ((4, 3), (2, 2)), ((1, 2), (2, 3)), ((2, 5), (3, 2))])
def test_gradients_are_differences_of_the_sums(kernel, stride, channels, hybrid):
    # The sums are linear in each array, so the difference quotient of any step is the derivative.
    network, (weight, bias) = make(channels, kernel, stride)
    network.hybridize(hybrid)
    rng = np.random.RandomState(3)
    image = rng.randn(2, 2, 3, 2)
    upstream = rng.randn(2, channels, 3 * stride[0], 2 * stride[1])
    data = mx.nd.array(image)
    data.attach_grad()
    with autograd.record():
        loss = (network(data) * mx.nd.array(upstream)).sum()
    loss.backward()
    arrays = [image, weight, bias]
    found = [data.grad, *(parameter.grad() for parameter in parameters(network))]
    before = (up_convolution(*arrays, stride) * upstream).sum()
    for place, gradient in enumerate(found):
        expected = np.zeros_like(arrays[place])
        for index in itertools.product(*map(range, expected.shape)):
            moved = [array.copy() for array in arrays]
            moved[place][index] += 1
            expected[index] = (up_convolution(*moved, stride) * upstream).sum() - before
        np.testing.assert_allclose(gradient.asnumpy(), expected, rtol=1e-4, atol=1e-4)
