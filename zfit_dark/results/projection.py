"""Expected limits at other luminosities."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zfit_dark.errors import InputError
from zfit_dark.results.checks import BoolArray, FloatArray, frozen
from zfit_dark.results.scan import (
    EXPECTED_COLUMNS,
    Scan,
    Skipped,
    by_reason,
    check_format,
    damage_told,
    decoded,
    encoded,
    flagged_of,
    read_json,
    typed,
    write_csv,
    write_json,
    yes_no,
)

if TYPE_CHECKING:
    import pandas

_FORMAT_NAME = "zfit_dark projection"
_FORMAT_VERSION = 1
_COMMON = ("level", "method", "test_statistic", "poi", "poi_label", "poi_unit", "pseudo_data")
_AXES = ("luminosities", "masses")
_TEXTS = ("warnings", "how")
_SAME = 1e-9
"""Masses that differ by less than this part of them are the same."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Projection:
    """Expected upper limits against mass, as they would be at other luminosities.

    Attributes:
        luminosities: In fb^-1, increasing, shape (k,). Read-only.
        scans: The expected limits at each luminosity, k blind scans of the same masses. Blind means
            here that they hold no observed limit; `sidebands_only` tells what the background is.
        luminosity: Of the data that the background was fitted to, in fb^-1.
        floor: Relative uncertainty of the background that competes with the signal, which does not
            shrink with the luminosity; see `zfit_dark.project`.
        sidebands_only: Whether the background was fitted without the candidates under the signal.

    Raises:
        InputError: Luminosities are not positive and increasing, the floor is negative, there is
            another number of scans, one of them is not blind, or they differ in masses, level,
            method, test statistic, parameter of interest, kind of data or provenance.
    """

    luminosities: FloatArray
    scans: tuple[Scan, ...]
    luminosity: float
    floor: float = 0.0
    sidebands_only: bool = False

    def __post_init__(self) -> None:
        luminosities = frozen("Projection.luminosities", self.luminosities, (None,))
        positive = np.all(np.isfinite(luminosities) & (luminosities > 0))
        if not len(luminosities) or not positive or np.any(np.diff(luminosities) <= 0):
            raise InputError("Projection.luminosities must be positive and increasing, in fb^-1")
        object.__setattr__(self, "luminosities", luminosities)
        object.__setattr__(self, "scans", tuple(self.scans))
        for name in ("luminosity", "floor"):
            object.__setattr__(self, name, float(getattr(self, name)))
        object.__setattr__(self, "sidebands_only", bool(self.sidebands_only))
        if not 0 < self.luminosity < math.inf:
            raise InputError(f"the luminosity of the data is {self.luminosity} fb^-1")
        if not 0 <= self.floor < math.inf:
            raise InputError(f"floor={self.floor}: give 0 or a positive part of the background")
        if len(self.scans) != len(luminosities):
            raise InputError(f"{len(self.scans)} scans for {len(luminosities)} luminosities")
        for luminosity, scan in zip(luminosities, self.scans, strict=True):
            self._check_scan(f"the scan at {luminosity:g} fb^-1", scan)

    def _check_scan(self, which: str, scan: Scan) -> None:
        if not scan.blind:
            raise InputError(f"{which} is not blind; a projection holds expected limits only")
        if not np.array_equal(scan.masses, self.masses):
            raise InputError(f"{which} has other masses than the first one")
        for name in (*_COMMON, "skipped", "provenance"):
            if getattr(scan, name) != getattr(self._first, name):
                raise InputError(f"{which} has another {name} than the first one")

    @property
    def _first(self) -> Scan:
        return self.scans[0]

    @property
    def masses(self) -> FloatArray:
        """Masses with limits in GeV, increasing, shape (n,)."""
        return self._first.masses

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Masses without limits, and why."""
        return self._first.skipped

    @property
    def level(self) -> float:
        """Confidence level of all limits, e.g. 0.90."""
        return self._first.level

    @property
    def poi(self) -> str:
        """Name of the parameter of interest."""
        return self._first.poi

    @property
    def poi_label(self) -> str:
        """The same as an axis label, may hold mathtext."""
        return self._first.poi_label

    @property
    def poi_unit(self) -> str:
        """Unit of the parameter, "" if it has none."""
        return self._first.poi_unit

    @property
    def pseudo_data(self) -> bool:
        """Whether the data were generated, not recorded."""
        return self._first.pseudo_data

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where the limits come from, see `new_provenance`."""
        return self._first.provenance

    # -- limits -----------------------------------------------------------------------------

    def expected_at(self, mass: float) -> FloatArray:
        """Expected limits against luminosity, for -2, -1, 0, +1, +2 sigma.

        Args:
            mass: One of `masses`, in GeV.

        Returns:
            Five numbers a luminosity, shape (k, 5); NaN where they are not valid.

        Raises:
            InputError: There is no limit at this mass.
        """
        row = self._row(mass)
        return np.array(
            [scan.expected[row] if scan.valid[row] else np.full(5, np.nan) for scan in self.scans]
        )

    def flagged_at(self, mass: float) -> BoolArray:
        """Luminosities where the limits at a mass are not valid or carry a warning, shape (k,).

        Args:
            mass: One of `masses`, in GeV.

        Raises:
            InputError: There is no limit at this mass.
        """
        row = self._row(mass)
        return np.array([scan.flagged[row] for scan in self.scans])

    def _row(self, mass: float) -> int:
        rows = np.flatnonzero(np.isclose(self.masses, mass, rtol=_SAME, atol=0.0))
        if not rows.size:
            raise InputError(f"no limit at {mass:.6g} GeV; see masses of the projection")
        return int(rows[0])

    # -- tables and files -------------------------------------------------------------------

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each luminosity and mass, also the skipped ones, in this order.

        Columns: ``luminosity_fb, mass_GeV, expected_m2, expected_m1, expected_median, expected_p1,
        expected_p2, valid, warnings, how``; as in `Scan.to_pandas`.
        """
        import pandas as pd

        columns = ["mass_GeV", *EXPECTED_COLUMNS, "valid", "warnings", "how"]
        frames = []
        for luminosity, scan in zip(self.luminosities, self.scans, strict=True):
            frame = scan.to_pandas()[columns]
            frame.insert(0, "luminosity_fb", luminosity)
            frames.append(frame)
        table: pandas.DataFrame = pd.concat(frames, ignore_index=True)
        return table

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the table of `to_pandas`, under comment lines that begin with ``#``.

        ``pandas.read_csv(path, comment="#")`` reads it.

        Raises:
            InputError: The file cannot be written.
        """
        first = self._first
        header = (
            f"zfit_dark projection of the expected limits on {self.poi}",
            f"luminosity of the data: {self.luminosity:g} fb^-1",
            f"background fitted to: {self._fitted_to()}",
            f"floor: {self.floor:g} of the background",
            f"level: {self.level}",
            f"method: {first.method}",
            f"test statistic: {first.test_statistic}",
            f"POI label: {self.poi_label}",
            f"POI unit: {self.poi_unit or 'none'}",
            f"pseudo-data: {yes_no(self.pseudo_data)}",
        )
        frame = self.to_pandas()
        for name in ("warnings", "how"):  # a carriage return would end the line
            frame[name] = frame[name].str.replace("\r", " ")
        write_csv(Path(path), header, frame)

    def _fitted_to(self) -> str:
        return "sidebands only" if self.sidebands_only else "all candidates"

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file, in one step: a reader never sees half a file.

        `from_json` gives back the same, bit for bit.

        Raises:
            InputError: The file cannot be written.
        """
        content: dict[str, Any] = {"format": f"{_FORMAT_NAME} {_FORMAT_VERSION}"}
        content |= {name: getattr(self._first, name) for name in (*_COMMON, "provenance")}
        content |= {name: getattr(self, name) for name in ("luminosity", "floor", "sidebands_only")}
        content |= {name: encoded(getattr(self, name).tolist()) for name in _AXES}
        content["expected"] = [encoded(scan.expected.tolist()) for scan in self.scans]
        content["valid"] = [scan.valid.tolist() for scan in self.scans]
        content |= {name: [getattr(scan, name) for scan in self.scans] for name in _TEXTS}
        content["skipped"] = [{"mass": s.mass, "reason": s.reason} for s in self.skipped]
        write_json(Path(path), content)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> Projection:
        """The projection written by `to_json`.

        Raises:
            InputError: The file is missing, is none of `to_json`, is written in a newer format, or
                is damaged; the message names the file.
        """
        where = os.fspath(path)
        content = read_json(Path(path))
        check_format(content, where, _FORMAT_NAME, _FORMAT_VERSION, "Projection.to_json")
        with damage_told(where, "projection"):
            columns = (content[name] for name in ("expected", "valid", *_TEXTS))
            return cls(
                luminosities=decoded(content["luminosities"]),
                scans=tuple(_scan(content, *of_one) for of_one in zip(*columns, strict=True)),
                luminosity=decoded(content["luminosity"]),
                floor=decoded(content["floor"]),
                sidebands_only=content["sidebands_only"],
            )

    def summary(self) -> str:
        """A few lines for a terminal: the best median limit at each luminosity, what is missing."""
        n = len(self.masses)
        span = f" from {self.masses[0]:.4g} to {self.masses[-1]:.4g} GeV" if n else ""
        kind = "pseudo-data" if self.pseudo_data else "data"
        settings = ", ".join([self._first.method, self._first.test_statistic, kind])
        lines = [
            f"projection at {n} masses{span} ({100 * self.level:g} % CL, {settings})",
            f"background: fitted to {self._fitted_to()} of {self.luminosity:g} fb^-1",
            f"floor: {100 * self.floor:g} % of the background that competes",
        ]
        unit = f" {self.poi_unit}" if self.poi_unit else ""
        for luminosity, scan in zip(self.luminosities, self.scans, strict=True):
            median = np.where(scan.valid, scan.expected[:, 2], np.nan)
            told = "no valid limit"
            if np.any(np.isfinite(median)):
                best = int(np.nanargmin(median))
                told = f"{self.poi} < {median[best]:.3g}{unit} at {self.masses[best]:.4g} GeV"
            lines.append(f"best expected limit at {luminosity:g} fb^-1: {told}")
        lines.append(flagged_of(self.scans))
        lines.append(f"not scanned: {by_reason(self.skipped) or '0'}")
        return "\n".join(lines)


def _scan(
    content: Mapping[str, Any],
    expected: Any,
    valid: Any,
    warnings: Sequence[Sequence[str]],
    how: Sequence[str],
) -> Scan:
    """One of the scans in a file."""
    masses = decoded(content["masses"])
    nothing = np.full(len(masses), np.nan)
    return Scan(
        masses=masses,
        observed=nothing,
        expected=decoded(expected) or np.empty((0, 5)),
        poi_hat=nothing,
        poi_error=nothing,
        p0=nothing,
        valid=valid,
        warnings=tuple(tuple(texts) for texts in warnings),
        how=tuple(how),
        skipped=tuple(Skipped(decoded(s["mass"]), s["reason"]) for s in content["skipped"]),
        blind=True,
        **{name: typed(content, name) for name in _COMMON},
        provenance=content["provenance"],
    )
