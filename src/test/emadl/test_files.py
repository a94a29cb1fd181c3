"""Files of EMADL text: how their bytes are decoded, and the errors for files that cannot be read."""
import pytest

from emadl_texts import component
from vqvae_gluon import VQVAEError
from vqvae_gluon.emadl import LENET, OWN_PROJECT, read

TEXT = component("data -> Relu() -> result; // done")


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("done", "für Schärfe").encode("latin-1"),
        TEXT.replace("done", "für Schärfe").encode("utf-8"),
    ],
    ids=["plain", "byte order mark", "line ends of Windows", "a comment in Latin-1", "a comment in UTF-8"],
)
def test_a_file_is_read_whatever_wrote_it(tmp_path, content):
    (tmp_path / "Sample.emadl").write_bytes(content)
    assert [layer.name for layer in read(tmp_path / "Sample.emadl").layers] == ["Relu"]


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", "package p;".encode("utf-16")])
def test_a_file_of_something_else_is_refused_at_its_first_letter(tmp_path, content):
    path = tmp_path / "Sample.emadl"
    path.write_bytes(content)
    with pytest.raises(VQVAEError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}:1:1: unexpected ")
    assert str(error.value).isprintable()


def test_a_fault_is_told_with_the_path_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Sample.emadl").write_text(TEXT.replace("Relu", "Relo"))
    with pytest.raises(VQVAEError, match=r"^Sample\.emadl:5:9: unknown layer 'Relo'; did you mean Relu\?"):
        read("Sample.emadl")


@pytest.mark.parametrize("name", ["missing.emadl", "."])
def test_what_is_no_file_is_refused(tmp_path, name):
    with pytest.raises(VQVAEError, match=f"^{tmp_path / name}: "):
        read(tmp_path / name)


# Worked out by hand: 32*10 + 64*289 + 16*65 and a codebook of 64*16; 64*257 + 32*1025 + 289;
# 20*26 + 50*501 + 128*801 + 10*129.
@pytest.mark.parametrize(
    "path, name, shapes, count",
    [
        (OWN_PROJECT / "Encoder.emadl", "vqvae.Encoder", [(1, 28, 28), (16, 7, 7)], 20_880),
        (OWN_PROJECT / "Decoder.emadl", "vqvae.Decoder", [(16, 7, 7), (1, 28, 28)], 49_537),
        (LENET, "mnist.LeNetNetwork", [(1, 28, 28), (10,)], 129_388),
    ],
    ids=["encoder", "decoder", "LeNet"],
)
def test_the_packages_own_texts(path, name, shapes, count):
    found = read(path)
    assert found.full_name == name
    assert [kind.shape for kind in found.input_types + found.output_types] == shapes
    assert found.parameter_count == count
