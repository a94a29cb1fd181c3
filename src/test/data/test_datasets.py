"""MNIST and image folders."""
import gzip
import pickle
import random
import resource
import shutil
import struct

import numpy as np
import pytest

from conftest import random_images
from vqvae_gluon import VQVAEError, load_dataset, write_png
from vqvae_gluon.data import batches, to_bytes, to_unit
from vqvae_gluon.data.image_folder import load_folder
from vqvae_gluon.data.mnist import IDX_FILES, _read_idx, load_arrays, load_idx


@pytest.fixture(scope="module")
def mnist():
    return load_dataset("mnist")


def test_mnist_has_its_known_counts_and_sums(mnist):
    assert [split.images.shape for split in mnist] == [(50000, 1, 28, 28), (10000, 1, 28, 28), (10000, 1, 28, 28)]
    assert all(split.images.dtype == np.uint8 for split in mnist)
    # Published facts about MNIST: the counts of digits in the test file, and the mean 0.1307 of the training file.
    assert np.bincount(mnist.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    training = np.concatenate([mnist.train.images, mnist.validation.images])
    assert abs(training.mean() / 255 - 0.1307) < 5e-5
    assert mnist.test.labels[:5].tolist() == [7, 2, 1, 0, 4]


def test_fingerprint_sees_every_byte(mnist):
    changed = mnist._replace(test=mnist.test._replace(images=mnist.test.images.copy()))
    assert changed.fingerprint() == mnist.fingerprint()
    changed.test.images[-1, 0, 27, 27] += 1
    assert changed.fingerprint() != mnist.fingerprint()


def test_unpickling_runs_no_code():
    class Attack:
        def __reduce__(self):
            return print, ("code ran",)

    with pytest.raises(VQVAEError, match="asks for builtins.print; only NumPy arrays are admitted"):
        load_arrays(pickle.dumps(Attack()))
    array = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(load_arrays(pickle.dumps(array)), array)


def idx(array):
    header = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


@pytest.fixture
def idx_folder(tmp_path, mnist):
    arrays = (
        np.concatenate([mnist.train.images, mnist.validation.images])[:, 0],
        np.concatenate([mnist.train.labels, mnist.validation.labels]).astype(np.uint8),
        mnist.test.images[:, 0],
        mnist.test.labels.astype(np.uint8),
    )
    for name, array in zip(IDX_FILES, arrays):
        (tmp_path / name).write_bytes(idx(array))
    return tmp_path


def test_idx_files_give_the_same_data(idx_folder, mnist):
    (idx_folder / (IDX_FILES[3] + ".gz")).write_bytes(gzip.compress((idx_folder / IDX_FILES[3]).read_bytes()))
    (idx_folder / IDX_FILES[3]).unlink()
    loaded = load_dataset(str(idx_folder))
    assert loaded.fingerprint() == mnist.fingerprint()
    for ours, theirs in zip(loaded, mnist):
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        assert ours.classes == theirs.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


def test_damaged_idx_files_are_refused(idx_folder):
    path = idx_folder / IDX_FILES[2]
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:3], b"", b"\0\0\x0d" + whole[3:]):
        path.write_bytes(content)
        with pytest.raises(VQVAEError, match="t10k-images-idx3-ubyte: is not a whole IDX file"):
            load_idx(idx_folder)
    path.write_bytes(idx(np.zeros((3, 28, 28), np.uint8)))
    with pytest.raises(VQVAEError, match=r"images \(3, 28, 28\)"):
        load_idx(idx_folder)
    path.unlink()
    with pytest.raises(VQVAEError, match="holds neither t10k-images-idx3-ubyte nor t10k-images-idx3-ubyte.gz"):
        load_idx(idx_folder)


@pytest.mark.parametrize("compressed", [False, True])
def test_mutated_idx_files_are_refused_or_read(tmp_path, compressed):
    rng = random.Random(0)
    whole = idx(np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    path = tmp_path / (IDX_FILES[0] + (".gz" if compressed else ""))
    refused = 0
    for _ in range(500):
        content = bytearray(gzip.compress(whole) if compressed else whole)
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content[: rng.choice([len(content), rng.randrange(len(content))])])
        try:
            assert _read_idx(tmp_path, IDX_FILES[0]).size <= 60
        except VQVAEError as error:
            refused += 1
            assert str(error).startswith(str(path)) and "\n" not in str(error)
    assert refused > 250


def test_a_file_that_expands_without_end_is_not_followed(tmp_path):
    (tmp_path / (IDX_FILES[0] + ".gz")).write_bytes(gzip.compress(bytes(300_000_000)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(VQVAEError, match="is not a whole IDX file"):
        _read_idx(tmp_path, IDX_FILES[0])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250_000  # KiB


def test_mnist_of_another_shape_is_refused():
    with pytest.raises(VQVAEError, match="asked for as 3 x 28 x 28: it is 1 x 28 x 28"):
        load_dataset("mnist", channels=3)
    with pytest.raises(VQVAEError, match="no data at '/no/such/folder'"):
        load_dataset("/no/such/folder")


@pytest.fixture
def image_folder(tmp_path):
    for index, image in enumerate(random_images(30, channels=3, size=(12, 16))):
        folder = tmp_path / str(index % 3)
        folder.mkdir(exist_ok=True)
        write_png(folder / f"{index}.PNG", image)
    (tmp_path / "notes.txt").write_text("not an image")
    return tmp_path


def test_folder_is_split_by_seed(image_folder):
    first = load_folder(image_folder, 3, (12, 16), seed=1)
    assert [split.images.shape[0] for split in first] == [24, 3, 3]
    assert first.fingerprint() == load_folder(image_folder, 3, (12, 16), seed=1).fingerprint()
    other = load_folder(image_folder, 3, (12, 16), seed=2)
    assert other.fingerprint() != first.fingerprint()

    def pool(dataset):
        return sorted(image.tobytes() for split in dataset for image in split.images)

    assert pool(first) == pool(other) and len(set(pool(first))) == 30


def test_folder_is_converted(image_folder):
    dataset = load_dataset(str(image_folder), channels=1, image_size=(8, 8))
    assert dataset.train.images.shape == (24, 1, 8, 8)


def test_subfolders_are_splits(tmp_path):
    images = random_images(9, size=(8, 8))
    for name, part in (("train", images[:4]), ("validation", images[4:7]), ("test", images[7:])):
        (tmp_path / name / "deeper").mkdir(parents=True)
        for index, image in enumerate(part):
            write_png(tmp_path / name / "deeper" / f"{index}.png", image)
    dataset = load_dataset(str(tmp_path), image_size=(8, 8), split_seed=5)
    for split, part in zip(dataset, (images[:4], images[4:7], images[7:])):
        np.testing.assert_array_equal(split.images, part)
    shutil.rmtree(tmp_path / "test" / "deeper")
    with pytest.raises(VQVAEError, match="test: holds no images"):
        load_folder(tmp_path)
    shutil.rmtree(tmp_path / "test")
    with pytest.raises(VQVAEError, match=r"holds train/ but no test/; give train/, validation/ and test/"):
        load_folder(tmp_path)


def test_mixed_sizes_are_refused_or_stretched(image_folder):
    write_png(image_folder / "0" / "wide.png", random_images(1, size=(12, 20))[0])
    with pytest.raises(VQVAEError, match=r"has (20|16)x12 pixels, .* has (16|20)x12; make all images one size or add"):
        load_dataset(str(image_folder), image_size=(12, 16))
    dataset = load_dataset(str(image_folder), image_size=(12, 16), mixed_sizes="stretch")
    assert len(dataset.train.images) == 25


def test_bad_folders_are_refused(image_folder, tmp_path):
    (image_folder / "0" / "bad.png").write_bytes(b"nonsense")
    with pytest.raises(VQVAEError, match="bad.png: is not a PNG"):
        load_folder(image_folder)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(VQVAEError, match="holds 0 images"):
        load_folder(empty)


def test_batches_cover_everything_once():
    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    assert [len(batch) for batch in batches(images, 4)] == [4, 4, 2]
    shuffled = np.concatenate(list(batches(images, 4, np.random.RandomState(1)))).ravel()
    assert sorted(shuffled) == list(range(10)) and list(shuffled) != list(range(10))


def test_bytes_survive_the_way_to_floats_and_back():
    everything = np.arange(256, dtype=np.uint8)
    assert to_unit(everything).max() == 1
    np.testing.assert_array_equal(to_bytes(to_unit(everything)), everything)
