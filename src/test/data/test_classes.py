"""Labels of a folder's images, and codes with labels as a data set."""
import numpy as np
import pytest

from vqvae_gluon import VQVAEError, load_dataset, write_png
from vqvae_gluon.data import Split, check_classes
from vqvae_gluon.data.codes import CodesDataset, CodesSplit
from vqvae_gluon.data.image_folder import load_folder


def write(folder, *names):
    """Write 4 x 4 images, each with its own uniform brightness; return their paths by brightness."""
    written = {}
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, np.full((1, 4, 4), 3 * number, np.uint8))
        written[3 * number] = name
    return written


def found(split, written):
    """Return the class of each image of a split, by its path."""
    names = (*split.classes, None)  # -1 is the last
    return {written[int(image[0, 0, 0])]: names[label] for image, label in zip(split.images, split.labels)}


def test_each_subfolder_is_a_class(tmp_path):
    names = [f"{name}/{number}.png" for name in ("b", "a", "ä 1%,") for number in range(10)]
    written = write(tmp_path, *names)
    dataset = load_folder(tmp_path, 1, (4, 4), seed=3)
    together = {}
    for split, count in zip(dataset, (24, 3, 3)):
        assert split.classes == ("a", "b", "ä 1%,")
        assert split.labels.dtype == np.int64 and split.labels.shape == (count,)
        together.update(found(split, written))
    assert together == {name: name.split("/")[0] for name in names}


def test_classes_of_splits_are_those_of_the_training_split(tmp_path):
    expected = {
        "train": {"train/cat/0.png": "cat", "train/dog/1.png": "dog", "train/dog/2.png": "dog", "train/3.png": None},
        "validation": {"validation/dog/4.png": "dog", "validation/bird/5.png": None, "validation/cat/6.png": "cat"},
        "test": {"test/dog/7.png": "dog", "test/8.png": None},
    }
    written = write(tmp_path, *(name for part in expected.values() for name in part))
    dataset = load_folder(tmp_path, 1, (4, 4))
    for name, part in expected.items():
        split = dataset.split(name)
        assert split.classes == ("cat", "dog")
        assert found(split, written) == part
    assert dataset.train.labels.min() == dataset.validation.labels.min() == dataset.test.labels.min() == -1


def test_images_outside_of_the_classes_have_none(tmp_path):
    names = [f"{name}/{number}.png" for name in ("a", "b") for number in range(8)]
    outside = ["here.png", "a/deeper/1.png", "c/a/1.png", "c/b/2.png"]
    written = write(tmp_path, *names, *outside)
    dataset = load_folder(tmp_path, 1, (4, 4), seed=1)
    together = {}
    for split in dataset:
        assert split.classes == ("a", "b")
        together.update(found(split, written))
    assert together == {**{name: name[0] for name in names}, **dict.fromkeys(outside)}


@pytest.mark.parametrize(
    "names",
    [
        [f"{number}.png" for number in range(12)],
        [f"one/{number}.png" for number in range(12)],
        [f"one/{number}.png" for number in range(6)] + [f"{number}.png" for number in range(6)],
        [f"deeper/{name}/{number}.png" for name in ("a", "b") for number in range(6)],
        [f"{split}/one/{number}.png" for split in ("train", "validation", "test") for number in range(4)],
        ["train/a/1.png", "train/a/2.png", "validation/b/1.png", "test/a/1.png", "test/b/1.png"],
    ],
    ids=["no folder", "one folder", "one and others", "too deep", "one of a split", "others in validation"],
)
def test_fewer_than_two_classes_are_none(tmp_path, names):
    write(tmp_path, *names)
    for split in load_folder(tmp_path, 1, (4, 4)):
        assert split.labels is None and split.classes == ()


def of_splits(**classes):
    """Return two image names for each class of each split; classes are given as letters."""
    splits = {**dict.fromkeys(("train", "validation", "test"), "ab"), **classes}
    return [f"{split}/{name}/{number}.png" for split, names in splits.items() for name in names for number in range(2)]


ENOUGH = [f"{name}/{number:02d}.png" for name in "ab" for number in range(30)]

UNFIT = {
    "no folder": ([f"{number}.png" for number in range(12)], "holds no classes: images to train on lie in 0 sub"),
    "one folder": ([f"one/{number}.png" for number in range(12)], "images to train on lie in 1 subfolders"),
    "one image": ([*ENOUGH, "c/0.png"], "class 'c' has one image: give it more, or learn without classes"),
    "one image of a split": ([*of_splits(), "test/c/0.png"], "class 'c' has one image"),
    "outside": ([*ENOUGH, "0.png"], "images without a class of the training split (a, b), such as "),
    "too deep": ([*ENOUGH, "a/a/0.png"], "/a/a/0.png: give each image one, or learn without classes (--classes none)"),
    "only to validate": (of_splits(validation="abc"), "'c' has images in the validation split and none in"),
    "only to test": (of_splits(test="acb"), "class 'c' has images in the test split and none in the train"),
    "not to validate": (of_splits(train="abc", test="abc"), "'c' has images in the train split and none in the"),
    "not to test": (of_splits(test="a"), "in the train split and none in the test split: give it some"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_classes_that_do_not_fit_are_told_where_they_must(tmp_path, case):
    names, words = UNFIT[case]
    write(tmp_path, *names)
    with pytest.raises(VQVAEError) as caught:
        load_dataset(str(tmp_path), 1, (4, 4), classes="folders")
    assert str(caught.value).startswith(str(tmp_path)) and words in str(caught.value)
    load_dataset(str(tmp_path), 1, (4, 4))


def test_classes_that_fit_are_the_same_where_they_must_and_where_they_may(tmp_path):
    write(tmp_path, *of_splits())
    may, must = (load_dataset(str(tmp_path), 1, (4, 4), classes=classes) for classes in ("auto", "folders"))
    for one, other in zip(may, must):
        assert one.classes == other.classes == ("a", "b")
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)


def test_chance_may_leave_a_class_out_of_what_is_not_learnt(tmp_path):
    write(tmp_path, *ENOUGH, "c/0.png", "c/1.png")
    left_out = 0
    for seed in range(20):
        try:
            dataset = load_dataset(str(tmp_path), 1, (4, 4), seed, classes="folders")
        except VQVAEError as error:  # neither of its two images is in the training split
            assert "split and none in the train split: give it more, or" in str(error)
            continue
        assert dataset.train.classes == ("a", "b", "c") and 2 in dataset.train.labels
        left_out += 2 not in dataset.validation.labels
    assert left_out


def test_splits_that_are_not_learnt_are_not_looked_at(tmp_path):
    write(tmp_path, *of_splits(test="bcd"), "test/stray.png")
    check_classes(str(tmp_path), splits=("train", "validation"))
    with pytest.raises(VQVAEError, match="test"):
        check_classes(str(tmp_path))


def test_without_classes_there_are_no_labels(tmp_path):
    write(tmp_path, *of_splits())
    for source, size in ((str(tmp_path), (4, 4)), ("mnist", (28, 28))):
        for split in load_dataset(source, 1, size, classes="none"):
            assert split.labels is None and split.classes == ()
    assert load_dataset("mnist", classes="folders").train.classes == tuple("0123456789")
    check_classes("mnist")


def test_unknown_kinds_of_classes_are_refused(tmp_path):
    with pytest.raises(VQVAEError, match="classes 'folder' is unknown: choose one of auto, none, folders"):
        load_dataset(str(tmp_path), classes="folder")


def test_labels_do_not_change_which_images_are_where(tmp_path):
    names = [f"{number:02d}.png" for number in range(20)]
    write(tmp_path / "flat", *names)
    write(tmp_path / "classes", *(f"{'ab'[number // 10]}/{name}" for number, name in enumerate(names)))
    flat, classes = (load_folder(tmp_path / name, 1, (4, 4), seed=5) for name in ("flat", "classes"))
    assert flat.fingerprint() == classes.fingerprint()


def test_images_alone_are_a_split():
    split = Split(np.zeros((2, 1, 4, 4), np.uint8))
    assert split.labels is None and split.classes == ()


def codes_dataset(**changed):
    splits = [CodesSplit(np.arange(8).reshape(2, 2, 2) + number, np.array([0, 1])) for number in range(2)]
    dataset = CodesDataset(*splits, 9, ("a", "b"), "codebook")
    return dataset._replace(**changed)


CHANGES = {
    "a code to learn from": {"train": CodesSplit(np.array([[[0, 1], [2, 3]], [[4, 5], [6, 8]]]), np.array([0, 1]))},
    "their order": {"train": CodesSplit(np.arange(8).reshape(2, 2, 2)[::-1], np.array([0, 1]))},
    "their grid": {"train": CodesSplit(np.arange(8).reshape(2, 1, 4), np.array([0, 1]))},
    "a code to validate": {"validation": CodesSplit(np.arange(8).reshape(2, 2, 2), np.array([0, 1]))},
    "a label to learn from": {"train": CodesSplit(np.arange(8).reshape(2, 2, 2), np.array([0, 0]))},
    "a label to validate": {"validation": CodesSplit(np.arange(8).reshape(2, 2, 2) + 1, np.array([1, 1]))},
    "the splits": {"train": codes_dataset().validation, "validation": codes_dataset().train},
    "a class's name": {"classes": ("a", "c")},
    "the classes' order": {"classes": ("b", "a")},
    "their number": {"classes": ("a", "b", "c")},
    "no classes": {"classes": ()},
    "one class for two": {"classes": ("a', 'b",)},
    "the codebook": {"codebook": "codebooks"},
    "its size": {"num_embeddings": 10},
}


@pytest.mark.parametrize("case", CHANGES)
def test_the_fingerprint_of_codes_sees(case):
    assert codes_dataset().fingerprint() != codes_dataset(**CHANGES[case]).fingerprint()


def test_the_fingerprint_of_codes_sees_what_they_are_and_not_how_they_lie():
    train = CodesSplit(np.arange(8, dtype=np.uint8).reshape(2, 2, 2).copy(order="F"), np.array([0, 1], np.int32))
    assert codes_dataset(train=train).fingerprint() == codes_dataset().fingerprint()


def test_codes_have_no_test_split():
    dataset = codes_dataset()
    assert dataset.split("train") is dataset.train and dataset.split("validation") is dataset.validation
    for name in ("test", "codebook", "count"):
        with pytest.raises(VQVAEError, match=f"unknown split '{name}': choose one of train, validation"):
            dataset.split(name)
