"""Layer definitions and the component's own parameters: scopes, defaults, and values from Python."""
import pytest

from emadl_texts import COMPONENTS, component, meaning
from vqvae_gluon import VQVAEError
from vqvae_gluon.emadl import load, parse, read

VECTOR = "in Q^{4} data, out Q^{4} result"
PATHS = {path.stem: path for path in COMPONENTS}


def slopes(network, parameters=""):
    """Return the slopes of the activations of a network."""
    found = parse(component(network, parameters=parameters), "S")
    return [layer.arguments["alpha"] for layer in found.layers]


def test_an_argument_replaces_a_default():
    network = "def act(slope=1) { LeakyRelu(alpha=slope) } data -> act() -> act(slope=2) -> act() -> result;"
    assert slopes(network) == [1, 2, 1]


def test_a_default_may_use_parameters_before_it():
    network = """def act(first=1, second=first+1) { LeakyRelu(alpha=[first->second]) }
        data -> act() -> act(first=5) -> act(second=7) -> result;"""
    assert slopes(network) == [1, 2, 5, 6, 1, 7]


def test_a_default_may_use_the_components_parameters():
    network = "def act(slope=2*n) { LeakyRelu(alpha=slope + n) } data -> act() -> result;"
    assert slopes(network, "<N n = 3>") == [9]


def test_a_parameter_hides_the_components_of_the_same_name_only_inside():
    network = "def act(n) { LeakyRelu(alpha=n) } data -> act(n=n+1) -> LeakyRelu(alpha=n) -> result;"
    assert slopes(network, "<N n = 3>") == [4, 3]


def test_a_layer_does_not_see_its_callers_parameters():
    network = "def inner(n=1) { LeakyRelu(alpha=n) } def outer(n) { inner() -> LeakyRelu(alpha=n) -> inner(n=n) } "
    assert slopes(network + "data -> outer(n=5) -> result;") == [1, 5, 5]


def test_a_layer_may_be_used_before_it_is_defined():
    layers, _ = meaning("def outer() { inner() -> inner() } def inner() { Relu() } data -> outer() -> result;")
    assert [name for name, *_ in layers] == ["Relu()", "Relu()"]


def test_a_layer_may_use_another_twice_and_be_passed_conditions():
    network = """def act(wanted=true) { LeakyRelu(alpha=1, ?=wanted) }
        def both(wanted) { act(wanted=!wanted) -> act(wanted=wanted) -> act() }
        data -> both(wanted=false) -> result;"""
    assert slopes(network) == [1, 1]


def test_a_layer_may_leave_several_streams():
    layers, _ = meaning("def both() { (Relu() | Tanh()) } data -> both() -> Add() -> result;")
    assert layers[-1] == ("Add()", (1, 2), (3,))


def test_a_layer_that_is_not_used_does_no_harm():
    assert meaning("def idle(n) { Dropout(p=n) } data -> result;") == ([], (0,))


def test_parameters_have_their_defaults():
    assert read(PATHS["Conditional"]).parameters == {
        "channels": 2,
        "size": 8,
        "classes": 10,
        "drop": 0.25,
        "bright": False,
    }


def test_a_default_may_use_parameters_declared_before():
    found = parse(component("data -> result;", "in Q^{n} data, out Q^{2*m} result", "<N m = 3, N n = m+m>"), "S")
    assert found.parameters == {"m": 3, "n": 6}


def test_python_sets_parameters():
    # Worked out by hand: 4 x 2 x 2 and 3 classes are 19 numbers; 12 units make 3 x 2 x 2.
    small = read(PATHS["Conditional"], channels=1, size=4, classes=3)
    assert [layer.parameter_count for layer in small.layers if layer.parameter_count] == [40, 240, 49]
    assert [kind.shape for kind in small.input_types] == [(1, 4, 4), (1,)]
    assert small.inputs[1].describe() == "digit: Z(0:2)^{1}"
    bright = read(PATHS["Conditional"], bright=True, drop=0)
    assert [layer.name for layer in bright.layers[-2:]] == ["Relu", "Sigmoid"]


def test_a_block_has_the_parameters_of_python():
    assert load(PATHS["LeNet"], classes=7).component.output_types[0].shape == (7,)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"classes": 1}, "classes was given as 1: it must be a whole number"),
        ({"classes": 2.5}, "classes was given as 2.5"),
        ({"classes": "7"}, 'classes was given as "7"'),
        ({"classes": True}, "classes was given as true"),
        ({"drop": 1.5}, "drop was given as 1.5: it must be a number"),
        ({"bright": 1}, "bright was given as 1: it must be a truth value"),
        ({"classe": 7}, "no parameter 'classe'; did you mean classes?"),
        ({"size": 7}, "units=36.75"),
    ],
)
def test_values_from_python_are_checked(given, message):
    with pytest.raises(VQVAEError) as error:
        read(PATHS["Conditional"], **given)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{PATHS['Conditional']}:")


NAN = float("nan")
TYPES = {  # values of the type, and others
    "Z": ([-3, 0, 2], [0.5, True, "1"]),
    "N": ([0, 3], [-1, 0.5]),
    "Q": ([0.5, 3, -1e9], [False, NAN, (1, 2)]),
    "B": ([True, False], [1, 0, "true"]),
    "Z(-2:2)": ([-2, 2], [-3, 3]),
    "Q(0:1)": ([0, 1, 0.5], [1.01, -0.01]),
    "Q(-oo:0)": ([-1e9, 0], [0.1]),
    "N(2:oo)": ([2, 10**9], [1]),
}


@pytest.mark.parametrize("domain", TYPES)
def test_types_of_parameters(domain):
    text = component("data -> result;", VECTOR, f"<{domain} p>")
    fitting, others = TYPES[domain]
    for value in fitting:
        assert parse(text, "S", p=value).parameters == {"p": value}
    for value in others:
        with pytest.raises(VQVAEError, match="^S:2:.*parameter p was given as"):
            parse(text, "S", p=value)


def test_a_parameter_without_a_default_takes_its_value_from_python():
    text = component("data -> result;", "in Q^{n} data, out Q^{n} result", "<Z(1:oo) n>")
    assert parse(text, "S", n=5).input_types[0].shape == (5,)
