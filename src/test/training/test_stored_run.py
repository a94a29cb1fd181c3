"""A run stored by an earlier version is trained again, resumed and exported.

``stored_run`` is the result of ``Training(recipe, small_dataset, folder).run()``, with the checkpoint from halfway. Its
recipe and checkpoints are in the format of version 0.1; its numbers are renewed when k-means starts another codebook.
The last bits of its sums depend on the processor and the number of threads, which are in ``machine.txt``: on the same
machine every bit must be the same. Elsewhere numbers must agree within rounding: SSE 4.1, AVX, AVX2, one to four
threads, with and without oneDNN changed a metric by 1e-6 of its value and a weight by 2e-5 of the largest in its array.
"""
import csv
import os
import shutil
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from vqvae_gluon import Recipe, Training, export_run
from vqvae_gluon.training.autoencoder import AUTOENCODER
from vqvae_gluon.training.checkpoint import checkpoint_path, load_checkpoint

STORED = Path(__file__).parent / "stored_run"
HALFWAY, LAST = 1, 3
FILES = {
    *("recipe.json", "metrics.csv", "loss_graph.png", "test_reconstruction_0_epoch3_batch_size16.png"),
    *("checkpoints", "checkpoints/0003.npz"),
}


def machine():
    """Return the processor and the number of threads, on which a training's bits depend."""
    lines = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line]
    processor = {name.strip(): value.strip() for name, value in reversed(lines)}
    words = [processor.get(name, "unknown") for name in ("vendor_id", "cpu family", "model")]
    return ", ".join([*words, os.environ["OMP_NUM_THREADS"] + " threads"])


@pytest.fixture(scope="module")
def recipe():
    return Recipe.from_json((STORED / "recipe.json").read_text())


def assert_as_stored(run):
    files = {path.relative_to(run).as_posix() for path in run.rglob("*")}
    assert files == FILES
    assert Recipe.from_json((run / "recipe.json").read_text()) == Recipe.from_json((STORED / "recipe.json").read_text())
    ours, stored = (load_checkpoint(checkpoint_path(folder, LAST), AUTOENCODER) for folder in (run, STORED))
    assert (ours.epoch, ours.updates, ours.recipe) == (stored.epoch, stored.updates, stored.recipe)
    assert ours.data_fingerprint == stored.data_fingerprint
    same_bits = machine() == (STORED / "machine.txt").read_text().strip()
    if same_bits:
        assert (run / "metrics.csv").read_bytes() == (STORED / "metrics.csv").read_bytes()
    for folder in (run, STORED):
        with open(folder / "metrics.csv", newline="") as file:
            written = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        assert written == load_checkpoint(checkpoint_path(folder, LAST), AUTOENCODER).rows
    for row, expected in zip(ours.rows, stored.rows):
        assert list(row) == list(expected)
        np.testing.assert_allclose(list(row.values()), list(expected.values()), rtol=0 if same_bits else 1e-3)
    for group in ("weights", "optimizer", "averages"):
        arrays, expected = getattr(ours, group), getattr(stored, group)
        assert list(arrays) == list(expected)
        for name, array in arrays.items():
            assert (array.shape, array.dtype) == (expected[name].shape, expected[name].dtype)
            rounding = 0 if same_bits else 1e-3 * np.abs(expected[name]).max()
            np.testing.assert_allclose(array, expected[name], rtol=0, atol=rounding, err_msg=f"{group} {name}")


def test_the_same_training_makes_the_stored_run(recipe, small_dataset, tmp_path):
    Training(recipe, small_dataset, tmp_path / "run").run()
    assert_as_stored(tmp_path / "run")


def test_the_stored_half_goes_on_to_the_stored_end(recipe, small_dataset, tmp_path):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    for path in (run / "recipe.json", checkpoint_path(run, HALFWAY)):
        shutil.copy(STORED / path.relative_to(run), path)
    training = Training(recipe, small_dataset, run, resume=True)
    assert training.epoch == HALFWAY + 1
    training.run()
    assert_as_stored(run)


def test_the_stored_run_is_exported(tmp_path):
    shutil.copytree(STORED, tmp_path / "run")
    manifest = export_run(tmp_path / "run")
    stored = load_checkpoint(checkpoint_path(STORED, LAST), AUTOENCODER)
    assert manifest["epoch"] == manifest["last_epoch"] == LAST
    assert manifest["metrics"] == stored.rows[LAST]
    exported = {}
    for part in ("Encoder", "Decoder"):
        arrays = mx.nd.load(str(tmp_path / "run" / "model" / f"vqvae.{part}" / "model_0_newest-0000.params"))
        exported.update({name.split(":", 1)[1]: array.asnumpy() for name, array in arrays.items()})
    assert stored.weights.keys() <= exported.keys()
    for name, array in stored.weights.items():
        np.testing.assert_array_equal(exported[name], array, err_msg=name)
