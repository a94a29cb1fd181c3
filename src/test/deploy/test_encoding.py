"""Encoding the images of a data set to the codes that a prior is trained on."""
import hashlib

import numpy as np
import pytest

from picture_run import CLASSES, codes_of, manifest_of, pictures
from vqvae_gluon import Predictor, VQVAEError, load_dataset
from vqvae_gluon.data import Dataset, Split
from vqvae_gluon.deploy.encoding import encode_dataset


def test_encoded_are_the_images_to_learn_from_and_to_validate(finished_run, picture_classes):
    run, _, codes, _ = finished_run
    predictor, dataset = Predictor(run), load_dataset(str(picture_classes), 1, (8, 8))
    assert (codes.num_embeddings, codes.classes) == (8, CLASSES)
    assert codes.codebook == hashlib.sha256(predictor.codebook.astype("<f4").tobytes()).hexdigest()
    for name in ("train", "validation"):
        images, labels, _ = dataset.split(name)
        np.testing.assert_array_equal(codes.split(name).codes, predictor.encode(images))
        np.testing.assert_array_equal(codes.split(name).labels, labels)
        assert codes.split(name).codes.dtype == codes.split(name).labels.dtype == np.int64
    assert len(np.unique(codes.train.codes)) > 1
    without = codes_of(run, with_classes=False)
    assert without.classes == () and not without.train.labels.any() and not without.validation.labels.any()
    np.testing.assert_array_equal(without.train.codes, codes.train.codes)


def test_images_without_labels_are_encoded(finished_run):
    images = pictures(5, 0, np.random.RandomState(1))
    codes = encode_dataset(Predictor(finished_run[0]), Dataset(*[Split(images)] * 3))
    assert codes.classes == () and codes.train.labels.tolist() == [0] * 5


WRONG_LABELS = {
    "unknown in validation": (
        {"validation": [0, 2, 1, 2]},
        "the validation split holds 2 of 4 images without a class of the training split (a, b): "
        "give each image one, or learn without classes (--classes none)",
    ),
    "none in training": ({"train": [0, -1, 1, 1]}, "the train split holds 1 of 4 images without a class"),
    "no labels in validation": ({"validation": None}, "the validation split holds 4 of 4 images without a class"),
    "no labels to learn": ({"train": None}, "the train split holds 4 of 4 images without a class"),
    "too many": ({"train": [0] * 5}, "the train split holds 4 images and 5 labels: give one an image"),
    "too few": ({"validation": [0] * 3}, "the validation split holds 4 images and 3 labels: give one an image"),
}


@pytest.mark.parametrize("case", WRONG_LABELS)
def test_labels_that_do_not_fit_are_told(finished_run, case):
    given, message = WRONG_LABELS[case]
    images, predictor = pictures(4, 0, np.random.RandomState(1)), Predictor(finished_run[0])
    split = Split(images, np.array([0, 1, 0, 1]), ("a", "b"))
    dataset = Dataset(split, split, split)
    for name, labels in given.items():
        dataset = dataset._replace(**{name: split._replace(labels=None if labels is None else np.array(labels))})
    with pytest.raises(VQVAEError) as caught:
        encode_dataset(predictor, dataset)
    assert str(caught.value).startswith(message)
    encode_dataset(predictor, dataset, with_classes=False)


def test_only_the_test_split_may_have_strangers(finished_run):
    images = pictures(4, 0, np.random.RandomState(1))
    split = Split(images, np.array([0, 1, 0, 1]), ("a", "b"))
    dataset = Dataset(split, split, split._replace(labels=np.array([-1, 5, 0, 1])))
    assert encode_dataset(Predictor(finished_run[0]), dataset).classes == ("a", "b")


def test_moved_images_are_encoded_as_they_are_when_they_are_moved_by_hand(finished_run):
    run = finished_run[0]
    dataset = load_dataset(str(manifest_of(run)["recipe"]["data"]), 1, (8, 8))
    moved = encode_dataset(Predictor(run), dataset, shift=1).moved
    images = dataset.train.images
    # Of eight rows and columns, one each enters at an edge; in row order, the fourth shift is to the left.
    by_hand = {
        0: np.concatenate([images[:, :, 1:], images[:, :, -1:]], axis=2)[:, :, :, [1, 2, 3, 4, 5, 6, 7, 7]],
        3: images[:, :, :, [1, 2, 3, 4, 5, 6, 7, 7]],
        4: images[:, :, :, [0, 0, 1, 2, 3, 4, 5, 6]],
        6: np.concatenate([images[:, :, :1], images[:, :, :-1]], axis=2),
    }
    assert len(moved) == 8
    for way, expected in by_hand.items():
        np.testing.assert_array_equal(moved[way], Predictor(run).encode(expected))
