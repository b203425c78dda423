"""What a scan left in a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from zfit_dark.errors import InputError
from zfit_dark.results import Exclusion, LifetimeScan, Plane, Scan
from zfit_dark.results.scan import cause

_SCAN, _COUPLING, _LIFETIMES = "scan.json", "coupling.json", "limits.root"
_FIT = re.compile(r"fit_(\d+\.\d{4})")
_ROUNDED = 0.6e-4
"""How far the mass in the name of a plot may be from that of the fit, in GeV."""
_MAGIC = b"\x89PNG\r\n\x1a\n"
_R = TypeVar("_R")


@dataclass(frozen=True, eq=False, kw_only=True)
class Contents:
    """The results in a folder; what is not there is None or empty.

    Attributes:
        scan: The limits against mass.
        coupling: The same as limits on a coupling, at the same masses.
        lifetimes: The limits against mass and lifetime.
        exclusions: The excluded couplings, by the name of the file without its ending.
        planes: The excluded regions of planes, by the name of the file without its ending.
        fits: Mass in GeV of `scan` to the drawn fit, a PNG file.
        plots: The drawn exclusions and planes, PNG files, by their names.
        remarks: What was found but is left out, and why.

    Raises:
        InputError: There is neither a scan nor one over lifetimes.
    """

    scan: Scan | None = None
    coupling: Scan | None = None
    lifetimes: LifetimeScan | None = None
    exclusions: Mapping[str, Exclusion] = field(default_factory=dict)
    planes: Mapping[str, Plane] = field(default_factory=dict)
    fits: Mapping[float, bytes] = field(default_factory=dict)
    plots: Mapping[str, bytes] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.scan is None and self.lifetimes is None:
            raise InputError("a report needs a Scan or a LifetimeScan; give one of them")

    @property
    def scans(self) -> list[Scan]:
        """All scans, also those of each channel and lifetime; the limits on a coupling are none."""
        scans = [] if self.scan is None else [self.scan]
        if self.lifetimes is not None:
            scans += [scan for of_channel in self.lifetimes.scans.values() for scan in of_channel]
        return scans

    @property
    def pseudo_data(self) -> bool:
        """Whether any of the results comes from generated data."""
        results: list[Scan | Exclusion | Plane] = [*self.scans, *self.exclusions.values()]
        return any(result.pseudo_data for result in [*results, *self.planes.values()])

    @property
    def search(self) -> str:
        """Name of the search that made the scans; "" if they do not say."""
        return str(self.scans[0].provenance.get("search") or "")


def read_folder(folder: str | os.PathLike[str]) -> Contents:
    """The results in a folder that ``zfit-dark scan`` left.

    Plots of fits are taken if their mass is one of the scan. A coupling that comes from another
    scan is left out, with a remark.

    Raises:
        InputError: The folder holds neither ``scan.json`` nor ``limits.root``, or a file in it is
            damaged; the message names the file.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{root}: no folder; give one that 'zfit-dark scan' wrote to")
    scan = _if_there(root / _SCAN, Scan.from_json)
    lifetimes = _if_there(root / _LIFETIMES, LifetimeScan.from_root)
    if scan is None and lifetimes is None:
        raise InputError(
            f"{root}: holds neither {_SCAN} nor {_LIFETIMES}; give the folder of 'zfit-dark scan'"
        )
    remarks: list[str] = []
    exclusions = {p.stem: Exclusion.from_json(p) for p in sorted(root.glob("exclusion_*.json"))}
    planes = {p.stem: Plane.from_json(p) for p in sorted(root.glob("plane_*.json"))}
    plots = [root / f"{name}.png" for name in (*exclusions, *planes)]
    return Contents(
        scan=scan,
        coupling=_coupling(root / _COUPLING, scan, remarks),
        lifetimes=lifetimes,
        exclusions=exclusions,
        planes=planes,
        fits=_fits(root, scan, remarks),
        plots={path.stem: _png(path) for path in plots if path.exists()},
        remarks=tuple(remarks),
    )


def _if_there(path: Path, read: Callable[[Path], _R]) -> _R | None:
    return read(path) if path.exists() else None


def _coupling(path: Path, scan: Scan | None, remarks: list[str]) -> Scan | None:
    """The limits on the coupling, if they are those of the scan."""
    coupling = _if_there(path, Scan.from_json)
    if coupling is None:
        return None
    same = scan is not None and np.array_equal(coupling.masses, scan.masses)
    if scan is None or not same or coupling.provenance != scan.provenance:
        remarks.append(f"{path.name}: left out, it comes from another scan")
        return None
    return coupling


def _fits(root: Path, scan: Scan | None, remarks: list[str]) -> dict[float, bytes]:
    """The drawn fits at masses of the scan."""
    fits = {}
    for path in sorted(root.glob("fit_*.png")):
        name = _FIT.fullmatch(path.stem)
        masses = np.empty(0) if scan is None else scan.masses
        if name is None or not len(masses):
            remarks.append(f"{path.name}: left out, it is no fit of a scan in this folder")
            continue
        nearest = float(masses[np.argmin(np.abs(masses - float(name[1])))])
        if abs(nearest - float(name[1])) > _ROUNDED:
            remarks.append(f"{path.name}: left out, the scan has no such mass")
            continue
        fits[nearest] = _png(path)
    return fits


def _png(path: Path) -> bytes:
    """The content of a PNG file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({cause(error)})") from error
    if not content.startswith(_MAGIC):
        raise InputError(f"{path}: not a PNG file, or a damaged one; draw it again or remove it")
    return content
