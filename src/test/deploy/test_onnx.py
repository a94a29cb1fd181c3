"""A model as ONNX files: run by ONNX Runtime, compared with the model, refused if it cannot be expressed in ONNX."""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from conftest import DIGITS, ROOT, export_newest, make_model, random_images, run_python, spread_codebook
from networks import TAILS, export_tail
from vqvae_gluon import Predictor, Sampler, VQVAEError, get_model_list
from vqvae_gluon.data import to_unit
from vqvae_gluon.deploy import onnx_check
from vqvae_gluon.deploy.onnx import export_onnx
from vqvae_gluon.deploy.onnx_check import check_onnx
from vqvae_gluon.files import sha256
from vqvae_gluon.model_files.folder import find_model

PRETRAINED = ROOT / "pre-trained"
EXAMPLE = ROOT / "examples" / "onnx_runtime.py"
ZOO = {
    **{name: {"name": name} for name in get_model_list()},
    "stride 8": {"name": "vqvae_residual", "stride": 8, "channels": 3, "image_size": (32, 48)},
    "stride 16": {"name": "vqvae_residual", "stride": 16, "image_size": (48, 32)},
    "another decoder": {"name": "vqvae_inception_resnet_v2_dlcr", "decoder": "residual", "image_size": (32, 40)},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The pre-trained model's ONNX files."""
    folder = tmp_path_factory.mktemp("onnx") / "files"
    assert [path.name for path in export_onnx(folder)] == ["encoder.onnx", "decoder.onnx", "prior.onnx"]
    return folder


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 2  # warnings; there must be none
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def ports(ports_of_session):
    return {port.name: (port.type, port.shape) for port in ports_of_session}


def assert_alike(folder, model):
    """Compare numbers, not bytes, on blurred noise, one image and several at once."""
    predictor = Predictor(model)
    channels, *size = predictor.image_shape
    images = to_unit(random_images(12, channels, tuple(size)))
    encoder, decoder = session(folder / "encoder.onnx"), session(folder / "decoder.onnx")
    codes, encoding = encoder.run(["codes", "encoding"], {"images": images})
    expected = predictor.encode(images)
    assert codes.dtype == np.int64 and len(np.unique(expected)) > 1
    onnx_check._Likeness(find_model(model).load(find_model(model).encoder)).ties(images, expected, codes)
    np.testing.assert_array_equal(encoding, predictor.codebook[codes].transpose(0, 3, 1, 2))
    one = encoder.run(["encoding"], {"images": images[:1]})[0]
    assert one.shape == encoding[:1].shape and (one != encoding[:1]).mean() < 0.02
    codes = np.random.RandomState(1).randint(0, len(predictor.codebook), codes.shape)
    decoded = decoder.run(["images"], {"codes": codes})[0]
    assert decoded.std() > 0
    np.testing.assert_allclose(decoded, predictor.decode(codes), atol=2e-6)


@pytest.mark.parametrize("settings", ZOO.values(), ids=ZOO)
def test_every_model_of_the_zoo(settings, tmp_path):
    model = export_newest(spread_codebook(make_model(**settings)), tmp_path / "model")
    export_onnx(tmp_path / "onnx", model)
    assert_alike(tmp_path / "onnx", model)


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
@pytest.mark.parametrize("part", ["decoder", "encoder"])
def test_whatever_an_emadl_project_is_made_of(part, tail, tmp_path):
    model = export_tail(part, tail, tmp_path)
    export_onnx(tmp_path / "onnx", model)
    assert_alike(tmp_path / "onnx", model)


def test_the_files_explain_themselves(files):
    encoder, decoder, prior = (session(files / f"{name}.onnx") for name in ("encoder", "decoder", "prior"))
    images, codes = ("tensor(float)", ["N", 1, 28, 28]), ("tensor(int64)", ["N", 7, 7])
    assert ports(encoder.get_inputs()) == {"images": images}
    assert ports(encoder.get_outputs()) == {"codes": codes, "encoding": ("tensor(float)", ["N", 16, 7, 7])}
    assert ports(decoder.get_inputs()) == {"codes": codes} and ports(decoder.get_outputs()) == {"images": images}
    kept = {f"{kind}{layer}": ("tensor(float)", ["N", 49, 32]) for layer in range(4) for kind in ("keys", "values")}
    assert ports(prior.get_outputs()) == {"probabilities": ("tensor(float)", ["N", 64]), **kept}
    numbers = dict.fromkeys(("previous_code", "place", "class"), ("tensor(int64)", ["N"]))
    past = {f"past_{name}": port for name, port in kept.items()}
    assert ports(prior.get_inputs()) == {**numbers, "temperature": ("tensor(float)", ["N", 1]), **past}
    about = encoder.get_modelmeta().custom_metadata_map
    manifest = json.loads((PRETRAINED / "manifest.json").read_text())
    assert about.pop("value_range").startswith("images: float32 in [0, 1]")
    expected = {"model": "vqvae_emadl", "epoch": str(manifest["epoch"])}
    assert about == {**expected, "manifest_sha256": sha256(PRETRAINED / "manifest.json")}
    assert json.loads(prior.get_modelmeta().custom_metadata_map["classes"]) == list("0123456789")


def test_runtimes_of_three_years_read_the_files(files, capfd):
    for path in files.iterdir():
        model = onnx.load(str(path))
        onnx.checker.check_model(model, full_check=True)
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 13)] and model.ir_version == 8
        weights = {weight.name for weight in model.graph.initializer}
        assert not weights & {port.name for port in model.graph.input}
        session(path)
    assert capfd.readouterr().err == ""


def test_all_test_digits_and_a_thousand_samples(files):
    report = check_onnx(files, samples=1000)
    assert report["images"] == 10_000 and report["source"] == "test images of mnist"
    assert report["equal_images"] >= 9_999 and report["share"] == report["equal_images"] / 10_000
    assert report["bytes"] == 7_840_000 and report["different_bytes"] <= 50
    assert len(report["ties"]) >= 10_000 - report["equal_images"]
    assert all(tie["share"] < 1e-6 for tie in report["ties"])
    assert report["samples"] == report["equal_samples"] + len(report["sample_ties"]) == 1000
    assert report["equal_samples"] >= 998 and all(tie["distance"] < 1e-6 for tie in report["sample_ties"])


def test_a_file_of_another_model_is_noticed(files, tmp_path):
    compact = tmp_path / "compact"
    export_onnx(compact, PRETRAINED / "compact")
    with pytest.raises(VQVAEError, match="encoder.onnx: does not give the codebook's rows"):
        check_onnx(compact, images=100)
    folder = shutil.copytree(files, tmp_path / "files")
    model = onnx.load(str(folder / "decoder.onnx"))
    bias = next(weight for weight in model.graph.initializer if weight.name.endswith("upconvolution2_bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.1), bias.name))
    onnx.save(model, str(folder / "decoder.onnx"))
    with pytest.raises(VQVAEError, match="decoder.onnx: makes other images of the same codes, by [0-9]+ levels of 255"):
        check_onnx(folder, images=100)
    shutil.copyfile(files / "decoder.onnx", folder / "decoder.onnx")
    model = onnx.load(str(folder / "prior.onnx"))
    bias = next(weight for weight in model.graph.initializer if weight.name.endswith("prior_logits_bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(np.roll(onnx.numpy_helper.to_array(bias), 1), bias.name))
    onnx.save(model, str(folder / "prior.onnx"))
    with pytest.raises(VQVAEError, match=r"prior.onnx: gives code [0-9]+ instead of [0-9]+ for image 0, row "):
        check_onnx(folder, images=10, samples=30)


def test_a_near_tie_is_told_with_its_distance(files, monkeypatch):
    """One of the runtime's codes is replaced by its vector's second nearest row."""
    images = to_unit(random_images(3))
    likeness = onnx_check._Likeness(find_model().load("vqvae.Encoder"))
    predictor = Predictor()
    ours = predictor.encode(images)
    theirs = ours.copy()
    z = likeness_by_hand(predictor, images)
    distances = np.square(predictor.codebook[:, :, None, None] - z[2][None]).sum(axis=1)
    theirs[2, 4, 5] = np.argsort(distances[:, 4, 5])[1]
    monkeypatch.setattr(onnx_check, "NEAR", 1.0)
    (tie,) = likeness.ties(images, ours, theirs)
    assert tie[:5] == (2, 4, 5, ours[2, 4, 5], theirs[2, 4, 5])
    expected = abs(distances[theirs[2, 4, 5], 4, 5] - distances[ours[2, 4, 5], 4, 5])
    assert tie.distance == pytest.approx(expected, rel=1e-3)
    monkeypatch.setattr(onnx_check, "NEAR", 1e-9)
    with pytest.raises(VQVAEError, match="for image 2, row 4, column 5, although they are .* apart"):
        likeness.ties(images, ours, theirs)


def likeness_by_hand(predictor, images):
    """Return the encoder's outputs (N, D, h, w) before quantization."""
    import mxnet as mx

    encoder = find_model().load("vqvae.Encoder")
    return encoder.network(mx.cpu(), "encoder_tanh0_fwd")(mx.nd.array(images)).asnumpy().astype(np.float64)


def test_bits_of_the_graphs_of_one_place_are_those_of_all(files):
    sampler, prior = Sampler(), session(files / "prior.onnx")
    codes = sampler.predictor.encode(DIGITS)
    flat = codes.reshape(len(codes), -1)
    names = [port.name for port in prior.get_outputs()]
    kept = {f"past_{name}": np.zeros((len(codes), 49, 32), np.float32) for name in names[1:]}
    inputs = {"class": np.full(len(codes), 10), "temperature": np.ones((len(codes), 1), np.float32)}
    before, bits = np.full(len(codes), 64), np.zeros(len(codes))
    for place in range(49):
        step = {"previous_code": before, "place": np.full(len(codes), place), **inputs, **kept}
        probabilities, *news = prior.run(names, step)
        kept = {f"past_{name}": new for name, new in zip(names[1:], news)}
        before = flat[:, place]
        bits -= np.log2(probabilities[np.arange(len(codes)), before])
    np.testing.assert_allclose(bits, sampler.bits(codes), rtol=1e-5)


def test_the_command_says_what_it_found(tmp_path):
    words = ["export-onnx", tmp_path / "out", "--images", "500", "--samples", "20"]
    result = run_python(*words)
    assert result.returncode == 0, result.stderr
    first, second, third, fourth = result.stdout.decode().splitlines()
    assert first == f"{tmp_path / 'out'}: encoder.onnx, decoder.onnx, prior.onnx"
    version = onnxruntime.__version__
    assert second == f"ONNX Runtime {version}, 500 test images of mnist: 500 with all codes equal (100.00%)"
    assert re.fullmatch(r"0 of 392000 bytes differ|[1-9][0-9]* of 392000 bytes differ: 0 in .*, by one", third)
    assert fourth == "20 of 20 samples have all codes equal"
    result = run_python("export-onnx", tmp_path / "compact", *words[2:], "--model", PRETRAINED / "compact", "--json")
    assert json.loads(result.stdout)["equal_samples"] == 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compact", "out"]


def test_without_its_data_a_model_is_compared_on_noise(exported, tmp_path):
    result = run_python("export-onnx", tmp_path / "out", "--model", exported)
    assert result.returncode == 0 and b" 100 images of noise, for the data that trained the model are not at hand" in (
        result.stdout
    ), (result.stdout, result.stderr)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["decoder.onnx", "encoder.onnx"]


def hidden(tmp_path, name, content="raise ModuleNotFoundError('hidden', name=__name__)"):
    """Return an environment in which importing a library does something else."""
    (tmp_path / "hidden" / name).mkdir(parents=True)
    (tmp_path / "hidden" / name / "__init__.py").write_text(content)
    paths = [str(tmp_path / "hidden"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


@pytest.mark.parametrize(
    "library, content, words",
    [
        ("onnx", None, "onnx is not installed: run pip install 'vqvae-gluon[onnx]'"),
        ("onnx", "__version__ = '1.20.0'", "onnx 1.20.0 is too new for MXNet's exporter, which needs 1.14.1 to 1.18"),
    ],
)
def test_a_missing_or_too_new_onnx_is_one_line(tmp_path, library, content, words):
    env = hidden(tmp_path, library, *([content] if content else []))
    result = run_python("export-onnx", tmp_path / "out", env=env)
    assert result.returncode == 2 and result.stdout == b""
    assert result.stderr.decode().startswith(f"vqvae: error: {words}") and result.stderr.count(b"\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "onnxruntime is not installed; run pip install 'vqvae-gluon[onnx]'"),
        ("raise ImportError('built for NumPy 2')", "onnxruntime cannot be imported (built for NumPy 2)"),
    ],
)
def test_without_a_runtime_the_files_are_written_and_it_is_said(tmp_path, content, words):
    env = hidden(tmp_path, "onnxruntime", *([content] if content else []))
    result = run_python("export-onnx", tmp_path / "out", env=env)
    assert result.returncode == 0 and len(list((tmp_path / "out").iterdir())) == 3
    assert result.stderr.decode() == f"vqvae: the files were not run and compared: {words}\n"


@pytest.mark.parametrize(
    "words, message",
    [
        (["--images", "0"], "images was given as 0: it must be at least 1"),
        (["--samples", "0"], "samples was given as 0: it must be at least 1"),
        (["--data", "nowhere"], "no data at 'nowhere'"),
        (["--model", "nowhere"], "nowhere: holds no exported model"),
    ],
)
def test_bad_words_leave_nothing(tmp_path, words, message):
    result = run_python("export-onnx", tmp_path / "out", *words)
    assert result.returncode == 2 and result.stderr.decode().startswith(f"vqvae: error: {message}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flag", ["--images", "--samples"])
def test_numbers_are_looked_at_before_anything_is_made(tmp_path, flag):
    """Also without the libraries, which would be reported missing next."""
    hidden(tmp_path, "onnx")
    result = run_python("export-onnx", tmp_path / "out", flag, "0", env=hidden(tmp_path, "onnxruntime"))
    message = f"vqvae: error: {flag[2:]} was given as 0: it must be at least 1\n"
    assert (result.returncode, result.stderr.decode()) == (2, message)


def test_a_folder_that_is_taken_or_cannot_be_written(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    for folder, words in (("taken", "is there already"), ("no/where", "cannot be written (No such file or directory)")):
        result = run_python("export-onnx", tmp_path / folder, "--images", "1", "--samples", "1")
        assert result.returncode == 2 and words in result.stderr.decode() and result.stderr.count(b"\n") == 1
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["file"]


def test_an_operator_that_onnx_lacks_is_named(exported, tmp_path):
    model = shutil.copytree(exported, tmp_path / "model")
    path = model / "vqvae.Decoder" / "model_0_newest-symbol.json"
    graph = json.loads(path.read_text())
    node = graph["nodes"][graph["heads"][0][0]]
    node.update(op="round", attrs={})
    path.write_text(json.dumps(graph))
    Predictor(model)
    with pytest.raises(VQVAEError) as caught:
        export_onnx(tmp_path / "out", model)
    assert str(caught.value).startswith(f"{path}: has no ONNX form: MXNet's exporter says No conversion")
    assert not (tmp_path / "out").exists()


def test_an_export_of_the_first_version(tmp_path):
    """It has two heads and no manifest."""
    model = tmp_path / "model"
    for part in ("vqvae.Encoder", "vqvae.Decoder"):
        shutil.copytree(Path(__file__).parent / "first_export" / part, model / part)
    export_onnx(tmp_path / "onnx", model)
    assert_alike(tmp_path / "onnx", model)


def test_nothing_else_asks_for_onnx():
    """Commands that do not write ONNX files run without it."""
    script = "import sys; sys.modules['onnx'] = sys.modules['onnxruntime'] = None; from vqvae_gluon.cli import main; "
    for words in (["encode", str(DIGITS[3])], ["generate", "--codes"], ["--help"]):
        result = subprocess.run(
            [sys.executable, "-c", f"{script}main({words})"], capture_output=True, timeout=120, check=False
        )
        assert result.returncode == 0 and result.stdout, result.stderr


@pytest.fixture(scope="module")
def python_without_mxnet(tmp_path_factory):
    """A Python with only NumPy and ONNX Runtime: 3.12 or newer if there is one."""
    newer = (shutil.which(f"python3.{minor}") for minor in range(12, 20))
    # Some exist in name only, such as those of version managers.
    found = [path for path in newer if path and not subprocess.run([path, "-c", ""], capture_output=True).returncode]
    folder = tmp_path_factory.mktemp("environment")
    command = [(found or [sys.executable])[0], "-m", "venv", str(folder)]
    python = folder / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "-q", "numpy", "onnxruntime"]
    for step in (command, install):
        done = subprocess.run(step, capture_output=True, timeout=600, check=False, text=True)
        if done.returncode:
            pytest.skip(f"no environment with numpy and onnxruntime could be made: {done.stderr or done.stdout}")
    assert subprocess.run([str(python), "-c", "import mxnet"], capture_output=True, check=False).returncode
    return python


def test_the_example_needs_no_mxnet(files, python_without_mxnet, tmp_path):
    def run(*words, **kwargs):
        command = [str(python_without_mxnet), str(EXAMPLE), *map(str, words)]
        result = subprocess.run(command, capture_output=True, timeout=120, check=False, **kwargs)
        assert result.returncode == 0, result.stderr
        return result.stdout

    for digit in (DIGITS[3], DIGITS[8]):
        codes = run("encode", files, digit)
        assert codes == run_python("encode", digit).stdout
        run("decode", files, "-", tmp_path / "mine.png", input=codes)
        run_python("reconstruct", digit, tmp_path / "ours.png")
        assert same_pixels(tmp_path / "mine.png", tmp_path / "ours.png")
    for words in (
        ["--class", "3", "--count", "20", "--seed", "1"],
        ["--temperature", "0.7", "--top-k", "9", "--count", "5", "--seed", "4294967295"],
        ["--temperature", "0"],
    ):
        run("generate", files, tmp_path / "mine.png", *words)
        run_python("generate", tmp_path / "ours.png", *words)
        assert same_pixels(tmp_path / "mine.png", tmp_path / "ours.png")
    (tmp_path / "cut.png").write_bytes(DIGITS[0].read_bytes()[:200])
    (tmp_path / "codes.txt").write_text("1 2 3\n")
    for words, message in (
        (["encode", tmp_path, DIGITS[0]], "encoder.onnx: no such file; vqvae export-onnx writes it"),
        (["encode", files, tmp_path / "none.png"], "none.png"),
        (["encode", files, tmp_path / "cut.png"], "incomplete"),
        (["decode", files, tmp_path / "codes.txt", tmp_path / "a.png"], "cannot reshape array of size 3"),
        (["generate", files, tmp_path / "a.png", "--temperature", "-1"], "give a temperature of 0 or from 0.001"),
        (["generate", files, tmp_path / "a.png", "--count", "0"], "a count of 1 or more"),
        (["generate", files, tmp_path / "a.png", "--top-k", "65"], "a top-k from 0 to 64"),
        (["generate", files, tmp_path / "a.png", "--seed", "-1"], "Seed must be between 0 and 2**32 - 1"),
        (["generate", files, tmp_path / "a.png", "--class", "x"], "class x is unknown: the model has 0, 1, 2"),
        (["generate", files, tmp_path / "no" / "a.png"], "No such file or directory"),
    ):
        command = [str(python_without_mxnet), str(EXAMPLE), *map(str, words)]
        result = subprocess.run(command, capture_output=True, timeout=120, check=False)
        assert result.returncode == 2 and result.stderr.count(b"\n") == 1 and message in result.stderr.decode(), (
            result.stderr
        )
    assert not (tmp_path / "a.png").exists()


def same_pixels(*paths):
    """Return whether PNG files show the same, except for rounding to a neighbouring byte."""
    from vqvae_gluon.data.image_file import read_pixels

    first, second = (read_pixels(path, 1).astype(int) for path in paths)
    return first.shape == second.shape and np.abs(first - second).max() <= 1
