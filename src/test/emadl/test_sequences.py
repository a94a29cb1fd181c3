"""Argument sequences, ranges and numbers of copies, compared with the same networks written out."""
import pytest

from emadl_texts import meaning

# Each argument of m shows in a different layer: a is the slope of an activation, b a probability.
M = "def m(a, b=1, c=2) { LeakyRelu(alpha=a) -> Dropout(p=b/10) -> LeakyRelu(alpha=c) } "

WRITTEN_OUT = {
    "a series": ("m(a=[3->2], b=1)", "m(a=3, b=1) -> m(a=2, b=1)"),
    "branches": ("m(a=[3|2]) -> Add()", "(m(a=3) | m(a=2)) -> Add()"),
    "a series in each of three branches": (
        "m(a=[5->3], b=[3|4|2], c=2) -> Add()",
        """(
            m(a=5, b=3, c=2) -> m(a=3, b=3, c=2)
        |
            m(a=5, b=4, c=2) -> m(a=3, b=4, c=2)
        |
            m(a=5, b=2, c=2) -> m(a=3, b=2, c=2)
        ) -> Add()""",
    ),
    "an empty branch": (
        "m(a=[|5|3->4], b=[|1|2], c=2) -> Add()",
        "( | m(a=5, b=1, c=2) | m(a=3, b=2, c=2) -> m(a=4, b=2, c=2)) -> Add()",
    ),
    "an empty branch alone": ("m(a=[ |2->3]) -> Add()", "( | m(a=2) -> m(a=3)) -> Add()"),
    "an empty last branch": ("m(a=[2|]) -> Add()", "(m(a=2) | ) -> Add()"),
    "both kinds": ("m(a=[1|3->2]) -> Add()", "(m(a=1) | m(a=3) -> m(a=2)) -> Add()"),
    "two series of one length": ("m(a=[5->3], b=[2->4])", "m(a=5, b=2) -> m(a=3, b=4)"),
    "two sequences of one form": (
        "m(a=[5->3|1], b=[2->4|6]) -> Add()",
        "(m(a=5, b=2) -> m(a=3, b=4) | m(a=1, b=6)) -> Add()",
    ),
    "a series in one branch only, beside one value a branch": (
        "m(a=[5->3|1], b=[2|6]) -> Add()",
        "(m(a=5, b=2) -> m(a=3, b=2) | m(a=1, b=6)) -> Add()",
    ),
    "a sequence of one": ("m(a=[3])", "m(a=3)"),
    "a sequence of one beside a series": ("m(a=[5->3], b=[2])", "m(a=5, b=2) -> m(a=3, b=2)"),
    "expressions": ("m(a=[1+1->2*3], b=1)", "m(a=2, b=1) -> m(a=6, b=1)"),
    "a range": ("m(a=[1->..->4])", "m(a=[1->2->3->4])"),
    "a range in parallel": ("m(a=[1|..|3]) -> Add()", "m(a=[1|2|3]) -> Add()"),
    "a range of one": ("m(a=[2->..->2])", "m(a=2)"),
    "an empty range": ("Relu() -> m(a=[3->..->1])", "Relu()"),
    "a range by expressions": ("m(a=[2/2->..->7%4])", "m(a=1) -> m(a=2) -> m(a=3)"),
    "a range beside branches": (
        "m(a=[1->..->2], b=[5|6]) -> Add()",
        "(m(a=1, b=5) -> m(a=2, b=5) | m(a=1, b=6) -> m(a=2, b=6)) -> Add()",
    ),
    "a series of conditions": ("Relu(?=[true->false->true])", "Relu() -> Relu()"),
    "branches of conditions": ("Relu(?=[true|false]) -> Add()", "(Relu() | ) -> Add()"),
    "copies in series": ("m(a=3, ->=3)", "m(a=3) -> m(a=3) -> m(a=3)"),
    "copies in parallel": ("m(a=3, |=3) -> Add()", "(m(a=3) | m(a=3) | m(a=3)) -> Add()"),
    "copies in series in each branch": ("m(a=3, ->=2, |=2) -> Add()", "(m(a=3) -> m(a=3) | m(a=3) -> m(a=3)) -> Add()"),
    "the order of the numbers of copies": ("m(|=2, a=3, ->=2) -> Add()", "m(a=3, ->=2, |=2) -> Add()"),
    "copies by an expression": ("Relu(->=2*2-1)", "Relu() -> Relu() -> Relu()"),
    "no copy": ("Relu() -> m(a=3, ->=0)", "Relu()"),
    "one copy": ("Relu(->=1, |=1)", "Relu()"),
    "a condition that holds": ("Relu(?=1<2)", "Relu()"),
    "a condition that does not": ("Tanh() -> Relu(?=1>2)", "Tanh()"),
    "a condition on copies": ("Tanh() -> Relu(?=false, ->=3)", "Tanh()"),
    "a layer that is not there is not checked": ("Tanh() -> Convolution(?=false, kernel=7)", "Tanh()"),
    "a sequence in a layer within a layer": (
        "twice(b=[1|2]) -> Add()",
        "(m(a=7, b=1) -> m(a=8, b=1) | m(a=7, b=2) -> m(a=8, b=2)) -> Add()",
    ),
    # According to the language's reference, false removes the layer completely, whatever its number of copies.
    "a condition on branches": ("Tanh() -> Relu(?=false, |=3)", "Tanh()"),
    "a condition on a sequence": ("Tanh() -> m(?=false, a=[1|2])", "Tanh()"),
    # An empty range removes the layer, as [3->..->1] does.
    "an empty range in parallel": ("Relu() -> m(a=[3|..|1])", "Relu()"),
}


@pytest.mark.parametrize("short, long", WRITTEN_OUT.values(), ids=WRITTEN_OUT)
def test_a_short_form_is_the_long_one(short, long):
    twice = "def twice(b) { m(a=[7->8], b=b) } "
    (found, outputs), (wanted, ends) = (meaning(f"{M}{twice}data -> {text} -> result;") for text in (short, long))
    assert found == wanted
    assert outputs == ends


def test_branches_of_a_sequence_all_take_several_streams():
    # As in the language's own AlexNet: each branch picks its part by an index.
    layers, _ = meaning("def part(i) { [i] -> Relu() } data -> Split(n=2) -> part(i=[0|1]) -> Concatenate() -> result;")
    written, _ = meaning("data -> Split(n=2) -> ([0] -> Relu() | [1] -> Relu()) -> Concatenate() -> result;")
    assert layers == written


def test_copies_in_parallel_each_take_all_streams():
    layers, _ = meaning("data -> (Relu() | Tanh()) -> Add(|=2) -> Add() -> result;")
    assert layers[2:] == [("Add()", (1, 2), (3,)), ("Add()", (1, 2), (4,)), ("Add()", (3, 4), (5,))]
