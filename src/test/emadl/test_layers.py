"""The numbers of the layers other than convolutions, compared with NumPy."""
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import Trainer

from emadl_texts import component
from vqvae_gluon import VQVAEError
from vqvae_gluon.emadl import build, parse
from vqvae_gluon.emadl.block import _BLOCKS, _FUNCTIONS
from vqvae_gluon.emadl.layers import FOREIGN_LAYERS, LAYERS

IMAGE = np.random.RandomState(0).randn(2, 5, 3, 4)


def ports(given, made):
    return f"in Q^{{{given}}} data, out Q^{{{made}}} result"


def make(network, given="5,3,4", made="5,3,4"):
    """Return the hybridized block of a network and its parameters' arrays, all set to random numbers."""
    block = build(parse(component(network, ports(given, made)), "Sample.emadl"))
    block.initialize()
    rng = np.random.RandomState(1)
    values = {}
    for name, parameter in block.collect_params().items():
        key = name.split("_", 2)[-1]
        values[key] = rng.rand(*parameter.shape) + 0.5  # positive, as a variance must be
        parameter.set_data(mx.nd.array(values[key]))
    block.hybridize()
    return block, values


def test_every_layer_can_be_built_or_is_refused():
    built = set(_BLOCKS) | set(_FUNCTIONS) | {"VectorQuantize"}  # which is built with its number
    assert set(LAYERS) == built and not built & set(FOREIGN_LAYERS)


def run(network, x, given="5,3,4", made="5,3,4"):
    block, values = make(network, given, made)
    return block(mx.nd.array(x)).asnumpy(), values


def softmax(x, axis):
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


ELEMENTWISE = {
    "Relu()": lambda x: np.maximum(x, 0),
    "LeakyRelu()": lambda x: np.maximum(x, 0),
    "LeakyRelu(alpha=0.2)": lambda x: np.where(x > 0, x, 0.2 * x),
    "Tanh()": np.tanh,
    "Sigmoid()": lambda x: 1 / (1 + np.exp(-x)),
    "Identity()": lambda x: x,
    "Dropout(p=0.9)": lambda x: x,  # in prediction
    "Softmax(axis=0)": lambda x: softmax(x, 1),
    "Softmax(axis=1)": lambda x: softmax(x, 2),
    "Softmax()": lambda x: softmax(x, 3),
}


@pytest.mark.parametrize("layer", ELEMENTWISE)
def test_layers_that_keep_the_shape(layer):
    found, _ = run(f"data -> {layer} -> result;", IMAGE)
    np.testing.assert_allclose(found, ELEMENTWISE[layer](IMAGE), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("p, kept", [(0, 1), (0.5, 2)])
def test_dropout_in_training_scales_what_it_keeps(p, kept):
    block, _ = make(f"data -> Dropout(p={p}) -> result;")
    with autograd.record():
        found = block(mx.nd.ones((2, 5, 3, 4))).asnumpy()
    assert set(np.unique(found)) == ({kept} if p == 0 else {0, kept})


@pytest.mark.parametrize("fix_gamma", ["true", "false"])
def test_batch_norm_in_prediction_takes_the_running_averages(fix_gamma):
    found, values = run(f"data -> BatchNorm(fix_gamma={fix_gamma}) -> result;", IMAGE)
    beta, gamma, mean, variance = (
        values[name][:, None, None] for name in ("beta", "gamma", "running_mean", "running_var")
    )
    scale = 1 if fix_gamma == "true" else gamma
    expected = scale * (IMAGE - mean) / np.sqrt(variance + 1e-5) + beta
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", ["5", "5,3", "5,3,4"])
def test_batch_norm_in_training_takes_the_batch(shape):
    block, values = make("data -> BatchNorm(fix_gamma=false) -> result;", shape, shape)
    sides = tuple(map(int, shape.split(",")))
    x = np.random.RandomState(2).randn(6, *sides)
    with autograd.record():
        found = block(mx.nd.array(x)).asnumpy()
    axes = (0, *range(2, x.ndim))
    across = (5,) + (1,) * (x.ndim - 2)
    expected = (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + 1e-5)
    expected = values["gamma"].reshape(across) * expected + values["beta"].reshape(across)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_lrn_divides_by_its_neighbours():
    found, _ = run("data -> Lrn(nsize=3, knorm=1.5, alpha=0.6, beta=0.5) -> result;", IMAGE)
    squares = np.pad(IMAGE**2, [(0, 0), (1, 1), (0, 0), (0, 0)])
    sums = squares[:, :-2] + squares[:, 1:-1] + squares[:, 2:]
    np.testing.assert_allclose(found, IMAGE / (1.5 + 0.6 / 3 * sums) ** 0.5, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pool_type, pool", [("avg", np.mean), ("max", np.max)])
def test_global_pooling_leaves_one_pixel(pool_type, pool):
    found, _ = run(f'data -> GlobalPooling(pool_type="{pool_type}") -> result;', IMAGE, made="5,1,1")
    np.testing.assert_allclose(found, pool(IMAGE, axis=(2, 3), keepdims=True), rtol=1e-5, atol=1e-6)


def test_fully_connected_flattens():
    found, values = run("data -> FullyConnected(units=3) -> result;", IMAGE, made="3")
    expected = IMAGE.reshape(2, -1) @ values["weight"].T + values["bias"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_fully_connected_without_flattening_takes_the_last_axis():
    found, values = run("data -> FullyConnected(units=7, flatten=false, no_bias=true) -> result;", IMAGE, made="5,3,7")
    assert list(values) == ["weight"]
    np.testing.assert_allclose(found, IMAGE @ values["weight"].T, rtol=1e-4, atol=1e-5)


def test_flatten_and_reshape_keep_the_order():
    found, _ = run("data -> Flatten() -> Reshape(shape=(4,15)) -> Reshape(shape=60) -> result;", IMAGE, made="60")
    np.testing.assert_array_equal(found, IMAGE.reshape(2, 60).astype(np.float32))


def test_a_vector_leads_to_a_port_of_one_pixel():
    found, _ = run("data -> result;", IMAGE[:, :, 0, 0], given="5", made="5,1,1")
    assert found.shape == (2, 5, 1, 1)


def test_the_last_part_of_a_split_takes_the_rest():
    text = component(
        "data -> Split(n=3) -> ([0] -> a | [1] -> b | [2] -> c);",
        "in Q^{5,3,4} data, out Q^{1,3,4} a, out Q^{1,3,4} b, out Q^{3,3,4} c",
    )
    parts = build(parse(text, "Sample.emadl"))(mx.nd.array(IMAGE))
    for found, expected in zip(parts, (IMAGE[:, :1], IMAGE[:, 1:2], IMAGE[:, 2:])):
        np.testing.assert_array_equal(found.asnumpy(), expected.astype(np.float32))


def test_a_network_with_a_stream_that_is_not_taken_can_be_trained():
    # Suspected bug: the second convolution is built and counted but has no gradient, so the trainer fails.
    block, _ = make("data -> Convolution(kernel=(1,1), channels=[5|2]) -> [0] -> result;")
    trainer = Trainer(block.collect_params(), "sgd", {"learning_rate": 0.1})
    with autograd.record():
        loss = block(mx.nd.ones((2, 5, 3, 4))).sum()
    loss.backward()
    trainer.step(2)


def test_one_hot_of_whole_numbers():
    text = component("data -> OneHot(size=4) -> result;", "in Z(0:3)^{1} data, out N^{4} result")
    found = build(parse(text, "Sample.emadl"))(mx.nd.array([[2], [0], [3]])).asnumpy()
    np.testing.assert_array_equal(found, [[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])


def test_add_sums_all_streams():
    found, _ = run("data -> (Relu() | Tanh() | ) -> Add() -> result;", IMAGE)
    np.testing.assert_allclose(found, np.maximum(IMAGE, 0) + np.tanh(IMAGE) + IMAGE, rtol=1e-5, atol=1e-5)


# If the total number of channels is a multiple of eight, MXNet's own concat has no backward pass.
@pytest.mark.parametrize(
    "shapes, axis",
    [
        (["3,4,4", "5,4,4"], 0),
        (["12,4,4", "12,4,4"], 0),
        (["6,4,4", "10,4,4"], 0),
        (["8,4,4", "8,4,4"], 0),
        (["1,2,3", "2,2,3", "3,2,3"], 0),
        (["8,3,4", "8,5,4"], 1),
        (["12,4,3", "12,4,5"], 2),
        (["3", "5"], 0),
        (["12", "12"], 0),
        (["3,4", "5,4"], 0),
        (["8,3", "8,5"], 1),
    ],
)
def test_concatenate_joins_numbers_and_parts_gradients(shapes, axis):
    sides = [tuple(map(int, shape.split(","))) for shape in shapes]
    whole = list(sides[0])
    whole[axis] = sum(shape[axis] for shape in sides)
    names = [f"part{number}" for number in range(len(shapes))]
    inputs = ", ".join(f"in Q^{{{shape}}} {name}" for name, shape in zip(names, shapes))
    # With layers before it, Concatenate gets inner arrays, for which oneDNN may choose any layout.
    branches = " | ".join(f"{name} -> Relu()" for name in names)
    text = component(
        f"({branches}) -> Concatenate(axis={axis}) -> result;",
        f"{inputs}, out Q^{{{','.join(map(str, whole))}}} result",
    )
    network = build(parse(text, "Sample.emadl"))
    network.hybridize()
    rng = np.random.RandomState(0)
    parts = [mx.nd.array(rng.rand(2, *shape) + 0.1) for shape in sides]
    upstream = rng.randn(2, *whole)
    for part in parts:
        part.attach_grad()
    with autograd.record():
        joined = network(*parts)
        loss = (joined * mx.nd.array(upstream)).sum()
    loss.backward()
    np.testing.assert_array_equal(joined.asnumpy(), np.concatenate([part.asnumpy() for part in parts], axis + 1))
    ends = np.cumsum([shape[axis] for shape in sides])[:-1]
    for part, expected in zip(parts, np.split(upstream, ends, axis + 1)):
        np.testing.assert_allclose(part.grad.asnumpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("shapes", [(12, 12), (6, 10), (3, 5)])
def test_concatenated_convolutions_can_be_trained(shapes):
    branches = " | ".join(f"Convolution(kernel=(3,3), channels={channels})" for channels in shapes)
    block, _ = make(f"data -> ({branches}) -> Concatenate() -> result;", "5,6,6", f"{sum(shapes)},6,6")
    with autograd.record():
        loss = block(mx.nd.ones((2, 5, 6, 6))).sum()
    loss.backward()
    for name, parameter in block.collect_params().items():
        if name.endswith("bias"):  # each is added to 36 pixels of 2 images
            np.testing.assert_array_equal(parameter.grad().asnumpy(), np.full(parameter.shape, 72))


@pytest.mark.parametrize(
    "inputs, message",
    [
        ([mx.nd.zeros((2, 5, 4, 3))], r"it takes \(N, 5,3,4\)"),
        ([mx.nd.zeros((2, 5, 3, 4), dtype="float64")], "float64: it takes float32"),
        ([mx.nd.zeros((2, 5, 3, 4))] * 2, "takes 1 inputs, it was given 2"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs, message):
    block, _ = make("data -> result;")
    with pytest.raises(VQVAEError, match=message):
        block(*inputs)
