"""ROOT files that are written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from zfit_dark.errors import InputError
from zfit_dark.results.scan import in_one_step

_YEARS = (1995, 2058)
"""First and last year of the dates in a ROOT file."""


@contextmanager
def new_root_file(path: Path) -> Iterator[Any]:
    """An empty ROOT file of uproot that becomes `path` in one step, when it is complete.

    Raises:
        InputError: The file cannot be written, or the clock tells a year that it cannot hold.
    """
    import uproot

    first, last = _YEARS
    year = datetime.now().year
    if not first <= year <= last:
        raise InputError(
            f"{path}: cannot be written (the clock says {year}, and a ROOT file has dates from "
            f"{first} to {last}); set the clock"
        )
    # uproot would make a folder that is not there: the file is opened without it
    with in_one_step(path) as temporary, temporary.open("w+b") as raw, uproot.recreate(raw) as file:
        yield file
