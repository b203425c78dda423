from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

import zfit_dark
from zfit_dark import searches
from zfit_dark.report.words import sources_table

HERE = Path(__file__).parent

project = "zfit_dark"
author = "zfit_dark developers"
copyright = "2026, zfit_dark developers"
version = release = zfit_dark.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
default_role = "py:obj"

nb_execution_mode = "off"  # docs/notebooks.py executes them
nb_output_stderr = "remove"

autodoc_inherit_docstrings = False  # zfit's docstrings are not ours to show
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_type_aliases = {"ArrayLike": "ArrayLike", "NDArray": "NDArray"}
napoleon_numpy_docstring = False

html_math_renderer = "mathml"  # formulas are there without a network, too
html_theme = "pydata_sphinx_theme"
html_title = f"zfit_dark {version}"
html_theme_options = {"show_toc_level": 2, "navbar_center": []}
html_sidebars = {"**": ["globaltoc"]}
html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["pages.css"]


def numbers(search: str) -> str:
    """The numbers of a search, as its ``sources()`` tells them, as a Markdown section."""
    columns, rows = sources_table(searches.load(search).sources())
    table = [columns, ["---"] * len(columns), *rows]
    status = columns.index("status")
    for row in rows:
        row[status] = {"assumed": "**assumed**"}.get(row[status], row[status])
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table]
    of_each = [row[status].strip("*") for row in rows]
    counts = ", ".join(f"{of_each.count(name)} {name}" for name in sorted(set(of_each)))
    return "\n".join(
        [
            "\n\n## The numbers behind it\n",
            f"{counts}. Numbers that are assumed make the example run; they are no experiment's.\n",
            "```{container} numbers",
            *lines,
            "```\n",
        ]
    )


def tutorials() -> str:
    """The tutorials: pages where they were executed, else the scripts, as Markdown."""
    scripts = sorted((HERE.parent / "tutorials").glob("*.py"))
    titles = {script: script.read_text(encoding="utf-8") for script in scripts}
    titles = {
        script: text.partition("\n# # ")[2].partition("\n")[0] for script, text in titles.items()
    }
    executed = [
        f"tutorials/{s.stem}" for s in scripts if (HERE / f"tutorials/{s.stem}.ipynb").exists()
    ]
    lines = []
    for script, title in titles.items():
        page = f"tutorials/{script.stem}"
        name = f"{{doc}}`{title} <{page}>`" if page in executed else title
        lines.append(f"- {name} ({{download}}`script <../tutorials/{script.name}>`)")
    if executed:
        lines += ["", "```{toctree}", ":hidden:", "", *executed, "```"]
    return "\n".join(["", *lines, ""])


def completed(app: Any, docname: str, source: list[str]) -> None:
    """Add to a page what is made of the code."""
    if docname in searches.names():
        source[0] += numbers(docname)
    if docname == "tutorials":
        source[0] += tutorials()


def inline_formula(translator: Any, node: Any) -> None:
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def formula(translator: Any, node: Any) -> None:
    translator.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    app.connect("source-read", completed)
    app.add_html_math_renderer("mathml", (inline_formula, None), (formula, None))
