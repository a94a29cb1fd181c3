"""Two workers, started by the command line, train the same model as one process."""
import csv
import shutil

import mxnet as mx
import numpy as np
import pytest

from conftest import SMALL_PRIOR, run_python
from vqvae_gluon import Training, get_recipe, load_dataset
from vqvae_gluon.training.autoencoder import AUTOENCODER
from vqvae_gluon.training.checkpoint import checkpoint_path, list_checkpoints, load_checkpoint
from vqvae_gluon.training.prior import PRIOR

SIZE = {"num_embeddings": 8, "embedding_dim": 4, "batch_size": 9, "num_epoch": 2, "pictures": 1, "image_size": (8, 8)}
CASES = {
    "ema": {},
    "gradient": {"update": "gradient"},
    "residual": {"model": "vqvae_residual", "width": 8, "decoder_width": 8},
}
INCEPTION = {"model": "vqvae_inception_resnet_v2_dlcr", "width": 1, "reduced_width": 16, "decoder_width": 4}


def flags(settings):
    texts = {name: "8x8" if name == "image_size" else value for name, value in settings.items()}
    return [word for name, value in texts.items() for word in ("--" + name.replace("_", "-"), value)]


def launch(*words):
    result = run_python("launch", "--workers", "2", "--", *words)
    assert result.returncode == 0, result.stderr
    return result


def newest(folder, kind=AUTOENCODER):
    return load_checkpoint(checkpoint_path(folder, list_checkpoints(folder)[-1]), kind)


def assert_alike(first, second, rtol=2e-4, atol=2e-6):
    """Check that two workers' checkpoint is that of one process, up to rounding."""
    for group in ("weights", "optimizer", "averages"):
        one, two = getattr(first, group), getattr(second, group)
        assert one.keys() == two.keys()
        for name, array in one.items():
            np.testing.assert_allclose(two[name], array, rtol, atol * np.abs(array).max(), err_msg=name)
    assert len(first.rows) == len(second.rows)
    for row, other in zip(first.rows, second.rows):
        assert row == pytest.approx(other, rel=1e-4)
    assert first.updates == second.updates


@pytest.mark.parametrize("case", CASES)
def test_two_workers_make_what_one_process_makes(picture_folder, tmp_path, case):
    # With 48 images the last batch has three, so the workers' shares of every batch are unequal.
    command = ["train", "--data", picture_folder, *flags({**SIZE, **CASES[case]})]
    result = launch(*command, "--output", tmp_path / "two")
    assert result.stdout.count(b"epoch ") == 3 and result.stdout.count(b"exported epoch") == 1
    alone = run_python(*command, "--output", tmp_path / "one")
    assert alone.returncode == 0, alone.stderr
    one, two = newest(tmp_path / "one"), newest(tmp_path / "two")
    assert_alike(one, two)
    # The workers themselves check after each epoch that their weights are equal, bit for bit (test_workers.py).
    names = [sorted(path.relative_to(tmp_path / run) for path in (tmp_path / run).rglob("*")) for run in ("one", "two")]
    assert names[0] == names[1]
    with open(tmp_path / "two" / "metrics.csv", newline="") as file:
        assert [float(row["validation_mse"]) for row in csv.DictReader(file)] == [
            row["validation_mse"] for row in two.rows
        ]


def test_running_averages_are_the_mean(picture_folder, tmp_path):
    # The codebook hardly moves, so that rounding does not change the code of any vector.
    settings = {**SIZE, **INCEPTION, "batch_size": 8, "ema_decay": 0.99}
    launch("train", "--data", picture_folder, *flags(settings), "--output", tmp_path / "two")
    recipe = get_recipe("ema").replace(data=str(picture_folder), **settings)
    # BatchNorm normalizes over the images that it sees: those of one of two workers or of one of two devices.
    devices = Training(recipe, load_dataset(**recipe.data_settings()), tmp_path / "one", [mx.cpu(0), mx.cpu(1)])
    devices.run()
    two = newest(tmp_path / "two").weights
    running = 0
    for name, parameter in devices.model.collect_params().items():
        copies = [copy.asnumpy() for copy in parameter.list_data()]
        running += "running" in name and (copies[0] != copies[1]).any()
        expected = np.mean(copies, axis=0)
        np.testing.assert_allclose(two[name], expected, 2e-3, 1e-4 * np.abs(expected).max(), err_msg=name)
    assert running > 20


def test_two_workers_make_the_prior_that_one_process_makes(prior_run, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(prior_run, tmp_path / name, ignore=shutil.ignore_patterns("prior", "vqvae.Prior"))
    # Each worker draws dropout for its own share, so results are equal only without dropout. And Adam turns pure
    # rounding into steps: the bias of attention's keys has no effect, and so no gradient.
    settings = [*SMALL_PRIOR, "--dropout", "0", "--optimizer", "sgd", "--learning-rate", "0.01"]
    result = launch("prior", tmp_path / "two", *settings, "--tensorboard")
    assert result.stdout.count(b"exported epoch") == 1
    assert len(list((tmp_path / "two" / "prior" / "tensorboard").iterdir())) == 1
    alone = run_python("prior", tmp_path / "one", *settings)
    assert alone.returncode == 0, alone.stderr
    assert_alike(*(newest(tmp_path / name / "prior", PRIOR) for name in ("one", "two")))
