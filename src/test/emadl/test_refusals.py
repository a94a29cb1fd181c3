"""Wrong texts: each is refused with one line that begins with the place of the fault, marked by § here."""
import pytest

from emadl_texts import component, find_mark
from vqvae_gluon import VQVAEError
from vqvae_gluon.emadl import parse

VECTOR = "in Q^{4} data, out Q^{4} result"
TWO_IMAGES = "in Q^{8,6,6} first, in Q^{8,3,3} second, out Q^{8,6,6} result"

UNKNOWN_NAMES = {
    "a misspelt layer": (
        component("data -> §Convolutoin(kernel=(3,3), channels=8) -> result;"),
        "unknown layer 'Convolutoin'; did you mean Convolution?",
    ),
    "a layer without its capital": (component("data -> §relu() -> result;"), "did you mean Relu?"),
    "a misspelt layer of one's own": (
        component("def block() { Relu() } data -> §blokc() -> result;"),
        "unknown layer 'blokc'; did you mean block?",
    ),
    "a misspelt argument": (
        component("data -> §Convolution(kernal=(3,3), channels=8) -> result;"),
        "Convolution has no argument 'kernal'; did you mean kernel?",
    ),
    "a misspelt argument of a layer of one's own": (
        component("def act(active=true) { Relu(?=active) } data -> §act(activ=false) -> result;"),
        "act has no argument 'activ'; did you mean active?",
    ),
    "a misspelt port": (component("data -> Relu() -> §reslut;"), "unknown port 'reslut'; did you mean result?"),
    "a misspelt parameter": (
        component(
            "data -> FullyConnected(units=§clases) -> result;",
            "in Q^{4} data, out Q^{classes} result",
            "<Z(1:oo) classes = 4>",
        ),
        "unknown parameter 'clases'; did you mean classes?",
    ),
    "an unknown element type": (component("data -> result;", "in §R^{4} data, out Q^{4} result"), "'R'"),
    "a layer without parentheses": (component("data -> §Relu -> result;"), "Relu is a layer"),
    "a port with parentheses": (component("data -> Relu() -> §result();"), "result is a port"),
    "a parameter that another layer of one's own has": (
        component(
            "def outer(width) { inner() } def inner() { Convolution(kernel=(1,1), channels=§width) } "
            "data -> outer(width=8) -> result;"
        ),
        "unknown parameter 'width'",
    ),
}

FOREIGN_LAYERS = [
    *("LSTM(units=4)", "GRU(units=4)", "RNN(units=4)", "Embedding(output_dim=4)", "BeamSearch(width=3)"),
    *("DotProductSelfAttention(scale_factor=1)", "PositionEncoding(max_length=4)", "EpisodicMemory(use_replay=true)"),
    *("LargeMemory(units=4)", "GraphConv(units=4)", "GATConv(units=4)", "AdaNet()", "LoadNetwork(network_dir=1)"),
    *("ArgMax()", "Convolution3D(channels=4)", "Reparameterize()", "Dot()", "Repeat(n=2)", "LayerNorm()"),
]

NOT_SUPPORTED = {
    "timed": (component("data -> Relu() -> result; §timed<t> GreedySearch(max_length=3) { data -> result };"), "timed"),
    "a layer instance": (component("§layer LSTM(units=4) memory; data -> memory -> result;"), "'layer' declares"),
    "a constant": (component("§1 -> result;"), "unexpected '1'"),
    "the inside of a layer": (component("data -> memory§.output -> result;"), "'.' takes a part of a layer instance"),
    "an import": ("§import other.Layers;\n" + component("data -> result;"), "'import' takes in another component"),
    "an instance": (
        "package p;\ncomponent Main {\n    ports in Q x, out Q y;\n    §instance Net net;\n}\n",
        "'instance' places a component inside another",
    ),
    **{layer: (component(f"data -> §{layer} -> result;"), f"{layer.split('(')[0]} is ") for layer in FOREIGN_LAYERS},
}

ARGUMENTS = {
    "a missing one": (component("data -> §Convolution(kernel=(3,3)) -> result;"), "Convolution needs channels"),
    "a missing one of a layer of one's own": (
        component("def act(slope) { LeakyRelu(alpha=slope) } data -> §act() -> result;"),
        "act needs slope",
    ),
    "a truth value for a number": (
        component("data -> §Convolution(kernel=(3,3), channels=true) -> result;"),
        "channels=true: it must be a whole",
    ),
    "a text for a number": (
        component('data -> §Convolution(kernel=(3,3), channels="8") -> result;'),
        'channels="8": it must be a whole',
    ),
    "one number for two": (
        component("data -> §Convolution(kernel=3, channels=8) -> result;"),
        "kernel=3: it must be two whole numbers",
    ),
    "three numbers for two": (
        component('data -> §Pooling(pool_type="max", kernel=(3,3,3)) -> result;'),
        "kernel=(3,3,3): it must be two",
    ),
    "a stride of zero": (
        component("data -> §Convolution(kernel=(3,3), channels=8, stride=(0,1)) -> result;"),
        "stride=(0,1)",
    ),
    "an unknown padding": (
        component('data -> §Convolution(kernel=(3,3), channels=8, padding="full") -> result;'),
        'it must be "same" or "valid" or "no_loss"',
    ),
    "an unknown pooling": (component('data -> §GlobalPooling(pool_type="mean") -> result;'), '"max" or "avg"'),
    "a probability above one": (component("data -> §Dropout(p=2) -> result;"), "p=2: it must be a number"),
    # EMADL allows it; MXNet would divide by zero.
    "a dropout of all": (component("data -> §Dropout(p=1) -> result;"), "p=1: it must be a number"),
    "no units": (component("data -> §FullyConnected(units=0) -> result;", VECTOR), "units=0"),
    "negative units": (component("data -> §FullyConnected(units=2-4) -> result;", VECTOR), "units=-2"),
    "a size that is not whole": (component("data -> §FullyConnected(units=7/2) -> result;", VECTOR), "units=3.5"),
    "a number for true or false": (
        component("data -> §FullyConnected(units=4, no_bias=1) -> result;", VECTOR),
        "no_bias=1: it must be true or",
    ),
    "a number as condition": (component("data -> §Relu(?=1) -> result;"), "it must be true or false"),
    "half a copy": (component("data -> §Relu(->=1/2) -> result;"), "must be a whole number"),
    "a negative number of copies": (component("data -> §Relu(|=-1) -> result;"), "must be a whole number"),
    "too many copies": (component("data -> §Relu(->=1000000) -> result;"), "1000000"),
    "one twice": (component("data -> Dropout(p=0.1, §p=0.2) -> result;"), "p twice"),
    "an even window of Lrn": (component("data -> §Lrn(nsize=4) -> result;"), "nsize=4: it must be an odd"),
}

SHAPES = {
    "a kernel larger than the image": (
        component('data -> §Convolution(kernel=(7,7), channels=8, padding="valid") -> result;'),
        "7 does not fit into 6",
    ),
    "a pooling larger than the image": (
        component('data -> §Pooling(pool_type="max", kernel=(1,9), padding="valid") -> result;'),
        "9 does not fit",
    ),
    "a port of another shape": (
        component("data -> Convolution(kernel=(3,3), channels=4) -> §result;"),
        "takes (8,6,6), it is given (4,6,6)",
    ),
    "a sum of other shapes": (component("(first | second) -> §Add() -> result;", TWO_IMAGES), "(8,6,6) and (8,3,3)"),
    "joining along a wrong axis": (
        component("(first | second) -> §Concatenate(axis=1) -> result;", TWO_IMAGES),
        "along axis 1",
    ),
    "joining an image and a vector": (
        component("(data | data -> Flatten()) -> §Concatenate() -> result;"),
        "cannot join",
    ),
    "a convolution of a vector": (
        component("data -> §Convolution(kernel=(1,1), channels=4) -> result;", VECTOR),
        "(channels, height, width)",
    ),
    "a reshape to more numbers": (component("data -> §Reshape(shape=(8,6,7)) -> result;"), "(8,6,7) of (8,6,6)"),
    "more parts than channels": (component("data -> §Split(n=9) -> [0] -> result;"), "8 channels into 9"),
    "one hot of an image": (component("data -> §OneHot(size=10) -> result;"), "OneHot takes one whole number"),
    "a port of whole numbers that is given fractions": (
        component("data -> Relu() -> §result;", "in Z^{4} data, out Z^{4} result"),
        "takes Z, it is given Q",
    ),
    "a truth port that is given numbers": (
        component("data -> §result;", "in N^{4} data, out B^{4} result"),
        "takes B, it is given N",
    ),
    "a size of a port that is not whole": (component("data -> result;", "in Q^{§7/2} data, out Q^{4} result"), "3.5"),
    "a size of zero": (component("data -> result;", "in Q^{4,§0} data, out Q^{4} result"), "0 is no size"),
    "four axes": (component("data -> result;", "in §Q^{1,2,3,4} data, out Q^{24} result"), "4 axes"),
    "more than can be held": (
        component("data -> result;", "in §Q^{65536,65536} data, out Q^{65536,65536} result"),
        "(65536,65536)",
    ),
    "a layer of more than can be held": (
        component("data -> §Convolution(kernel=(1,1), channels=2000000000) -> result;"),
        "(2000000000,6,6)",
    ),
    "an empty range": (component("data -> result;", "in Q§(1:0)^{4} data, out Q^{4} result"), "from 1 to 0 is empty"),
}

STREAMS = {
    "a branch that ends nowhere": (component("data -> §(Relu() -> result | Tanh());"), "ends nowhere"),
    "a network that ends nowhere": (component("data -> result; data -> Relu() -> §Tanh();"), "ends nowhere"),
    "an output that nothing leads to": (
        component("data -> result;", "in Q^{4} data, out Q^{4} result, out Q^{4} §other"),
        "nothing leads to output",
    ),
    "an element of an output that nothing leads to": (
        component("data -> result[0];", "in Q^{4} data, out Q^{4} §result[2]"),
        "output port result[1]",
    ),
    "an input that is not used": (
        component("data -> result;", "in Q^{4} data, in Q^{4} §other, out Q^{4} result"),
        "input port other is not used",
    ),
    "an element of an input that is not used": (
        component("data[0] -> result;", "in Q^{4} §data[3], out Q^{4} result"),
        "input port data[1] is not used",
    ),
    "an output written twice": (component("data -> result; data -> Relu() -> §result;"), "result is written twice"),
    "an element of an output written twice": (
        component("data -> result[1]; data -> Relu(|=2) -> §result;", "in Q^{4} data, out Q^{4} result[2]"),
        "result[1] is written twice",
    ),
    "two streams for a layer of one": (component("data -> Relu(|=2) -> §Tanh() -> result;"), "it is given 2"),
    "two streams for an output of one": (component("data -> Relu(|=2) -> §result;"), "takes one stream, it is given 2"),
    "no stream for a layer": (component("data -> result; §Relu() -> result;"), "it is given none"),
    "a stream that is not there": (component("data -> Split(n=2) -> §[2] -> result;"), "there are 0 to 1"),
    "an element that is not there": (
        component("data§[2] -> result;", "in Q^{4} data[2], out Q^{4} result"),
        "elements 0 to 1, not 2",
    ),
    "a negative element": (
        component("data§[0-1] -> result;", "in Q^{4} data[2], out Q^{4} result"),
        "elements 0 to 1, not -1",
    ),
    "an element of what is no array": (component("data§[0] -> result;"), "data is no array"),
    "no input port": (component("data -> result;").replace("ports in Q^{8,6,6} data,", "§ports"), "no input port"),
    "no output port": (
        component("data -> Relu();").replace("ports", "§ports").replace(", out Q^{8,6,6} result", ""),
        "no output port",
    ),
}

DEFINITIONS = {
    "a layer within itself": (component("def a() { §a() } data -> a() -> result;"), "layer a contains itself"),
    "layers within each other": (
        component("def a() { Relu() -> b() } def b() { §a() } data -> a() -> result;"),
        "layer a contains itself",
    ),
    "a layer defined twice": (
        component("def a() { Relu() } def §a() { Tanh() } data -> a() -> result;"),
        "layer a is defined twice",
    ),
    "a layer with a capital": (component("def §Act() { Relu() } data -> Act() -> result;"), "a small letter"),
    "a layer's parameter twice": (
        component("def a(n=1, §n=2) { Relu(->=n) } data -> a() -> result;"),
        "layer a has the parameter n twice",
    ),
    "a port twice": (
        component("data -> result;", "in Q^{4} data, in Q^{4} §data, out Q^{4} result"),
        "data is declared twice",
    ),
    "an input called like an output": (component("x -> x;", "in Q^{4} x, out Q^{4} §x"), "x is declared twice"),
    "a parameter twice": (component("data -> result;", VECTOR, "<Z n = 1, Q §n = 2>"), "parameter n is declared twice"),
    "a parameter without a value": (component("data -> result;", VECTOR, "<Z(1:oo) §n>"), "n has no default"),
    "a default out of range": (
        component("data -> result;", VECTOR, "<Z(2:9) §n = 1>"),
        "n was given as 1: it must be a whole number, Z(2:9)",
    ),
    "a fault inside a layer of one's own": (
        component("def wide(n) {\n    Relu() ->\n    §FullyConnected(units=n)\n}\ndata -> wide(n=0) -> result;"),
        "units=0: it must be a whole number of at least 1 (in wide, called at 9:9)",
    ),
}

EXPRESSIONS = {
    "a division by zero": (component("data -> FullyConnected(units=8/§0) -> result;", VECTOR), "8 / 0 is impossible"),
    "a rest by zero": (component("data -> FullyConnected(units=8%(§2-2)) -> result;", VECTOR), "8 % 0 is impossible"),
    "a text added": (
        component('data -> FullyConnected(units=1+§"1") -> result;', VECTOR),
        '"1" stands where a number is expected',
    ),
    "a truth value added": (
        component("data -> FullyConnected(units=1+§true) -> result;", VECTOR),
        "true stands where a number is expected",
    ),
    "a number as truth value": (
        component("data -> Relu(?=true && §1) -> result;"),
        "1 stands where true or false is expected",
    ),
    "not a number": (component("data -> Relu(?=!§3) -> result;"), "3 stands where true or false is expected"),
    "a number too large": (component("data -> LeakyRelu(alpha=§1e99) -> result;"), "beyond"),
    "a product too large": (component("data -> LeakyRelu(alpha=§1e9*1e9) -> result;"), "beyond"),
    "two comparisons": (component("data -> Relu(?=1<2§<3) -> result;"), "unexpected '<'"),
}

SEQUENCES = {
    "a part of a series to another series": (
        component("def m(a, b) { Relu() } data -> §m(a=[5->3], b=[2|4->6]) -> result;"),
        "cannot be widened",
    ),
    "a shorter series to a longer": (
        component("def m(a, b) { Relu() } data -> §m(a=[5->3], b=[2->4->6]) -> result;"),
        "cannot be widened",
    ),
    "fewer branches to more": (
        component("def m(a, b) { Relu() } data -> §m(a=[5|3], b=[2|4|6]) -> Add() -> result;"),
        "branches",
    ),
    "a range without an end": (component("def m(a) { Relu() } data -> m(a=§[1->..]) -> result;"), "a range has"),
    "a range without a start": (component("def m(a) { Relu() } data -> m(a=§[..|3]) -> result;"), "a range has"),
    "a range with more": (component("def m(a) { Relu() } data -> m(a=§[1->..->4->5]) -> result;"), "a range has"),
    "a range of both kinds": (component("def m(a) { Relu() } data -> m(a=§[1->..|4]) -> result;"), "a range has"),
    "a range of fractions": (component("def m(a) { Relu() } data -> m(a=§[1->..->3.5]) -> result;"), "1 to 3.5"),
    "a long range": (component("def m(a) { Relu() } data -> m(a=§[1->..->100000000]) -> result;"), "100000000 values"),
}

SYNTAX = {
    "a missing parenthesis": (
        component("data -> Convolution(kernel=(3,3), channels=8 §-> result;"),
        "unexpected '->'; expected",
    ),
    "a missing arrow": (component("data -> Relu() §result;"), "unexpected 'result'; expected"),
    "a missing semicolon": (component("data -> result;").replace("package p;\n", "package p\n§"), "unexpected 'comp"),
    "branches without parentheses": (component("data -> Relu() §| Tanh() -> result;"), "unexpected '|'"),
    "an argument without a name": (component("data -> Dropout(§0.5) -> result;"), "unexpected '0.5'"),
    "no argument after a comma": (component("data -> Dropout(p=0.5,§) -> result;"), "unexpected ')'"),
    "an end too early": (component("data -> Relu() -> result;").split("\n    }")[0] + "§", "end of the text"),
    "one brace too many": (component("data -> result;") + "§}\n", "unexpected '}'"),
    "a second component": (component("data -> result;") + "§component B { }\n", "unexpected 'component'"),
    "no text": ("§", "expected 'package'"),
    "nothing but a comment": ("§// nothing\n", "expected 'package'"),
    "a comment without an end": (component("data -> Relu() §/* -> result;"), "this comment does not end"),
    "a text without an end": (
        component('data -> GlobalPooling(pool_type=§"max) -> result;'),
        "this text in quotes does not end",
    ),
    "a text where none belongs": (component("data -> result;").replace("Sample", '§"Sample"'), "expected a name"),
    "a letter of another script": (component("data -> §λ() -> result;"), "unexpected 'λ'"),
    "a letter that cannot be seen": (component("data -> §\0Relu() -> result;"), "unexpected '\\x00'"),
    "another language": (component("data -> result;").replace("CNN", "§Math"), "unexpected 'Math'; expected 'CNN'"),
}

CASES = [
    pytest.param(*case, id=name)
    for cases in (
        *(UNKNOWN_NAMES, NOT_SUPPORTED, ARGUMENTS, SHAPES, STREAMS, DEFINITIONS, EXPRESSIONS, SEQUENCES, SYNTAX),
    )
    for name, case in cases.items()
]


@pytest.mark.parametrize("text, message", CASES)
def test_a_wrong_text_is_refused_at_its_place(text, message):
    text, line, column = find_mark(text)
    with pytest.raises(VQVAEError) as error:
        parse(text, "Sample.emadl")
    found = str(error.value)
    assert found.startswith(f"Sample.emadl:{line}:{column}: ")
    assert message in found
    assert "\n" not in found


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_and_columns_are_counted_from_one(end):
    lines = [
        "/* A comment",
        "   of two lines. */",
        "package p; component C {",
        "\tports in Q^{4} data, out Q^{4} result; // a tab is one letter",
        "\timplementation CNN {",
        "\t\tdata -> Relu() ->",
        "\t\tSigmoidd() -> result;",
        "\t}",
        "}",
    ]
    with pytest.raises(VQVAEError, match=r"^folder/C\.emadl:7:3: unknown layer 'Sigmoidd'; did you mean Sigmoid\?$"):
        parse(end.join(lines), "folder/C.emadl")
