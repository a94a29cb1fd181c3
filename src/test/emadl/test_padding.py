"""Convolution and pooling compared with sums over windows of images padded by NumPy, for every small size."""
import itertools

import mxnet as mx
import numpy as np
import pytest

from emadl_texts import component
from vqvae_gluon.emadl import build, parse

AXES = list(itertools.product((1, 2, 6, 7), (1, 2, 3, 4, 5), (1, 2, 3)))  # size, kernel, stride


def zeros(kind, size, kernel, stride):
    """Return the numbers of zeros before and after, and of windows, following EMADL's description."""
    if kind == "valid":
        return 0, 0, len(range(0, size - kernel + 1, stride))
    if kind == "same":
        wanted = len(range(0, size, stride))  # the size divided by the stride, rounded up
        total = next(n for n in itertools.count() if len(range(0, size + n - kernel + 1, stride)) >= wanted)
    else:  # no_loss: the last window ends with the last pixel, or after it
        total = next(n for n in itertools.count() if size + n >= kernel and (size + n - kernel) % stride == 0)
        wanted = len(range(0, size + total - kernel + 1, stride))
    return total - total // 2, total // 2, wanted


def windows(kind, image, kernel, stride):
    """Return the windows (N, C, H', W', kernel height, kernel width) of images (N, C, H, W)."""
    by_axis = [zeros(kind, *axis) for axis in zip(image.shape[2:], kernel, stride)]
    padded = np.pad(image, [(0, 0), (0, 0), *(ends[:2] for ends in by_axis)])
    rows, columns = (ends[2] for ends in by_axis)
    taken = np.zeros((*image.shape[:2], rows, columns, *kernel))
    for i, j in np.ndindex(rows, columns):
        top, left = i * stride[0], j * stride[1]
        taken[:, :, i, j] = padded[:, :, top : top + kernel[0], left : left + kernel[1]]
    return taken


def run(kind, sides, kernel, stride, image, weight, bias):
    """Return the results of the block's convolution, maximum and mean."""
    settings = f'kernel={kernel}, stride={stride}, padding="{kind}"'
    rows, columns = (zeros(kind, *axis)[2] for axis in zip(sides, kernel, stride))
    shape = f"{rows},{columns}"
    text = component(
        f"""data -> (
            Convolution({settings}, channels=3) -> sums
        |
            Pooling({settings}, pool_type="max") -> largest
        |
            Pooling({settings}, pool_type="avg") -> means
        );""",
        f"in Q^{{2,{sides[0]},{sides[1]}}} data, out Q^{{3,{shape}}} sums, out Q^{{2,{shape}}} largest, "
        f"out Q^{{2,{shape}}} means",
    )
    network = build(parse(text, "Sample.emadl"))
    network.initialize()
    parameters = network.collect_params()
    parameters["sample_conv0_weight"].set_data(mx.nd.array(weight))
    parameters["sample_conv0_bias"].set_data(mx.nd.array(bias))
    return [output.asnumpy() for output in network(mx.nd.array(image))]


@pytest.mark.parametrize("kind", ["same", "valid", "no_loss"])
def test_numbers_are_those_of_padded_windows(kind):
    rng = np.random.RandomState(0)
    # Each case is used for the height, with another one for the width.
    axes = [axis for axis in AXES if kind != "valid" or axis[1] <= axis[0]]
    for high, wide in zip(axes, np.roll(axes, 17, axis=0).tolist()):
        sides, kernel, stride = zip(high, wide)
        image = rng.randn(2, 2, *sides)
        weight, bias = rng.randn(3, 2, *kernel), rng.randn(3)
        taken = windows(kind, image, kernel, stride)
        expected = (
            np.einsum("nchwij,ocij->nohw", taken, weight) + bias[:, None, None],
            taken.max(axis=(-2, -1)),
            taken.mean(axis=(-2, -1)),
        )
        for found, reference in zip(run(kind, sides, kernel, stride, image, weight, bias), expected):
            np.testing.assert_allclose(found, reference, rtol=1e-4, atol=1e-5, err_msg=f"{high}, {wide}")


@pytest.mark.parametrize(
    "kind, size, kernel, stride, expected",
    [
        ("same", 28, 3, 2, 14),
        ("same", 7, 4, 2, 4),
        ("same", 5, 1, 3, 2),
        ("same", 2, 5, 1, 2),
        ("valid", 28, 5, 1, 24),
        ("valid", 28, 3, 2, 13),
        ("valid", 5, 5, 3, 1),
        ("no_loss", 224, 11, 4, 55),  # AlexNet: 213 / 4 is 53.25, so 54 steps
        ("no_loss", 28, 3, 2, 14),
        ("no_loss", 27, 3, 2, 13),
        ("no_loss", 6, 3, 1, 4),
    ],
)
def test_sizes_worked_out_by_hand(kind, size, kernel, stride, expected):
    call = f'Pooling(pool_type="max", kernel=({kernel},1), stride=({stride},1), padding="{kind}")'
    parse(component(f"data -> {call} -> result;", f"in Q^{{1,{size},1}} data, out Q^{{1,{expected},1}} result"), "S")


def test_uneven_zeros_stand_before():
    # Four pixels and a kernel of two: one zero, on the left.
    text = component(
        'data -> Pooling(pool_type="avg", kernel=(1,2)) -> result;', "in Q^{1,1,4} data, out Q^{1,1,4} result"
    )
    means = build(parse(text, "Sample.emadl"))(mx.nd.array([[[[2, 4, 6, 8]]]])).asnumpy()
    np.testing.assert_array_equal(means, [[[[1, 3, 5, 7]]]])


def test_a_maximum_sees_the_zeros():
    text = component(
        'data -> Pooling(pool_type="max", kernel=(1,3)) -> result;', "in Q^{1,1,4} data, out Q^{1,1,4} result"
    )
    largest = build(parse(text, "Sample.emadl"))(mx.nd.array([[[[-2, -4, -1, -8]]]])).asnumpy()
    np.testing.assert_array_equal(largest, [[[[0, -1, -1, 0]]]])
