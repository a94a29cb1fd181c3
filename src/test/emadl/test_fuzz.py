"""Any text gives a component, a configuration, or a one-line error with its place: never another exception.

An accepted component can describe itself. The deadline is generous because test machines are busy; each text takes
milliseconds.
"""
import re
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emadl_texts import COMPONENTS, check, component
from vqvae_gluon.emadl import OWN_PROJECT, parse, parse_configuration

FUZZ = settings(max_examples=60, deadline=timedelta(seconds=5), suppress_health_check=[HealthCheck.too_slow])
OWN_TEXTS = [path.read_text() for path in sorted(OWN_PROJECT.parent.glob("*/*.emadl"))]
TEXTS = [path.read_text() for path in COMPONENTS] + OWN_TEXTS
CONFIGURATIONS = [path.read_text() for path in sorted(OWN_PROJECT.parent.glob("*/*.conf"))] + [
    "configuration C { learning_method: vae, encoder: p.E, kl_loss_weight: 1.0, log_period: 3, "
    "optimizer: sgd { learning_rate: +0.1 weight_decay: 0 }, load_checkpoint: false, eval_metric: mse }"
]
TOKEN = re.compile(r"//[^\n]*|/\*.*?\*/|\w+|->|\.\.|\s+|.", re.DOTALL)

NAMES = ["data", "result", "other", "m", "n", "oo", "true", "false", "λ"]
WORDS = ["package", "component", "ports", "in", "out", "implementation", "CNN", "def", "timed", "layer", "instance"]
LAYERS = [
    *("Convolution", "UpConvolution", "FullyConnected", "Pooling", "GlobalPooling", "Relu", "LeakyRelu", "Softmax"),
    *("Flatten", "Dropout", "Lrn", "BatchNorm", "Concatenate", "Add", "Get", "Split", "OneHot", "Reshape"),
    *("VectorQuantize", "Identity", "LSTM", "Nothing", "conv"),
]
ARGUMENTS = [
    *("kernel", "channels", "stride", "padding", "units", "pool_type", "axis", "index", "n", "size", "shape", "p"),
    *("num_embeddings", "flatten", "alpha", "nsize", "?", "->", "|", "a"),
]
NUMBERS = ["0", "1", "2", "3", "8", "-1", "0.5", "1e9", "1e400", "10000", "99999999999999999999", "7/2", "1/0"]
TUPLES = ["(1,1)", "(3,3)", "(2,5)", "(8,36)"]
VALUES = [*NUMBERS, *NAMES, *TUPLES, '"same"', '"valid"', '"no_loss"', '"max"', '"avg"', '""']
SYMBOLS = [
    *"()[]{}<>|;,:.=+-*/%!?^_@#$\\'\"&~\0\x1b\t\n\r\u2028",
    *("->", "..", "&&", "||", "==", "!=", "<=", ">=", "//", "/*", "*/", "|=", "->=", "?="),
]
VOCABULARY = [*NAMES, *WORDS, *LAYERS, *ARGUMENTS, *VALUES, *SYMBOLS, "configuration", "optimizer", "adam", "vae"]


@st.composite
def mutations(draw, texts):
    """One of the texts with a few words removed, swapped, doubled, replaced or inserted."""
    words = TOKEN.findall(draw(st.sampled_from(texts)))
    for _ in range(draw(st.integers(1, 4))):
        place, other = (draw(st.integers(0, len(words) - 1)) for _ in range(2))
        kind = draw(st.sampled_from(["take out", "swap", "double", "replace", "put in"]))
        if kind == "take out":
            del words[place : place + 1]
        elif kind == "swap":
            words[place], words[other] = words[other], words[place]
        elif kind == "double":
            words.insert(other, words[place])
        elif kind == "replace":
            words[place] = draw(st.sampled_from(VOCABULARY))
        else:
            words.insert(place, draw(st.sampled_from(VOCABULARY)))
        words = words or [""]
    return "".join(words)


VALUE = st.sampled_from(VALUES)
SEQUENCE = st.lists(st.lists(VALUE, max_size=3).map("->".join), min_size=1, max_size=3).map("|".join)
RANGE = st.builds("{}{}..{}{}".format, VALUE, st.sampled_from(["->", "|"]), st.sampled_from(["->", "|"]), VALUE)
ARGUMENT = st.builds(
    "{}={}".format,
    st.sampled_from(ARGUMENTS),
    VALUE | st.builds("[{}]".format, SEQUENCE) | st.builds("[{}]".format, RANGE),
)
CALL = st.builds("{}({})".format, st.sampled_from(LAYERS), st.lists(ARGUMENT, max_size=3).map(", ".join))
# Calls without required arguments, so that more networks get past their first layers.
EASY = st.sampled_from(
    ["Relu()", "Add()", "Concatenate()", "Split(n=2)", "Flatten()", "[0]", "conv(a=[1|2])", "conv(->=2)", "other"]
)
STREAM = st.recursive(
    EASY | EASY | CALL,
    lambda streams: (
        st.lists(streams, min_size=1, max_size=4).map(" -> ".join)
        | st.lists(streams | st.just(""), min_size=2, max_size=3).map(" | ".join).map("({})".format)
    ),
    max_leaves=12,
)
OPERATORS = ["+", "-", "*", "/", "%", "<", "==", "&&", "||", ",", ""]
EXPRESSION = st.recursive(
    VALUE,
    lambda values: (
        st.builds("({}{}{})".format, values, st.sampled_from(OPERATORS), values)
        | st.builds("{}{}".format, st.sampled_from("!-+"), values)
    ),
    max_leaves=8,
)
DEFINITION = "def conv(a=1) { Convolution(kernel=(1,a), channels=2*a) -> Dropout() } "
ONE = "in Q^{2,3,4} data, out Q^{2,3,4} result"
TWO = "in Q^{2,3,4} data, in Z other[2], out Q^{2,3,4} result"


@pytest.mark.parametrize("read", [parse, parse_configuration])
@FUZZ
@given(text=st.text(max_size=200))
def test_random_letters(read, text):
    check(read, text)


@pytest.mark.parametrize("read", [parse, parse_configuration])
@FUZZ
@given(words=st.lists(st.sampled_from(VOCABULARY), max_size=60), between=st.sampled_from([" ", "", "\n"]))
def test_random_words(read, words, between):
    check(read, between.join(words))


@FUZZ
@given(st.lists(st.sampled_from(VOCABULARY), max_size=30).map(" ".join))
def test_random_words_as_a_network(words):
    check(parse, component(DEFINITION + words, TWO))


@FUZZ
@given(STREAM)
def test_random_networks(stream):
    check(parse, component(f"{DEFINITION} data -> {stream} -> result; other -> Add() -> OneHot(size=2)", TWO))
    check(parse, component(f"{DEFINITION} data -> {stream} -> Add() -> result;", ONE))


@FUZZ
@given(EXPRESSION)
def test_random_expressions(expression):
    check(parse, component(f"data -> FullyConnected(units={expression}) -> result;"))
    check(parse, component(f"data -> Relu(?={expression}) -> result;"))
    check(parse, component("data -> result;", f"in Q({expression}:oo)^{{{expression}}} data, out Q result"))


@settings(FUZZ, max_examples=120)
@given(mutations(TEXTS))
def test_changed_components(text):
    check(parse, text)


@FUZZ
@given(mutations(CONFIGURATIONS))
def test_changed_configurations(text):
    check(parse_configuration, text)


@pytest.mark.parametrize("text", TEXTS)
def test_every_beginning_of_a_component(text):
    words = TOKEN.findall(text)
    for end in range(0, len(words) - 1, 11):
        assert check(parse, "".join(words[:end])).startswith("Sample.emadl:")
