"""The training of a prior on codes that follow a rule: each code is the previous one plus the class, modulo K.

The rule fixes the smallest number of bits: if all images are equally frequent, no prior can need less on average.
"""
import csv

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from vqvae_gluon import VQVAEError
from vqvae_gluon.data.codes import CodesDataset, CodesSplit
from vqvae_gluon.export.run import best_and_last
from vqvae_gluon.nn.prior import Prior
from vqvae_gluon.recipes.prior import PRIOR_RECIPES, PriorRecipe, get_prior_recipe
from vqvae_gluon.training.checkpoint import checkpoint_path, list_checkpoints, load_checkpoint
from vqvae_gluon.training.loop import Loop
from vqvae_gluon.training.prior import PRIOR, BitsMeter, CodePrior, PriorObjective

K, CLASSES, GRID = 5, ("none", "one", "two"), (2, 3)
EVERY_IMAGE = len(CLASSES) * K  # one for each class and first code
SMALL = PriorRecipe(
    width=16, layers=2, heads=2, dropout=0.0, batch_size=30, num_epoch=3, learning_rate=0.01, pictures=0
)


def ruled(numbers, with_classes=True):
    """Return the images with the given numbers, below EVERY_IMAGE."""
    labels, first = np.asarray(numbers) // K, np.asarray(numbers) % K
    codes = (first[:, None] + labels[:, None] * np.arange(6)) % K
    return CodesSplit(codes.reshape(-1, *GRID), labels if with_classes else np.zeros_like(labels))


def ruled_dataset(with_classes=True):
    """Return 150 images for training, ten of each, and each image once for validation."""
    numbers = np.tile(np.arange(EVERY_IMAGE), 10)
    splits = [ruled(chosen, with_classes) for chosen in (numbers, np.arange(EVERY_IMAGE))]
    return CodesDataset(*splits, K, CLASSES if with_classes else (), "a codebook")


def loop(folder, resume=False, decode=None, dataset=None, **settings):
    return Loop(CodePrior(SMALL.replace(**settings), dataset or ruled_dataset(), decode=decode), folder, resume)


def weights(training):
    return {name: parameter.data().asnumpy() for name, parameter in training.model.collect_params().items()}


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_same_training(first, second):
    """Compare all files; of archives, which also hold the time, compare the contents."""
    contents = [files(folder) for folder in (first, second)]
    assert contents[0].keys() == contents[1].keys()
    for name, content in contents[0].items():
        if name.startswith("checkpoints/"):
            with np.load(first / name) as one, np.load(second / name) as other:
                assert set(one) == set(other)
                for array in one:
                    assert one[array].tobytes() == other[array].tobytes(), array
        else:
            assert content == contents[1][name], name


def log_likelihoods(logits):
    logits = logits.astype(np.float64)
    most = logits.max(axis=-1, keepdims=True)
    return logits - most - np.log(np.exp(logits - most).sum(axis=-1, keepdims=True))


def bits_by_hand(prior, codes, labels):
    """Return the bits (N,) of images, computed from a prior's logits."""
    likelihoods = log_likelihoods(prior(mx.nd.array(codes), mx.nd.array(labels)).asnumpy())
    chosen = np.take_along_axis(likelihoods, codes.reshape(len(codes), -1, 1), axis=2)[..., 0]
    return -chosen.sum(axis=1) / np.log(2)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A training that has learnt the rule, and the codes of the pictures that it sampled."""
    drawn = []

    def decode(codes):
        drawn.append(codes)
        return np.zeros((len(codes), 1, 4, 4), np.uint8)

    folder = tmp_path_factory.mktemp("learnt") / "prior"
    training = loop(folder, decode=decode, num_epoch=8, epoch_passes=6, checkpoint_period=8, no_class=0.3, pictures=1)
    training.run()
    return training, drawn


def test_the_rule_is_learnt(learnt):
    training, drawn = learnt
    first, last = training.history.rows[0], training.history.rows[-1]
    structureless = 6 * np.log2(K)  # 13.9 bits
    assert np.log2(K) <= last["validation_bits_per_image_with_class"] < 1.2 * np.log2(K) < 0.25 * structureless
    assert np.log2(EVERY_IMAGE) <= last["validation_bits_per_image"] < 1.3 * np.log2(EVERY_IMAGE) < 0.5 * structureless
    assert first["validation_bits_per_image_with_class"] > 2 * last["validation_bits_per_image_with_class"]
    assert drawn[-1].shape == (3 * 10, *GRID)
    labels = np.repeat(np.arange(3), 10)
    flat = drawn[-1].reshape(30, 6)
    follows = ((flat[:, 1:] - flat[:, :-1] - labels[:, None]) % K == 0).all(axis=1)
    assert follows.sum() >= 24 and len(np.unique(flat, axis=0)) > 8  # 15 images follow it; by chance, 1 in 15,625


def test_its_measurement_is_that_of_numpy(learnt):
    training, _ = learnt
    for split in ("train", "validation"):
        codes, labels = training.trained.dataset.split(split)
        measured = training.measure(split)
        assert list(measured) == ["bits_per_image", "bits_per_image_with_class"]
        for name, given in (("bits_per_image", np.full(len(codes), 3)), ("bits_per_image_with_class", labels)):
            expected = bits_by_hand(training.model, codes, given).mean()
            assert measured[name] == pytest.approx(expected, rel=1e-5)
    assert training.measure("validation") == {
        name: training.history.rows[-1][f"validation_{name}"] for name in PRIOR.metrics
    }
    with pytest.raises(VQVAEError, match="unknown split 'test': choose one of train, validation"):
        training.measure("test")


def test_nothing_is_dropped_where_it_is_measured():
    trained = CodePrior(SMALL.replace(dropout=0.5), ruled_dataset())
    codes, labels = trained.dataset.validation
    measured = [trained.measure("validation")["bits_per_image_with_class"] for _ in range(2)]
    assert measured == pytest.approx([bits_by_hand(trained.model, codes, labels).mean()] * 2, rel=1e-5)


def test_what_is_learnt_is_kept(learnt):
    training, _ = learnt
    with open(training.folder / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("epoch", "learning_rate", "train_bits_per_image", "train_bits_per_image_with_class"),
        *("validation_bits_per_image", "validation_bits_per_image_with_class"),
    ]
    assert [{name: float(text) for name, text in row.items()} for row in rows] == training.history.rows
    assert (training.folder / "recipe.json").read_text() == training.recipe.to_json()
    assert (training.folder / "loss_graph.png").read_bytes().startswith(b"\x89PNG")
    best = training.history.best()["epoch"]
    assert list_checkpoints(training.folder) == sorted({best, 7})
    kept = load_checkpoint(checkpoint_path(training.folder, 7), PRIOR)
    assert kept.data_fingerprint == ruled_dataset().fingerprint() and kept.updates == 8 * 6 * 5
    for name, array in weights(training).items():
        np.testing.assert_array_equal(kept.weights[name], array)


def test_the_line_of_an_epoch_tells_both_figures(learnt):
    row = dict(zip(PRIOR.columns, (3, 0.1, 7.125, 5.5, 8.25, 6.75)))
    expected = "bits per image training 7.12, validation 8.25; given its class training 5.50, validation 6.75"
    assert learnt[0].trained.describe(row) == expected


def test_seed_decides(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        loop(tmp_path / name, seed=seed, dropout=0.3).run()
    assert_same_training(tmp_path / "a", tmp_path / "b")
    first, other = (load_checkpoint(checkpoint_path(tmp_path / name, 2), PRIOR) for name in "ac")
    assert all((array != other.weights[name]).any() for name, array in first.weights.items())
    assert first.rows != other.rows


def test_the_seed_decides_of_dropout_too(tmp_path):
    trainings = []
    for name, dropout in (("a", 0.3), ("b", 0.3), ("c", 0.0)):
        trainings.append(loop(tmp_path / name, num_epoch=1, dropout=dropout))
        mx.random.seed(len(trainings))  # random numbers used before an epoch must not matter
        trainings[-1].run()
    found = [weights(training)["prior_logits_weight"] for training in trainings]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


@pytest.mark.parametrize("stop", ["after an epoch", "within an epoch"])
def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(tmp_path, stop):
    def decode(codes):
        return np.repeat(codes[:, None] * 50, 2, axis=2).astype(np.uint8)

    settings = {"dropout": 0.4, "num_epoch": 4, "epoch_passes": 2, "pictures": 1, "no_class": 0.4}
    loop(tmp_path / "whole", decode=decode, **settings).run()
    stopped = loop(tmp_path / "parts", decode=decode, **settings)
    if stop == "after an epoch":
        stopped.run(1)
    else:
        step, calls = stopped.trained.step, []

        def interrupted(*arguments):
            calls.append(arguments)
            if len(calls) == 14:  # an epoch has ten
                raise KeyboardInterrupt
            step(*arguments)

        stopped.trained.step = interrupted
        with pytest.raises(KeyboardInterrupt):
            stopped.run()
    resumed = loop(tmp_path / "parts", resume=True, decode=decode, **settings)
    assert resumed.epoch == 1
    resumed.run()
    assert_same_training(tmp_path / "whole", tmp_path / "parts")
    assert f"samples_0_epoch{resumed.history.best()['epoch']}.png" in files(tmp_path / "parts")


def test_the_epoch_with_the_fewest_validation_bits_given_the_class_is_selected(tmp_path):
    training = loop(tmp_path / "run", num_epoch=5)
    with_class, after = iter([5.0, 2.0, 3.0, 2.0, 4.0]), {}

    def measure(split):
        after[training.epoch] = weights(training)
        return {"bits_per_image": 9.0 - training.epoch, "bits_per_image_with_class": next(with_class)}

    training.trained.measure = measure
    training.run()
    assert training.history.best()["epoch"] == 1  # the first of equal epochs
    assert list_checkpoints(tmp_path / "run") == [1, 4]
    best, last = best_and_last(tmp_path / "run", PRIOR)
    assert (best.epoch, last.epoch) == (1, 4)
    for checkpoint in (best, last):
        for name, array in after[checkpoint.epoch].items():
            np.testing.assert_array_equal(checkpoint.weights[name], array)
    assert (best.weights["prior_logits_weight"] != last.weights["prior_logits_weight"]).any()


def test_images_without_classes(tmp_path):
    shapes = []

    def decode(codes):
        shapes.append(codes.shape)
        return np.zeros((len(codes), 3, 2, 2), np.uint8)

    dataset = ruled_dataset(with_classes=False)
    training = loop(tmp_path / "run", dataset=dataset, decode=decode, num_epoch=6, epoch_passes=4, pictures=1)
    assert training.model.size.num_classes == 0
    training.run()
    for row in training.history.rows:
        for split in ("train", "validation"):
            assert row[f"{split}_bits_per_image"] == row[f"{split}_bits_per_image_with_class"]
    last = training.history.rows[-1]
    assert np.log2(EVERY_IMAGE) <= last["validation_bits_per_image"] < 0.7 * 6 * np.log2(K)
    codes = dataset.validation.codes
    expected = bits_by_hand(training.model, codes, np.zeros(len(codes))).mean()
    assert last["validation_bits_per_image"] == pytest.approx(expected, rel=1e-5)
    assert "class" not in training.trained.describe(last)
    assert set(shapes) == {(10, *GRID)}


@pytest.mark.parametrize("no_class", [0.0, 0.3])
def test_who_is_learnt_without_a_class_is_drawn_from_the_epochs_generator(tmp_path, no_class):
    training = loop(tmp_path / "run", num_epoch=2, no_class=no_class, seed=7)
    objective, given = training.trained.objective, []

    def watched(codes, labels):
        given.append((codes.asnumpy(), labels.asnumpy()))
        return objective(codes, labels)

    def watched_in_training(codes, labels):
        return watched(codes, labels) if autograd.is_recording() else objective(codes, labels)

    training.trained.objective = watched_in_training
    training.run()
    codes, labels = ruled_dataset().train
    found, without = iter(given), 0
    for epoch in range(2):
        rng = np.random.RandomState([7, epoch])
        order = rng.permutation(150)
        for start in range(0, 150, 30):
            chosen = order[start : start + 30]
            hidden = rng.random_sample(30) < no_class
            of_batch, classes = next(found)
            np.testing.assert_array_equal(of_batch, codes[chosen])
            np.testing.assert_array_equal(classes, np.where(hidden, 3, labels[chosen]))
            without += hidden.sum()
    assert next(found, None) is None
    assert without == 0 if no_class == 0 else 60 < without < 120


def test_an_update_is_a_step_down_the_mean_over_the_images():
    recipe = SMALL.replace(optimizer="sgd", learning_rate=0.1, batch_size=150, no_class=0.0, num_epoch=1)
    trained = CodePrior(recipe, ruled_dataset())
    codes, labels = trained.dataset.train
    shares = np.exp(log_likelihoods(trained.model(mx.nd.array(codes), mx.nd.array(labels)).asnumpy()))
    gradient = (shares.sum(axis=(0, 1)) - np.bincount(codes.ravel(), minlength=K)) / np.log(2) / 150
    before = trained.model.logits.bias.data().asnumpy()
    trained.step(np.arange(150), trained.meter(), np.random.RandomState(0))
    moved = trained.model.logits.bias.data().asnumpy() - before
    np.testing.assert_allclose(moved, -0.1 * gradient, rtol=1e-3, atol=1e-6)
    assert np.abs(gradient).max() > 0.05


def test_running_metrics_are_those_of_the_updates(tmp_path):
    training = loop(tmp_path / "run", num_epoch=1, no_class=0.5, dropout=0.3)
    update, told = BitsMeter.update, []
    meter = training.trained.meter()
    meter.update = lambda bits, with_class: (told.append((bits, with_class)), update(meter, bits, with_class))
    training.trained.meter = lambda: meter
    training.trained.measure = lambda split: dict.fromkeys(PRIOR.metrics, 1.0)
    training.run()
    bits, with_class = (np.concatenate(arrays) for arrays in zip(*told))
    assert len(bits) == 150
    row = training.history.rows[0]
    assert row["train_bits_per_image"] == pytest.approx(bits[~with_class].mean(dtype=float))
    assert row["train_bits_per_image_with_class"] == pytest.approx(bits[with_class].mean(dtype=float))


def test_pictures_need_a_decoder(tmp_path):
    def decode(codes):
        return np.zeros((len(codes), 1, 2, 2), np.uint8)

    without = loop(tmp_path / "without", num_epoch=1, pictures=2)
    without.run()
    assert without.trained.pictures(4) == []
    with_pictures = loop(tmp_path / "with", num_epoch=1, pictures=2, decode=decode)
    with_pictures.run()
    assert with_pictures.trained.pictures(4) == ["samples_0_epoch4.png", "samples_1_epoch4.png"]
    drawn = {"samples_0_epoch0.png", "samples_1_epoch0.png"}
    assert files(tmp_path / "with").keys() - files(tmp_path / "without").keys() == drawn
    for name in drawn:
        assert (tmp_path / "with" / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("count, rows", [(1, 1), (12, 10)])
def test_a_picture_has_a_row_for_each_of_the_first_classes(tmp_path, count, rows):
    given = []

    def decode(codes):
        given.append(codes)
        return np.zeros((len(codes), 1, 2, 2), np.uint8)

    codes = ruled(np.zeros(30, int)).codes
    split = CodesSplit(codes, np.arange(30) % count)
    dataset = CodesDataset(split, split, K, tuple(map(str, range(count))), "a codebook")
    trained = CodePrior(SMALL.replace(pictures=1), dataset, decode=decode)
    (tmp_path / "pictures").mkdir()
    trained.draw(tmp_path / "pictures", 3)
    assert [codes.shape for codes in given] == [(10 * rows, *GRID)]
    assert list(files(tmp_path / "pictures")) == ["samples_0_epoch3.png"]


def test_weights_that_are_no_numbers_are_one_clear_error(tmp_path):
    poisoned = loop(tmp_path / "run")
    poisoned.model.logits.bias.set_data(mx.nd.array([np.nan] * K))
    with pytest.raises(VQVAEError) as caught:
        poisoned.run()
    assert str(caught.value) == (
        "the loss is not finite in epoch 0, in batch 0; there is no checkpoint yet; try a lower learning rate"
    )
    assert not (tmp_path / "run").exists()
    training = loop(tmp_path / "run")
    training.run(1)
    before = files(tmp_path / "run")
    training.model.place.weight.set_data(training.model.place.weight.data() * np.inf)
    with pytest.raises(VQVAEError, match="^the loss is not finite in epoch 1, in batch 0; the last good .*0000.npz; "):
        training.run()
    with pytest.raises(VQVAEError, match="^the loss is not finite in epoch 1, in validation; "):
        training.measure("validation")
    assert files(tmp_path / "run") == before


def test_a_learning_rate_that_leads_nowhere_is_one_clear_error(tmp_path):
    with pytest.raises(VQVAEError, match="^the loss is not finite in epoch 0, in [^\n]*; try a lower learning rate$"):
        loop(tmp_path / "run", learning_rate=1e30).run()


def test_other_codes_or_settings_are_not_resumed(tmp_path):
    loop(tmp_path / "run").run(1)
    changed = ruled_dataset()
    changed.validation.codes[0, 0, 0] = 4
    with pytest.raises(VQVAEError, match="run: was trained on other data"):
        loop(tmp_path / "run", resume=True, dataset=changed)
    with pytest.raises(VQVAEError, match=r"was trained with other settings \(heads: 2, 4: there, now\)"):
        loop(tmp_path / "run", resume=True, heads=4)


def test_two_devices_give_one_devices_numbers(tmp_path):
    # Not Adam, which turns rounding into steps if a gradient is zero: that of the keys' bias, which softmax ignores.
    recipe, runs = SMALL.replace(num_epoch=1, optimizer="sgd"), []
    for name, ctx in (("one", [mx.cpu(0)]), ("two", [mx.cpu(0), mx.cpu(1)])):
        training = Loop(CodePrior(recipe, ruled_dataset(), ctx), tmp_path / name)
        training.run()
        runs.append(training)
    for one, two in zip(*(training.model.collect_params().values() for training in runs)):
        first, second = (copy.asnumpy() for copy in two.list_data())
        np.testing.assert_array_equal(first, second)
        np.testing.assert_allclose(one.data(mx.cpu(0)).asnumpy(), first, rtol=1e-4, atol=1e-5, err_msg=one.name)


def test_more_devices_than_images_in_a_batch_are_refused():
    recipe = SMALL.replace(batch_size=149)
    with pytest.raises(VQVAEError, match="batches of 149 from 150 images is smaller than the 2 devices"):
        CodePrior(recipe, ruled_dataset(), [mx.cpu(0), mx.cpu(1)])


def test_bits_meter_by_hand():
    meter = BitsMeter()
    meter.update(np.array([1.0, 2.0, 6.0], np.float32), np.array([True, False, True]))
    assert meter.summary() == {"bits_per_image": 2.0, "bits_per_image_with_class": 3.5}
    meter.update(np.array([11.0, 4.0], np.float32), np.array([True, False]))
    assert meter.summary() == {"bits_per_image": 3.0, "bits_per_image_with_class": 6.0}
    assert meter.progress() == {"bits": "3.0", "with class": "6.0"}


@pytest.mark.parametrize("with_class", [True, False])
def test_a_kind_of_images_that_there_was_not_has_the_mean_of_the_other(with_class):
    meter = BitsMeter()
    meter.update(np.array([1.0, 2.0]), np.array([with_class] * 2))
    meter.update(np.array([6.0]), np.array([with_class]))
    assert meter.summary() == {"bits_per_image": 3.0, "bits_per_image_with_class": 3.0}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bits_that_are_not_finite_are_no_bits(value):
    with pytest.raises(FloatingPointError):
        BitsMeter().update(np.array([1.0, value]), np.array([True, False]))


@pytest.fixture
def objective():
    """The loss of a prior with random weights."""
    prior = Prior(K, GRID, len(CLASSES), width=8, layers=2, heads=2)
    prior.initialize()
    rng = np.random.RandomState(0)
    for _, parameter in sorted(prior.collect_params().items()):
        parameter.set_data(mx.nd.array(0.5 * rng.randn(*parameter.shape)))
    return PriorObjective(prior)


@pytest.mark.parametrize("hybrid", [False, True])
def test_the_objective_is_minus_log2_of_the_likelihood(objective, hybrid):
    objective.hybridize(hybrid)
    codes, labels = np.random.RandomState(1).randint(K, size=(4, *GRID)), np.arange(4)
    bits = objective(mx.nd.array(codes), mx.nd.array(labels)).asnumpy()
    assert bits.shape == (4,)
    np.testing.assert_allclose(bits, bits_by_hand(objective.prior, codes, labels), rtol=1e-5)


def test_a_prior_that_knows_nothing_needs_all_bits(objective):
    for parameter in objective.collect_params().values():
        parameter.set_data(mx.nd.zeros(parameter.shape))
    codes, labels = ruled(np.arange(15))
    bits = objective(mx.nd.array(codes), mx.nd.array(labels)).asnumpy()
    np.testing.assert_allclose(bits, np.full(15, 6 * np.log2(K)), rtol=1e-5)


def test_gradients_are_those_by_hand_and_by_finite_differences(objective):
    codes, labels = np.random.RandomState(1).randint(K, size=(4, *GRID)), np.arange(4)
    arrays = mx.nd.array(codes), mx.nd.array(labels)

    def total():
        return objective(*arrays).asnumpy().sum(dtype=np.float64)

    with autograd.record():
        bits = objective(*arrays)
    bits.backward()
    shares = np.exp(log_likelihoods(objective.prior(*arrays).asnumpy()))
    expected = (shares.sum(axis=(0, 1)) - np.bincount(codes.ravel(), minlength=K)) / np.log(2)
    found = objective.prior.logits.bias.grad().asnumpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    checked = 0
    for name, parameter in objective.collect_params().items():
        gradient, weight = parameter.grad().asnumpy(), parameter.data().asnumpy()
        place = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        assert np.abs(gradient[place]) > 1, name
        totals = []
        for change in (-1e-3, 1e-3):
            changed = weight.copy()
            changed[place] += change
            parameter.set_data(mx.nd.array(changed))
            totals.append(total())
        parameter.set_data(mx.nd.array(weight))
        assert (totals[1] - totals[0]) / 2e-3 == pytest.approx(gradient[place], rel=5e-3, abs=5e-3), name
        checked += 1
    assert checked == 3 + 2 * 8 + 2


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"widht": 8}, "unknown setting 'widht'; did you mean 'width'?"),
        ({"batch_size": 2.5}, "batch_size was given as 2.5: it must be of type int"),
        ({"seed": True}, "seed was given as True: it must be of type int"),
        ({"classes": "some"}, "classes 'some' is unknown: choose one of auto, none, folders"),
        ({"optimizer": "adm"}, "optimizer 'adm' is unknown: choose one of adam, sgd"),
        ({"learning_rate_schedule": "one"}, "learning_rate_schedule 'one' is unknown: choose one of constant, cosine"),
        ({"training_metrics": "all"}, "training_metrics 'all' is unknown: choose one of running, prediction"),
        *[
            ({name: 0}, f"{name} was given as 0: it must be at least 1")
            for name in ("width", "layers", "heads", "batch_size", "num_epoch", "epoch_passes", "checkpoint_period")
        ],
        ({"pictures": -1}, "pictures was given as -1: it must be 0 or more"),
        ({"seed": -1}, "seed was given as -1: it must be 0 or more"),
        ({"seed": 2**31}, "seed was given as 2147483648: it must be at most 2147483647"),
        ({"width": 8196}, "width was given as 8196: it must be at most 8192"),
        ({"layers": 257}, "layers was given as 257: it must be at most 256"),
        ({"heads": 2**20}, "heads was given as 1048576: it must be at most 8192"),
        ({"width": 10}, "width was given as 10: it must be a multiple of the 4 heads"),
        ({"dropout": 1.0}, "dropout was given as 1.0: it must be in [0, 1)"),
        ({"dropout": -0.5}, "dropout was given as -0.5: it must be in [0, 1)"),
        ({"no_class": 1}, "no_class was given as 1: it must be in [0, 1)"),
        ({"no_class": float("nan")}, "no_class was given as nan: it must be in [0, 1)"),
        ({"learning_rate": -1e-3}, "learning_rate was given as -0.001: it must be 0 or more"),
        ({"learning_rate": float("inf")}, "learning_rate was given as inf: it must be 0 or more"),
        ({"learning_rate": float("nan")}, "learning_rate was given as nan: it must be 0 or more"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings, message):
    with pytest.raises(VQVAEError) as caught:
        PriorRecipe().replace(**settings)
    assert str(caught.value) == message


def test_recipes_of_a_prior_are_kept_as_json():
    recipe = PriorRecipe(width=64, dropout=0.25, classes="none")
    assert PriorRecipe.from_json(recipe.to_json()) == recipe
    assert [get_prior_recipe(name) for name in PRIOR_RECIPES][0] == PriorRecipe()
    assert get_prior_recipe("prior-quick").num_epoch < get_prior_recipe("prior").num_epoch
    with pytest.raises(VQVAEError, match="unknown recipe 'best': choose one of prior, prior-quick"):
        get_prior_recipe("best")


def test_half_of_an_update_is_of_moved_images_whose_classes_say_how():
    """Codes name their shift: all codes of an image shifted in way w are w, those of an unshifted image are 0."""
    count, ways = 400, 3
    still = CodesSplit(np.zeros((count, *GRID), int), np.arange(count) % 2)
    moved = tuple(np.full((count, *GRID), way, np.uint16) for way in range(1, ways + 1))
    dataset = CodesDataset(still, still, K, ("a", "b"), "a codebook", moved)
    trained = CodePrior(SMALL.replace(shift=1, no_class=0.25), dataset)
    assert trained.model.label.weight.shape[0] == (1 + ways) * 3
    objective, seen = trained.objective, []

    def looked_at(codes, labels):
        seen.append((codes.asnumpy(), labels.asnumpy()))
        return objective(codes, labels)

    trained.objective = looked_at
    trained.step(np.arange(count), trained.meter(), np.random.RandomState(0))
    codes, labels = seen[0]
    way, kind = labels // 3, labels % 3
    np.testing.assert_array_equal(codes, np.broadcast_to(way[:, None, None], codes.shape))
    own = np.arange(count) % 2
    assert ((kind == own) | (kind == 2)).all()
    assert 0.4 < (way > 0).mean() < 0.6 and 0.2 < (kind == 2).mean() < 0.3
    assert set(way) == {0, 1, 2, 3}
