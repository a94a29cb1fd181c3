"""The quantizer against plain NumPy."""
import mxnet as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mxnet import autograd

from vqvae_gluon import VQVAEError
from vqvae_gluon.nn import VectorQuantizer
from vqvae_gluon.nn.quantizer import NearestRow, Quantized

K, D = 5, 3


def make_quantizer(update="gradient", codebook=None, k=K, d=D):
    quantizer = VectorQuantizer(k, d, update)
    quantizer.initialize()
    if codebook is not None:
        quantizer.embeddings.set_data(mx.nd.array(codebook))
    return quantizer


def numpy_codes(z, codebook):
    """Return the nearest row of each vector by definition, in float64."""
    vectors = z.transpose(0, 2, 3, 1).astype(np.float64)
    distances = ((vectors[..., None, :] - codebook.astype(np.float64)) ** 2).sum(-1)
    return distances.argmin(-1)


def random_case(seed, n=2, h=3, w=4, k=K, d=D):
    rng = np.random.RandomState(seed)
    return rng.randn(n, d, h, w).astype(np.float32), rng.randn(k, d).astype(np.float32)


@given(
    seed=st.integers(0, 2**31 - 1),
    n=st.integers(1, 4),
    h=st.integers(1, 5),
    w=st.integers(1, 5),
    k=st.integers(1, 9),
    d=st.integers(1, 6),
)
@settings(max_examples=40, deadline=None)
def test_assignment_matches_numpy(seed, n, h, w, k, d):
    z, codebook = random_case(seed, n, h, w, k, d)
    result = make_quantizer(codebook=codebook, k=k, d=d)(mx.nd.array(z))
    expected = numpy_codes(z, codebook)
    np.testing.assert_array_equal(result.codes.asnumpy(), expected)
    # The value is the codebook row bit for bit, not z + (row - z).
    np.testing.assert_array_equal(result.quantized.asnumpy(), codebook[expected].transpose(0, 3, 1, 2))


@pytest.mark.parametrize("update", ["gradient", "ema"])
@pytest.mark.parametrize("hybrid", [False, True])
def test_losses_and_fields_do_not_depend_on_the_update_rule(update, hybrid):
    z, codebook = random_case(1)
    quantizer = make_quantizer(update, codebook)
    quantizer.hybridize(hybrid)
    result = quantizer(mx.nd.array(z))
    assert result._fields == ("quantized", "codes", "commitment_loss", "codebook_loss")
    rows = codebook[numpy_codes(z, codebook)].transpose(0, 3, 1, 2)
    expected = ((rows - z) ** 2).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(result.commitment_loss.asnumpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(result.codebook_loss.asnumpy(), expected, rtol=1e-5)


def training_form(quantizer):
    return quantizer


def prediction_form(quantizer):
    network = NearestRow(quantizer)
    network.hybridize()  # as for export; otherwise MXNet 1.9.1 crashes with a segmentation fault in its backward pass
    return network


FORMS = pytest.mark.parametrize("form", [training_form, prediction_form])


def gradients(quantizer, z, head, form=training_form):
    z = mx.nd.array(z)
    z.attach_grad()
    with autograd.record():
        loss = head(Quantized(*form(quantizer)(z)))
    loss.backward()
    return z.grad.asnumpy(), quantizer.embeddings.grad().asnumpy()


@pytest.mark.parametrize("hybrid", [False, True])
def test_straight_through_gradient_is_the_upstream_gradient_itself(hybrid):
    z, codebook = random_case(2)
    quantizer = make_quantizer(codebook=codebook)
    quantizer.hybridize(hybrid)
    upstream = np.random.RandomState(3).randn(*z.shape).astype(np.float32)
    by_z, by_codebook = gradients(quantizer, z, lambda result: result.quantized * mx.nd.array(upstream))
    # EMADL's layer has the opposite sign here.
    np.testing.assert_array_equal(by_z, upstream)
    np.testing.assert_array_equal(by_codebook, np.zeros_like(codebook))


@FORMS
def test_commitment_gradient_reaches_the_encoder_only(form):
    z, codebook = random_case(4)
    by_z, by_codebook = gradients(make_quantizer(codebook=codebook), z, lambda result: result.commitment_loss, form)
    rows = codebook[numpy_codes(z, codebook)].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(by_z, 2 * (z - rows) / z[0].size, rtol=1e-5, atol=1e-8)
    np.testing.assert_array_equal(by_codebook, np.zeros_like(codebook))


@FORMS
def test_codebook_gradient_reaches_the_codebook_only(form):
    z, codebook = random_case(5)
    by_z, by_codebook = gradients(make_quantizer(codebook=codebook), z, lambda result: result.codebook_loss, form)
    codes = numpy_codes(z, codebook)
    vectors = z.transpose(0, 2, 3, 1)
    expected = np.zeros_like(codebook)
    for place in np.ndindex(codes.shape):
        expected[codes[place]] += 2 * (codebook[codes[place]] - vectors[place]) / z[0].size
    np.testing.assert_allclose(by_codebook, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(by_z, np.zeros_like(z))


def test_prediction_form_gives_the_same_bits():
    z, codebook = random_case(6, n=3)
    quantizer = make_quantizer(codebook=codebook)
    for predicted, expected in zip(NearestRow(quantizer)(mx.nd.array(z)), quantizer(mx.nd.array(z))):
        np.testing.assert_array_equal(predicted.asnumpy(), expected.asnumpy())


def test_ema_takes_the_codebook_out_of_the_gradient():
    assert make_quantizer("ema").embeddings.grad_req == "null"
    assert make_quantizer("gradient").embeddings.grad_req == "write"


def test_nothing_moves_outside_training():
    z, codebook = random_case(7)
    for update in ("gradient", "ema"):
        quantizer = make_quantizer(update, codebook)
        for _ in range(3):
            quantizer(mx.nd.array(z))
        with autograd.predict_mode():
            quantizer(mx.nd.array(z))
        np.testing.assert_array_equal(quantizer.embeddings.data().asnumpy(), codebook)


@pytest.mark.parametrize(
    "shape, dtype, words",
    [
        ((0, D, 2, 2), "float32", "empty batch"),
        ((1, D + 1, 2, 2), "float32", r"\(1, 4, 2, 2\): it takes \(N, 3, H, W\)"),
        ((1, D, 2), "float32", r"\(1, 3, 2\): it takes"),
        ((1, D, 2, 2), "float64", "float64 values: it takes float32"),
    ],
)
def test_wrong_inputs_are_refused(shape, dtype, words):
    # MXNet can make an empty array only under NumPy shape semantics.
    with mx.util.np_shape(True), pytest.raises(VQVAEError, match=words):
        make_quantizer()(mx.nd.zeros(shape, dtype=dtype))


def test_impossible_settings_are_refused():
    with pytest.raises(VQVAEError, match="unknown codebook update 'emma': choose one of gradient, ema"):
        VectorQuantizer(update="emma")
    with pytest.raises(VQVAEError, match="0 x 16 is impossible"):
        VectorQuantizer(num_embeddings=0)
