"""Fixtures and helpers shared by several tests. The folders of tests mirror those of vqvae_gluon."""
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from server import Server

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ROOT / ".venv" / "bin" / "vqvae"
PROGRAM = ROOT / "cpp" / "build" / "vqvae"
PRETRAINED = ROOT / "pre-trained"
DIGITS = [ROOT / "src" / "test" / "test_pre-trained" / "images" / f"{digit}.png" for digit in range(10)]
# An EMADL project with another package name, other channels and residual branches.
PROJECT = ROOT / "src" / "test" / "emadl" / "project"

# Classes of ``prior_run``, sorted: names that are easily split, quoted or encoded wrongly.
CLASSES = ("50%", "größer", "one, two")

# Settings of ``vqvae prior`` that train within seconds.
SMALL_PRIOR = ["--width", "16", "--layers", "2", "--heads", "2", "--batch-size", "16", "--num-epoch", "3"]

# Every model of the zoo, made narrow for tests.
SMALL_MODELS = {
    "vqvae_emadl": {},
    "vqvae_residual": {"width": 8, "decoder_width": 8},
    "vqvae_inception_resnet_v2_1x1": {"width": 2, "decoder_width": 8},
    "vqvae_inception_resnet_v2_dlcr": {"width": 2, "decoder_width": 8, "reduced_width": 32},
}


_server = Server()


def run_python(*arguments, **kwargs):
    """Run the Python command line, in a process of its own if that is to be in any way special."""
    if set(kwargs) <= {"input", "cwd"}:
        return _server.run([str(word) for word in arguments], **kwargs)
    return _run([str(COMMAND), *arguments], **kwargs)


def run_cpp(*arguments, **kwargs):
    """Run the C++ program."""
    return _run([str(PROGRAM), *arguments], **kwargs)


def reconstruct_by_cpp(model, images, folder, batch_size=1, threads=1):
    """Return the codes and the reconstructed bytes of images (N, C, H, W) uint8 by the C++ layer, as flat arrays."""
    files = [folder / name for name in ("images", "codes", "reconstructions")]
    images.tofile(files[0])
    result = _run([ROOT / "cpp" / "build" / "bulk", model, batch_size, *files, threads])
    assert result.returncode == 0, result.stderr
    return [np.fromfile(file, np.uint8) for file in files[1:]]


def _run(command, **kwargs):
    command = [str(word) for word in command]
    return subprocess.run(command, capture_output=True, timeout=300, check=False, **kwargs)


# For behaviour that must be the same in both languages: how to run a command, or which program to run.
BOTH = pytest.mark.parametrize("run", [run_python, run_cpp], ids=["python", "cpp"])
BOTH_PROGRAMS = pytest.mark.parametrize("program", [COMMAND, PROGRAM], ids=["python", "cpp"])


# The programs that the fixture ``driver`` needs, with their Debian packages.
BROWSER = {"chromium": "chromium", "chromedriver": "chromium-driver"}


def needs(programs):
    """Skip a test if one of some programs is missing; ``programs`` maps each to its Debian package."""
    missing = [package for program, package in programs.items() if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed (Debian's names): {', '.join(missing)}")


def make_model(update="ema", seed=0, name="vqvae_emadl", **settings):
    """Return an initialized model whose codebook spans the EMADL encoder's range."""
    import mxnet as mx

    from vqvae_gluon import get_model

    mx.random.seed(seed)
    np.random.seed(seed)
    model = get_model(name, update=update, **settings)
    model.initialize(mx.init.Xavier())
    shape = model.quantizer.embeddings.shape
    model.quantizer.embeddings.set_data(mx.nd.random.uniform(-0.1, 0.1, shape=shape))
    return model


def spread_codebook(model):
    """Set the codebook's rows to encoder outputs of some images, so that all rows are in use; return the model."""
    import mxnet as mx

    from vqvae_gluon.data import to_unit

    channels, *size = model.image_shape
    images = to_unit(random_images(8, channels, tuple(size)))
    z = model(mx.nd.array(images)).z.asnumpy()
    vectors = z.transpose(0, 2, 3, 1).reshape(-1, z.shape[1])
    count = model.quantizer.embeddings.shape[0]
    chosen = np.random.RandomState(0).choice(len(vectors), count, replace=len(vectors) < count)
    model.quantizer.embeddings.set_data(mx.nd.array(vectors[chosen]))
    return model


def export_newest(model, folder):
    """Export a model under the names that predictors load; return the folder."""
    from vqvae_gluon.export.network import export_model
    from vqvae_gluon.model_files.folder import PARAMETERS, SYMBOL

    export_model(model, folder)
    for name in model.components:
        (folder / name / "model_0-symbol.json").rename(folder / name / SYMBOL)
        (folder / name / "model_0-0000.params").rename(folder / name / PARAMETERS)
    return folder


def random_images(count, channels=1, size=(28, 28), seed=0):
    """Return uint8 images with some structure: blurred noise."""
    noise = np.random.RandomState(seed).rand(count, channels, size[0] + 4, size[1] + 4)
    windows = [noise[:, :, i : i + size[0], j : j + size[1]] for i in range(5) for j in range(5)]
    smooth = np.mean(windows, axis=0)
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return np.round(smooth * 255).astype(np.uint8)


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory):
    """A folder of 60 images of 8 x 8 pixels."""
    from vqvae_gluon import write_png

    folder = tmp_path_factory.mktemp("pictures")
    for index, image in enumerate(random_images(60, size=(8, 8))):
        write_png(folder / f"{index}.png", image)
    return folder


@pytest.fixture(scope="session")
def small_dataset():
    """400 / 100 / 50 pictures of 8x8: four quarters, each dark or bright, which 2x2 codes can distinguish."""
    from vqvae_gluon.data import Dataset, Split

    rng = np.random.RandomState(0)
    quarters = np.where(rng.rand(550, 1, 2, 2) < 0.5, 30, 220).repeat(4, axis=2).repeat(4, axis=3)
    images = (quarters + rng.randint(-30, 31, quarters.shape)).clip(0, 255).astype(np.uint8)
    return Dataset(Split(images[:400]), Split(images[400:500]), Split(images[500:]))


@pytest.fixture(scope="session")
def small_recipe():
    """A recipe that trains on ``small_dataset`` in a second."""
    from vqvae_gluon import get_recipe

    return get_recipe("ema").replace(
        image_size=(8, 8), num_embeddings=8, embedding_dim=4, batch_size=64, num_epoch=4, checkpoint_period=2
    )


@pytest.fixture(scope="session")
def project_run(tmp_path_factory):
    """The run of PROJECT, trained on a part of MNIST for one epoch with a recipe that keeps its codebook in use."""
    from vqvae_gluon import Training, emadl, export_run, get_recipe, load_dataset
    from vqvae_gluon.data import Dataset, Split
    from vqvae_gluon.recipes.autoencoder import project_recipe

    class Part(Dataset):
        """Some of the digits, which pass for all of them: only then is the judge exported beside the model."""

        def fingerprint(self):
            return fingerprint

    digits = load_dataset("mnist")
    fingerprint = digits.fingerprint()
    counts = (12_800, 500, 500)
    part = Part(*(Split(split.images[:count], split.labels[:count]) for split, count in zip(digits, counts)))
    run = tmp_path_factory.mktemp("project") / "run"
    recipe = project_recipe(emadl.read_project(PROJECT), get_recipe("quick")).replace(num_epoch=1, pictures=0)
    Training(recipe, part, run).run()
    export_run(run)
    return run


@pytest.fixture(scope="session")
def classes_folder(tmp_path_factory):
    """A folder of 60 images of 16 x 16 pixels, 20 in a subfolder for each of CLASSES."""
    from vqvae_gluon import write_png

    folder = tmp_path_factory.mktemp("classes")
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir()
        for index, image in enumerate(random_images(20, size=(16, 16), seed=number)):
            write_png(folder / name / f"{index}.png", image // (number + 1))
    return folder


@pytest.fixture(scope="session")
def prior_run(classes_folder, tmp_path_factory):
    """A run with a prior, trained for a few seconds on ``classes_folder``: 4 x 4 codes in [0, 8)."""
    run = tmp_path_factory.mktemp("prior") / "run"
    command = ["train", "--data", classes_folder, "--image-size", "16x16", "--num-embeddings", "8", "--output", run]
    result = run_python(*command, "--batch-size", "16", "--num-epoch", "2", "--pictures", "0")
    assert result.returncode == 0, result.stderr
    result = run_python("prior", run, *SMALL_PRIOR)
    assert result.returncode == 0, result.stderr
    return run


@pytest.fixture(scope="session")
def picture_classes(tmp_path_factory):
    """A folder of three splits; see :func:`picture_run.write_classes`."""
    from picture_run import write_classes

    return write_classes(tmp_path_factory.mktemp("pictures") / "data")


@pytest.fixture(scope="session")
def finished_run(picture_classes, tmp_path_factory):
    """A run with a prior on ``picture_classes``; see :func:`picture_run.train_with_prior`."""
    from picture_run import train_with_prior

    return train_with_prior(tmp_path_factory.mktemp("prior") / "run", picture_classes)


@pytest.fixture
def copied_run(finished_run, tmp_path):
    """A copy of ``finished_run`` that a test may change."""
    return shutil.copytree(finished_run[0], tmp_path / "run")


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """The folder of an exported model with random weights, for images of shape (1, 28, 28)."""
    return export_newest(make_model(), tmp_path_factory.mktemp("exported") / "model")


@pytest.fixture(scope="module")
def driver():
    """Debian's Chromium, driven by its own chromedriver."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1100,1200"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def pytest_configure(config):
    """Let processes that test side by side share the cores: with more threads than cores, operators take long."""
    if not config.getoption("numprocesses", None):  # else this process only starts those
        count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // count)))


#: The files of tests that take longest. Those that test side by side begin with them, so as to end together.
_LONGEST = ("test_reliability", "test_group", "test_onnx", "test_install", "test_pages", "test_autoencoder")


def pytest_collection_modifyitems(items):
    """Put the longest files first."""
    rank = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))
