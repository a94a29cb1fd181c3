"""The docs site is built with one command, and everything that its pages link to exists."""
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import vqvae_gluon
from conftest import ROOT

pytest.importorskip("mkdocs")


class Page(HTMLParser):
    """The anchors of a page, the targets of its links, and the files that a browser loads with it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors, self.links, self.loaded = {""}, set(), set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors.add(given.get("id"))
        if tag == "a" and given.get("href"):
            self.links.add(given["href"])
        elif tag in ("img", "script", "link") and given.get("rel") != "canonical":
            self.loaded.add(given.get("src") or given.get("href") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, with the tutorial as committed, because running it takes two minutes."""
    folder = tmp_path_factory.mktemp("site") / "out"
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    environment = {**os.environ, "EXECUTE": "false", "PYTHONWARNINGS": "ignore"}
    result = subprocess.run(command, cwd=str(ROOT), env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_link_leads_somewhere(site, pages):
    lost = []
    for path, page in pages.items():
        for link in page.links | page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (target in pages and unquote(parts.fragment) not in pages[target].anchors):
                lost.append(f"{path.relative_to(site)}: {link}")
    assert not lost


def test_nothing_is_loaded_from_other_hosts(pages):
    assert not [link for page in pages.values() for link in page.loaded if urlsplit(link).netloc]


def test_every_page_of_docs_is_there(site):
    for path in (ROOT / "docs").glob("*.md"):
        assert (site / "docs" / path.stem / "index.html").is_file(), path
    assert (site / "index.html").is_file() and (site / "pre-trained" / "index.html").is_file()


def test_the_reference_has_every_public_name(site):
    anchors = Page(site / "docs" / "api" / "index.html").anchors
    ends = {anchor.rpartition(".")[2] for anchor in anchors if anchor}
    assert set(vqvae_gluon.__all__) <= ends
    text = (site / "docs" / "api" / "index.html").read_text()
    assert "Return the codes" in text and not re.search(r":(?:class|func):<", text)


def test_the_tutorial_is_committed_without_outputs():
    cells = json.loads((ROOT / "docs" / "tutorial.ipynb").read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 5 and not any(cell["outputs"] or cell["execution_count"] for cell in code)
