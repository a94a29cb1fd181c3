"""Helpers shared by the tests of EMADL: texts around a network, their meaning, and the place of a fault."""
import re
from pathlib import Path

from vqvae_gluon import VQVAEError
from vqvae_gluon.emadl import parse

COMPONENTS = sorted(Path(__file__).with_name("components").glob("*.emadl"))
IMAGE = "Q^{8,6,6}"
PORTS = f"in {IMAGE} data, out {IMAGE} result"
MARK = "§"


def component(network, ports=PORTS, parameters=""):
    """Return the text of a component whose network, or definitions and network, start on line 5."""
    return f"""package p;
component Sample{parameters} {{
    ports {ports};
    implementation CNN {{
{network}
    }}
}}
"""


def find_mark(text):
    """Return a text without its mark, and the line and column, from 1, of what follows the mark."""
    before, after = text.split(MARK)
    return before + after, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def meaning(network, ports=PORTS, parameters=""):
    """Return a network's meaning, however it is written: each layer with its streams, and the outputs' streams."""
    found = parse(component(network, ports, parameters), "Sample.emadl")
    layers = [(str(layer), layer.inputs, layer.outputs) for layer in found.layers]
    return layers, found.outputs_of


def check(read, text):
    """Read a text; check the outcome, and that the place in an error message is within the text."""
    try:
        found = read(text, "Sample.emadl")
    except VQVAEError as error:
        message = str(error)
        place = re.match(r"Sample\.emadl:(\d+):(\d+): \S", message)
        assert place, message
        # Neither line ends nor terminal control characters.
        assert message.isprintable(), ascii(message)
        lines = text.split("\n")
        line, column = map(int, place.groups())
        assert 1 <= line <= len(lines), message
        assert 1 <= column <= len(lines[line - 1]) + 1, message
        return message
    return found.describe() if read is parse else found
