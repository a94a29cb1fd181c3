"""The defects of the original models, rebuilt in order to measure them, behave as described."""
import mxnet as mx
import numpy as np
from mxnet import autograd

import variants
from conftest import make_model


def test_sign_flipped_estimator_forwards_minus_q_with_the_gradient_of_plus():
    quantizer = variants.sign_flipped_emadl(update="ema").quantizer
    quantizer.initialize()
    z = mx.nd.random.uniform(-0.1, 0.1, shape=(2, 16, 3, 3))
    z.attach_grad()
    with autograd.record():
        result = quantizer(z)
        loss = result.quantized.sum()
    loss.backward()
    codebook = quantizer.embeddings.data().asnumpy()
    rows = codebook[result.codes.asnumpy().astype(int)].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(result.quantized.asnumpy(), -rows, atol=1e-7)
    np.testing.assert_array_equal(z.grad.asnumpy(), np.ones(z.shape))


def test_random_branch_never_repeats_itself_and_never_learns():
    model = variants.random_branch_dlcr(width=1, decoder_width=4, image_size=(8, 8))
    model.initialize(mx.init.Xavier())
    model.hybridize()
    images = mx.nd.random.uniform(shape=(2, 1, 8, 8))
    assert (model(images).z.asnumpy() != model(images).z.asnumpy()).any()
    whole = make_model(name="vqvae_inception_resnet_v2_dlcr", width=1, decoder_width=4, image_size=(8, 8))
    counts = [len(list(each.encoder.collect_params().keys())) for each in (whole, model)]
    assert counts[0] - counts[1] == 2 * 2  # two steps from 64 to 16 channels, each without a weight and a bias


def test_misplaced_beta_is_a_commitment_of_four_times_the_weight():
    # What experiments/dlcr.py says about its last row, for losses that are means over the P numbers of an image:
    # beta on the codebook term leaves the commitment at weight 1, and Adam ignores the codebook's weight.
    codebook_gradient = np.random.RandomState(0).randn(5, 3)
    steps = []
    for weight in (1.0, 0.25):
        optimizer, codebook = mx.optimizer.Adam(learning_rate=0.1), mx.nd.zeros((5, 3))
        optimizer.update(0, codebook, mx.nd.array(weight * codebook_gradient), optimizer.create_state(0, codebook))
        steps.append(codebook.asnumpy())
    np.testing.assert_allclose(steps[0], steps[1], rtol=1e-5)
