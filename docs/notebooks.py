"""Execute the tutorials, two at a time, and keep them as notebooks in docs/tutorials/.

The scripts are in the percent format of jupytext; ``python docs/notebooks.py`` makes all of them,
``python docs/notebooks.py 01 03`` those whose names begin so. A script that fails is told, and the
exit status is 1. The pages are made of the notebooks by Sphinx, which executes nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

DOCS = Path(__file__).resolve().parent
SCRIPTS = DOCS.parent / "tutorials"
NOTEBOOKS = DOCS / "tutorials"


def execute(script: Path, folder: Path) -> str:
    """Execute a script in a folder; returns what went wrong, "" if nothing did."""
    start = time.monotonic()
    notebook = jupytext.read(script)
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    resources = {"metadata": {"path": str(folder)}}
    error = ""
    try:
        NotebookClient(notebook, resources=resources, coalesce_streams=True).execute()
    except CellExecutionError as failure:
        error = str(failure)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":  # links of tutorials/ are now those of docs/tutorials/
            cell.source = cell.source.replace("](../docs/", "](../")
    nbformat.write(notebook, NOTEBOOKS / f"{script.stem}.ipynb")
    print(
        f"{script.name}: {'failed' if error else 'done'}, {time.monotonic() - start:.0f} s",
        flush=True,
    )
    return error


def main(wanted: list[str]) -> int:
    """Execute the tutorials whose names begin so, all if none is given; returns the exit status."""
    scripts = [s for s in sorted(SCRIPTS.glob("*.py")) if s.name.startswith(tuple(wanted or [""]))]
    os.environ.pop("MPLBACKEND", None)  # figures belong into the notebook
    NOTEBOOKS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        shutil.copytree(SCRIPTS, folder, dirs_exist_ok=True)
        errors = list(pool.map(lambda script: execute(script, Path(folder)), scripts))
    print(*filter(None, errors), sep="\n\n", file=sys.stderr, end="")
    return int(any(errors) or not scripts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
