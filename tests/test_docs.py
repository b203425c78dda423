"""What the documentation says of files, anchors, names and small numbers is so."""

from __future__ import annotations

import ast
import builtins
import doctest
import re
import sys
import textwrap
from importlib import import_module, resources
from pathlib import Path

import pytest

import zfit_dark as zd
from zfit_dark import searches

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*DOCS, *sorted(ROOT.glob("*.md")), *sorted((ROOT / "benchmarks").glob("*.md"))]
TUTORIALS = sorted((ROOT / "tutorials").glob("*.py"))
FENCE = re.compile(r"^(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=fence)\s*$", re.M | re.S)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]*)\)")
ROLE = re.compile(r"\{(?:doc|download)\}`(?:[^`<]*<)?(?P<target>[^`>]+)>?`")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> str:
    """The text of a page or of the Markdown cells of a tutorial, without code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        cells = re.split(r"^# %%", text, flags=re.M)
        kept = [cell for cell in cells if cell.startswith(" [markdown]")]
        text = "\n".join(re.sub(r"^# ?", "", cell, flags=re.M) for cell in kept)
    return re.sub(r"`[^`\n]*`(?!\w)", "``", FENCE.sub("", text))


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub and MyST make it."""
    words = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return words.replace(" ", "-")


def anchors(path: Path) -> set[str]:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    headings = re.findall(r"^#{1,6} +(.+)$", text, flags=re.M)
    return {anchor(heading) for heading in headings} | set(re.findall(r"^\((.+)\)=$", text, re.M))


def blocks(path: Path, language: str) -> list[str]:
    """The code blocks of a language."""
    found = FENCE.finditer(path.read_text(encoding="utf-8"))
    return [textwrap.dedent(m["text"]) for m in found if m["info"].strip() == language]


def is_session(block: str) -> bool:
    return block.lstrip().startswith(">>>")


def test_the_pages_are_found() -> None:
    assert {"README.md", "docs/index.md", "docs/mistakes.md"} <= {name_of(p) for p in PAGES}
    assert TUTORIALS


@pytest.mark.parametrize("page", [*PAGES, *TUTORIALS], ids=name_of)
def test_links_lead_to_files_and_anchors_that_are_there(page: Path) -> None:
    text = prose(page)
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target) or not target:
            continue
        file, _, fragment = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), f"{name_of(page)}: {target}"
        if fragment:
            assert fragment in anchors(there), f"{name_of(page)}: {target}"


@pytest.mark.parametrize("page", DOCS, ids=name_of)
def test_roles_and_toctrees_name_pages_that_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = set(ROLE.findall(FENCE.sub("", text)))
    for tree in blocks(page, "{toctree}"):
        targets |= {line for line in tree.split("\n") if line.strip() and not line.startswith(":")}
    for target in targets:
        assert (page.parent / f"{target}.md").exists(), f"{name_of(page)}: {target}"


def test_every_page_is_in_a_toctree() -> None:
    listed = "\n".join(blocks(ROOT / "docs" / "index.md", "{toctree}")).split()
    assert {page.stem for page in DOCS} - {"index"} <= set(listed)


def test_every_search_has_a_page() -> None:
    assert set(searches.names()) <= {page.stem for page in DOCS}


def names_after_zd(tree: ast.AST) -> set[str]:
    """What is taken from ``zd``, with dots, without ``zd`` itself."""
    found = set()
    for node in ast.walk(tree):
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id == "zd" and parts:
            found.add(".".join(reversed(parts)))
    return found


def exists(dotted: str) -> bool:
    """Whether a name leads somewhere from ``zfit_dark``, submodules among it."""
    here: object = zd
    for part in dotted.split("."):
        try:
            here = getattr(here, part)
        except AttributeError:
            try:
                here = import_module(f"{getattr(here, '__name__', '?')}.{part}")
            except ImportError:
                return False
    return True


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_in_the_pages_parses_and_names_what_there_is(page: Path) -> None:
    for block in blocks(page, "python"):
        if is_session(block):
            block = "".join(e.source for e in doctest.DocTestParser().get_examples(block))
        tree = ast.parse(block)
        missing = sorted(name for name in names_after_zd(tree) if not exists(name))
        assert not missing, f"{name_of(page)}: zd.{missing}"
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zfit_dark"):
                module = import_module(str(node.module))
                for alias in node.names:
                    known = hasattr(module, alias.name) or exists(
                        f"{node.module}.{alias.name}".removeprefix("zfit_dark.")
                    )
                    assert known, f"{name_of(page)}: {node.module}.{alias.name}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_sessions_in_the_pages_are_as_printed(page: Path) -> None:
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    names: dict[str, object] = {}  # those of a page go on from one session to the next
    sessions = [block for block in blocks(page, "python") if is_session(block)]
    for number, session in enumerate(sessions):
        test = parser.get_doctest(session, names, f"{name_of(page)}[{number}]", str(page), 0)
        test.globs = names
        result = runner.run(test, out=sys.stderr.write, clear_globs=False)
        assert not result.failed
        assert result.attempted
        builtins.__dict__.pop("_", None)  # left there by the runner


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=name_of)
def test_tutorials_begin_with_a_title(tutorial: Path) -> None:
    assert re.search(r"^# # \S", tutorial.read_text(encoding="utf-8"), flags=re.M)


def test_the_data_files_are_in_the_package() -> None:
    package = resources.files("zfit_dark")
    for name in ("py.typed", "references.yaml", "literature.yaml"):
        assert package.joinpath(name).is_file()
