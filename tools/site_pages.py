"""MkDocs hooks: what the site has besides the pages in docs/, and where everything lies.

The site has the folders of the checkout, so that a relative link leads to the same file on a git host and on the site:
``README.md`` is its first page, ``docs/training.md`` and ``pre-trained/README.md`` are pages, and whatever else a page
links to lies where it lies in the checkout.
"""
import importlib
import re
import warnings
from pathlib import Path
from typing import Dict, Iterator, Sequence, Set, Tuple

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "pre-trained/README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
TUTORIAL = ROOT / "docs" / "tutorial.ipynb"
_LINK = re.compile(r"\]\(([^)#:\s]+)[^)]*\)")
_CODE = re.compile(r"<code>[^<]*</code>")
_ROLE = re.compile(r":(?:class|func|meth|mod):<code>~?")


@event_priority(100)  # before the plugins look at the files
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replace what MkDocs found in docs/ by the pages, what they link to, the tutorial and the reference."""
    listed = Files([file for file in files if file.src_dir != config.docs_dir])  # the theme's
    for path in (*PAGES, *sorted(linked(PAGES))):
        listed.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    tutorial, pictures = run_notebook(TUTORIAL, config.extra["execute"])
    listed.append(File.generated(config, "docs/tutorial.md", content=tutorial))
    for name, picture in pictures.items():
        listed.append(File.generated(config, f"docs/{name}", content=picture))
    listed.append(File.generated(config, "docs/api.md", content="\n".join(reference())))
    return listed


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to the notebook lead to the page that was made of it."""
    return markdown.replace(f"{TUTORIAL.name})", f"{TUTORIAL.stem}.md)")


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show the roles of docstrings, such as ``:class:`VQVAE```, as code, and the bars of code in a table."""
    return _CODE.sub(lambda code: code[0].replace("\\|", "|"), _ROLE.sub("<code>", html))


def linked(pages: Sequence[str]) -> Set[str]:
    """Return the files, relative to the checkout, that pages link to and that are no pages."""
    found = set()
    for page in pages:
        for link in _LINK.findall((ROOT / page).read_text()):
            target = (ROOT / page).parent.joinpath(link).resolve()
            if target.is_file() and ROOT in target.parents:
                found.add(target.relative_to(ROOT).as_posix())
    return found - {*pages, TUTORIAL.relative_to(ROOT).as_posix()}


def run_notebook(path: Path, execute: bool) -> Tuple[str, Dict[str, bytes]]:
    """Return a notebook as Markdown, and its pictures by name; a cell that fails ends the build."""
    import nbformat
    from nbconvert import MarkdownExporter
    from nbconvert.preprocessors import ExecutePreprocessor

    notebook = nbformat.read(path, as_version=4)
    if execute:
        ExecutePreprocessor(timeout=600).preprocess(notebook, {"metadata": {"path": str(path.parent)}})
    text, resources = MarkdownExporter().from_notebook_node(notebook, {"unique_key": path.stem})
    return text, resources["outputs"] or {}


def reference() -> Iterator[str]:
    """Yield the lines of the reference: the public names, and those of the rooms that others build on."""
    package = importlib.import_module("vqvae_gluon")
    warnings.simplefilter("ignore")  # what MXNet has to say to developers
    yield "# Reference\n\nEvery public name, from its docstring.\n"
    yield f"## {package.__name__}\n"
    for name in package.__all__:
        yield f"::: {defined_in(package, name)}\n"
    for room in ("nn", "data", "emadl"):
        module = importlib.import_module(f"vqvae_gluon.{room}")
        yield f"## vqvae_gluon.{room}\n"
        for name in sorted(set(module.__all__) - set(package.__all__)):
            yield f"::: {defined_in(module, name)}\n"


def defined_in(module: object, name: str) -> str:
    """Return the full name of what a module calls ``name``, where it is defined."""
    value = getattr(module, name)
    home = getattr(value, "__module__", "")
    return f"{home}.{name}" if home.startswith("vqvae_gluon") else f"{module.__name__}.{name}"
