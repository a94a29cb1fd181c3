"""The prior against a transformer in plain NumPy that works on one vector at a time, without a mask or a folded scale.

Attention follows Vaswani et al. (2017), with keys and values shared by all heads as in Shazeer (2019); normalization
follows Zhang and Sennrich (2019), without a gain and with the epsilon of MXNet's L2Normalization under the root.
"""
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from vqvae_gluon import VQVAEError
from vqvae_gluon.nn.prior import Normalization, Prior
from vqvae_gluon.nn.prior_step import PriorNetwork, PriorStep, fold_scales, masked

K = 6
GRIDS = [(7, 7), (1, 1), (1, 5), (5, 1), (3, 4)]
HYBRID = pytest.mark.parametrize("hybrid", [False, True], ids=["imperative", "hybridized"])


def make_prior(codes_shape=(3, 4), num_classes=3, seed=0, **settings):
    """Return a prior with weights so large that attention is far from uniform."""
    prior = Prior(K, codes_shape, num_classes, **{"width": 12, "layers": 2, "heads": 3, **settings})
    prior.initialize()
    rng = np.random.RandomState(seed)
    for name, parameter in sorted(prior.collect_params().items()):
        scale = 0.3 if name.endswith("bias") else 2.0 / np.sqrt(parameter.shape[1])
        parameter.set_data(mx.nd.array(scale * rng.randn(*parameter.shape)))
    return prior


def make_codes(prior, count=3, seed=1):
    rng = np.random.RandomState(seed)
    return rng.randint(K, size=(count, *prior.size.codes_shape)), rng.randint(prior.size.num_classes + 1, size=count)


def logits_of(prior, codes, labels):
    return prior(mx.nd.array(codes), mx.nd.array(labels)).asnumpy()


def weights_of(prior):
    """Return the weights in float64, by their names without the prior's prefix."""
    return {
        name[len("prior_") :]: parameter.data().asnumpy().astype(np.float64)
        for name, parameter in prior.collect_params().items()
    }


def normalized(vector):
    return vector / np.sqrt((np.square(vector).sum() + 1e-10) / len(vector))


def softmax(numbers):
    shares = np.exp(numbers - numbers.max())
    return shares / shares.sum()


def by_hand(weights, layers, heads, codes, label):
    """Return the logits (P, K) of one image, and the keys and values (P, head width) of each layer."""

    def dense(name, vector):
        return weights[f"{name}_weight"] @ vector + weights[f"{name}_bias"]

    width = weights["place_weight"].shape[1]
    head_width = width // heads
    before = [K, *codes.ravel()[:-1]]  # the first place has no previous code
    all_logits, past = [], [([], []) for _ in range(layers)]
    for place, code in enumerate(before):
        x = weights["before_weight"][code] + weights["place_weight"][place] + weights["label_weight"][label]
        for number, (keys, values) in enumerate(past):
            projected = dense(f"layer{number}_projection", normalized(x))
            keys.append(projected[width : width + head_width])
            values.append(projected[width + head_width :])
            attended = []
            for query in projected[:width].reshape(heads, head_width):
                shares = softmax(np.array([query @ key for key in keys]) / np.sqrt(head_width))
                attended.append(sum(share * value for share, value in zip(shares, values)))
            x = x + dense(f"layer{number}_attention", np.concatenate(attended))
            hidden = np.maximum(dense(f"layer{number}_hidden", normalized(x)), 0)
            assert len(hidden) == 4 * width
            x = x + dense(f"layer{number}_output", hidden)
        all_logits.append(dense("logits", normalized(x)))
    return np.array(all_logits), [(np.array(keys), np.array(values)) for keys, values in past]


def all_by_hand(prior, codes, labels, weights=None):
    weights, size = weights or weights_of(prior), prior.size
    return [by_hand(weights, size.layers, size.heads, *image) for image in zip(codes, labels)]


@HYBRID
@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize("codes_shape", GRIDS)
def test_logits_are_those_by_hand(codes_shape, num_classes, hybrid):
    prior = make_prior(codes_shape, num_classes)
    prior.hybridize(hybrid)
    codes, labels = make_codes(prior)
    expected = np.stack([logits for logits, _ in all_by_hand(prior, codes, labels)])
    logits = logits_of(prior, codes, labels)
    assert logits.shape == (3, codes_shape[0] * codes_shape[1], K) and logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.5


@pytest.mark.parametrize("settings", [{"heads": 1}, {"heads": 12}, {"layers": 1}, {"width": 1, "heads": 1}])
def test_logits_are_those_by_hand_for_other_sizes(settings):
    prior = make_prior(**settings)
    codes, labels = make_codes(prior)
    expected = np.stack([logits for logits, _ in all_by_hand(prior, codes, labels)])
    np.testing.assert_allclose(logits_of(prior, codes, labels), expected, rtol=1e-4, atol=1e-4)


def test_normalization_has_the_epsilon_under_its_root():
    vectors = np.array([[3.0, 4.0], [3e-5, 4e-5], [3e-6, -4e-6], [0, 0]])
    block = Normalization(2)
    found = block(mx.nd.array(vectors)).asnumpy()
    np.testing.assert_allclose(found, [normalized(vector) for vector in vectors], rtol=1e-5)
    # By hand: (3, 4) has a length of 5, and sqrt(25e-12 + 1e-10) = 1.118e-5.
    np.testing.assert_allclose(found[0], np.sqrt(2) * np.array([0.6, 0.8]), rtol=1e-6)
    np.testing.assert_allclose(found[2], np.sqrt(2) * np.array([3, -4]) / 11.1803399, rtol=1e-5)
    assert not found[3].any()


def test_a_prior_without_any_vectors_gives_numbers():
    prior = make_prior()
    for block in (prior.before, prior.place, prior.label):
        block.weight.set_data(mx.nd.zeros(block.weight.shape))
    codes, labels = make_codes(prior)
    expected = np.stack([logits for logits, _ in all_by_hand(prior, codes, labels)])
    np.testing.assert_allclose(logits_of(prior, codes, labels), expected, rtol=1e-4, atol=1e-4)


@HYBRID
@pytest.mark.parametrize("codes_shape", [(1, 5), (3, 4)])
def test_a_code_moves_later_logits_only(codes_shape, hybrid):
    prior = make_prior(codes_shape)
    prior.hybridize(hybrid)
    codes, labels = make_codes(prior, count=2)
    before, places = logits_of(prior, codes, labels), codes[0].size
    for place in range(places):
        changed = codes.copy()
        changed.reshape(2, -1)[0, place] = (changed.reshape(2, -1)[0, place] + 1) % K
        after = logits_of(prior, changed, labels)
        np.testing.assert_array_equal(after[0, : place + 1], before[0, : place + 1])
        np.testing.assert_array_equal(after[1], before[1])  # other images do not change either
        if place + 1 < places:
            assert (np.abs(after - before)[0, place + 1 :].max(axis=1) > 1e-4).all()


def test_the_class_moves_every_logit():
    prior = make_prior()
    codes = np.repeat(make_codes(prior, count=1)[0], 4, axis=0)
    logits = logits_of(prior, codes, np.arange(4))
    for one in range(4):
        for other in range(one):
            assert (np.abs(logits[one] - logits[other]).max(axis=1) > 1e-4).all()


@HYBRID
@pytest.mark.parametrize("num_classes", [0, 3])
@pytest.mark.parametrize("codes_shape", GRIDS)
def test_step_by_step_is_by_hand_and_the_whole_graph(codes_shape, num_classes, hybrid):
    prior = make_prior(codes_shape, num_classes)
    codes, labels = make_codes(prior)
    size, count = prior.size, len(codes)
    by_place, temperatures = codes.reshape(count, -1), np.array([0.5, 1.0, 3.0])
    expected, whole = all_by_hand(prior, codes, labels), logits_of(prior, codes, labels)
    step = PriorStep(prior)
    step.hybridize(hybrid)
    # The content of places that are not filled yet must not matter.
    past = [np.full((count, size.places, size.head_width), 5.0) for _ in range(2 * size.layers)]
    for place in range(size.places):
        before = by_place[:, place - 1] if place else np.full(count, K)
        mask = np.zeros((count, size.heads, size.places + 1))
        mask[:, :, place:-1] = -1e9
        np.testing.assert_array_equal(masked(size, count, place), mask)
        inputs = [before, np.full(count, place), labels, temperatures[:, None], mask, *past]
        probabilities, *news = (head.asnumpy() for head in step(*map(mx.nd.array, inputs)))
        for image, (logits, kept) in enumerate(expected):
            share = softmax(logits[place] / temperatures[image])
            np.testing.assert_allclose(probabilities[image], share, rtol=1e-3, atol=1e-6)
            share = softmax(whole[image, place] / temperatures[image])
            np.testing.assert_allclose(probabilities[image], share, rtol=1e-4, atol=1e-7)
            vectors = [of_layer[place] for both in kept for of_layer in both]
            for new, vector in zip(news, vectors):
                np.testing.assert_allclose(new[image, 0], vector, rtol=1e-4, atol=1e-4)
        for kept, new in zip(past, news):
            assert new.shape == (count, 1, size.head_width)
            kept[:, place] = new[:, 0]


def test_a_step_does_not_see_what_is_masked():
    prior = make_prior()
    size, rng = prior.size, np.random.RandomState(3)
    step = PriorStep(prior)

    def run(rest):
        past = [np.concatenate([filled, rest * np.ones((2, 7, 4))], axis=1) for filled in known]
        inputs = [np.full(2, 3), np.full(2, 5), np.zeros(2), np.ones((2, 1)), masked(size, 2, 5), *past]
        return [head.asnumpy() for head in step(*map(mx.nd.array, inputs))]

    known = [rng.randn(2, 5, 4) for _ in range(4)]
    first, second = run(0.0), run(-1e3)
    for one, other in zip(first, second):
        np.testing.assert_array_equal(one, other)
    known[1][:, 4] += 1  # a value of a filled place does matter
    assert np.abs(run(0.0)[0] - first[0]).max() > 1e-4


@pytest.mark.parametrize("codes_shape", [(1, 1), (3, 4)])
def test_weights_that_took_up_the_scales_give_the_same_prior(codes_shape):
    prior = make_prior(codes_shape, dropout=0.5)
    codes, labels = make_codes(prior)
    expected = np.stack([logits for logits, _ in all_by_hand(prior, codes, labels)])
    before = weights_of(prior)
    fold_scales(prior)
    np.testing.assert_allclose(logits_of(prior, codes, labels), expected, rtol=1e-4, atol=1e-4)
    whole = PriorNetwork(prior)
    whole.hybridize()
    with autograd.train_mode():  # dropout is disabled
        found = whole(mx.nd.array(codes), mx.nd.array(labels)).asnumpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert any((weights_of(prior)[name] != array).any() for name, array in before.items())


@HYBRID
def test_dropout_is_for_learning_alone(hybrid):
    prior, without = make_prior(dropout=0.5), make_prior()
    prior.hybridize(hybrid)
    codes, labels = make_codes(prior)
    np.testing.assert_array_equal(logits_of(prior, codes, labels), logits_of(without, codes, labels))
    with autograd.train_mode():
        first, second = (logits_of(prior, codes, labels) for _ in range(2))
    assert np.abs(first - second).max() > 1e-2
    with autograd.train_mode():
        found = logits_of(without, codes, labels)
    np.testing.assert_array_equal(found, logits_of(without, codes, labels))


@pytest.mark.parametrize("site", ["embedding", "attention", "network"])
def test_what_each_part_adds_is_dropped(site):
    prior = make_prior(layers=1, dropout=0.5)
    layer, codes = prior.layers[0], make_codes(prior)
    parts = {
        "embedding": [prior.before, prior.place, prior.label],
        "attention": [layer.attention],
        "network": [layer.output],
    }
    parts.pop(site)
    for block in sum(parts.values(), []):  # everything else is zero, dropped or not
        for parameter in block.collect_params().values():
            parameter.set_data(mx.nd.zeros(parameter.shape))
    with autograd.train_mode():
        first, second = (logits_of(prior, *codes) for _ in range(2))
    assert np.abs(first - second).max() > 1e-2


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"num_embeddings": 0}, "num_embeddings was given as 0: it must be at least 1"),
        ({"width": 0}, "width was given as 0: it must be at least 1"),
        ({"layers": 0}, "layers was given as 0: it must be at least 1"),
        ({"heads": -1}, "heads was given as -1: it must be at least 1"),
        ({"codes_shape": (7,)}, "codes_shape was given as (7,): it must be two sides of at least 1"),
        ({"codes_shape": (7, 7, 7)}, "codes_shape was given as (7, 7, 7): it must be two sides of at least 1"),
        ({"codes_shape": [7, 0]}, "codes_shape was given as (7, 0): it must be two sides of at least 1"),
        ({"num_classes": -1}, "num_classes was given as -1: it must be 0 (no classes) or more"),
        ({"width": 10, "heads": 4}, "width was given as 10: it must be a multiple of the 4 heads"),
        ({"dropout": 1.0}, "dropout was given as 1.0: it must be in [0, 1)"),
        ({"dropout": -0.1}, "dropout was given as -0.1: it must be in [0, 1)"),
        ({"dropout": float("nan")}, "dropout was given as nan: it must be in [0, 1)"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings, message):
    with pytest.raises(VQVAEError) as caught:
        Prior(**{"num_embeddings": K, "codes_shape": (3, 4), **settings})
    assert str(caught.value) == message


@HYBRID
@pytest.mark.parametrize(
    "codes, label, message",
    [
        ((2, 4, 3), (2,), "the prior was given codes of shape (2, 4, 3): it takes (N, 3, 4) with N at least 1"),
        ((2, 12), (2,), "the prior was given codes of shape (2, 12): it takes (N, 3, 4) with N at least 1"),
        ((0, 3, 4), (0,), "the prior was given codes of shape (0, 3, 4): it takes (N, 3, 4) with N at least 1"),
        ((2, 3, 4), (3,), "the prior was given classes of shape (3,): it takes (2,)"),
        ((2, 3, 4), (2, 1), "the prior was given classes of shape (2, 1): it takes (2,)"),
        ((2, 3, 4), (1,), "the prior was given classes of shape (1,): it takes (2,)"),
    ],
)
def test_other_shapes_are_refused(codes, label, message, hybrid):
    prior = make_prior()
    prior.hybridize(hybrid)
    with mx.util.np_shape(True), pytest.raises(VQVAEError) as caught:  # which allows arrays without rows
        prior(mx.nd.zeros(codes), mx.nd.zeros(label))
    assert str(caught.value) == message
