"""Small texts that would expand greatly: each is read or refused quickly and in little memory."""
import contextlib
import resource
import signal
from pathlib import Path

import pytest

from emadl_texts import check, component
from vqvae_gluon.emadl import parse, parse_configuration

ONE = "in Q data, out Q result"
CHANNELS = "in Q^{2000000000,1,1} data, out Q^{1,1,1} result"
SECONDS = 5  # of computing time; waiting for a busy machine does not count
MEMORY = 1 << 30  # bytes


@contextlib.contextmanager
def bounded():
    """Raise TimeoutError or MemoryError if the body takes too much, before the machine suffers."""

    def stop(number, frame):
        raise TimeoutError(f"took more than {SECONDS} seconds")

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    handler = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def chain(length, body):
    """Return layer definitions, each made of the next one, for which ``body`` has a placeholder."""
    layers = [f"def a{number}() {{ {body.format(f'a{number + 1}')} }}\n" for number in range(length)]
    return "".join(layers) + f"def a{length}() {{ Relu() }}\n data -> a0() -> result;"


NASTY = {
    "deep parentheses": component("data -> Relu(?=" + "(" * 1_000 + "true" + ")" * 1_000 + ") -> result;"),
    "parentheses without end": component("data -> Relu(?=" + "(" * 6_000),
    "deep tuples": component("data -> Reshape(shape=" + "(1," * 500 + "1" + ")" * 500 + ") -> result;"),
    "deep branches": component("data -> " + "(Relu()|" * 500 + "Relu()" + ")" * 500 + " -> result;"),
    "branches without end": component("data -> " + "(Relu()|" * 800),
    "many signs": component("data -> Relu(?=" + "!" * 2_000 + "true) -> result;"),
    "a long sum": component("data -> FullyConnected(units=" + "1+" * 1_500 + "1) -> result;"),
    "a million digits": component("data -> FullyConnected(units=" + "9" * 1_000_000 + ") -> result;"),
    "many digits": component("data -> FullyConnected(units=" + "9" * 60_000 + ") -> result;"),
    "many digits after the point": component("data -> LeakyRelu(alpha=0." + "9" * 60_000 + ") -> result;"),
    "a huge exponent": component("data -> LeakyRelu(alpha=1e999999999) -> result;"),
    "a tiny exponent": component("data -> LeakyRelu(alpha=1e-999999999) -> result;"),
    "products that grow": component("data -> FullyConnected(units=" + "*".join(["9999999"] * 20) + ") -> result;"),
    "copies of copies": component("def a() { Relu(->=10000) } def b() { a(->=10000) } data -> b(->=10000) -> result;"),
    "copies both ways": component("data -> Relu(->=10000, |=10000) -> Add() -> result;"),
    "copies of nothing both ways": component("data -> Relu(?=false, ->=10000, |=10000) -> [0] -> result;"),
    "copies of a layer of nothing": component("def a() { Relu(?=false, ->=10000) } data -> a(->=10000) -> result;"),
    "layers that double": component(chain(40, "{0}() -> {0}()")),
    "layers that double side by side": component(chain(40, "({0}() | {0}()) -> Add()")),
    "layers that double and leave their streams": component(chain(40, "({0}() | {0}())")),
    "layers that double and do nothing": component(chain(40, "{0}() -> {0}()").replace("Relu()", "Relu(?=false)")),
    "a long chain of layers": component(chain(600, "{0}()")),
    "copies side by side again and again": component("data -> " + "Add(|=100) -> " * 100 + "Add() -> result;"),
    "empty branches again and again": component("data -> " + "(|) -> " * 40 + "[0] -> result;"),
    "wide empty branches again and again": component("data -> " + "(||||||||||) -> " * 12 + "[0] -> result;"),
    "branches that double their streams": component("data -> " + "([0] | ) -> " * 400 + "[0] -> result;"),
    "many empty branches": component("data -> (" + "|" * 11_000 + ") -> [0] -> result;"),
    "a wide split": component("data -> Split(n=1000000000) -> [0] -> result;", CHANNELS),
    "splits of splits": component("data -> " + "Split(n=1000) -> [0] -> " * 3 + "result;", CHANNELS),
    "many wide splits": component(
        "data -> (" + " | ".join(["Split(n=9999) -> [0]"] * 200) + ") -> Add() -> result;", CHANNELS
    ),
    "a sequence of many empty branches": component("data -> Relu(?=[" + "|" * 10_000 + "]) -> [0] -> result;"),
    "many arrays of inputs": component(
        " ".join(f"p{n} -> Add() -> r{n};" for n in range(100)),
        ", ".join(f"in Q p{n}[100], out Q r{n}" for n in range(100)),
    ),
    "a long range": component("data -> Relu(?=[1->..->9007199254740992]) -> result;"),
    "long ranges crossed": component(
        "def m(a, b) { Relu(?=false) } data -> m(a=[1->..->9999], b=[1|..|9999]) -> [0] -> result;"
    ),
    "many long ranges": component(
        "def m(a) { Relu() } data -> m(" + ", ".join(f"a{n}=[1->..->9999]" for n in range(400)) + ") -> result;"
    ),
    "an empty range in parallel": component("data -> Relu(?=[3|..|1]) -> result;"),
    "a long name": component("data -> " + "x" * 60_000 + "() -> result;"),
    "many ports": component("data -> result;", ONE + "".join(f", out Q p{n}" for n in range(1_200))),
    "many parameters": component("data -> result;", ONE, "<" + ", ".join(f"Z p{n} = 1" for n in range(500)) + ">"),
    "many definitions": component("".join(f"def a{n}() {{Relu()}} " for n in range(500)) + "data -> result;"),
    "many streams": component("data -> result;" * 500),
    "a long stream": component("data -> " + "Relu() -> " * 1_000 + "result;"),
    "many comments": component("/**/" * 5_000 + "data -> result;"),
    "a comment without end": component("/* " * 20_000),
    "a text without end": component('data -> Pooling(pool_type="' + "a" * 60_000),
    "many quotes": component("data -> Pooling(pool_type=" + '"' * 60_001 + ") -> result;"),
    "much space": component(" " * 30_000 + "\n" * 30_000 + "data -> result;"),
    "zeros": "\0" * 60_000,
    "a control letter in a text": component('data -> Pooling(pool_type="\x1b[31m", kernel=(1,1)) -> result;'),
    "a line end in a text": component('data -> Pooling(pool_type="a\rb", kernel=(1,1)) -> result;'),
    "another line end in a text": component('data -> Pooling(pool_type="a\u2028b", kernel=(1,1)) -> result;'),
    "a letter alone of a pair": component('data -> Pooling(pool_type="\ud800", kernel=(1,1)) -> result;'),
    "names of another script": component("größe -> result;", "in Q größe, out Q result"),
    "digits of another script": component("data -> FullyConnected(units=٣) -> result;"),
    "a byte order mark": "\ufeff" + component("data -> result;"),
    "two byte order marks": "\ufeff\ufeff" + component("data -> result;"),
    "line ends of old": component("data -> result;").replace("\n", "\r"),
    "line ends of Windows": component("data -> Relu() -> result;").replace("\n", "\r\n"),
    "a port called like a word": component("ports -> package;", "in Q ports, out Q package"),
}


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_a_nasty_text_takes_no_time(text):
    with bounded():
        check(parse, text)


NASTY_CONFIGURATIONS = {
    "deep settings": "configuration C " + "{ a: b " * 3_000,
    "deep settings that end": "configuration C " + "{ optimizer: adam " * 400 + "}" * 400,
    "many keys": "configuration C { " + "a: 1 " * 1_000 + "}",
    "many different keys": "configuration C { " + "".join(f"a{n}:1 " for n in range(2_500)) + "}",
    "a long name": "configuration C { encoder: " + "a." * 3_000 + "a }",
    "a huge number": "configuration C { num_epoch: " + "9" * 60_000 + " }",
    "a control letter": 'configuration C { learning_method: "\x1b[31m" }',
    "a line end": 'configuration C { learning_method: "a\rb" }',
    "a byte order mark": "\ufeffconfiguration C { }",
}


@pytest.mark.parametrize("text", NASTY_CONFIGURATIONS.values(), ids=NASTY_CONFIGURATIONS)
def test_a_nasty_configuration_takes_no_time(text):
    with bounded():
        check(parse_configuration, text)
