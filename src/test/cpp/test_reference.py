"""The API reference: every public name of the C++ headers has a comment, and every header shows its use."""
import re
import shutil
import subprocess

import pytest

from conftest import ROOT

INCLUDE = ROOT / "cpp" / "include" / "vqvae"

needs_doxygen = pytest.mark.skipif(not shutil.which("doxygen"), reason="doxygen is missing (Debian's name)")


def doxygen(folder, headers):
    """Build the reference of some headers; return the exit code and the warnings."""
    settings = (ROOT / "cpp" / "Doxyfile").read_text() + f'INPUT = "{headers}"\nOUTPUT_DIRECTORY = "{folder}"\n'
    result = subprocess.run(["doxygen", "-"], input=settings, capture_output=True, text=True, cwd=str(ROOT))
    return result.returncode, result.stderr


@needs_doxygen
def test_every_public_name_is_documented(tmp_path):
    assert doxygen(tmp_path, INCLUDE) == (0, "")
    pages = {path.name for path in (tmp_path / "html").iterdir()}
    assert {f"classvqvae_1_1{name}.html" for name in ("Codec", "BatchCodec", "Sampler", "Executor", "Error")} <= pages
    assert not any("detail" in page for page in pages)


@needs_doxygen
@pytest.mark.parametrize("comment", ["/// Return the codes of one image.", "///< images, from 1 to 1,000,000"])
def test_a_name_without_a_comment_is_noticed(tmp_path, comment):
    headers = shutil.copytree(INCLUDE, tmp_path / "include")
    found = 0
    for path in headers.glob("*.hpp"):
        text = path.read_text()
        found += text.count(comment)
        path.write_text(text.replace(comment, ""))
    assert found == 1
    code, faults = doxygen(tmp_path / "out", headers)
    assert code != 0 and "is not documented" in faults


@pytest.mark.parametrize("path", sorted(INCLUDE.glob("*.hpp")), ids=lambda path: path.stem)
def test_a_header_begins_with_its_use_and_its_threads(path):
    text = path.read_text()
    first = re.match(r"#pragma once\n\n/// @file\n((?:///.*\n)+)", text).group(1).lower()
    assert "vqvae::" in first
    if path.name != "error.hpp":
        assert "thread" in first
    if re.search("detail/(mxnet|component)", text) and path.stem != "threads":
        assert "lifetime" in first
