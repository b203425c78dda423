"""Limits in ROOT files: one tree of numbers, and texts in JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zfit_dark.errors import InputError
from zfit_dark.results.root_files import new_root_file
from zfit_dark.results.scan import EXPECTED_COLUMNS, cause

if TYPE_CHECKING:
    from zfit_dark.results.scan import Scan

Branches = dict[str, npt.NDArray[Any]]

_TREE = "limits"
_MARK = "zfit_dark_pseudo_data"
"""Name of the text in a ROOT file that says that it holds pseudo-data."""
_ESTIMATES = ("observed", "observed_error", "poi_hat", "poi_error", "p0")
_COUNTED = ("warnings", "how")


def branches_of(scans: Sequence[Scan]) -> tuple[Branches, dict[str, list[Any]]]:
    """The limits of scans, one after the other, and the texts that two of the branches count."""

    def column(name: str) -> npt.NDArray[Any]:
        joined: npt.NDArray[Any] = np.concatenate([getattr(scan, name) for scan in scans])
        return joined

    branches: Branches = {"mass_GeV": column("masses")}
    branches |= {name: column(name) for name in _ESTIMATES}
    branches |= dict(zip(EXPECTED_COLUMNS, column("expected").T.copy(), strict=True))
    branches["valid"] = column("valid")
    texts: dict[str, list[Any]] = {}
    for name in _COUNTED:
        of_all = chain.from_iterable(getattr(scan, name) for scan in scans)
        branches[name], texts[name] = numbered(of_all)
    return branches, texts


def columns_from(
    branches: Mapping[str, npt.NDArray[Any]], texts: Mapping[str, list[Any]]
) -> dict[str, Any]:
    """What `branches_of` wrote for one scan, as `Scan` takes it."""
    return {
        "masses": branches["mass_GeV"],
        **{name: branches[name] for name in _ESTIMATES},
        "expected": np.stack([branches[name] for name in EXPECTED_COLUMNS], axis=1),
        "valid": branches["valid"],
        "warnings": tuple(tuple(texts["warnings"][i]) for i in branches["warnings"]),
        "how": tuple(texts["how"][i] for i in branches["how"]),
    }


def numbered(values: Iterable[Hashable]) -> tuple[npt.NDArray[np.int32], list[Any]]:
    """The number of each value among the distinct ones, and these."""
    numbers: dict[Hashable, int] = {}
    found = [numbers.setdefault(value, len(numbers)) for value in values]
    return np.array(found, dtype=np.int32), list(numbers)


def write(
    path: Path, branches: Branches, texts: Mapping[str, Any], level: float, *, pseudo_data: bool
) -> None:
    """Write a ROOT file in one step.

    Raises:
        InputError: The file cannot be written.
    """
    with new_root_file(path) as file:
        if pseudo_data:
            file[_MARK] = "the limits in this file come from pseudo-data"
        for name, content in texts.items():
            file[name] = json.dumps(content, allow_nan=False)
        types = {name: values.dtype for name, values in branches.items()}
        kind = "pseudo-data" if pseudo_data else "data"
        title = f"upper limits at {100 * level:g} % CL from {kind}"
        file.mktree(_TREE, types, title=title).extend(branches)


def read(path: Path, kind: str, writer: str) -> tuple[dict[str, str], Branches]:
    """The texts and the branches of a file.

    Args:
        path: The file.
        kind: What it holds, for errors: ``"scan"``.
        writer: What writes such files, for errors.

    Raises:
        InputError: The file is missing, no ROOT file, or another one, or damaged.
    """
    import uproot

    try:
        with path.open("rb") as raw:
            magic = raw.read(4)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({cause(error)})") from error
    if magic != b"root":
        raise InputError(f"{path}: not a ROOT file; give one written by {writer}")
    names = ("metadata", "texts", "skipped")
    try:
        with uproot.open(path) as file:
            there = set(file.keys(cycle=False))
            if not {_TREE, *names} <= there:
                raise InputError(
                    f"{path}: not a zfit_dark {kind} file; give one written by {writer}"
                )
            return {name: str(file[name]) for name in names}, file[_TREE].arrays(library="np")
    except InputError:
        raise
    except Exception as error:  # uproot raises many kinds for damaged files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: damaged {kind} file ({reason})") from error
