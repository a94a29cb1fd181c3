"""How streams flow: arrows, branches, ports and arrays of ports; short forms compared with long ones."""
import pytest

from emadl_texts import component, meaning
from vqvae_gluon.emadl import parse

ARRAYS = "in Q^{4} image[2], out Q^{4} result[2]"
TWO = "in Q^{4} data, in Q^{4} other, out Q^{4} result"


def test_an_arrow_binds_tighter_than_a_branch():
    # Streams are numbered: 0 is the input.
    layers, outputs = meaning("data -> (Relu() -> Tanh() | Sigmoid()) -> Add() -> result;")
    assert layers == [
        ("Relu()", (0,), (1,)),
        ("Tanh()", (1,), (2,)),
        ("Sigmoid()", (0,), (3,)),
        ("Add()", (2, 3), (4,)),
    ]
    assert outputs == (4,)


def test_every_branch_has_the_same_input_and_an_empty_one_passes_it_on():
    layers, outputs = meaning("data -> (| Relu() ||) -> Add() -> result;")
    assert layers == [("Relu()", (0,), (1,)), ("Add()", (0, 1, 0, 0), (2,))]
    assert outputs == (2,)


def test_branches_within_branches_leave_one_list():
    layers, _ = meaning("data -> ((Relu() | Tanh()) | Sigmoid()) -> Add() -> result;")
    assert layers[-1] == ("Add()", (1, 2, 3), (4,))


def test_every_branch_has_all_streams():
    text = "data -> Split(n=2) -> ([1] | Concatenate()) -> Concatenate() -> Split(n=3) -> [0] -> result;"
    layers, _ = meaning(text, "in Q^{8,6,6} data, out Q^{4,6,6} result")
    assert layers == [
        ("Split(n=2)", (0,), (1, 2)),
        ("Get(index=1)", (2,), (3,)),
        ("Concatenate()", (1, 2), (4,)),
        ("Concatenate()", (3, 4), (5,)),
        ("Split(n=3)", (5,), (6, 7, 8)),
        ("Get(index=0)", (6,), (9,)),
    ]


def test_what_no_output_takes_is_left_out():
    layers, _ = meaning("data -> (Relu() -> Tanh() | Sigmoid()) -> [1] -> result;")
    assert layers == [("Sigmoid()", (0,), (3,)), ("Get(index=1)", (3,), (4,))]


def test_an_input_leads_straight_to_an_output():
    assert meaning("data -> result;") == ([], (0,))


SAME = {
    "an index is short for Get": (
        "data -> Split(n=2) -> [1] -> Convolution(kernel=(1,1), channels=8) -> result;",
        "data -> Split(n=2) -> Get(index=1) -> Convolution(kernel=(1,1), channels=8) -> result;",
    ),
    "arguments in another order": (
        "data -> Convolution(kernel=(3,3), channels=8, no_bias=true) -> result;",
        "data -> Convolution(no_bias=true, channels=8, kernel=(3,3)) -> result;",
    ),
    "defaults said or not": (
        "data -> Convolution(kernel=(3,3), channels=8) -> Lrn(nsize=3) -> Dropout() -> result;",
        'data -> Convolution(kernel=(3,3), channels=8, stride=(1,1), padding="same", no_bias=false) -> '
        "Lrn(nsize=3, knorm=2, alpha=0.0001, beta=0.75) -> Dropout(p=0.5) -> result;",
    ),
    "no last semicolon": ("data -> Relu() -> result;", "data -> Relu() -> result"),
    "comments": (
        "data -> Relu() -> result;",
        "/* a */ data // b -> Tanh()\n -> /* two\n lines; */ Relu(/**/) /* c ** / */ -> result //",
    ),
    "spaces": ("data -> Relu(?=true, ->=2) -> result;", "data\n\t->Relu( ? = true ,\r\n-> = 2)->result ;"),
    "a semicolon in a definition": (
        "def a() { Relu() -> Tanh(); } data -> a() -> result;",
        "def a() { Relu() -> Tanh() } data -> a() -> result;",
    ),
}


@pytest.mark.parametrize("one, other", SAME.values(), ids=SAME)
def test_two_texts_are_the_same_network(one, other):
    assert meaning(one) == meaning(other)


SAME_WITH_ARRAYS = {
    "an input array is its elements": ("image -> Add(|=2) -> result;", "(image[0] | image[1]) -> Add(|=2) -> result;"),
    "an output array is its elements": (
        "(image[1] -> Relu() | image[0] -> Tanh()) -> result;",
        "(image[1] -> Relu() -> result[0] | image[0] -> Tanh() -> result[1]);",
    ),
    "an array straight to another": ("image -> result;", "image[1] -> result[1]; image[0] -> result[0];"),
    "an element by an expression": (
        "image[1] -> result[1-1]; image[2/2-1] -> result[1];",
        "image[1] -> result[0]; image[0] -> result[1];",
    ),
}


@pytest.mark.parametrize("one, other", SAME_WITH_ARRAYS.values(), ids=SAME_WITH_ARRAYS)
def test_two_texts_with_arrays_are_the_same_network(one, other):
    assert meaning(one, ARRAYS) == meaning(other, ARRAYS)


def test_an_array_that_is_written_whole_may_be_taken_apart():
    layers, outputs = meaning("image -> ([0] -> result[0] | [1] -> result[1]);", ARRAYS)
    assert layers == [("Get(index=0)", (0,), (2,)), ("Get(index=1)", (1,), (3,))]
    assert outputs == (2, 3)


def test_an_array_of_one_is_still_an_array():
    assert meaning("image[0] -> result;", "in Q^{4} image[1], out Q^{4} result[1]") == ([], (0,))
    assert parse(component("image -> result;", "in Q^{4} image[1], out Q^{4} result"), "S").inputs[0].length == 1


def test_a_branch_may_begin_with_a_port():
    layers, outputs = meaning("data -> (Relu() | other -> Tanh() | other) -> Add() -> result;", TWO)
    assert layers == [("Relu()", (0,), (2,)), ("Tanh()", (1,), (3,)), ("Add()", (2, 3, 1), (4,))]
    assert outputs == (4,)


def test_a_stream_may_begin_with_branches():
    layers, _ = meaning("(data | other -> Relu()) -> Add() -> result;", TWO)
    assert layers == [("Relu()", (1,), (2,)), ("Add()", (0, 2), (3,))]


def test_an_input_may_be_used_again():
    ports = "in Q^{4} data, out Q^{4} first, out Q^{4} second"
    layers, outputs = meaning("data -> Relu() -> first; data -> Tanh() -> second;", ports)
    assert layers == [("Relu()", (0,), (1,)), ("Tanh()", (0,), (2,))]
    assert outputs == (1, 2)


def test_outputs_are_in_the_order_of_the_ports():
    ports = "in Q^{4} data, out Q^{4} first, out Q^{4} second"
    _, outputs = meaning("data -> (Relu() -> second | Tanh() -> first);", ports)
    assert outputs == (2, 1)


def test_ports_may_be_declared_in_several_lines_and_in_any_order():
    text = component("data -> result;", "out Q^{4} result;\n    port in Q^{4} data")
    found = parse(text, "S")
    assert [port.name for port in found.inputs + found.outputs] == ["data", "result"]


def test_a_layer_may_be_called_like_a_port():
    layers, _ = meaning("def data() { Relu() } data -> data() -> result;")
    assert layers == [("Relu()", (0,), (1,))]


@pytest.mark.parametrize(
    "given, made", [("Z", "Q"), ("N", "Z"), ("B", "N"), ("Z(0:255)", "Z(0:1)"), ("Q(0:1)", "Q(-oo:+oo)")]
)
def test_a_narrower_type_leads_to_a_wider_one(given, made):
    parse(component("data -> Identity() -> result;", f"in {given}^{{4}} data, out {made}^{{4}} result"), "S")


def test_a_port_without_a_shape_is_one_number():
    assert parse(component("data -> OneHot(size=3) -> result;", "in Z(0:2) data, out N^{3} result"), "S").layers
