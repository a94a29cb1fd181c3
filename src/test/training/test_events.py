"""The event files of a training, read with TensorBoard's own reader."""
import os

import mxnet as mx
import numpy as np
import pytest

from conftest import run_python
from vqvae_gluon import Training, VQVAEError
from vqvae_gluon.data import to_unit
from vqvae_gluon.data.codes import CodesDataset, CodesSplit
from vqvae_gluon.recipes.prior import PriorRecipe
from vqvae_gluon.training.events import Events
from vqvae_gluon.training.loop import Loop
from vqvae_gluon.training.prior import CodePrior

event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def read(run):
    everything = {"scalars": 0, "images": 0, "histograms": 0}
    reader = event_accumulator.EventAccumulator(str(run / "tensorboard"), everything)
    reader.Reload()
    return reader


def assert_each_epoch_once(reader, rows):
    """Check that the scalars are a history's columns in float32, with one step per epoch, in order."""
    assert set(reader.Tags()["scalars"]) == rows[0].keys() - {"epoch"}
    for name in reader.Tags()["scalars"]:
        found = [(event.step, event.value) for event in reader.Scalars(name)]
        assert found == [(row["epoch"], np.float32(row[name])) for row in rows], name


def files(run):
    paths = [path for path in run.rglob("*") if path.is_file() and path.parent.name != "tensorboard"]
    return {path.relative_to(run).as_posix(): path for path in paths}


def assert_same_training(first, second):
    """Compare all files; of archives, which also hold the time, compare the contents."""
    assert files(first).keys() == files(second).keys()
    for name, path in files(first).items():
        other = files(second)[name]
        if name.endswith(".npz"):
            with np.load(path) as one, np.load(other) as two:
                assert {key: one[key].tobytes() for key in one} == {key: two[key].tobytes() for key in two}
        else:
            assert path.read_bytes() == other.read_bytes(), name


def test_tensorboard_reads_what_was_trained_and_the_training_is_the_same(small_recipe, small_dataset, tmp_path):
    recipe = small_recipe.replace(pictures=1, num_epoch=3)
    Training(recipe, small_dataset, tmp_path / "without").run()
    training = Training(recipe, small_dataset, tmp_path / "with", events=Events())
    training.run()
    assert_same_training(tmp_path / "without", tmp_path / "with")
    reader = read(tmp_path / "with")
    assert_each_epoch_once(reader, training.history.rows)
    assert reader.Tags()["images"] == ["test_reconstruction_0"]
    image = reader.Images("test_reconstruction_0")[-1]
    picture = tmp_path / "with" / "test_reconstruction_0_epoch2_batch_size64.png"
    assert image.step == 2 and image.encoded_image_string == picture.read_bytes()
    from matplotlib.image import imread

    assert imread(picture).shape[:2] == (image.height, image.width)
    assert reader.Tags()["histograms"] == ["validation_codes"]
    last = reader.Histograms("validation_codes")[-1]
    codes = training.model(mx.nd.array(to_unit(small_dataset.validation.images))).codes.asnumpy().astype(int).ravel()
    counts = dict(zip(last.histogram_value.bucket_limit, last.histogram_value.bucket))
    assert last.step == 2 and counts == {code + 0.5: np.sum(codes == code) for code in range(8)}
    assert last.histogram_value.sum == codes.sum() and last.histogram_value.sum_squares == np.square(codes).sum()


def test_after_a_death_no_epoch_is_doubled_or_lost(small_recipe, small_dataset, tmp_path):
    recipe = small_recipe.replace(pictures=1, num_epoch=5, checkpoint_period=5)

    def make(resume):
        training = Training(recipe, small_dataset, tmp_path / "run", resume=resume, events=Events())
        measure = training.trained.measure
        # The first epoch stays the best, so there is no other checkpoint before the end.
        training.trained.measure = lambda split: {**measure(split), "reconstruction": float(training.epoch)}
        return training

    training = make(resume=False)
    training.run(3)
    assert_each_epoch_once(read(tmp_path / "run"), training.history.rows)
    for epochs in (2, None):
        resumed = make(resume=True)
        assert resumed.epoch == 1
        resumed.run(epochs)
    reader = read(tmp_path / "run")
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 3
    assert_each_epoch_once(reader, resumed.history.rows)
    assert [event.step for event in reader.Histograms("validation_codes")] == list(range(5))
    assert [event.step for event in reader.Images("test_reconstruction_0")] == [0, 4]


def test_epochs_of_before_are_shown_too(small_recipe, small_dataset, tmp_path):
    recipe = small_recipe.replace(pictures=0, checkpoint_period=1)
    Training(recipe, small_dataset, tmp_path / "run").run(2)
    training = Training(recipe, small_dataset, tmp_path / "run", resume=True, events=Events())
    training.run()
    assert_each_epoch_once(read(tmp_path / "run"), training.history.rows)


def test_of_a_prior_it_shows_the_samples_and_their_codes(tmp_path):
    drawn = []

    def decode(codes):
        drawn.append(codes)
        return np.zeros((len(codes), 1, 4, 4), np.uint8)

    split = CodesSplit(np.random.RandomState(0).randint(5, size=(60, 2, 3)), np.arange(60) % 3)
    dataset = CodesDataset(split, split, 5, ("a", "b", "c"), "a codebook")
    recipe = PriorRecipe(width=16, layers=2, heads=2, batch_size=20, pictures=2, num_epoch=2)
    for name, events in (("without", None), ("with", Events())):
        drawn.clear()
        training = Loop(CodePrior(recipe, dataset, decode=decode), tmp_path / name, events=events)
        training.run()
    assert_same_training(tmp_path / "without", tmp_path / "with")
    reader = read(tmp_path / "with")
    assert_each_epoch_once(reader, training.history.rows)
    assert sorted(reader.Tags()["images"]) == ["samples_0", "samples_1"]
    last = reader.Histograms("sampled_codes")[-1]
    assert last.step == 1
    counts = np.bincount(np.concatenate(drawn[-2:]).ravel(), minlength=5)
    assert list(last.histogram_value.bucket) == list(counts)


def test_a_training_that_never_began_leaves_no_events(small_recipe, small_dataset, tmp_path):
    training = Training(small_recipe.replace(num_embeddings=5000), small_dataset, tmp_path / "run", events=Events())
    with pytest.raises(VQVAEError, match="distinct vectors"):
        training.run()
    assert not (tmp_path / "run").exists()


def test_events_that_cannot_be_written_are_one_clear_error(small_recipe, small_dataset, tmp_path):
    training = Training(small_recipe.replace(pictures=0), small_dataset, tmp_path / "run", events=Events())
    (tmp_path / "elsewhere").write_text("no folder")
    training.trained.measure = lambda split: (
        (tmp_path / "run" / "tensorboard").symlink_to(tmp_path / "elsewhere"),
        dict.fromkeys(training.trained.kind.metrics, 1.0),
    )[1]
    with pytest.raises(VQVAEError, match="run/tensorboard: cannot be written"):
        training.run()


@pytest.mark.parametrize("command", ["train --output run", "prior run"])
def test_where_it_is_not_installed_one_line_says_what_to_install(command, tmp_path):
    (tmp_path / "tensorboard.py").write_text("raise ModuleNotFoundError")
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    result = run_python(*command.split(), "--tensorboard", cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths})
    error = b"vqvae: error: tensorboard is not installed: run pip install 'vqvae-gluon[tensorboard]'\n"
    assert (result.returncode, result.stderr) == (2, error)
    assert not (tmp_path / "run").exists()
