"""A prior on its way: from images to codes, from a training to exported files, and to figures of images."""
import csv
import hashlib
import io
import json
import shutil
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon

from vqvae_gluon import Predictor, Training, VQVAEError, export_run, get_recipe, load_dataset, write_png
from vqvae_gluon.data import Dataset, Split
from vqvae_gluon.deploy.export import find_export
from vqvae_gluon.deploy.prior import encode_dataset, export_prior, exported_weights, find_prior_export
from vqvae_gluon.deploy.sampler import Sampler
from vqvae_gluon.evaluation.scores import Score, score_folder, to_csv
from vqvae_gluon.evaluation.splits import evaluate_model
from vqvae_gluon.model_files.component import codebook_digest
from vqvae_gluon.model_files.folder import PARAMETERS, STEP, SYMBOL, find_model
from vqvae_gluon.training.loop import Loop
from vqvae_gluon.training.prior import CodePrior
from vqvae_gluon.training.prior_recipe import PriorRecipe

FIRST_EXPORT = Path(__file__).resolve().parent / "first_export"
PRIOR = "vqvae.Prior"
CLASSES = ("left & up", "right, %")
RECIPE = PriorRecipe(width=8, layers=2, heads=2, batch_size=20, num_epoch=2, learning_rate=0.01, pictures=0)


def pictures(count, label, rng):
    """Return images (N, 1, 8, 8): four quarters, each dark or bright; of a class, one half is mostly bright."""
    bright = rng.rand(count, 2, 2) < np.where(np.arange(2) == label, 0.9, 0.3)
    quarters = np.where(bright, 220, 30).repeat(4, axis=1).repeat(4, axis=2)
    return (quarters + rng.randint(-30, 31, quarters.shape)).clip(0, 255).astype(np.uint8)[:, None]


@pytest.fixture(scope="module")
def picture_classes(tmp_path_factory):
    """A folder of three splits, with images of two classes; the test split has one image of none as well."""
    folder, rng = tmp_path_factory.mktemp("pictures") / "data", np.random.RandomState(0)
    for split, count in (("train", 30), ("validation", 15), ("test", 12)):
        for label, name in enumerate(CLASSES):
            (folder / split / name).mkdir(parents=True)
            for number, image in enumerate(pictures(count, label, rng)):
                write_png(folder / split / name / f"{number}.png", image)
    write_png(folder / "test" / "stray.png", pictures(1, 0, rng)[0])
    return folder


def autoencoder(folder, data, **settings):
    """Train an autoencoder in a moment; its best epoch is not its last."""
    recipe = get_recipe("ema").replace(
        data=str(data), image_size=(8, 8), num_embeddings=8, embedding_dim=4, batch_size=20, num_epoch=2, pictures=0
    )
    recipe = recipe.replace(**settings)
    training = Training(recipe, load_dataset(str(data), image_size=(8, 8)), folder)
    measure = training.measure

    def worse_in_the_end(split):
        metrics = measure(split)
        metrics["reconstruction"] += 100 * training.epoch
        return metrics

    training.measure = worse_in_the_end
    training.run()
    return folder


def codes_of(run, with_classes=True):
    predictor = Predictor(run)
    return encode_dataset(predictor, load_dataset(str(manifest_of(run)["recipe"]["data"]), 1, (8, 8)), with_classes)


def manifest_of(run):
    return json.loads((run / "manifest.json").read_text())


def train_prior(run, codes, **settings):
    training = Loop(CodePrior(RECIPE.replace(**settings), codes), run / "prior")
    training.run()
    return training


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def all_digests(run):
    """Return the SHA-256 of the files of a run's model, by the names that a manifest gives them."""
    return {f"model/{name}": hashlib.sha256(content).hexdigest() for name, content in files(run / "model").items()}


@pytest.fixture(scope="module")
def finished(picture_classes, tmp_path_factory):
    """A run with a prior whose best epoch is not its last: the run, the training, the codes, the manifest before."""
    run = autoencoder(tmp_path_factory.mktemp("prior") / "run", picture_classes)
    before = export_run(run)
    codes = codes_of(run)
    training = Loop(CodePrior(RECIPE.replace(num_epoch=3), codes), run / "prior")
    measure = training.trained.measure

    def worse_in_the_end(split):
        return {name: value + 100 * (training.epoch == 2) for name, value in measure(split).items()}

    training.trained.measure = worse_in_the_end
    training.run()
    export_prior(run, codes)
    return run, training, codes, before


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the run that a test may change."""
    return shutil.copytree(finished[0], tmp_path / "run")


def bits_by_hand(run, codes, labels):
    """Return the bits (N,) of codes, from the logits of the exported graph."""
    part = run / "model" / PRIOR
    with pytest.warns(UserWarning):  # that MXNet cannot tell the types of inputs
        network = gluon.SymbolBlock.imports(str(part / SYMBOL), ["data", "label"], str(part / PARAMETERS))
    logits = network(mx.nd.array(codes), mx.nd.array(labels)).asnumpy().astype(np.float64)
    flat = codes.reshape(len(codes), -1)
    bits = np.zeros(len(codes))
    for image, place in np.ndindex(flat.shape):
        numbers = logits[image, place]
        bits[image] -= np.log2(np.exp(numbers[flat[image, place]]) / np.exp(numbers).sum())
    return bits


def test_encoded_are_the_images_to_learn_from_and_to_validate(finished, picture_classes):
    run, _, codes, _ = finished
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


def test_images_without_labels_are_encoded(finished):
    images = pictures(5, 0, np.random.RandomState(1))
    codes = encode_dataset(Predictor(finished[0]), Dataset(*[Split(images)] * 3))
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
def test_labels_that_do_not_fit_are_told(finished, case):
    given, message = WRONG_LABELS[case]
    images, predictor = pictures(4, 0, np.random.RandomState(1)), Predictor(finished[0])
    split = Split(images, np.array([0, 1, 0, 1]), ("a", "b"))
    dataset = Dataset(split, split, split)
    for name, labels in given.items():
        dataset = dataset._replace(**{name: split._replace(labels=None if labels is None else np.array(labels))})
    with pytest.raises(VQVAEError) as caught:
        encode_dataset(predictor, dataset)
    assert str(caught.value).startswith(message)
    encode_dataset(predictor, dataset, with_classes=False)


def test_only_the_test_split_may_have_strangers(finished):
    images = pictures(4, 0, np.random.RandomState(1))
    split = Split(images, np.array([0, 1, 0, 1]), ("a", "b"))
    dataset = Dataset(split, split, split._replace(labels=np.array([-1, 5, 0, 1])))
    assert encode_dataset(Predictor(finished[0]), dataset).classes == ("a", "b")


def test_the_manifest_tells_of_the_prior(finished):
    run, training, codes, before = finished
    manifest = manifest_of(run)
    rows = training.history.rows
    best = min((0, 1), key=lambda epoch: rows[epoch]["validation_bits_per_image_with_class"])
    assert manifest["prior"] == {
        "epoch": best,
        "metrics": rows[best],
        "last_epoch": 2,
        "last_metrics": rows[2],
        "recipe": json.loads(RECIPE.replace(num_epoch=3).to_json()),
        "data_fingerprint": codes.fingerprint(),
        "classes": list(CLASSES),
        "codebook": codes.codebook,
    }
    assert manifest["components"] == {**before["components"], "prior": PRIOR}
    assert manifest["files"] == all_digests(run)
    added = set(manifest["files"]) - set(before["files"])
    assert added == {f"model/{PRIOR}/{name}" for name in (SYMBOL, STEP, PARAMETERS)}
    others = set(before) - {"components", "files"}
    assert {name: manifest[name] for name in others} == {name: before[name] for name in others}
    assert find_prior_export(run, codes) == manifest
    assert not list(run.glob(".export-*"))


def test_the_exported_graphs_are_the_best_epochs_prior(finished):
    run, training, codes, _ = finished
    best = training.history.best()
    assert best["epoch"] < 2
    images, labels = codes.validation
    with_class, without = bits_by_hand(run, images, labels), bits_by_hand(run, images, np.full(len(images), 2))
    assert with_class.mean() == pytest.approx(best["validation_bits_per_image_with_class"], rel=1e-5)
    assert without.mean() == pytest.approx(best["validation_bits_per_image"], rel=1e-5)
    sampler = Sampler(run)
    assert sampler.classes == CLASSES
    np.testing.assert_allclose(sampler.bits(images, [CLASSES[label] for label in labels]), with_class, rtol=1e-5)
    np.testing.assert_allclose(sampler.bits(images), without, rtol=1e-5)


def test_inputs_and_heads_have_the_names_that_the_docs_give(finished):
    part = finished[0] / "model" / PRIOR
    whole, step = (mx.sym.load(str(part / name)) for name in (SYMBOL, STEP))
    assert whole.list_outputs() == ["logits_output"]
    heads = ["probabilities", "keys0", "values0", "keys1", "values1"]
    assert [name.replace("_output", "") for name in step.list_outputs()] == heads
    attributes = whole.attr_dict()
    assert (attributes["data"]["__shape__"], attributes["label"]["__shape__"]) == ("(0, 2, 2)", "(0,)")
    attributes = step.attr_dict()
    assert attributes["before"]["__codebook__"] == finished[2].codebook
    assert attributes["label"]["__classes__"] == "left%20%26%20up,right%2C%20%25"
    assert (attributes["mask"]["__shape__"], attributes["keys1"]["__shape__"]) == ("(0, 2, 5)", "(0, 4, 4)")


def test_exporting_twice_gives_the_same_files(finished, copy):
    before = files(copy / "model")
    assert export_prior(copy, finished[2]) == manifest_of(finished[0])
    assert files(copy / "model") == before


@pytest.mark.parametrize("name", [SYMBOL, STEP, PARAMETERS])
def test_a_damaged_export_of_a_prior_is_not_whole_and_is_made_again(finished, copy, name):
    path, codes = copy / "model" / PRIOR / name, finished[2]
    content = path.read_bytes()
    path.write_bytes(content + b" ")
    assert find_prior_export(copy, codes) is None
    path.unlink()
    assert find_prior_export(copy, codes) is None
    shutil.rmtree(path.parent)
    assert find_prior_export(copy, codes) is None
    export_prior(copy, codes)
    assert path.read_bytes() == content
    assert find_prior_export(copy, codes) == manifest_of(finished[0])


def test_a_prior_of_other_codes_is_not_exported(finished, copy):
    codes = finished[2]
    other = codes._replace(train=codes.train._replace(codes=codes.train.codes[::-1]))
    before = files(copy)
    message = "prior: was trained on other data, or on other codes than the model now gives"
    for wrong in (other, codes_of(copy, with_classes=False), codes._replace(codebook="0" * 64)):
        with pytest.raises(VQVAEError, match=message):
            export_prior(copy, wrong)
    assert files(copy) == before
    shutil.rmtree(copy / "prior")
    with pytest.raises(VQVAEError, match="prior: holds no checkpoint"):
        export_prior(copy, codes)


def test_a_prior_without_classes_replaces_one_with(finished, copy):
    codes = codes_of(copy, with_classes=False)
    shutil.rmtree(copy / "prior")
    train_prior(copy, codes, num_epoch=1, classes="none")
    manifest = export_prior(copy, codes)
    assert manifest["prior"]["classes"] == [] and manifest == manifest_of(copy)
    assert manifest["files"] == all_digests(copy)
    assert Sampler(copy).classes == ()
    bits = bits_by_hand(copy, codes.validation.codes, np.zeros(30))
    np.testing.assert_allclose(Sampler(copy).bits(codes.validation.codes), bits, rtol=1e-5)
    with pytest.raises(VQVAEError, match="the prior was trained without classes"):
        Sampler(copy).bits(codes.validation.codes, CLASSES[0])


def test_an_autoencoder_that_is_exported_again_keeps_its_prior(finished, copy):
    before, manifest = files(copy / "model"), manifest_of(copy)
    assert export_run(copy) == manifest == find_export(copy)
    assert files(copy / "model") == before
    shutil.rmtree(copy / "model" / "vqvae.Encoder")
    assert find_export(copy) is None
    assert export_run(copy) == manifest
    assert files(copy / "model") == before
    assert find_prior_export(copy, finished[2]) == manifest


def test_another_prefix_leaves_the_prior_alone(finished, copy):
    manifest = export_run(copy, "newest")
    assert f"model/{PRIOR}/{SYMBOL}" in manifest["files"]
    assert {path.name for path in (copy / "model" / PRIOR).iterdir()} == {SYMBOL, STEP, PARAMETERS}
    assert Sampler(copy).classes == CLASSES


def test_a_prior_of_another_codebook_is_dropped(finished, copy, picture_classes, tmp_path):
    other = autoencoder(tmp_path / "other", picture_classes, seed=1)
    for name in ("checkpoints", "recipe.json", "metrics.csv"):
        shutil.rmtree(copy / name) if (copy / name).is_dir() else (copy / name).unlink()
        (shutil.copytree if (other / name).is_dir() else shutil.copy)(other / name, copy / name)
    manifest = export_run(copy)
    assert "prior" not in manifest and "prior" not in manifest["components"]
    assert manifest["files"] == all_digests(copy) and not (copy / "model" / PRIOR).exists()
    assert manifest == find_export(copy) == manifest_of(copy)
    assert codebook_digest(Predictor(copy).codebook) != finished[2].codebook
    assert find_model(copy).prior == ""
    with pytest.raises(VQVAEError, match="model: holds no prior; train one with vqvae prior"):
        Sampler(copy)


def test_a_prior_that_is_gone_is_not_kept(copy):
    shutil.rmtree(copy / "model" / PRIOR)
    manifest = export_run(copy)
    assert "prior" not in manifest and "prior" not in manifest["components"] and find_export(copy) == manifest


def test_a_run_of_the_first_version_gets_a_prior(finished, copy):
    shutil.rmtree(copy / "model" / PRIOR)
    manifest = finished[3]
    manifest = {name: value for name, value in manifest.items() if name != "components"}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert export_prior(copy, finished[2])["components"] == {
        "encoder": "vqvae.Encoder",
        "decoder": "vqvae.Decoder",
        "prior": PRIOR,
    }
    assert Sampler(copy).classes == CLASSES


def test_an_export_of_the_first_version_loads_and_has_no_prior(picture_classes):
    assert find_model(FIRST_EXPORT).prior == ""
    with pytest.raises(VQVAEError, match="first_export: holds no prior; train one with vqvae prior"):
        Sampler(FIRST_EXPORT)
    metrics = evaluate_model(FIRST_EXPORT, str(picture_classes))
    assert metrics["images"] == 25 and not any("bits" in name for name in metrics)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_evaluation_tells_the_bits(finished, picture_classes, split):
    run = finished[0]
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
def test_an_evaluation_tells_the_figures_of_each_class(finished, picture_classes, split):
    run = finished[0]
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


def test_an_evaluation_goes_by_the_names_of_classes(finished, tmp_path):
    run, rng = finished[0], np.random.RandomState(2)
    # The second of the prior's classes alone, first and last among others of the data.
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


def test_an_evaluation_without_a_prior_tells_no_bits(copy):
    with_prior = evaluate_model(copy)
    shutil.rmtree(copy / "model" / PRIOR)
    without = evaluate_model(copy)
    assert set(with_prior) - set(without) == {"bits_per_image", "bits_per_pixel"}
    for of_class in with_prior["by_class"].values():
        assert of_class.pop("bits_per_image") == 64 * of_class.pop("bits_per_pixel")
    assert {name: with_prior[name] for name in without} == without


def test_scores_begin_with_the_strangest_image(finished, picture_classes):
    run, folder = finished[0], picture_classes / "test"
    scores = score_folder(Sampler(run), folder)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.png")]
    assert sorted(score.image for score in scores) == sorted(names) and len(names) == 25
    codes = Predictor(run).encode([folder / score.image for score in scores])
    bits = bits_by_hand(run, codes, np.full(25, 2))
    np.testing.assert_allclose([score.bits for score in scores], bits, rtol=1e-5)
    assert [score.bits for score in scores] == sorted((score.bits for score in scores), reverse=True)
    assert len({score.bits for score in scores}) < 25  # of quarters, many are equal
    for one, other in zip(scores, scores[1:]):
        assert one.bits > other.bits or one.image < other.image


def test_scores_do_not_depend_on_batches(finished, picture_classes):
    sampler = Sampler(finished[0])
    scores = score_folder(sampler, picture_classes)
    sampler.predictor.batch_size = 7
    pieces = score_folder(sampler, picture_classes)
    by_name = {score.image: score.bits for score in pieces}
    assert len(scores) == len(by_name) == 115
    for score in scores:
        assert score.bits == pytest.approx(by_name[score.image], rel=1e-5)


def test_folders_that_cannot_be_scored_are_told(finished, tmp_path):
    sampler = Sampler(finished[0])
    with pytest.raises(VQVAEError, match="nowhere: is no folder; give one of PNG, JPEG or BMP files"):
        score_folder(sampler, tmp_path / "nowhere")
    with pytest.raises(VQVAEError, match="holds no images"):
        score_folder(sampler, tmp_path)
    (tmp_path / "bad.png").write_bytes(b"nonsense")
    with pytest.raises(VQVAEError, match="bad.png: is not a PNG"):
        score_folder(sampler, tmp_path)


def test_scores_as_csv():
    scores = [Score(12.34567, 'a, "b"/ü.png'), Score(3.0, "c.png"), Score(0.00004, "new\nline.png")]
    text = to_csv(scores)
    assert text == 'bits,image\n12.3457,"a, ""b""/ü.png"\n3.0000,c.png\n0.0000,"new\nline.png"\n'
    assert [row["image"] for row in csv.DictReader(io.StringIO(text))] == [score.image for score in scores]
    assert to_csv([]) == "bits,image\n"


def test_moved_images_are_encoded_as_they_are_when_they_are_moved_by_hand(finished):
    run = finished[0]
    dataset = load_dataset(str(manifest_of(run)["recipe"]["data"]), 1, (8, 8))
    moved = encode_dataset(Predictor(run), dataset, shift=1).moved
    images = dataset.train.images
    # One row and one column of eight come in at an edge; in the order of rows, the fourth way is to the left.
    by_hand = {
        0: np.concatenate([images[:, :, 1:], images[:, :, -1:]], axis=2)[:, :, :, [1, 2, 3, 4, 5, 6, 7, 7]],
        3: images[:, :, :, [1, 2, 3, 4, 5, 6, 7, 7]],
        4: images[:, :, :, [0, 0, 1, 2, 3, 4, 5, 6]],
        6: np.concatenate([images[:, :, :1], images[:, :, :-1]], axis=2),
    }
    assert len(moved) == 8
    for way, expected in by_hand.items():
        np.testing.assert_array_equal(moved[way], Predictor(run).encode(expected))


def test_a_prior_that_learnt_moved_images_is_exported_without_them(finished, picture_classes, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    shutil.rmtree(run / "prior")
    codes = encode_dataset(Predictor(run), load_dataset(str(picture_classes), 1, (8, 8)), shift=1)
    training = train_prior(run, codes, shift=1)
    assert training.model.label.weight.shape == (27, 8)
    export_prior(run, codes)
    sampler = Sampler(run)
    assert sampler.size.num_classes == 2 and sampler.classes == CLASSES
    _, validation, *_ = codes
    bits = sampler.bits(validation.codes, [CLASSES[label] for label in validation.labels]).mean()
    assert bits == pytest.approx(training.history.best()["validation_bits_per_image_with_class"], rel=1e-4)


@pytest.mark.parametrize("shift", [0, 1])
def test_a_training_starts_from_the_prior_that_it_is_given(finished, picture_classes, tmp_path, shift):
    run = finished[0]
    codes = encode_dataset(Predictor(run), load_dataset(str(picture_classes), 1, (8, 8)), shift=shift)
    recipe = RECIPE.replace(init_from=str(run), learning_rate=0.0, num_epoch=1, shift=shift)
    trained = CodePrior(recipe, codes, weights=lambda: exported_weights(str(run)))
    training = Loop(trained, tmp_path / "prior")
    training.run()
    best = finished[1].history.best()["validation_bits_per_image_with_class"]
    assert training.history.best()["validation_bits_per_image_with_class"] == pytest.approx(best, rel=1e-5)


def test_a_prior_of_another_size_is_no_start(finished, tmp_path):
    recipe = RECIPE.replace(init_from=str(finished[0]), width=16)
    trained = CodePrior(recipe, finished[2], weights=lambda: exported_weights(str(finished[0])))
    training = Loop(trained, tmp_path / "new")
    with pytest.raises(VQVAEError, match="its prior is of another size .*start from one of the same width"):
        training.run()
    assert not (tmp_path / "new").exists()
