"""Sampling of codes: checked by hand, by counting and against stored codes; independent of the number of images.

``first_prior/`` is a prior for the model of ``first_export/``, as it was first exported, with weights from a formula;
``codes.txt`` holds the codes that it sampled. No random number is so near the border between two codes that another
processor's rounding matters. ``cpp/test/sampler_test.cpp`` reads the same files.
"""
import os
import shutil
from fractions import Fraction
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from conftest import CLASSES, run_cpp, run_python
from vqvae_gluon import Predictor, VQVAEError
from vqvae_gluon.data.codes import CodesDataset
from vqvae_gluon.deploy.codes_file import format_codes
from vqvae_gluon.deploy.sampler import Sampler
from vqvae_gluon.export.prior import _write_graphs
from vqvae_gluon.model_files.component import codebook_digest
from vqvae_gluon.model_files.folder import PARAMETERS, STEP, SYMBOL
from vqvae_gluon.nn.prior import Prior
from vqvae_gluon.nn.prior_step import PriorStep
from vqvae_gluon.sampling import FEW, MANY, agree, choose, sample_codes

FIRST_EXPORT, FIRST_PRIOR = (Path(__file__).resolve().parent / name for name in ("first_export", "first_prior"))
JUST_BELOW_1 = np.nextafter(1.0, 0.0)


def formula_prior(num_embeddings=8, codes_shape=(2, 2), classes=("a, b", "é%")):
    """Return a prior whose weights come from a formula."""
    prior = Prior(num_embeddings, codes_shape, len(classes), width=8, layers=2, heads=2)
    prior.initialize()
    for number, parameter in enumerate(prior.collect_params().values()):
        index = np.arange(np.prod(parameter.shape))
        values = (3 * index**2 + 37 * index + 101 * number) % 251 / 125 - 1
        parameter.set_data(mx.nd.array(values.reshape(parameter.shape)))
    return prior


def export(folder, prior, classes=("a, b", "é%"), codebook=None):
    """Put a prior beside the model of first_export; return the model's folder."""
    shutil.copytree(FIRST_EXPORT, folder)
    (folder / "vqvae.Prior").mkdir()
    codebook = Predictor(folder).codebook if codebook is None else codebook
    dataset = CodesDataset(None, None, prior.size.num_embeddings, classes, codebook_digest(codebook))
    _write_graphs(prior, folder / "vqvae.Prior", dataset)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return export(tmp_path_factory.mktemp("sampler") / "model", formula_prior())


@pytest.fixture(scope="module")
def sampler(model):
    return Sampler(model)


@pytest.fixture(scope="module")
def trained(prior_run):
    return Sampler(prior_run)


def plainly(probabilities, random, temperature, top_k):
    """Choose a code as :func:`choose` must, with exact arithmetic."""
    shares = [Fraction(float(share)) for share in probabilities]
    ranked = sorted(range(len(shares)), key=lambda code: (-shares[code], code))
    if temperature == 0:
        return ranked[0]
    allowed = sorted(ranked[: top_k or len(ranked)])
    left = Fraction(random) * sum(shares[code] for code in allowed)
    for code in allowed:
        if left < shares[code]:
            return code
        left -= shares[code]
    raise AssertionError("random numbers are below 1")


@pytest.mark.parametrize("temperature", [0, 1])
@pytest.mark.parametrize("top_k", [0, 1, 2, 3, 6])
def test_choose_is_the_plain_rule(temperature, top_k):
    rng = np.random.RandomState(top_k)
    # With so few sixteenths, many are equal, and many sums equal a random number exactly.
    probabilities = rng.randint(0, 5, (400, 6)).astype(np.float32) / 16
    probabilities[:, 3] += np.float32(1 / 16)  # not all are zero
    random = rng.randint(0, 16, 400) / 16
    random[:50], random[50:100] = 0, JUST_BELOW_1
    chosen = choose(probabilities, random, temperature, top_k)
    expected = [plainly(*row, temperature, top_k) for row in zip(probabilities, random)]
    assert chosen.tolist() == expected
    assert len(set(expected)) > 3


@pytest.mark.parametrize(
    "probabilities, random, temperature, top_k, code",
    [
        ([0.25, 0.25, 0.5], 0.0, 1, 0, 0),
        ([0.25, 0.25, 0.5], 0.25, 1, 0, 1),  # the upper end of a code belongs to the next one
        ([0.25, 0.25, 0.5], 0.5, 1, 0, 2),
        ([0.0, 0.25, 0.75], 0.0, 1, 0, 1),  # an impossible code is never sampled,
        ([0.5, 0.5, 0.0], JUST_BELOW_1, 1, 0, 1),  # neither first nor last
        ([0.25, 0.25, 0.5], JUST_BELOW_1, 1, 2, 2),  # of equal codes, top-k keeps the first
        ([0.25, 0.25, 0.5], 0.0, 1, 2, 0),
        ([0.25, 0.5, 0.25], JUST_BELOW_1, 1, 2, 1),
        ([0.5, 0.25, 0.25], 0.7, 1, 2, 1),
        ([0.25, 0.25, 0.5], 0.0, 1, 1, 2),
        ([0.4, 0.2, 0.4], 0.9, 0, 0, 0),  # of equally likely codes, the first is taken
        ([0.2, 0.4, 0.4], 0.0, 0, 3, 1),
    ],
)
def test_choose_by_hand(probabilities, random, temperature, top_k, code):
    assert choose(np.array([probabilities], np.float32), np.array([random]), temperature, top_k).tolist() == [code]


def test_a_random_number_just_below_1_chooses_a_code_that_there_is():
    shares = np.random.RandomState(0).dirichlet(np.full(64, 0.1), 2000).astype(np.float32)
    for top_k in (0, 5, 64):
        chosen = choose(shares, np.full(len(shares), JUST_BELOW_1), 1, top_k)
        assert (shares[np.arange(len(shares)), chosen] > 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("temperature", [0, 1])
def test_probabilities_that_are_no_numbers_are_refused(value, temperature):
    probabilities = np.full((2, 4), 0.25, np.float32)
    probabilities[1, 2] = value
    with pytest.raises(VQVAEError, match="probabilities that are no numbers"):
        choose(probabilities, np.zeros(2), temperature, 0)


STORED = ({"label": None, "seed": 3}, {"label": "é%", "seed": 4294967295, "temperature": 0.5, "top_k": 3})


def draw_stored(sampler):
    """Return the text that ``codes.txt`` should hold, sampled anew."""
    return "".join(format_codes(image) for settings in STORED for image in sampler.sample(20, **settings))


def test_stored_codes(sampler, tmp_path):
    expected = (FIRST_PRIOR / "codes.txt").read_text()
    assert draw_stored(sampler) == expected
    stored = shutil.copytree(FIRST_EXPORT, tmp_path / "model")
    (stored / "vqvae.Prior").mkdir()
    for name in (SYMBOL, STEP, PARAMETERS):
        shutil.copy(FIRST_PRIOR / name, stored / "vqvae.Prior")
    assert draw_stored(Sampler(stored)) == expected


@pytest.fixture(scope="module")
def two_places():
    """The step of a prior with two places and four codes, and the whole network's logits for all 16 images."""
    prior = formula_prior(4, (1, 2))
    images = np.array([[[first, second]] for first in range(4) for second in range(4)])
    logits = prior(mx.nd.array(images), mx.nd.ones(16)).asnumpy().astype(np.float64)
    step = PriorStep(prior)
    step.hybridize(static_alloc=True, static_shape=True)

    def run(inputs):
        return [head.asnumpy() for head in step(*map(mx.nd.array, inputs))]

    return run, prior.size, logits


def likelihoods(logits, temperature, top_k):
    """Return the probability of each of the 16 images of :func:`two_places`."""
    shares = np.exp(logits / temperature)
    if top_k:
        shares[shares < np.sort(shares, axis=2)[:, :, -top_k, None]] = 0
    shares /= shares.sum(axis=2, keepdims=True)
    numbers = np.arange(16)
    return shares[numbers, 0, numbers // 4] * shares[numbers, 1, numbers % 4]


def chi_square(codes, expected):
    """Return the chi-square of sampled images against their probabilities; impossible images must not occur."""
    counts = np.bincount(codes[:, 0, 0] * 4 + codes[:, 0, 1], minlength=16)
    possible = expected > 0
    assert not counts[~possible].any()
    mean = expected[possible] * len(codes)
    return float(((counts[possible] - mean) ** 2 / mean).sum())


@pytest.mark.parametrize("temperature, top_k", [(1, 0), (0.8, 0), (3, 0), (1, 2), (2, 3)])
def test_frequencies_are_the_probabilities(two_places, temperature, top_k):
    run, size, logits = two_places
    random = np.random.RandomState(0).random_sample((3000, 2))
    codes = sample_codes(run, size, np.ones(3000, int), random, temperature, top_k)
    expected = likelihoods(logits, temperature, top_k)
    assert expected.sum() == pytest.approx(1) and (expected * 3000)[expected > 0].min() > 3
    assert chi_square(codes, expected) < 37.7  # exceeded once in 1000 times with 15 degrees of freedom
    for other in [(1, 0), (0.8, 0), (3, 0)]:
        if not top_k and other != (temperature, top_k):
            assert chi_square(codes, likelihoods(logits, *other)) > 100


def test_temperature_0_is_the_likeliest_code_of_each_place(two_places):
    run, size, logits = two_places
    random = np.random.RandomState(0).random_sample((20, 2))
    first = logits[0, 0].argmax()
    expected = [[first, logits[4 * first, 1].argmax()]]
    assert (sample_codes(run, size, np.ones(20, int), random, temperature=0) == expected).all()


def test_step_by_step_is_the_whole_graph(trained):
    seen, random = [], np.random.RandomState(1).random_sample((300, 16))
    labels = np.arange(300) % (len(CLASSES) + 1)

    def run(inputs):
        heads = trained.step(inputs)
        seen.append(heads[0])
        return heads

    codes = sample_codes(run, trained.size, labels, random)
    steps = np.stack(seen).reshape(300 // MANY, 16, MANY, 8).transpose(0, 2, 1, 3).reshape(300, 16, 8)
    network = trained._folder.load(trained._folder.prior, inputs=lambda _: {"data": (0, None, None), "label": (0,)})
    logits = network.network(mx.cpu())(mx.nd.array(codes), mx.nd.array(labels))
    whole = mx.nd.softmax(logits, axis=-1).asnumpy()
    np.testing.assert_allclose(steps, whole, rtol=1e-4, atol=1e-7)
    assert np.abs(whole[1:] - whole[:-1]).max() > 0.01  # the images differ
    bits = trained.bits(codes[labels == 1], CLASSES[1])
    chosen = np.take_along_axis(steps[labels == 1], codes[labels == 1].reshape(-1, 16, 1), axis=2)
    np.testing.assert_allclose(bits, -np.log2(chosen.astype(np.float64)).sum(axis=(1, 2)), rtol=1e-5)


@pytest.mark.parametrize("of", ["sampler", "trained"])
def test_images_do_not_depend_on_their_company(of, request):
    sampler = request.getfixturevalue(of)
    most = sampler.sample(40, seed=5)
    for count in (1, 2, 3, 14, 15, 16, 17, 30, 31):
        np.testing.assert_array_equal(sampler.sample(count, seed=5), most[:count])
    assert len(np.unique(most.reshape(40, -1), axis=0)) > 20
    assert (sampler.sample(40, seed=6) != most).any()


def test_a_step_that_rounds_few_rows_differently_is_seen(sampler):
    def uneven(inputs):
        probabilities, *rest = sampler.step(inputs)
        return [np.nextafter(probabilities, 1) if len(probabilities) == FEW else probabilities, *rest]

    assert agree(sampler.step, sampler.size)
    assert not agree(uneven, sampler.size)


def test_each_image_may_have_its_class(trained):
    names = [CLASSES[number % 3] for number in range(20)]
    codes = trained.sample(20, label=names, seed=1)
    for name in CLASSES:
        alone = trained.sample(20, label=name, seed=1)
        chosen = [number for number in range(20) if names[number] == name]
        np.testing.assert_array_equal(codes[chosen], alone[chosen])
    assert (trained.sample(20, CLASSES[0]) != trained.sample(20, CLASSES[1])).any()
    assert (trained.sample(20, CLASSES[0]) != trained.sample(20)).any()


def test_completion_keeps_the_rows_and_draws_the_rest_as_before(trained):
    drawn = trained.sample(20, seed=2)
    for rows in (1, 3, 4):
        # Random numbers belong to places: given its own first codes, a sampler samples the same again.
        np.testing.assert_array_equal(trained.sample(20, seed=2, given=drawn[0, :rows])[0], drawn[0])
    given = np.full((2, 4), 3)
    finished = trained.sample(20, seed=2, given=given)
    assert (finished[:, :2] == given).all()
    assert len(np.unique(finished[:, 2:].reshape(20, -1), axis=0)) > 10


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"count": 0}, "count was given as 0"),
        ({"count": True}, "count was given as True"),
        ({"count": 1.0}, "count was given as 1.0"),
        ({"count": 1_000_001}, "it must be from 1 to 1000000"),
        ({"seed": -1}, "seed was given as -1"),
        ({"seed": 2**32}, "it must be from 0 to 4294967295"),
        ({"temperature": -1}, "temperature was given as -1"),
        ({"temperature": float("nan")}, "temperature was given as nan"),
        ({"temperature": float("inf")}, "temperature was given as inf"),
        ({"temperature": 9e-4}, "or from 0.001 to 1000"),
        ({"top_k": -1}, "top-k was given as -1"),
        ({"top_k": None}, "top-k was given as None"),
        ({"temperature": None}, "temperature was given as None"),
        ({"top_k": 9}, "it must be from 1 to 8, or 0 for all codes"),
        ({"label": "one"}, "class one was given: the prior was trained on 50%, größer, one, two"),
        ({"label": 3}, "class 3 was given"),
        ({"label": ["50%"]}, "1 classes were given for 2 images"),
        ({"given": np.zeros((0, 4), int)}, "from 1 to 4 rows of 4"),
        ({"given": np.zeros((5, 4), int)}, "from 1 to 4 rows of 4"),
        ({"given": np.zeros((1, 3), int)}, "from 1 to 4 rows of 4"),
        ({"given": np.zeros(4, int)}, "from 1 to 4 rows of 4"),
        ({"given": np.full((1, 4), 8)}, "codes were given from 8 to 8: the model has 0 to 7"),
        ({"given": np.zeros((1, 4))}, "give integers"),
    ],
)
def test_settings_out_of_range_are_refused(trained, settings, words):
    with pytest.raises(VQVAEError, match="^[^\n]*$") as caught:
        trained.sample(**{"count": 2, **settings})
    assert words in str(caught.value)


def test_class_names_survive(trained, sampler):
    assert trained.classes == CLASSES
    assert sampler.classes == ("a, b", "é%")


def test_a_prior_of_another_codebook_is_refused(tmp_path):
    model = export(tmp_path / "model", formula_prior(), codebook=np.zeros((8, 4), np.float32))
    with pytest.raises(VQVAEError, match="vqvae.Prior: was trained on another model's codes; train one for this model"):
        Sampler(model)


@pytest.mark.parametrize("run", [run_python, run_cpp], ids=["python", "cpp"])
def test_threads_change_no_code(run, prior_run):
    words = ["generate", "--codes", "--count", "17", "--class", CLASSES[1], "--model", prior_run]
    # Threads that wait by spinning take long if other programs keep the cores busy.
    waiting = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    results = [run(*words, env={**waiting, "OMP_NUM_THREADS": str(threads)}) for threads in (1, 2)]
    assert [result.returncode for result in results] == [0, 0]
    assert results[0].stdout == results[1].stdout and results[0].stdout.count(b"\n") == 68
