"""What the tests of EMADL share: texts around a network, what they mean, and where a fault is."""
import re
from pathlib import Path

from vqvae_gluon import VQVAEError
from vqvae_gluon.emadl import parse

COMPONENTS = sorted(Path(__file__).with_name("components").glob("*.emadl"))
IMAGE = "Q^{8,6,6}"
PORTS = f"in {IMAGE} data, out {IMAGE} result"
MARK = "§"


def component(network, ports=PORTS, parameters=""):
    """Return the text of a component whose network, or whose definitions and network, stand on line 5."""
    return f"""package p;
component Sample{parameters} {{
    ports {ports};
    implementation CNN {{
{network}
    }}
}}
"""


def find_mark(text):
    """Return a text without its mark, and the line and the column of what stands after the mark, from 1."""
    before, after = text.split(MARK)
    return before + after, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def meaning(network, ports=PORTS, parameters=""):
    """Return what a network is, however it is written: each layer with its streams, and the outputs' streams."""
    found = parse(component(network, ports, parameters), "Sample.emadl")
    layers = [(str(layer), layer.inputs, layer.outputs) for layer in found.layers]
    return layers, found.outputs_of


def check(read, text):
    """Read a text; check what it ends in, and that the place in an error is one of the text."""
    try:
        found = read(text, "Sample.emadl")
    except VQVAEError as error:
        message = str(error)
        place = re.match(r"Sample\.emadl:(\d+):(\d+): \S", message)
        assert place, message
        # Neither line ends nor what would steer a terminal.
        assert message.isprintable(), ascii(message)
        lines = text.split("\n")
        line, column = map(int, place.groups())
        assert 1 <= line <= len(lines), message
        assert 1 <= column <= len(lines[line - 1]) + 1, message
        return message
    return found.describe() if read is parse else found
