"""Scans of the searches: in pieces that are kept, and of the parameter that is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zfit_dark.errors import InputError
from zfit_dark.results import Scan

FloatArray = npt.NDArray[np.float64]


def in_parts(
    work: Callable[[FloatArray], Scan],
    hypotheses: FloatArray,
    folder: Path | None,
    name: str,
    provenance: Mapping[str, Any],
    size: int,
) -> Scan:
    """A scan in pieces that are kept in a folder; those that are there are not made again.

    Args:
        work: Makes a piece.
        hypotheses: All masses.
        folder: Where the pieces are; None to keep none.
        name: Begins the names of their files.
        provenance: What the pieces say of their origin.
        size: Masses of a piece.

    Raises:
        InputError: a piece that is there is of another scan.
    """
    if folder is None:
        return work(hypotheses)
    found: list[Scan] = []
    for first in range(0, len(hypotheses), size):
        part, path = hypotheses[first : first + size], folder / f"{name}_{first:05d}.json"
        if path.exists():
            found.append(Scan.from_json(path))
            _check_same(found[-1], part, provenance, path)
        else:
            found.append(work(part))
            found[-1].to_json(path)
    return reduce(Scan.merge, found)


def _check_same(
    found: Scan, hypotheses: FloatArray, provenance: Mapping[str, Any], path: Path
) -> None:
    """Refuse a piece of another scan."""
    for name in ("settings", "inputs", "versions"):
        if found.provenance.get(name) != json.loads(json.dumps(provenance[name])):
            raise InputError(f"{path}: a piece of a scan with other {name}; choose another folder")
    there = np.sort([*found.masses, *(skipped.mass for skipped in found.skipped)])
    if not np.array_equal(there, hypotheses):
        raise InputError(f"{path}: a piece of a scan of other masses; choose another folder")


def check_poi(scan: Scan, search: str, *known: str) -> None:
    """Refuse a scan of another parameter of interest than the known ones of a search."""
    if scan.poi not in known:
        raise InputError(
            f"a scan of {scan.poi}; give one of {' or '.join(known)}, as {search} makes it"
        )
