"""The candidates of a search, and the mark that tells pseudo-data from data."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zfit_dark import candidates
from zfit_dark.errors import InputError

FloatArray = npt.NDArray[np.float64]

_MARK = "zfit_dark_pseudo_data"
"""Name of the text in a ROOT file that says that its trees hold pseudo-data."""


class PseudoData(dict[str, FloatArray]):
    """Generated candidates: mode to masses in GeV.

    Attributes:
        record: How they were generated, plain JSON values.
    """

    def __init__(self, masses: Mapping[str, FloatArray], record: Mapping[str, Any]) -> None:
        super().__init__(masses)
        self.record = dict(record)


@dataclass(frozen=True, eq=False)
class Sample:
    """Candidates that are ready for a fit, and where they come from.

    Attributes:
        values: Mode to masses in GeV, read-only arrays.
        report: What was read and what was left out and why, as lines of text.
        inputs: One record (``path``, ``sha256``, ``size``) per file that was read.
        settings: What chose the candidates, plain JSON values.
        pseudo_data: How they were generated; None for data.
    """

    values: Mapping[str, FloatArray]
    report: tuple[str, ...]
    inputs: tuple[dict[str, Any], ...]
    settings: Mapping[str, Any]
    pseudo_data: Mapping[str, Any] | None


def read_sample(
    data: str | os.PathLike[str] | Mapping[str, Any],
    modes: Sequence[str],
    *,
    limits: Mapping[str, tuple[float, float]],
    branch: str = "mass",
    trees: Mapping[str, str] | None = None,
    cut: str | Mapping[str, str] | None = None,
) -> Sample:
    """The candidates of the modes, from a ROOT file or a mapping of mode to masses.

    Args:
        data: See `zfit_dark.candidates.read`.
        modes: The modes to read.
        limits: Mode to (low, high) in GeV.
        branch: Branch or column that holds the mass.
        trees: Mode to name of its tree; one that is not in it has a tree of its own name.
        cut: Selects entries of the trees; one for all modes, or one a mode.

    Raises:
        InputError: see `zfit_dark.candidates.read`; or the candidates carry weights, or there is
            not a single one.
    """
    read = candidates.read(data, modes, limits=limits, branch=branch, trees=trees, cut=cut)
    weighted = [mode for mode in modes if read.weights[mode] is not None]
    if weighted:
        raise InputError(
            f"{', '.join(weighted)}: the candidates carry weights; the likelihood counts each "
            "candidate once, give unweighted and unbinned ones"
        )
    if not any(len(values) for values in read.values.values()):
        raise InputError(f"{_name(data)}: no mode has a single candidate; check trees and cut")
    record = data.record if isinstance(data, PseudoData) else None
    if not isinstance(data, Mapping):
        record = _mark_in(Path(data))
    report = list(read.report)
    if record is not None:
        report.append(f"pseudo-data, {record['search']} with seed {record['seed']}")
    settings = {"branch": branch, "trees": dict(trees or {}), "cut": cut}
    return Sample(read.values, tuple(report), read.inputs, settings, record)


def sample_of(
    data: Any, modes: Iterable[str] | None, read: Callable[..., Sample]
) -> tuple[Sample, tuple[str, ...]]:
    """The candidates and the modes to take of them.

    Args:
        data: A `Sample`, or what ``read`` takes.
        modes: Some of those there are; None for all.
        read: That of the search.
    """
    if not isinstance(data, Sample):
        data = read(data, modes=modes)
        return data, tuple(data.values)
    return data, chosen_modes(modes, tuple(data.values))


def check_nothing_selected(branch: str, trees: Mapping[str, str] | None, cut: str | None) -> None:
    """Refuse to select from pseudo-data that are made at once."""
    if trees or cut is not None or branch != "mass":
        raise InputError("branch, trees and cut select from a file; give data")


def check_nothing_injected(inject: Iterable[tuple[float, float]]) -> None:
    """Refuse to inject signals into given data."""
    if tuple(inject):
        raise InputError(
            "signals are injected into generated pseudo-data only, not into given data"
        )


def write_pseudo_data(
    path: str | os.PathLike[str],
    trees: Mapping[str, Mapping[str, FloatArray]],
    record: Mapping[str, Any],
) -> None:
    """Write a ROOT file with one TTree per mode and the mark of pseudo-data.

    Its folder is made if it is not there. The file appears in one step, when it is complete.

    Args:
        path: The file.
        trees: Mode to branches, each an array of as many numbers as there are candidates.
        record: How they were generated, plain JSON values.

    Raises:
        InputError: The file cannot be written.
    """
    from zfit_dark.results.root_files import new_root_file

    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({why_not(error)})") from error
    with new_root_file(path) as file:
        file[_MARK] = json.dumps(dict(record))
        for mode, branches in trees.items():
            tree = file.mktree(mode, dict.fromkeys(branches, np.float64))
            tree.extend(dict(branches))


def chosen_modes(modes: Iterable[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """The modes asked for in the order of those that are known; all of them for None.

    Raises:
        InputError: one is unknown, or none is left.
    """
    if modes is None:
        return tuple(known)
    asked = [modes] if isinstance(modes, str) else list(modes)
    for mode in asked:
        if mode not in known:
            raise InputError(unknown("mode", mode, known))
    if not asked:
        raise InputError(f"no mode is chosen; the modes are {', '.join(known)}")
    return tuple(mode for mode in known if mode in asked)


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The words for a name that is not among the known ones, with the closest of them."""
    names = list(known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    guess = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown {what} {name!r}; there is {', '.join(names)}{guess}"


def made_folder(path: Path) -> Path:
    """A folder, made if it is not there.

    Raises:
        InputError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be made ({why_not(error)})") from error
    return path


def why_not(error: OSError) -> str:
    """The words for an error of the file system."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "a file is in the way"
    return error.strerror or str(error)


def _mark_in(path: Path) -> dict[str, Any] | None:
    """The record of pseudo-data in a ROOT file, None if it is not marked."""
    import uproot

    try:
        with uproot.open(path) as file:
            if _MARK not in file:
                return None
            text = str(file[_MARK])
    except Exception as error:  # uproot raises many kinds for damaged files
        raise candidates.damaged(path, error) from error
    try:
        record = json.loads(text)
    except ValueError as error:
        raise InputError(
            f"{path}: its mark of pseudo-data is damaged; generate it again"
        ) from error
    if not isinstance(record, dict) or not {"search", "seed"} <= record.keys():
        raise InputError(f"{path}: its mark of pseudo-data is damaged; generate it again")
    return record


def _name(data: Any) -> str:
    return "the data" if isinstance(data, Mapping) else os.fspath(data)
