"""A training that starts from another run's model, with or without a frozen codebook."""
import json
import shutil

import mxnet as mx
import numpy as np
import pytest

from conftest import PRETRAINED, SMALL_MODELS, export_newest, make_model, random_images, run_python
from vqvae_gluon import Recipe, Training, VQVAEError, export_run, get_model
from vqvae_gluon.data import to_unit
from vqvae_gluon.model_zoo import get_weights
from vqvae_gluon.training import autoencoder
from vqvae_gluon.training.autoencoder import AUTOENCODER, Autoencoder
from vqvae_gluon.training.checkpoint import checkpoint_path, load_checkpoint, start_from

CODEBOOK = "vectorquantize0_embeddings"
FIRST_LAYER = "encoder_conv0_weight"


@pytest.fixture(scope="module")
def recipe(small_recipe):
    return small_recipe.replace(pictures=0)


@pytest.fixture(scope="module")
def first(recipe, small_dataset, tmp_path_factory):
    """A run of four epochs, exported."""
    folder = tmp_path_factory.mktemp("first") / "run"
    Training(recipe, small_dataset, folder).run()
    export_run(folder)
    return folder


def best(run):
    """Return the checkpoint that was exported."""
    rows = load_checkpoint(checkpoint_path(run, 3), AUTOENCODER).rows
    epoch = min(rows, key=lambda row: row["validation_reconstruction"])["epoch"]
    return load_checkpoint(checkpoint_path(run, epoch), AUTOENCODER)


def weights(trained):
    return {name: parameter.list_data()[0].asnumpy() for name, parameter in trained.model.collect_params().items()}


@pytest.fixture
def no_kmeans(monkeypatch):
    monkeypatch.setattr(autoencoder, "kmeans", None)


def test_it_begins_where_the_other_was_at_its_best(recipe, small_dataset, first, tmp_path, no_kmeans):
    changed = recipe.replace(init_from=str(first), update="gradient", learning_rate=0.0, num_epoch=1, seed=5)
    training = Training(changed, small_dataset, tmp_path / "run")
    training.run()
    expected = best(first)
    for name, array in weights(training).items():
        np.testing.assert_array_equal(array, expected.weights[name], err_msg=name)
    assert training.history.rows[0]["validation_mse"] == expected.rows[expected.epoch]["validation_mse"]
    assert Recipe.from_json((tmp_path / "run" / "recipe.json").read_text()).init_from == str(first)
    assert training.trainer.optimizer.num_update == 7


def test_averages_begin_with_the_use_of_each_row(recipe, small_dataset, first, no_kmeans):
    trained = Autoencoder(recipe.replace(init_from=str(first), dead_share=0.0), small_dataset)
    trained.start(np.random.RandomState(0))
    np.testing.assert_array_equal(trained.averages.codebook(), best(first).weights[CODEBOOK])
    # A batch has 64 images of 2 x 2 codes; these are all 400.
    codes = trained.model(mx.nd.array(to_unit(small_dataset.train.images))).codes.asnumpy().astype(int)
    counts = np.maximum(np.bincount(codes.ravel(), minlength=8), 1) * 64 * 4 / (400 * 4)
    np.testing.assert_allclose(trained.averages.counts, counts)
    np.testing.assert_allclose(trained.averages.sums, trained.averages.codebook() * counts[:, None], rtol=1e-6)


def test_resumed_it_is_the_uninterrupted_one_and_needs_the_other_no_more(recipe, small_dataset, first, tmp_path):
    source = shutil.copytree(first, tmp_path / "first")
    changed = recipe.replace(init_from=str(source))
    whole = Training(changed, small_dataset, tmp_path / "whole")
    whole.run()
    Training(changed, small_dataset, tmp_path / "parts").run(2)
    shutil.rmtree(source)
    resumed = Training(changed, small_dataset, tmp_path / "parts", resume=True)
    resumed.run()
    for name, array in weights(whole).items():
        np.testing.assert_array_equal(array, weights(resumed)[name], err_msg=name)
    assert whole.history.rows == resumed.history.rows


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_a_frozen_codebook_stays_while_all_else_learns(recipe, small_dataset, first, tmp_path, update):
    settings = {"update": update, "init_from": str(first), "num_epoch": 2, "dead_share": 0.9}
    expected, found = best(first).weights, {}
    for frozen in (True, False):
        changed = recipe.replace(**settings, freeze_codebook=frozen)
        Training(changed, small_dataset, tmp_path / str(frozen)).run(1)
        training = Training(changed, small_dataset, tmp_path / str(frozen), resume=True)
        training.run()
        found[frozen] = weights(training)
        assert bool(training._checkpoint().averages) == (update == "ema" and not frozen)
    assert found[True][CODEBOOK].tobytes() == expected[CODEBOOK].tobytes()
    assert (found[False][CODEBOOK] != expected[CODEBOOK]).any()
    for name in expected.keys() - {CODEBOOK}:
        assert (found[True][name] != expected[name]).any(), name
    manifest = export_run(tmp_path / "True")
    assert manifest["recipe"]["freeze_codebook"] is True
    assert get_weights(tmp_path / "True")[CODEBOOK].tobytes() == expected[CODEBOOK].tobytes()


@pytest.mark.parametrize("perplexity, cause", [(2.5, "without --freeze-codebook"), (1.1, "--learning-rate than 0.004")])
def test_a_frozen_codebook_that_does_not_fit_is_told(recipe, small_dataset, perplexity, cause):
    trained = Autoencoder(recipe.replace(init_from="run", freeze_codebook=True), small_dataset)
    row = {"validation_codes_used": 2, "validation_perplexity": perplexity}
    assert trained.concern(row).endswith(cause)


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_an_exported_model_gives_its_weights_back(name, tmp_path):
    model = make_model(name=name, **SMALL_MODELS[name])
    folder = export_newest(model, tmp_path / "model")
    other = make_model(name=name, seed=1, **SMALL_MODELS[name])
    start_from(other, get_weights(folder), str(folder), "model", "")
    images = mx.nd.array(to_unit(random_images(2)))
    for ours, theirs in zip(other(images), make_model(name=name, **SMALL_MODELS[name])(images)):
        np.testing.assert_array_equal(ours.asnumpy(), theirs.asnumpy())


def test_the_pre_trained_models_can_be_the_start():
    assert get_weights(PRETRAINED).keys() == get_model("vqvae_emadl", pretrained=True).collect_params().keys()
    assert get_weights(PRETRAINED / "emadl")[CODEBOOK].shape == (64, 16)


def test_another_architecture_or_codebook_is_refused_by_the_first_difference(
    recipe, small_dataset, first, tmp_path
):
    def refusal(source, **settings):
        training = Training(recipe.replace(init_from=str(source), **settings), small_dataset, tmp_path / "run")
        with pytest.raises(VQVAEError) as caught:
            training.run()
        assert not (tmp_path / "run").exists()
        return str(caught.value)

    end = "; start from one of the same encoder, decoder, channels and codebook"
    expected = f"{first}: its model is of another size ({CODEBOOK}: (9, 4) here, (8, 4) there){end}"
    assert refusal(first, num_embeddings=9) == expected
    residual = {"model": "vqvae_residual", "width": 8, "decoder_width": 8}
    expected = f"{first}: its model is of another size ({FIRST_LAYER}: (4, 1, 4, 4) here, (32, 1, 3, 3) there){end}"
    assert refusal(first, **residual) == expected
    assert refusal(tmp_path / "nowhere").startswith(f"{tmp_path}/nowhere: holds no exported model")


def test_a_model_that_has_more_is_another_one(recipe, small_dataset, first):
    trained = Autoencoder(recipe, small_dataset)
    more = {**get_weights(first), "encoder_more_weight": np.zeros(3)}
    with pytest.raises(VQVAEError, match=r"run: .* \(encoder_more_weight: missing here, \(3,\) there\); start from"):
        start_from(trained.model, more, "run", "model", "size")


def test_the_command_starts_from_another_run(picture_folder, tmp_path):
    small = ["--data", picture_folder, "--image-size", "8x8", "--num-embeddings", "8", "--batch-size", "16"]
    small += ["--num-epoch", "1", "--pictures", "0"]
    result = run_python("train", *small, "-o", tmp_path / "first")
    assert result.returncode == 0, result.stderr
    words = ["train", *small, "--init-from", tmp_path / "first", "--freeze-codebook"]
    result = run_python(*words, "-o", tmp_path / "second")
    assert result.returncode == 0 and result.stderr == b"", result.stderr
    first, second = (get_weights(tmp_path / name) for name in ("first", "second"))
    assert first[CODEBOOK].tobytes() == second[CODEBOOK].tobytes()
    assert (first[FIRST_LAYER] != second[FIRST_LAYER]).any()
    result = run_python("train", "-o", tmp_path / "second", "--resume", "--num-epoch", "2")
    assert result.returncode == 0 and b"second: 2 epochs instead of 1; the learning rate follows" in result.stdout
    assert get_weights(tmp_path / "second")[CODEBOOK].tobytes() == first[CODEBOOK].tobytes()
    recipes = (tmp_path / "second" / "recipe.json", tmp_path / "second" / "manifest.json")
    own, exported = (json.loads(path.read_text()) for path in recipes)
    assert own == exported["recipe"] and (own["num_epoch"], own["init_from"]) == (2, str(tmp_path / "first"))
    result = run_python("train", "--data", "nowhere", "--init-from", tmp_path / "none", "-o", tmp_path / "third")
    error = result.stderr.decode()
    assert result.returncode == 2 and error.count("\n") == 1 and f"{tmp_path}/none: holds no exported model" in error
    assert not (tmp_path / "third").exists()
