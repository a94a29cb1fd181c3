"""Comparison of models: what is written, what is refused, and that an interrupted comparison continues."""
import csv
import json
import math
import re

import numpy as np
import pytest

from conftest import random_images, run_python
from vqvae_gluon import VQVAEError, write_png
from vqvae_gluon.data import Dataset, Split
from vqvae_gluon.training.autoencoder import Autoencoder
from vqvae_gluon.training.compare import Clock, Comparison
from vqvae_gluon.training.results import FIGURES, Result, format_table, summarize, summarize_classes


@pytest.fixture
def recipes(small_recipe):
    recipe = small_recipe.replace(decoder="residual", decoder_width=4, num_epoch=2, pictures=0)
    return {
        "narrow": recipe.replace(model="vqvae_residual", width=4),
        "wide one": recipe.replace(model="vqvae_residual", width=8),
    }


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_comparison_writes_each_training_each_epoch_and_the_table(recipes, small_dataset, tmp_path):
    results = Comparison(recipes, (3, 4), small_dataset, tmp_path).run()
    assert [(result.label, result.seed) for result in results] == [
        ("narrow", 3), ("wide one", 3), ("narrow", 4), ("wide one", 4)
    ]
    rows = read_csv(tmp_path / "comparison.csv")
    assert [row["model"] for row in rows] == ["narrow", "wide one", "narrow", "wide one"]
    for row, result in zip(rows, results):
        metrics = read_csv(tmp_path / result.label / f"seed{result.seed}" / "metrics.csv")
        best = min(metrics, key=lambda epoch: float(epoch["validation_mse"]))
        assert row["best_epoch"] == best["epoch"]
        assert row["best_train_mse"] == best["train_mse"]
        assert row["last_validation_perplexity"] == metrics[-1]["validation_perplexity"]
        loss = sum(
            weight * float(metrics[-1][f"validation_{term}"])
            for term, weight in (("reconstruction", 1 / 64), ("commitment", 0.25), ("codebook", 1))
        )
        assert math.isclose(float(row["last_validation_loss"]), loss, rel_tol=1e-9)
        assert int(row["updates"]) == 2 * math.ceil(400 / 64)
        assert float(row["images_per_second"]) > 0
    assert len(read_csv(tmp_path / "curves.csv")) == 8
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "table.md").read_text() == format_table(results) + "\n"


def test_interrupted_comparison_goes_on_to_the_same_results(recipes, small_dataset, tmp_path, monkeypatch):
    whole = Comparison(recipes, (0, 1), small_dataset, tmp_path / "whole").run()
    stopped = Comparison(recipes, (0, 1), small_dataset, tmp_path / "stopped")
    train, trained = stopped._train, []

    def stop_in_the_third(label, seed):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(label)
        return train(label, seed)

    monkeypatch.setattr(stopped, "_train", stop_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    again = Comparison(recipes, (0, 1), small_dataset, tmp_path / "stopped").run()
    assert [result.rows for result in again] == [result.rows for result in whole]
    assert (tmp_path / "stopped" / "curves.png").read_bytes() == (tmp_path / "whole" / "curves.png").read_bytes()


def test_a_comparison_is_not_made_longer(recipes, small_dataset, tmp_path):
    Comparison(recipes, (0,), small_dataset, tmp_path).run()
    epochs = recipes["narrow"].num_epoch
    longer = {label: recipe.replace(num_epoch=epochs + 1) for label, recipe in recipes.items()}
    message = rf"narrow/seed0: was trained with other settings \(num_epoch: {epochs}, {epochs + 1}: there, now\)"
    with pytest.raises(VQVAEError, match=message):
        Comparison(longer, (0,), small_dataset, tmp_path).run()


def test_training_metrics_of_predictions(recipes, small_dataset, tmp_path):
    recipe = recipes["narrow"].replace(training_metrics="prediction", epoch_passes=2)
    (result,) = Comparison({"one": recipe}, (0,), small_dataset, tmp_path).run()
    from vqvae_gluon import Training

    training = Training(recipe, small_dataset, tmp_path / "one" / "seed0", resume=True)
    assert result.rows[-1]["train_mse"] == training.measure("train")["mse"]
    assert result.figures["updates"] == 2 * 2 * math.ceil(400 / 64)


def test_table_gives_means_and_deviations():
    def result(label, seed, value):
        return Result(label, seed, dict.fromkeys(FIGURES, value), [])

    results = [result("a", 0, 1.0), result("b", 0, 5.0), result("a", 1, 3.0)]
    assert summarize(results)["a"]["best_train_mse"] == (2.0, np.std([1, 3], ddof=1))
    header, rule, first, second = format_table(results).splitlines()
    assert "validation MSE" in header and set(rule) == {"|", "-"}
    assert "2.00000 ± 1.41421" in first and "±" not in second and "5.00000" in second


def test_trainings_without_a_speed_are_left_out_of_its_mean(recipes, small_dataset, tmp_path):
    Comparison(recipes, (0, 1), small_dataset, tmp_path).run()
    for seed, label in ((0, "narrow"), (0, "wide one"), (1, "wide one")):  # as if killed just before writing it
        (tmp_path / label / f"seed{seed}" / "speed.json").unlink()
    results = Comparison(recipes, (0, 1), small_dataset, tmp_path).run()
    summary = summarize(results)
    assert summary["narrow"]["images_per_second"][0] > 0 == summary["narrow"]["images_per_second"][1]
    assert "nan" in format_table(results).splitlines()[-1]


def with_classes(dataset):
    """Return a data set in which the class of an image is its brightness; no image has the last class."""
    names = ("none", "one", "two", "three", "four", "nobody's")
    labels = [(split.images.mean(axis=(1, 2, 3)) // 48).astype(np.int64).clip(0, 4) for split in dataset]
    return Dataset(*(Split(split.images, of, names) for split, of in zip(dataset, labels)))


def test_comparison_tells_the_validation_error_of_each_class(recipes, small_dataset, tmp_path):
    dataset = with_classes(small_dataset)
    comparison = Comparison(recipes, (0, 1), dataset, tmp_path / "out")
    results = comparison.run()
    best = results[0].figures["best_validation_mse"]
    _, labels, names = dataset.validation
    present = {name: int((labels == number).sum()) for number, name in enumerate(names) if number in labels}
    assert len(present) > 2 and "nobody's" not in present
    for result in results:
        assert {name: found["images"] for name, found in result.by_class.items()} == present
        mean = sum(found["images"] * found["mse"] for found in result.by_class.values()) / 100
        assert mean == pytest.approx(result.figures["best_validation_mse"], rel=1e-4)
    assert results[0].by_class["one"]["mse"] != pytest.approx(best, rel=1e-3)
    rows = read_csv(tmp_path / "out" / "classes.csv")
    assert len(rows) == 4 * len(present)
    assert (rows[0]["model"], rows[0]["seed"], float(rows[0]["mse"])) == (
        "narrow", "0", next(iter(results[0].by_class.values()))["mse"]
    )
    narrow = [result.by_class["two"]["mse"] for result in results if result.label == "narrow"]
    assert summarize_classes(results)["narrow"]["two"] == pytest.approx((np.mean(narrow), np.std(narrow, ddof=1)))
    whole, by_class = format_table(results).split("\n\n")
    assert len(whole.splitlines()) == 4 and len(by_class.splitlines()) == 2 + len(present)
    assert [word.strip() for word in by_class.splitlines()[0].split("|")[1:-1]] == [
        *("validation MSE of class", "images", "narrow", "wide one")
    ]
    again = Comparison(recipes, (0, 1), dataset, tmp_path / "out").run()
    assert [result.by_class for result in again] == [result.by_class for result in results]


def test_the_errors_of_classes_are_those_of_the_best_epoch(recipes, small_dataset, tmp_path, monkeypatch):
    measure = Autoencoder.measure

    def worse_and_worse(trained, split):
        return {**measure(trained, split), "reconstruction": float(trained.trainer.optimizer.num_update)}

    monkeypatch.setattr(Autoencoder, "measure", worse_and_worse)
    (result,) = Comparison({"one": recipes["narrow"]}, (0,), with_classes(small_dataset), tmp_path).run()
    assert result.figures["best_epoch"] == 0 and len(result.rows) == 2
    mean = sum(found["images"] * found["mse"] for found in result.by_class.values()) / 100
    assert mean == pytest.approx(result.rows[0]["validation_mse"], rel=1e-6)
    assert mean != pytest.approx(result.rows[1]["validation_mse"], rel=1e-6)


def test_data_without_classes_have_no_table_of_them(recipes, small_dataset, tmp_path):
    results = Comparison({"one": recipes["narrow"]}, (0,), small_dataset, tmp_path).run()
    assert results[0].by_class == {} and summarize_classes(results) == {"one": {}}
    assert "class" not in format_table(results) and not (tmp_path / "classes.csv").exists()


def test_clock_counts_the_epochs_of_each_model():
    clock = Clock(2, {"slow": 3, "fast": 3})
    assert clock.left() == "time left unknown"
    clock.add("slow", 120)
    assert clock.left() == "about 22 min left"  # eleven epochs, all assumed to be slow
    clock.add("fast", 60)
    clock.skip("fast", 2)
    assert clock.left() == "about 13 min left"  # five of 2 minutes, three of 1 minute


@pytest.mark.parametrize(
    "change, words",
    [
        ({"batch_size": 32}, "batch_size is 64 for narrow and 32 for other: a comparison needs one for all"),
        ({"model": "vqvae"}, "unknown model 'vqvae'"),
        ({"width": 6}, "was given as 6"),
        ({"decoder": "emadl", "decoder_width": 0}, "decoder_width is 4 for narrow and 0 for other"),
        ({"model": "vqvae_inception_resnet_v2_dlcr", "width": 1, "reduced_width": 12}, "cannot be reached"),
    ],
)
def test_what_cannot_be_compared_is_refused(recipes, small_dataset, tmp_path, change, words):
    recipes["other"] = recipes["narrow"].replace(**change)
    with pytest.raises(VQVAEError, match=words):
        Comparison(recipes, (0,), small_dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_decoders_must_agree(small_recipe, small_dataset, tmp_path):
    recipes = {name: small_recipe.replace(model=f"vqvae_{name}") for name in ("emadl", "residual")}
    with pytest.raises(VQVAEError, match="emadl has the decoder vqvae.Decoder, residual has ResidualDecoder: give one"):
        Comparison(recipes, (0,), small_dataset, tmp_path)


@pytest.mark.parametrize("label, seeds", [("a/b", (0,)), ("..", (0,)), ("", (0,)), ("fine", ()), ("fine", (1, 1))])
def test_labels_and_seeds_must_name_folders(small_recipe, small_dataset, tmp_path, label, seeds):
    with pytest.raises(VQVAEError, match="cannot name a folder|one of each|each of them once"):
        Comparison({label: small_recipe}, seeds, small_dataset, tmp_path)


@pytest.fixture
def folder(tmp_path):
    for name, count in (("train", 40), ("validation", 20), ("test", 10)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index, image in enumerate(random_images(count, size=(8, 8))):
            write_png(tmp_path / "data" / name / f"{index}.png", image)
    return tmp_path


SETTINGS = {"num-epoch": 1, "batch-size": 20, "num-embeddings": 4, "embedding-dim": 4, "decoder-width": 4}
COMMON = ("--image-size", "8x8", *(word for name, value in SETTINGS.items() for word in (f"--{name}", value)))
MODELS = ("vqvae_residual,width=4", "dlcr=vqvae_inception_resnet_v2_dlcr,width=1,blocks=0x1x0")


def test_command_compares_and_goes_on(folder):
    arguments = ("compare", *MODELS, "--data", folder / "data", "--output", folder / "out", "--seeds", "0,1", *COMMON)
    first = run_python(*arguments)
    assert first.returncode == 0, first.stderr
    lines = first.stdout.decode().splitlines()
    assert len([line for line in lines if line.startswith("-- ")]) == 4
    assert re.search(r"about \d+ min left", lines[2])
    assert [line.split("|")[1].strip() for line in lines[-2:]] == ["vqvae_residual,width=4", "dlcr"]
    second = run_python(*arguments, "--json")
    assert second.returncode == 0 and "epoch   0 of 1" not in second.stdout.decode()
    summary = json.loads(second.stdout[second.stdout.index(b"{"):])
    assert summary["dlcr"]["updates"] == [2, 0]
    # Each training is a run like any other.
    run = folder / "out" / "dlcr" / "seed1"
    assert run_python("export", run).returncode == 0
    assert run_python("evaluate", "--model", run).returncode == 0


@pytest.mark.parametrize(
    "words, arguments",
    [
        ("unknown model 'resnet'", ["resnet"]),
        ("unknown setting 'widht'; did you mean 'width'?", ["vqvae_residual,widht=4"]),
        ("width was given as 'four', which it cannot be", ["vqvae_residual,width=four"]),
        ("width was given as -1: it must be 0 or more", ["vqvae_inception_resnet_v2_1x1,width=-1"]),
        ("two models have the label", [MODELS[0], MODELS[0]]),
        ("8x10 does not fit the model", [MODELS[0], "--image-size", "8x10"]),
        ("from 64 to 3 channels cannot be reached by halving", [MODELS[1] + ",reduced_width=3"]),
        ("is no list of seeds", [MODELS[0], "--seeds", "1,x"]),
    ],
)
def test_command_refuses_before_any_training(folder, words, arguments):
    common = ("compare", "--data", folder / "data", "--output", folder / "out", *COMMON)
    result = run_python(*common, *arguments)
    lines = result.stderr.decode().splitlines()
    assert result.returncode == 2 and len(lines) == 1 and words in lines[0], result.stderr
    assert not (folder / "out").exists()


@pytest.mark.parametrize("damage", ["unreadable", "mixed"])
def test_command_refuses_bad_folders(folder, damage):
    path = folder / "data" / "validation" / "7.png"
    if damage == "mixed":
        write_png(path, random_images(1, size=(8, 12))[0])
    else:
        path.write_bytes(path.read_bytes()[:60])
    result = run_python("compare", *MODELS, "--data", folder / "data", "--output", folder / "out", *COMMON)
    lines = result.stderr.decode().splitlines()
    assert result.returncode == 2 and len(lines) == 1 and str(path) in lines[0], result.stderr
    assert not (folder / "out").exists()
