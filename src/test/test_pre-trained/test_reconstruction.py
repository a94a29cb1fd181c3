"""The pre-trained model reconstructs in Python and in C++, with the same bytes.

The counterpart of the seed's own test, whose C++ half failed.
"""
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from conftest import DIGITS, PRETRAINED, ROOT, reconstruct_by_cpp, run_cpp, run_python
from vqvae_gluon import Predictor, VQVAEError, get_model, load_dataset, read_image, to_bytes
from vqvae_gluon.data import to_unit

# Per pixel in [0, 1], for each of the ten digits; the mean over the test set is 0.003.
WORST_ERROR = 0.008


@pytest.fixture(scope="module")
def predictor():
    return Predictor(PRETRAINED)


@pytest.fixture(scope="module")
def mnist():
    return load_dataset("mnist")


def test_the_ten_images_are_test_digits_one_a_class(mnist):
    images = np.stack([read_image(path, 1, (28, 28), strict=True) for path in DIGITS])
    for digit, image in enumerate(images):
        same = (mnist.test.images == image).all(axis=(1, 2, 3))
        assert mnist.test.labels[same].tolist() == [digit]


@pytest.mark.parametrize("digit", range(10))
def test_digit_is_reconstructed_alike_in_python_and_cpp(digit, tmp_path):
    path = DIGITS[digit]
    codes = [run("encode", path).stdout for run in (run_python, run_cpp)]
    assert codes[0] == codes[1]
    for run, name in ((run_python, "python.png"), (run_cpp, "cpp.png")):
        assert run("reconstruct", path, tmp_path / name).returncode == 0
    assert (tmp_path / "python.png").read_bytes() == (tmp_path / "cpp.png").read_bytes()
    original, reconstruction = (
        to_unit(read_image(file, 1, (28, 28), strict=True)) for file in (path, tmp_path / "cpp.png")
    )
    assert np.square(original - reconstruction).mean() < WORST_ERROR


@pytest.fixture(scope="module")
def by_python(predictor, mnist):
    """The codes and the reconstructed bytes of all test images, as flat arrays."""
    codes = predictor.encode(mnist.test.images)
    return codes.ravel(), to_bytes(predictor.decode(codes)).ravel()


@pytest.mark.parametrize("batch_size, threads", [(1, 1), (128, 1), (50, 2)])
def test_all_test_images_agree_in_codes_and_bytes(by_python, mnist, tmp_path, batch_size, threads):
    by_cpp = reconstruct_by_cpp(PRETRAINED, mnist.test.images, tmp_path, batch_size, threads)
    for ours, theirs in zip(by_python, by_cpp):
        np.testing.assert_array_equal(theirs, ours)


def test_get_model_finds_the_pre_trained_parameters(predictor):
    images = np.stack([read_image(path, 1, (28, 28)) for path in DIGITS])
    output = get_model("vqvae_emadl", pretrained=True)(mx.nd.array(to_unit(images)))
    np.testing.assert_array_equal(output.codes.asnumpy(), predictor.encode(images))
    np.testing.assert_allclose(output.reconstruction.asnumpy(), predictor.reconstruct(images), atol=1e-5)


def test_the_seeds_configuration_is_kept_beside(predictor):
    images = np.stack([read_image(path, 1, (28, 28)) for path in DIGITS])
    output = get_model("vqvae_emadl", pretrained="emadl")(mx.nd.array(to_unit(images)))
    np.testing.assert_array_equal(output.codes.asnumpy(), Predictor(PRETRAINED / "emadl").encode(images))
    assert (output.codes.asnumpy() != predictor.encode(images)).any()


def test_a_wheel_brings_the_models_along(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(ROOT / "vqvae_gluon", source / "vqvae_gluon")
    shutil.copytree(PRETRAINED, source / "pre-trained")
    shutil.copytree(ROOT / "cpp", source / "cpp", ignore=shutil.ignore_patterns("build"))
    shutil.copytree(ROOT / "web", source / "web", ignore=shutil.ignore_patterns("node_modules"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(pip, check=True, capture_output=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path / "site")
    code = (
        "import vqvae_gluon as v; print(v.__file__); v.get_model('vqvae_emadl', pretrained='emadl'); "
        "from vqvae_gluon.evaluation.judge import Judge; Judge(); v.Predictor(); "
        "v.get_model('vqvae_residual', pretrained='emoji'); "
        "from vqvae_gluon.deploy.page import web_folder; print((web_folder() / 'index.html').is_file())"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=str(tmp_path), env=environment, check=True, stdout=subprocess.PIPE
    )
    assert str(tmp_path / "site") in result.stdout.decode() and result.stdout.endswith(b"True\n")
    command = [sys.executable, "-m", "vqvae_gluon", "--cmake-dir"]
    result = subprocess.run(command, cwd=str(tmp_path), env=environment, check=True, stdout=subprocess.PIPE)
    cpp = tmp_path / "site" / "vqvae_gluon" / "cpp"
    assert result.stdout.decode() == f"{cpp / 'cmake'}\n"
    shipped = {path.relative_to(cpp) for path in cpp.rglob("*") if path.is_file()}
    headers = {path.relative_to(ROOT / "cpp") for path in (ROOT / "cpp" / "include").rglob("*.hpp")}
    names = ("dependencies", "version", "vqvaeConfig", "vqvaeConfigVersion")
    assert shipped == headers | {Path("cmake", f"{name}.cmake") for name in names}


def test_missing_and_damaged_pre_trained_files_get_one_line(tmp_path):
    with pytest.raises(VQVAEError, match="pre-trained/best: holds no exported model"):
        get_model("vqvae_emadl", pretrained="best")
    folder = shutil.copytree(PRETRAINED, tmp_path / "copy")
    path = folder / "model" / "vqvae.Encoder" / "model_0_newest-0000.params"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(VQVAEError, match="SHA-256 differs"):
        get_model("vqvae_emadl", pretrained=True, root=folder)
