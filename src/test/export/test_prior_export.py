"""Export of a prior: from a training to files, and from the files to another training."""
import json
import shutil

import mxnet as mx
import numpy as np
import pytest

from picture_run import (
    CLASSES,
    FIRST_EXPORT,
    PRIOR,
    RECIPE,
    all_digests,
    autoencoder,
    bits_by_hand,
    codes_of,
    files,
    manifest_of,
    train_prior,
)
from vqvae_gluon import Predictor, VQVAEError, export_run, load_dataset
from vqvae_gluon.deploy.encoding import encode_dataset
from vqvae_gluon.deploy.sampler import Sampler
from vqvae_gluon.evaluation.splits import evaluate_model
from vqvae_gluon.export.prior import export_prior, exported_weights, find_prior_export
from vqvae_gluon.export.run import find_export
from vqvae_gluon.model_files.component import codebook_digest
from vqvae_gluon.model_files.folder import PARAMETERS, STEP, SYMBOL, find_model
from vqvae_gluon.training.loop import Loop
from vqvae_gluon.training.prior import CodePrior


def test_the_manifest_tells_of_the_prior(finished_run):
    run, training, codes, before = finished_run
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


def test_the_exported_graphs_are_the_best_epochs_prior(finished_run):
    run, training, codes, _ = finished_run
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


def test_inputs_and_heads_have_the_names_that_the_docs_give(finished_run):
    part = finished_run[0] / "model" / PRIOR
    whole, step = (mx.sym.load(str(part / name)) for name in (SYMBOL, STEP))
    assert whole.list_outputs() == ["logits_output"]
    heads = ["probabilities", "keys0", "values0", "keys1", "values1"]
    assert [name.replace("_output", "") for name in step.list_outputs()] == heads
    attributes = whole.attr_dict()
    assert (attributes["data"]["__shape__"], attributes["label"]["__shape__"]) == ("(0, 2, 2)", "(0,)")
    attributes = step.attr_dict()
    assert attributes["before"]["__codebook__"] == finished_run[2].codebook
    assert attributes["label"]["__classes__"] == "left%20%26%20up,right%2C%20%25"
    assert (attributes["mask"]["__shape__"], attributes["keys1"]["__shape__"]) == ("(0, 2, 5)", "(0, 4, 4)")


def test_exporting_twice_gives_the_same_files(finished_run, copied_run):
    before = files(copied_run / "model")
    assert export_prior(copied_run, finished_run[2]) == manifest_of(finished_run[0])
    assert files(copied_run / "model") == before


@pytest.mark.parametrize("name", [SYMBOL, STEP, PARAMETERS])
def test_a_damaged_export_of_a_prior_is_not_whole_and_is_made_again(finished_run, copied_run, name):
    path, codes = copied_run / "model" / PRIOR / name, finished_run[2]
    content = path.read_bytes()
    path.write_bytes(content + b" ")
    assert find_prior_export(copied_run, codes) is None
    path.unlink()
    assert find_prior_export(copied_run, codes) is None
    shutil.rmtree(path.parent)
    assert find_prior_export(copied_run, codes) is None
    export_prior(copied_run, codes)
    assert path.read_bytes() == content
    assert find_prior_export(copied_run, codes) == manifest_of(finished_run[0])


def test_a_prior_of_other_codes_is_not_exported(finished_run, copied_run):
    codes = finished_run[2]
    other = codes._replace(train=codes.train._replace(codes=codes.train.codes[::-1]))
    before = files(copied_run)
    message = "prior: was trained on other data, or on other codes than the model now gives"
    for wrong in (other, codes_of(copied_run, with_classes=False), codes._replace(codebook="0" * 64)):
        with pytest.raises(VQVAEError, match=message):
            export_prior(copied_run, wrong)
    assert files(copied_run) == before
    shutil.rmtree(copied_run / "prior")
    with pytest.raises(VQVAEError, match="prior: holds no checkpoint"):
        export_prior(copied_run, codes)


def test_a_prior_without_classes_replaces_one_with(finished_run, copied_run):
    codes = codes_of(copied_run, with_classes=False)
    shutil.rmtree(copied_run / "prior")
    train_prior(copied_run, codes, num_epoch=1, classes="none")
    manifest = export_prior(copied_run, codes)
    assert manifest["prior"]["classes"] == [] and manifest == manifest_of(copied_run)
    assert manifest["files"] == all_digests(copied_run)
    assert Sampler(copied_run).classes == ()
    bits = bits_by_hand(copied_run, codes.validation.codes, np.zeros(30))
    np.testing.assert_allclose(Sampler(copied_run).bits(codes.validation.codes), bits, rtol=1e-5)
    with pytest.raises(VQVAEError, match="the prior was trained without classes"):
        Sampler(copied_run).bits(codes.validation.codes, CLASSES[0])


def test_an_autoencoder_that_is_exported_again_keeps_its_prior(finished_run, copied_run):
    before, manifest = files(copied_run / "model"), manifest_of(copied_run)
    assert export_run(copied_run) == manifest == find_export(copied_run)
    assert files(copied_run / "model") == before
    shutil.rmtree(copied_run / "model" / "vqvae.Encoder")
    assert find_export(copied_run) is None
    assert export_run(copied_run) == manifest
    assert files(copied_run / "model") == before
    assert find_prior_export(copied_run, finished_run[2]) == manifest


def test_another_prefix_leaves_the_prior_alone(finished_run, copied_run):
    manifest = export_run(copied_run, "newest")
    assert f"model/{PRIOR}/{SYMBOL}" in manifest["files"]
    assert {path.name for path in (copied_run / "model" / PRIOR).iterdir()} == {SYMBOL, STEP, PARAMETERS}
    assert Sampler(copied_run).classes == CLASSES


def test_a_prior_of_another_codebook_is_dropped(finished_run, copied_run, picture_classes, tmp_path):
    other = autoencoder(tmp_path / "other", picture_classes, seed=1)
    for name in ("checkpoints", "recipe.json", "metrics.csv"):
        shutil.rmtree(copied_run / name) if (copied_run / name).is_dir() else (copied_run / name).unlink()
        (shutil.copytree if (other / name).is_dir() else shutil.copy)(other / name, copied_run / name)
    manifest = export_run(copied_run)
    assert "prior" not in manifest and "prior" not in manifest["components"]
    assert manifest["files"] == all_digests(copied_run) and not (copied_run / "model" / PRIOR).exists()
    assert manifest == find_export(copied_run) == manifest_of(copied_run)
    assert codebook_digest(Predictor(copied_run).codebook) != finished_run[2].codebook
    assert find_model(copied_run).prior == ""
    with pytest.raises(VQVAEError, match="model: holds no prior; train one with vqvae prior"):
        Sampler(copied_run)


def test_a_prior_that_is_gone_is_not_kept(copied_run):
    shutil.rmtree(copied_run / "model" / PRIOR)
    manifest = export_run(copied_run)
    assert "prior" not in manifest and "prior" not in manifest["components"] and find_export(copied_run) == manifest


def test_a_run_of_the_first_version_gets_a_prior(finished_run, copied_run):
    shutil.rmtree(copied_run / "model" / PRIOR)
    manifest = finished_run[3]
    manifest = {name: value for name, value in manifest.items() if name != "components"}
    (copied_run / "manifest.json").write_text(json.dumps(manifest))
    assert export_prior(copied_run, finished_run[2])["components"] == {
        "encoder": "vqvae.Encoder",
        "decoder": "vqvae.Decoder",
        "prior": PRIOR,
    }
    assert Sampler(copied_run).classes == CLASSES


def test_an_export_of_the_first_version_loads_and_has_no_prior(picture_classes):
    assert find_model(FIRST_EXPORT).prior == ""
    with pytest.raises(VQVAEError, match="first_export: holds no prior; train one with vqvae prior"):
        Sampler(FIRST_EXPORT)
    metrics = evaluate_model(FIRST_EXPORT, str(picture_classes))
    assert metrics["images"] == 25 and not any("bits" in name for name in metrics)


def test_a_prior_that_learnt_moved_images_is_exported_without_them(finished_run, picture_classes, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished_run[0], run)
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
def test_a_training_starts_from_the_prior_that_it_is_given(finished_run, picture_classes, tmp_path, shift):
    run = finished_run[0]
    codes = encode_dataset(Predictor(run), load_dataset(str(picture_classes), 1, (8, 8)), shift=shift)
    recipe = RECIPE.replace(init_from=str(run), learning_rate=0.0, num_epoch=1, shift=shift)
    trained = CodePrior(recipe, codes, weights=lambda: exported_weights(str(run)))
    training = Loop(trained, tmp_path / "prior")
    training.run()
    best = finished_run[1].history.best()["validation_bits_per_image_with_class"]
    assert training.history.best()["validation_bits_per_image_with_class"] == pytest.approx(best, rel=1e-5)


def test_a_prior_of_another_size_is_no_start(finished_run, tmp_path):
    recipe = RECIPE.replace(init_from=str(finished_run[0]), width=16)
    trained = CodePrior(recipe, finished_run[2], weights=lambda: exported_weights(str(finished_run[0])))
    training = Loop(trained, tmp_path / "new")
    with pytest.raises(VQVAEError, match="its prior is of another size .*start from one of the same width"):
        training.run()
    assert not (tmp_path / "new").exists()
