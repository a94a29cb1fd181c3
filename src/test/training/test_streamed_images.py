"""Training, resuming, measuring, comparing and encoding from a stream give the same bits as from memory."""
import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon.data import ArrayDataset, SimpleDataset
from mxnet.gluon.data.vision.transforms import ToTensor

from vqvae_gluon import Predictor, Training, VQVAEError, export_run
from vqvae_gluon.data import Dataset, Split, batches, from_gluon
from vqvae_gluon.data.dataset import ahead
from vqvae_gluon.data.stream import Stream
from vqvae_gluon.deploy.encoding import encode_dataset
from vqvae_gluon.training.autoencoder import AUTOENCODER
from vqvae_gluon.training.checkpoint import checkpoint_path, load_checkpoint

NAMES = ("dark", "bright")


def as_gluon(images, labels):
    return ArrayDataset(images.transpose(0, 2, 3, 1), labels)


@pytest.fixture(scope="module")
def held(small_dataset):
    labels = [(split.images.mean(axis=(1, 2, 3)) > 125).astype(np.int64) for split in small_dataset]
    return Dataset(*(Split(split.images, of, NAMES) for split, of in zip(small_dataset, labels)))


@pytest.fixture(scope="module")
def streamed(held):
    """Gluon data sets that are streamed, not kept in memory."""
    return Dataset(*(from_gluon(as_gluon(*split[:2]), NAMES, memory=0) for split in held))


@pytest.fixture(scope="module")
def recipe(small_recipe):
    return small_recipe.replace(epoch_passes=2, training_metrics="prediction", num_epoch=2, dead_below=2.0, pictures=1)


@pytest.fixture(scope="module")
def run(held, recipe, tmp_path_factory):
    training = Training(recipe, held, tmp_path_factory.mktemp("held"))
    training.run()
    return training


def assert_same(ours, theirs):
    for name in ("metrics.csv", "checkpoints/0001.npz"):
        assert (ours.folder / name).exists() and (theirs.folder / name).exists()
    assert (ours.folder / "metrics.csv").read_bytes() == (theirs.folder / "metrics.csv").read_bytes()
    found, expected = (load_checkpoint(checkpoint_path(run.folder, 1), AUTOENCODER) for run in (ours, theirs))
    assert found.data_fingerprint == expected.data_fingerprint
    for group in ("weights", "optimizer", "averages"):
        arrays = getattr(expected, group)
        assert getattr(found, group).keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(getattr(found, group)[name], array, err_msg=f"{group} {name}")


def test_a_stream_is_an_array_of_its_images(held, streamed):
    for ours, theirs in zip(streamed, held):
        assert isinstance(ours.images, Stream) and ours.classes == theirs.classes
        assert (ours.images.shape, ours.images.dtype, len(ours.images)) == (
            theirs.images.shape, theirs.images.dtype, len(theirs.images)
        )
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        for index in (slice(None), slice(3, 30, 4), np.array([5, 0, 5]), -1, [], theirs.labels == 1):
            np.testing.assert_array_equal(ours.images[index], theirs.images[index])
    for index in (1000, np.array([0, 400])):
        with pytest.raises(IndexError):
            streamed.train.images[index]
    assert streamed.fingerprint() == held.fingerprint() == streamed.fingerprint()
    np.testing.assert_array_equal(streamed.train.images.channel_means(), held.train.images.mean(axis=(0, 2, 3)))


def test_batches_of_a_stream_are_shuffled_as_those_of_an_array(held, streamed):
    ours, theirs = (list(batches(split.train.images, 64, np.random.RandomState(3))) for split in (streamed, held))
    assert [len(batch) for batch in ours] == [64] * 6 + [16]
    for one, other in zip(ours, theirs):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("share", [lambda chosen: chosen, lambda chosen: chosen[:7]], ids=["all", "some"])
def test_orders_are_asked_for_ahead_and_their_images_are_at_hand(held, share):
    asked, read = [], []

    class Images:
        def __getitem__(self, number):
            read.append(number)
            return held.train.images[number]

    stream = Stream(Images(), np.arange(400), held.train.images.shape[1:], np.stack, workers=1)
    orders = np.split(np.random.RandomState(0).permutation(400), 20)
    for number, chosen in enumerate(ahead(stream, (asked.append(order) or order for order in orders), share)):
        assert chosen is orders[number]
        assert len(asked) == min(20, number + 3)  # two batches per thread, and one for the batch just taken
        before = len(read)
        np.testing.assert_array_equal(stream[share(chosen)], held.train.images[share(chosen)])
        assert len(read) - before <= 60  # the thread reads ahead meanwhile, but these images are not read again
    assert read == np.concatenate(list(map(share, orders))).tolist()
    mask = np.arange(400) % 2 == 0
    np.testing.assert_array_equal(stream[mask], held.train.images[mask])


def test_training_from_a_stream_has_the_bits_of_one_in_memory(run, streamed, recipe, tmp_path):
    training = Training(recipe, streamed, tmp_path / "run")
    training.run()
    assert_same(training, run)
    for split in ("train", "validation"):
        assert training.trained.measure_classes(split) == run.trained.measure_classes(split)


def test_a_training_goes_on_from_memory_in_a_stream(run, held, streamed, recipe, tmp_path):
    first = Training(recipe, held, tmp_path / "run")
    first.run(1)
    training = Training(recipe, streamed, tmp_path / "run", resume=True)
    assert training.epoch == 1
    training.run()
    assert_same(training, run)


def test_an_interrupted_stream_is_resumed(run, streamed, recipe, tmp_path):
    training = Training(recipe, streamed, tmp_path / "run")
    step, steps = training.trained.step, []

    def interrupted(*arguments):
        steps.append(1)
        if len(steps) == 17:  # in the second epoch
            raise KeyboardInterrupt
        step(*arguments)

    training.trained.step = interrupted
    with pytest.raises(KeyboardInterrupt):
        training.run()
    again = Training(recipe, streamed, tmp_path / "run", resume=True)
    assert again.epoch == 1
    again.run()
    assert_same(again, run)


def test_codes_from_a_stream_are_those_of_memory(run, held, streamed):
    export_run(run.folder)
    predictor = Predictor(run.folder)
    assert encode_dataset(predictor, streamed).fingerprint() == encode_dataset(predictor, held).fingerprint()


def test_an_image_that_cannot_be_read_ends_the_training_before_it_begins(held, recipe, tmp_path):
    class Torn:
        def __getitem__(self, number):
            if number == 317:
                raise VQVAEError("item 317 is torn")
            return held.train.images[number]

    train = Stream(Torn(), np.arange(400), held.train.images.shape[1:], np.stack)
    with pytest.raises(VQVAEError, match="item 317 is torn"):
        Training(recipe, held._replace(train=Split(train)), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    np.testing.assert_array_equal(train[:300], held.train.images[:300])  # the rest can still be read


@pytest.mark.parametrize("memory", [0, 1], ids=["streamed", "held"])
def test_gluon_images_are_bytes_or_tensors(held, memory):
    images = as_gluon(*held.test[:2])
    tensors = images.transform_first(lambda image: ToTensor()(mx.nd.array(image, dtype="uint8")))
    for dataset in (images, tensors):
        split = from_gluon(dataset, memory=memory)
        assert split.labels is None and isinstance(split.images, Stream) == (memory == 0)
        np.testing.assert_array_equal(split.images[:], held.test.images)
    assert from_gluon(images, NAMES, memory).labels.tolist() == held.test.labels.tolist()


GOOD = np.zeros((8, 8, 1), np.uint8)


@pytest.mark.parametrize(
    "items, words",
    [
        ([], "without items"),
        ([GOOD], "item 0 of a Gluon data set is ndarray: it must be .image, label."),
        ([(GOOD[0], 0)], r"is uint8 of \(8, 1\): it must be"),
        ([(GOOD.astype(int), 0)], r"is int64 of \(8, 8, 1\): it must be"),
        ([(GOOD, 0), (np.full((1, 8, 8), 1.5, np.float32), 0)], r"item 1 .* is float32 of \(1, 8, 8\): it must be"),
        ([(GOOD, 0), (GOOD[:4], 0)], r"item 1 .* of \(1, 4, 8\), item 0 one of \(1, 8, 8\): transform all to one"),
        ([(GOOD, 0), (GOOD, 2)], "item 1 .* has the label 2: it must be the number of one of 2 classes, from 0"),
        ([(GOOD, 0), (GOOD, 0.5)], "item 1 .* has the label 0.5"),
        ([(GOOD, 0), (GOOD, [0, 1])], "item 1 .* has the label .0, 1."),
    ],
)
def test_gluon_data_sets_that_do_not_fit_are_refused(items, words):
    with pytest.raises(VQVAEError, match=words):
        from_gluon(SimpleDataset(items), NAMES)
