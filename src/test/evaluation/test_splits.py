"""Metrics over whole splits, compared with those computed by hand from the parts of the same model."""
import shutil

import numpy as np
import pytest

from picture_run import CLASSES, PRIOR, bits_by_hand, pictures
from vqvae_gluon import Predictor, VQVAEError, load_dataset, write_png
from vqvae_gluon.evaluation.splits import evaluate_model


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_evaluation_tells_the_bits(finished_run, picture_classes, split):
    run = finished_run[0]
    metrics = evaluate_model(run, split=split)
    images, labels, _ = load_dataset(str(picture_classes), 1, (8, 8)).split(split)
    codes = Predictor(run).encode(images)
    assert metrics["images"] == len(images)
    bits = bits_by_hand(run, codes, np.full(len(codes), 2)).mean()
    assert metrics["bits_per_image"] == pytest.approx(bits, rel=1e-5)
    assert metrics["bits_per_pixel"] == pytest.approx(bits / 64, rel=1e-5)
    if split == "test":  # one image has no class
        assert "bits_per_image_with_class" not in metrics
    else:
        given = bits_by_hand(run, codes, labels).mean()
        assert metrics["bits_per_image_with_class"] == pytest.approx(given, rel=1e-5)
        assert abs(given - bits) > 1e-3


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_evaluation_tells_the_figures_of_each_class(finished_run, picture_classes, split):
    run = finished_run[0]
    metrics = evaluate_model(run, split=split)
    images, labels, _ = load_dataset(str(picture_classes), 1, (8, 8)).split(split)
    predictor = Predictor(run)
    codes = predictor.encode(images)
    errors = np.square(predictor.decode(codes) - images / 255).mean(axis=(1, 2, 3))
    assert metrics["mse"] == pytest.approx(errors.mean(), rel=1e-4)
    assert list(metrics["by_class"]) == list(CLASSES)
    for number, found in enumerate(metrics["by_class"].values()):
        of_class = labels == number
        assert found["images"] == of_class.sum() == {"train": 30, "test": 12}[split]
        assert found["mse"] == pytest.approx(errors[of_class].mean(), rel=1e-4)
        assert found["psnr"] == pytest.approx(-10 * np.log10(found["mse"]))
        bits = bits_by_hand(run, codes[of_class], np.full(of_class.sum(), 2)).mean()
        assert found["bits_per_image"] == pytest.approx(bits, rel=1e-5)
        assert ("bits_per_image_with_class" in found) == (split == "train")  # one image of the test split has no class
    without = evaluate_model(run, split=split, classes="none")
    assert set(metrics) - set(without) <= {"by_class", "bits_per_image_with_class"} and "by_class" not in without
    assert {name: metrics[name] for name in without} == without
    with pytest.raises(VQVAEError, match="1 of 25 images without a class .*stray.png: give each image one"):
        evaluate_model(run, split=split, classes="folders")


def test_an_evaluation_goes_by_the_names_of_classes(finished_run, tmp_path):
    run, rng = finished_run[0], np.random.RandomState(2)
    # Only the second of the prior's classes, as first and last among other classes of the data.
    for name in ("a", CLASSES[1]):
        for number, image in enumerate(pictures(12, 1, rng)):
            (tmp_path / name).mkdir(exist_ok=True)
            write_png(tmp_path / name / f"{number}.png", image)
    with pytest.raises(VQVAEError, match="class a was given: the prior was trained on left & up, right, %"):
        evaluate_model(run, str(tmp_path), "train")
    (tmp_path / "a").rename(tmp_path / CLASSES[0])
    images, labels, classes = load_dataset(str(tmp_path), 1, (8, 8)).train
    assert classes == CLASSES
    metrics = evaluate_model(run, str(tmp_path), "train")
    bits = bits_by_hand(run, Predictor(run).encode(images), labels).mean()
    assert metrics["bits_per_image_with_class"] == pytest.approx(bits, rel=1e-5)


def test_an_evaluation_without_a_prior_tells_no_bits(copied_run):
    with_prior = evaluate_model(copied_run)
    shutil.rmtree(copied_run / "model" / PRIOR)
    without = evaluate_model(copied_run)
    assert set(with_prior) - set(without) == {"bits_per_image", "bits_per_pixel"}
    for of_class in with_prior["by_class"].values():
        assert of_class.pop("bits_per_image") == 64 * of_class.pop("bits_per_pixel")
    assert {name: with_prior[name] for name in without} == without
