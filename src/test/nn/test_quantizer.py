"""The quantizer against plain NumPy."""
import mxnet as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mxnet import autograd

from vqvae_gluon import VQVAEError
from vqvae_gluon.nn import CodebookAverages, VectorQuantizer
from vqvae_gluon.nn.quantizer import NearestRow, Quantized, vector_sums

K, D = 5, 3


def make_quantizer(update="gradient", codebook=None, k=K, d=D):
    quantizer = VectorQuantizer(k, d, update)
    quantizer.initialize()
    if codebook is not None:
        quantizer.embeddings.set_data(mx.nd.array(codebook))
    return quantizer


def numpy_codes(z, codebook):
    """Nearest row of each vector, by the definition and in float64."""
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
    network.hybridize()  # as it is exported; MXNet 1.9.1 ends with a segmentation fault in its backward pass otherwise
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


def move(averages, z, codes):
    """Let averages take in one batch of one device."""
    z, codes = mx.nd.array(z), mx.nd.array(codes)
    sums = vector_sums(mx.nd, z, codes, *averages.sums.shape)
    return averages.step([sums], [z], np.random.RandomState(0))


@pytest.mark.parametrize("k, d, n, side", [(1, 1, 1, 1), (64, 16, 128, 7), (5, 3, 2, 4), (512, 64, 3, 2)])
def test_vector_sums_are_those_of_a_loop(k, d, n, side):
    rng = np.random.RandomState(0)
    z, codes = rng.randn(n, d, side, side).astype(np.float32), rng.randint(k, size=(n, side, side))
    expected = np.zeros((k, d + 1))
    for place in np.ndindex(codes.shape):
        expected[codes[place]] += np.append(z[place[0], :, place[1], place[2]], 1)
    found = vector_sums(mx.nd, mx.nd.array(z), mx.nd.array(codes), k, d).asnumpy()
    np.testing.assert_array_equal(found[:, -1], expected[:, -1])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_ema_update_by_hand():
    codebook = np.array([[0.0, 0.0], [1.0, 1.0]], np.float32)
    averages = CodebookAverages(make_quantizer("ema", codebook, 2, 2), decay=0.5, epsilon=0.1, dead_below=0)
    # Counts start at 1, sums at the rows. Three vectors: two of code 0, one of code 1.
    z = np.array([[0.2, 0.4, 0.8], [0.0, 0.2, 1.2]], np.float32).reshape(1, 2, 1, 3)
    move(averages, z, [[[0, 0, 1]]])
    np.testing.assert_allclose(averages.counts, [0.5 * 1 + 0.5 * 2, 0.5 * 1 + 0.5 * 1])
    sums = np.array([[0.5 * 0 + 0.5 * 0.6, 0.5 * 0 + 0.5 * 0.2], [0.5 * 1 + 0.5 * 0.8, 0.5 * 1 + 0.5 * 1.2]])
    np.testing.assert_allclose(averages.sums, sums, rtol=1e-6)
    smoothed = np.array([1.5 + 0.1, 1.0 + 0.1]) / (2.5 + 2 * 0.1) * 2.5
    np.testing.assert_allclose(averages.codebook(), sums / smoothed[:, None], rtol=1e-6)


def test_dead_rows_restart_with_their_count_and_sum():
    codebook = np.array([[0.0], [9.0]], np.float32)
    averages = CodebookAverages(make_quantizer("ema", codebook, 2, 1), decay=0.5, dead_below=0.75)
    z = np.array([0.1, 0.2, 0.3], np.float32).reshape(1, 1, 1, 3)
    replaced = move(averages, z, [[[0, 0, 0]]])
    assert replaced == 1
    new = averages.codebook()[1, 0]
    assert new in z
    assert averages.counts[1] == 0.75
    np.testing.assert_allclose(averages.sums[1], 0.75 * new)


def test_dead_rows_are_left_alone_when_asked():
    codebook = np.array([[0.0], [9.0]], np.float32)
    averages = CodebookAverages(make_quantizer("ema", codebook, 2, 1), decay=0.5, dead_below=0)
    z = np.zeros((1, 1, 1, 3), np.float32)
    assert move(averages, z, [[[0, 0, 0]]]) == 0
    np.testing.assert_allclose(averages.codebook()[1], 9.0, rtol=1e-4)


def test_k_means_start_finds_the_clusters():
    rng = np.random.RandomState(0)
    centres = np.array([[-5.0, 0.0], [0.0, 5.0], [5.0, -5.0]])
    z = (centres[rng.randint(3, size=600)] + 0.01 * rng.randn(600, 2)).astype(np.float32)
    averages = CodebookAverages(make_quantizer("ema", k=3, d=2))
    averages.start(z.T.reshape(1, 2, 20, 30), 1, rng)
    found = averages.codebook()
    np.testing.assert_allclose(found[np.argsort(found[:, 0])], centres, atol=0.05)
    np.testing.assert_allclose(averages.sums, found * averages.counts[:, None], rtol=1e-4)


def test_k_means_start_counts_vectors_a_batch():
    # Two images: 0.0 eight times, 5.0 twice, 9.0 and 9.1 once each; a batch of six images holds three times as many.
    z = np.array([0.0] * 8 + [5.0] * 2 + [9.0, 9.1], np.float32).reshape(2, 1, 2, 3)
    averages = CodebookAverages(make_quantizer("ema", k=3, d=1), dead_below=0.5)
    averages.start(z, 6, np.random.RandomState(0))
    order = np.argsort(averages.codebook()[:, 0])
    np.testing.assert_allclose(averages.counts[order], [24, 6, 6])


def test_k_means_refuses_fewer_vectors_than_rows():
    averages = CodebookAverages(make_quantizer("ema"))
    with pytest.raises(VQVAEError, match="1 distinct vectors to start 5 embeddings"):
        averages.start(np.zeros((1, D, 2, 2), np.float32), 1, np.random.RandomState(0))


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
    # Only under NumPy's meaning of shapes can MXNet make an empty array.
    with mx.util.np_shape(True), pytest.raises(VQVAEError, match=words):
        make_quantizer()(mx.nd.zeros(shape, dtype=dtype))


def test_impossible_settings_are_refused():
    with pytest.raises(VQVAEError, match="unknown codebook update 'emma': choose one of gradient, ema"):
        VectorQuantizer(update="emma")
    with pytest.raises(VQVAEError, match="0 x 16 is impossible"):
        VectorQuantizer(num_embeddings=0)
    with pytest.raises(VQVAEError, match="build it with update='ema'"):
        CodebookAverages(make_quantizer("gradient"))


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"decay": 1.5}, r"decay was given as 1.5: it must be in \[0, 1\)"),
        ({"decay": 1.0}, "decay was given as 1.0"),
        ({"decay": -0.1}, "decay was given as -0.1"),
        ({"decay": np.nan}, "decay was given as nan"),
        ({"dead_below": -0.5}, "dead_below was given as -0.5: it must be 0 or more"),
        ({"dead_below": np.nan}, "dead_below was given as nan"),
    ],
)
def test_averages_refuse_what_a_recipe_refuses(settings, words):
    with pytest.raises(VQVAEError, match=words):
        CodebookAverages(make_quantizer("ema"), **settings)
