"""Expressions: precedence and value types, which in EMADL follow from arithmetic on rationals."""
import pytest

from emadl_texts import component
from vqvae_gluon import VQVAEError
from vqvae_gluon.emadl import parse

NUMBERS = {
    "2 + 3 * 4": 14,
    "(2 + 3) * 4": 20,
    "10 - 4 - 3": 3,
    "10 - (4 - 3)": 9,
    "12 / 3 * 2": 8,
    "12 / (3 * 2)": 2,
    "7 % 4": 3,
    "3 * 7 % 4": 1,
    "1 + 7 % 4": 4,
    "-2 + 5": 3,
    "2 * -3 + 7": 1,
    "- -3": 3,
    "+4": 4,
    "--3 - -1": 4,
    "28/4": 7,
    "width / 2 + 1": 4,
    "width*width": 36,
    "((((8))))": 8,
    "007": 7,
}
CONDITIONS = {
    "1 < 2": True,
    "2 <= 2": True,
    "2 > 2": False,
    "2 >= 3": False,
    "1 + 1 == 2": True,
    "(1 != 1)": False,
    "3 * 2 > 5 && 1 < 2": True,
    "true || false && false": True,
    "(true || false) && false": False,
    "false && true || true": True,
    "!false && false": False,
    "!(false && false)": True,
    "!!true": True,
    "! 1 < 2 || 1 < 2": None,  # ! applies to the number
    "7 / 2 == 3.5": True,
    "8 / 2 == 4.0": True,
    "1e2 == 100": True,
    "2.5E-1 == 1/4": True,
    '"same" == "same"': True,
    '"same" != "valid"': True,
    "(1,2) == (1,1+1)": True,
    "deep": True,
    "!deep || width == 6": True,
    # The right side of a decided operator is not evaluated.
    "false && 1/0 == 1": False,
    "true || 1/0 == 1": True,
}
PARAMETERS = "<Z(1:oo) width = 6, B deep = true>"


@pytest.mark.parametrize("expression", NUMBERS)
def test_numbers(expression):
    text = component(
        f"data -> FullyConnected(units={expression}) -> result;",
        f"in Q^{{1}} data, out Q^{{{NUMBERS[expression]}}} result",
        PARAMETERS,
    )
    units = parse(text, "S").layers[0].arguments["units"]
    assert units == NUMBERS[expression]
    assert isinstance(units, int)


@pytest.mark.parametrize("expression", CONDITIONS)
def test_conditions(expression):
    text = component(f"data -> Relu(?={expression}) -> result;", parameters=PARAMETERS)
    if CONDITIONS[expression] is None:
        with pytest.raises(VQVAEError, match="stands where true or false is expected"):
            parse(text, "S")
    else:
        assert len(parse(text, "S").layers) == CONDITIONS[expression]


@pytest.mark.parametrize("expression, value", [("1/4", 0.25), ("0.1", 0.1), ("1e-3", 0.001), ("2", 2), ("-1+1.5", 0.5)])
def test_fractions(expression, value):
    text = component(f"data -> LeakyRelu(alpha={expression}) -> result;")
    assert parse(text, "S").layers[0].arguments["alpha"] == pytest.approx(value)


def test_expressions_stand_in_shapes_tuples_ranges_and_bounds():
    found = parse(
        component(
            "data -> Convolution(kernel=(width/2, 5-2), channels=2*4, ->=width-4) -> result;",
            "in Q(-width:2*width)^{width+2, width, width} data, out Q(-oo:oo)^{8, width, 18/3} result",
            PARAMETERS,
        ),
        "S",
    )
    assert [str(layer) for layer in found.layers] == ["Convolution(kernel=(3,3), channels=8)"] * 2
    port = found.inputs[0]
    assert (port.element_type.low, port.element_type.high, port.type.shape) == (-6, 12, (8, 6, 6))


@pytest.mark.parametrize("units", ["7/2", "0.5", "1/3*2"])
def test_a_fraction_is_no_size(units):
    with pytest.raises(VQVAEError, match="must be a whole number"):
        parse(component(f"data -> FullyConnected(units={units}) -> result;"), "S")


def test_a_comparison_needs_numbers():
    with pytest.raises(VQVAEError, match='"a" stands where a number is expected'):
        parse(component('data -> Relu(?="a" < "b") -> result;'), "S")
