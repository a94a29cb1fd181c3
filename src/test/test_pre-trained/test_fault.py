"""Why the seed's trained model gave meaningless codes in C++: each possible cause, with its verdict.

See docs/cpp-parity.md.
"""
import os
import subprocess

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import HybridBlock

from conftest import DIGITS, PRETRAINED, ROOT, make_model, run_cpp, run_python
from draw_misreading import three_channel_reading
from vqvae_gluon import Predictor, read_image
from vqvae_gluon.data import to_unit
from vqvae_gluon.evaluation.judge import Judge
from vqvae_gluon.model_files.folder import DECODER, ENCODER, PARAMETERS, SYMBOL, find_model, judge_part
from vqvae_gluon.model_files.parameters import load_arrays

IMAGES = np.stack([read_image(path, 1, (28, 28), strict=True) for path in DIGITS])


@pytest.fixture(scope="module")
def predictor():
    return Predictor(PRETRAINED)


@pytest.fixture(scope="module")
def judge():
    return Judge()


def agreement(first, second):
    return float((first == second).mean())


def judged_right(judge, images):
    return int((judge.classify(images) == np.arange(10)).sum())


def test_verdict_misread_pixels_are_the_fault(predictor, judge):
    misread = np.stack([three_channel_reading(image) for image in IMAGES])
    proper, wrong = predictor.encode(IMAGES), predictor.encode(misread)
    # Even two different digits have the same code at more places, most of which are black background.
    others = [agreement(proper[i], proper[j]) for i in range(10) for j in range(i)]
    assert agreement(proper, wrong) < np.mean(others)
    good, bad = predictor.decode(proper), predictor.decode(wrong)
    assert judged_right(judge, good) == 10
    assert judged_right(judge, bad) <= 3
    black = np.square(to_unit(IMAGES)).mean()
    assert np.square(good - to_unit(IMAGES)).mean() < 0.1 * black
    assert np.square(bad - to_unit(IMAGES)).mean() > black


@pytest.mark.parametrize("digit", range(10))
def test_our_program_reads_every_pixel_where_it_is(digit, tmp_path):
    result = run_cpp("encode", DIGITS[digit], "--dump-input", tmp_path / "input")
    assert result.returncode == 0
    tensor = np.fromfile(tmp_path / "input", np.float32).reshape(1, 28, 28)
    np.testing.assert_array_equal(tensor, to_unit(IMAGES[digit]))
    assert (tensor != to_unit(three_channel_reading(IMAGES[digit]))).any()


def test_both_programs_explain_their_input_alike(tmp_path):
    for path in DIGITS:
        results = [run("encode", path, "--explain") for run in (run_python, run_cpp)]
        assert results[0].stdout == results[1].stdout
        assert results[0].stderr == results[1].stderr
        lines = results[0].stderr.decode().splitlines()
        assert lines[0] == "input shape: (1, 1, 28, 28) float32" and len(lines) == 3
    files = [tmp_path / "python", tmp_path / "cpp"]
    for run, file in zip((run_python, run_cpp), files):
        assert run("reconstruct", DIGITS[8], tmp_path / "out.png", "--dump-input", file).returncode == 0
    assert files[0].read_bytes() == files[1].read_bytes()


def by_executor(symbol, parameters, data):
    """Run a graph as EMADL's C++ program does, bound with a gradient for every argument; return its first head."""
    arguments = {name[4:]: array for name, array in parameters.items()}
    arguments["data"] = mx.nd.array(data)
    gradients = {name: mx.nd.zeros_like(array) for name, array in arguments.items()}
    return symbol.bind(mx.cpu(), arguments, gradients, "write").forward(is_train=False)[0].asnumpy()


class SignFlipped(HybridBlock):
    """The original's straight-through estimator: x - sg(x + q) forwards -q."""

    def __init__(self, model):
        super().__init__(prefix="")
        self.encoder, self.quantizer = model.encoder, model.quantizer

    def hybrid_forward(self, F, data):
        z = self.encoder(data)
        return z - F.BlockGrad(z + self.quantizer(z).quantized)


def export(network, path, images):
    network.hybridize()
    output = network(mx.nd.array(images)).asnumpy()
    network.export(str(path))
    return output, mx.sym.load(f"{path}-symbol.json"), mx.nd.load(f"{path}-0000.params")


def test_verdict_sign_flip_is_the_same_in_both_languages(tmp_path):
    # A defect of training: the exported graph contains it, so Python would fail as well.
    network = SignFlipped(make_model())
    output, symbol, parameters = export(network, tmp_path / "flipped", to_unit(IMAGES))
    np.testing.assert_array_equal(by_executor(symbol, parameters, to_unit(IMAGES)), output)


def test_verdict_prefix_stripping_loses_nothing_here():
    # Dropping four characters confuses arg: with aux: only if a model has both; this one has no aux.
    for name in (ENCODER, DECODER, judge_part()):
        folder = PRETRAINED / "model" / name
        names = list(load_arrays(folder / PARAMETERS))
        symbol = mx.sym.load(str(folder / SYMBOL))
        assert symbol.list_auxiliary_states() == []
        assert sorted(key[4:] for key in names) == sorted(set(symbol.list_arguments()) - {"data"})


class BatchBaked(HybridBlock):
    """An older export, with the training batch size in a reshape."""

    def __init__(self, model):
        super().__init__(prefix="")
        self.encoder = model.encoder

    def hybrid_forward(self, F, data):
        return F.reshape(self.encoder(data), shape=(10 * 49, 16))


def test_verdict_baked_batch_size_leaves_the_image_right(tmp_path):
    # MXNet does not check the reshape: with one image the head has the size of ten, and the image's rows are right.
    network = BatchBaked(make_model())
    output, symbol, parameters = export(network, tmp_path / "baked", to_unit(IMAGES))
    np.testing.assert_array_equal(by_executor(symbol, parameters, to_unit(IMAGES)), output)
    alone = by_executor(symbol, parameters, to_unit(IMAGES[:1]))
    assert alone.shape == output.shape
    np.testing.assert_array_equal(alone[:49], output[:49])


def test_verdict_column_major_gives_recognisable_digits(predictor):
    # A transposed digit is reconstructed as well as an upright one, unlike in the seed.
    transposed = np.ascontiguousarray(IMAGES.transpose(0, 1, 3, 2))
    reconstruction = predictor.reconstruct(transposed).transpose(0, 1, 3, 2)
    error = np.square(reconstruction - to_unit(IMAGES)).mean()
    assert error < 0.2 * np.square(to_unit(IMAGES)).mean()


@pytest.mark.parametrize(
    "variable, values",
    [
        ("MXNET_SUBGRAPH_BACKEND", ("NONE", "MKLDNN")),
        ("MXNET_ENGINE_TYPE", ("NaiveEngine", "ThreadedEnginePerDevice")),
        ("OMP_NUM_THREADS", ("1", "2")),
    ],
)
def test_verdict_fusion_and_threads_change_nothing(tmp_path, variable, values):
    for digit, path in enumerate(DIGITS):
        written = []
        for value in values:
            output = tmp_path / f"{digit}-{value}.png"
            result = run_cpp("reconstruct", path, output, env={**os.environ, variable: value})
            assert result.returncode == 0
            written.append(output.read_bytes())
        assert written[0] == written[1]
    for value in values:  # the program compares with the codec
        program = ROOT / "cpp" / "build" / "emadl_test"
        assert subprocess.run([str(program)], env={**os.environ, variable: value}, capture_output=True).returncode == 0


def test_verdict_missing_scaling_keeps_the_digits(judge):
    # Bytes instead of byte/255 saturate the encoder's tanh, but strokes stay in place and digits stay legible.
    encoder, decoder = (find_model().load(name).network(mx.cpu()) for name in (ENCODER, DECODER))
    encoding, *_ = encoder(mx.nd.array(IMAGES.astype(np.float32)))
    assert judged_right(judge, decoder(encoding).asnumpy()) >= 7
