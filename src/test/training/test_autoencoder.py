"""The training of an autoencoder on a small data set."""
import csv

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import nn

from conftest import make_model, random_images
from vqvae_gluon import Training, VQVAEError
from vqvae_gluon.data import Dataset, Split, to_unit
from vqvae_gluon.export.run import restore_model
from vqvae_gluon.files import locked
from vqvae_gluon.training.autoencoder import AUTOENCODER, Autoencoder
from vqvae_gluon.training.checkpoint import checkpoint_path, list_checkpoints, load_checkpoint
from vqvae_gluon.training.loss import loss_terms, total_loss
from vqvae_gluon.training.optimizer import build_trainer


def weights(training):
    return {name: value.data(training.ctx[0]).asnumpy() for name, value in training.model.collect_params().items()}


def assert_same_bits(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


@pytest.mark.parametrize("kind", ["mse", "bce"])
def test_loss_is_emadls(kind):
    model = make_model("gradient")
    pixels = to_unit(random_images(3))
    images = mx.nd.array(pixels)
    output = model(images)
    guess = output.reconstruction.asnumpy().astype(np.float64)
    if kind == "mse":
        reconstruction = ((guess - pixels) ** 2).sum(axis=(1, 2, 3))
    else:
        reconstruction = -(pixels * np.log(guess) + (1 - pixels) * np.log(1 - guess)).sum(axis=(1, 2, 3))
    codebook = model.quantizer.embeddings.data().asnumpy()
    rows = codebook[output.codes.asnumpy().astype(int)].transpose(0, 3, 1, 2)
    distance = ((rows - output.z.asnumpy()) ** 2).mean(axis=(1, 2, 3))
    terms = loss_terms(mx.nd, output, images, kind)
    for term, expected in zip(terms, (reconstruction, distance, distance)):
        np.testing.assert_allclose(term.asnumpy(), expected, rtol=1e-4)
    expected = reconstruction + 0.25 * distance + distance
    np.testing.assert_allclose(total_loss(terms, 0.25).asnumpy(), expected, rtol=1e-4)


def test_every_parameter_gets_a_gradient():
    model = make_model("gradient")
    images = mx.nd.array(to_unit(random_images(4)))
    with autograd.record():
        loss = total_loss(loss_terms(mx.nd, model(images), images), 0.25)
    loss.backward()
    for name, parameter in model.collect_params().items():
        assert np.abs(parameter.grad().asnumpy()).max() > 0, name


@pytest.mark.parametrize("kind", ["mse", "bce"])
@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_one_graph_computes_the_loss_and_its_gradients(small_recipe, small_dataset, tmp_path, kind, update):
    recipe = small_recipe.replace(reconstruction_loss=kind, update=update, beta=3.0)
    training = Training(recipe, small_dataset, tmp_path / "run")
    reference = restore_model(training._checkpoint(), tmp_path)
    images = mx.nd.array(to_unit(small_dataset.train.images[:7]))
    with autograd.record():
        part = training.objective(images)
    part.loss.backward()
    with autograd.record():
        output = reference(images)
        terms = loss_terms(mx.nd, output, images, kind)
        loss = total_loss(terms, 3.0, 1 / 64)
    loss.backward()
    squared_error = ((output.reconstruction - images) ** 2).sum(axis=(1, 2, 3))
    for found, expected in zip(part.figures.asnumpy(), (*terms, squared_error)):
        np.testing.assert_allclose(found, expected.asnumpy(), rtol=1e-5)
    np.testing.assert_allclose(part.loss.asnumpy(), loss.asnumpy(), rtol=1e-5)
    np.testing.assert_array_equal(part.codes.asnumpy(), output.codes.asnumpy())
    np.testing.assert_array_equal(part.z.asnumpy(), output.z.asnumpy())
    for parameter, other in zip(training.model.collect_params().values(), reference.collect_params().values()):
        if parameter.grad_req == "null":
            continue
        expected = other.grad().asnumpy()
        scale = np.abs(expected).max()
        assert scale > 0
        np.testing.assert_allclose(parameter.grad().asnumpy(), expected, rtol=1e-4, atol=1e-4 * scale)


def test_training_learns_and_leaves_its_files(small_recipe, small_dataset, tmp_path):
    training = Training(small_recipe.replace(num_epoch=20), small_dataset, tmp_path / "run")
    training.run()
    rows = training.history.rows
    assert rows[-1]["validation_mse"] < 0.2 * small_dataset.validation.images.var() / 255**2
    assert rows[-1]["validation_mse"] == training.measure("validation")["mse"]
    assert [row["epoch"] for row in rows] == list(range(20))
    with open(tmp_path / "run" / "metrics.csv") as file:
        written = list(csv.DictReader(file))
    assert [float(row["validation_mse"]) for row in written] == [row["validation_mse"] for row in rows]
    best = training.history.best()["epoch"]
    assert list_checkpoints(tmp_path / "run") == sorted({best, 19})
    for name in ("recipe.json", "loss_graph.png", f"test_reconstruction_0_epoch{best}_batch_size64.png"):
        assert (tmp_path / "run" / name).exists()


def test_metrics_are_those_of_the_whole_split(small_recipe, small_dataset, tmp_path):
    training = Training(small_recipe, small_dataset, tmp_path / "run")
    images = to_unit(small_dataset.validation.images)
    output = training.model(mx.nd.array(images))
    metrics = training.measure("validation")
    error = (output.reconstruction.asnumpy() - images) ** 2
    np.testing.assert_allclose(metrics["mse"], error.mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics["reconstruction"], error.sum() / len(images), rtol=1e-5)
    counts = np.bincount(output.codes.asnumpy().astype(int).ravel(), minlength=8)
    shares = counts[counts > 0] / counts.sum()
    np.testing.assert_allclose(metrics["perplexity"], np.prod(shares**-shares), rtol=1e-6)
    assert metrics["codes_used"] == len(shares)


RESUMED = [
    {"update": "ema"},
    {"update": "gradient"},
    {"model": "vqvae_inception_resnet_v2_dlcr", "width": 1, "reduced_width": 16, "decoder_width": 4},
]


@pytest.mark.parametrize("settings", RESUMED)
def test_resumed_training_is_the_uninterrupted_one_bit_for_bit(small_recipe, small_dataset, tmp_path, settings):
    recipe = small_recipe.replace(**settings)
    whole = Training(recipe, small_dataset, tmp_path / "whole")
    whole.run()
    Training(recipe, small_dataset, tmp_path / "parts").run(2)
    resumed = Training(recipe, small_dataset, tmp_path / "parts", resume=True)
    assert resumed.epoch == 2
    resumed.run()
    assert_same_bits(weights(whole), weights(resumed))
    assert whole.history.rows == resumed.history.rows
    for name in ("metrics.csv", "recipe.json", "loss_graph.png"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    first, second = (load_checkpoint(checkpoint_path(tmp_path / name, 3), AUTOENCODER) for name in ("whole", "parts"))
    assert_same_bits(first.optimizer, second.optimizer)
    assert_same_bits(first.averages, second.averages)
    assert first.updates == second.updates == 4 * 7


def test_a_longer_training_at_a_constant_rate_is_one_that_was_as_long_from_the_start(
    small_recipe, small_dataset, tmp_path
):
    recipe = small_recipe.replace(learning_rate_schedule="constant", warm_up=0)
    whole = Training(recipe, small_dataset, tmp_path / "whole")
    whole.run()
    Training(recipe.replace(num_epoch=2), small_dataset, tmp_path / "parts").run()
    longer = Training(recipe, small_dataset, tmp_path / "parts", resume=True)
    longer.run()
    assert_same_bits(weights(whole), weights(longer))
    for name in ("metrics.csv", "recipe.json", "loss_graph.png"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_interrupted_between_checkpoints_repeats_what_was_lost(small_recipe, small_dataset, tmp_path):
    recipe = small_recipe.replace(learning_rate=1e-9)  # the first epoch stays the best, so there is no extra checkpoint
    whole = Training(recipe, small_dataset, tmp_path / "whole")
    whole.run()
    part = Training(recipe, small_dataset, tmp_path / "parts")
    part.run(3)
    resumed = Training(recipe, small_dataset, tmp_path / "parts", resume=True)
    assert resumed.epoch <= 3
    resumed.run()
    assert_same_bits(weights(whole), weights(resumed))
    assert whole.history.rows == resumed.history.rows


def test_learning_rate_starts_full_and_every_update_counts(small_recipe, small_dataset, tmp_path):
    # A sum of errors, so that Adam's epsilon is negligible beside the gradient.
    settings = {"update": "gradient", "reduction": "sum", "learning_rate": 0.004, "warm_up": 0}
    recipe = small_recipe.replace(num_epoch=1, batch_size=400, **settings)
    training = Training(recipe, small_dataset, tmp_path / "run")
    before = weights(training)
    training.run()
    assert training.history.rows[0]["learning_rate"] == recipe.learning_rate
    # Adam's first step moves every weight that has a gradient by the learning rate.
    moved = np.abs(weights(training)["decoder_upconvolution2_bias"] - before["decoder_upconvolution2_bias"])
    np.testing.assert_allclose(moved, recipe.learning_rate, rtol=1e-3)


def test_learning_rate_warms_up():
    layer = nn.Dense(1, in_units=1)
    layer.initialize()
    at_once, rising = (build_trainer(layer, "adam", 1.0, "cosine", 10, warm_up).optimizer for warm_up in (0, 0.2))
    assert at_once.lr_scheduler(1) == 1 > at_once.lr_scheduler(2)
    assert [rising.lr_scheduler(update) for update in (1, 2, 3)] == [0.5, 1, 1]
    assert 0 < rising.lr_scheduler(10) < 0.1


def test_a_gradient_that_jumps_is_shortened():
    layers = [nn.Dense(1, in_units=2, use_bias=False, prefix=f"layer{number}_") for number in range(2)]
    network = nn.HybridSequential()
    network.add(*layers)
    network.initialize()
    trainer = build_trainer(network, "sgd", 1.0, "constant", 10, clip=2.0)
    gradients = np.random.RandomState(0).randn(6, 2, 1, 2).astype(np.float32)
    gradients[2] *= 100
    usual = 0.0
    for number, gradient in enumerate(gradients):
        size = 4 if number < 5 else 2  # the last batch has half as many examples, so its sum is half as large
        gradient = gradient * size
        with autograd.record():
            products = [(layer.weight.data() * mx.nd.array(values)).sum() for layer, values in zip(layers, gradient)]
        autograd.backward(products)
        before = [layer.weight.data().asnumpy() for layer in layers]
        trainer.step(size)
        norm = np.sqrt(np.square(gradient.astype(np.float64)).sum()) / size
        kept = min(norm, 2 * usual) if usual else norm
        usual = 0.9 * usual + 0.1 * kept if usual else norm
        for layer, values, old in zip(layers, gradient, before):
            moved = old - layer.weight.data().asnumpy()
            np.testing.assert_allclose(moved, values / size * kept / norm, rtol=1e-5, atol=1e-6)
        assert (kept < norm) == (number == 2)
    np.testing.assert_allclose(trainer.usual_norm, usual, rtol=1e-5)


@pytest.mark.parametrize(
    "settings, cause",
    [
        ({"update": "gradient"}, "try --update ema"),
        ({"dead_share": 0.0}, "try --dead-share 0.1"),
        ({}, "try a higher --beta than 0.25"),
        ({"perplexity": 1.1}, "try a lower --learning-rate than 0.004"),
        ({"perplexity": 1.1, "reduction": "sum"}, "try --recipe ema"),
    ],
)
def test_a_collapsed_codebook_is_told_with_its_cause(small_recipe, small_dataset, settings, cause):
    perplexity = settings.get("perplexity", 1.9)
    settings = {name: value for name, value in settings.items() if name != "perplexity"}
    trained = Autoencoder(small_recipe.replace(**settings), small_dataset)
    row = {"validation_codes_used": 2, "validation_perplexity": perplexity, "train_perplexity": 5.0}
    told = trained.concern(row)
    assert told.startswith(f"the codebook has collapsed: 2 of 8 codes in use, perplexity {perplexity}; ")
    assert told.endswith(cause)
    assert trained.concern({**row, "validation_codes_used": 3}) == ""


def test_rows_die_below_a_share_of_an_equal_use(small_recipe, small_dataset):
    # 64 images of 2 x 2 codes and 8 rows: 32 vectors per row.
    assert Autoencoder(small_recipe, small_dataset).averages.dead_below == pytest.approx(3.2)
    assert Autoencoder(small_recipe.replace(dead_below=5.0), small_dataset).averages.dead_below == 5


def test_measuring_large_images_takes_small_batches(small_recipe, small_dataset):
    assert Autoencoder(small_recipe, small_dataset)._evaluation_batch == 100
    images = np.zeros((64, 1, 256, 256), np.uint8)
    large = Dataset(Split(images), Split(images[:1]), Split(images[:1]))
    assert Autoencoder(small_recipe.replace(image_size=(256, 256)), large)._evaluation_batch == 6


def test_seed_decides(small_recipe, small_dataset, tmp_path):
    recipe = small_recipe.replace(num_epoch=1)
    runs = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        training = Training(recipe.replace(seed=seed), small_dataset, tmp_path / name)
        training.run()
        runs.append(weights(training))
    assert_same_bits(runs[0], runs[1])
    assert any((runs[0][name] != runs[2][name]).any() for name in runs[0])


@pytest.mark.parametrize("update", ["ema", "gradient"])
def test_two_devices_give_one_devices_numbers(small_recipe, small_dataset, tmp_path, update):
    recipe = small_recipe.replace(num_epoch=1, update=update, batch_size=50)
    runs = []
    for name, ctx in (("one", [mx.cpu(0)]), ("two", [mx.cpu(0), mx.cpu(1)])):
        training = Training(recipe, small_dataset, tmp_path / name, ctx)
        training.run()
        runs.append(training)
    for name, value in weights(runs[0]).items():
        np.testing.assert_allclose(value, weights(runs[1])[name], rtol=2e-3, atol=2e-4, err_msg=name)
    for parameter in runs[1].model.collect_params().values():
        first, second = (copy.asnumpy() for copy in parameter.list_data())
        np.testing.assert_array_equal(first, second)


def test_more_devices_than_images_in_a_batch_are_refused(small_recipe, small_dataset, tmp_path):
    with pytest.raises(VQVAEError, match="smaller than the 2 devices"):
        Training(small_recipe.replace(batch_size=57), small_dataset, tmp_path / "run", [mx.cpu(0), mx.cpu(1)])


def test_infinite_loss_names_epoch_batch_and_checkpoint(small_recipe, small_dataset, tmp_path):
    training = Training(small_recipe.replace(update="gradient"), small_dataset, tmp_path / "run")
    training.run(1)
    before = checkpoint_path(tmp_path / "run", 0).read_bytes()
    training.model.decoder.output_bias.set_data(mx.nd.array([float("nan")]))
    with pytest.raises(VQVAEError, match=r"not finite in epoch 1, in batch 0; the last good checkpoint is .*0000.npz"):
        training.run()
    assert checkpoint_path(tmp_path / "run", 0).read_bytes() == before


def test_folders_are_not_overwritten(small_recipe, small_dataset, tmp_path):
    Training(small_recipe, small_dataset, tmp_path / "run").run(1)
    with pytest.raises(VQVAEError, match="holds a training already; add --resume"):
        Training(small_recipe, small_dataset, tmp_path / "run")
    with pytest.raises(VQVAEError, match="other settings .*batch_size: 64, 32"):
        Training(small_recipe.replace(batch_size=32), small_dataset, tmp_path / "run", resume=True)
    changed = small_dataset._replace(train=small_dataset.validation)
    with pytest.raises(VQVAEError, match="was trained on other data"):
        Training(small_recipe, changed, tmp_path / "run", resume=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(VQVAEError, match="is not empty and holds no training"):
        Training(small_recipe, small_dataset, tmp_path / "other")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(VQVAEError, match="cannot be used as a folder"):
        Training(small_recipe, small_dataset, tmp_path / "file" / "run")


def test_a_training_that_never_began_leaves_nothing(small_recipe, small_dataset, tmp_path):
    with pytest.raises(VQVAEError, match="unknown model"):
        Training(small_recipe.replace(model="vqvae"), small_dataset, tmp_path / "run")
    with pytest.raises(VQVAEError, match="distinct vectors to start 5000 embeddings"):
        Training(small_recipe.replace(num_embeddings=5000), small_dataset, tmp_path / "run").run()
    Training(small_recipe, small_dataset, tmp_path / "run").run(1)


def test_second_training_in_a_folder_is_refused(small_recipe, small_dataset, tmp_path):
    first = Training(small_recipe, small_dataset, tmp_path / "run")
    first.run(1)
    second = Training(small_recipe, small_dataset, tmp_path / "run", resume=True)
    with locked(first.folder), pytest.raises(VQVAEError, match="another process is training there"):
        second.run()
    second.run(1)


def test_damaged_checkpoint_is_named(small_recipe, small_dataset, tmp_path):
    Training(small_recipe, small_dataset, tmp_path / "run").run(1)
    path = checkpoint_path(tmp_path / "run", 0)
    whole = path.read_bytes()
    for content in (whole[:100], whole[: len(whole) // 2], b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(VQVAEError, match="0000.npz: is damaged or no checkpoint"):
            Training(small_recipe, small_dataset, tmp_path / "run", resume=True)


def test_data_of_another_shape_is_refused(small_recipe, small_dataset, tmp_path):
    with pytest.raises(VQVAEError, match=r"uint8 images of shape \(400, 1, 8, 8\): the recipe asks for"):
        Training(small_recipe.replace(image_size=(12, 12)), small_dataset, tmp_path / "run")
