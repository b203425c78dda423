"""Regions of a coupling that limits exclude, against mass."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zfit_dark.errors import InputError
from zfit_dark.results.checks import (
    BoolArray,
    FloatArray,
    check_level,
    frozen,
    frozen_flags,
    texts_of,
)
from zfit_dark.results.scan import (
    Skipped,
    by_reason,
    check_format,
    damage_told,
    decoded,
    encoded,
    plain_json,
    read_json,
    typed,
    write_csv,
    write_json,
    yes_no,
)

if TYPE_CHECKING:
    import pandas

_FORMAT_NAME = "zfit_dark exclusion"
_FORMAT_VERSION = 1
_COMMON = (
    "coupling",
    "coupling_label",
    "coupling_unit",
    "model",
    "level",
    "blind",
    "pseudo_data",
)
_LISTS = ("assumptions", "channels")
_REGIONS = ("observed", "expected")


class Interval(NamedTuple):
    """An excluded interval of a coupling.

    An end is a crossing if theory and limit are equal there: the coupling beyond it is allowed. If
    it is none, the limits end there (no lifetime beyond it has one), and nothing is known.

    Attributes:
        low: Its lower end.
        high: Its upper end.
        low_is_crossing: Whether its lower end is a crossing.
        high_is_crossing: Whether its upper end is a crossing.
    """

    low: float
    high: float
    low_is_crossing: bool
    high_is_crossing: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Exclusion:
    """Excluded couplings against mass. Arrays are read-only; `n` is the number of masses.

    Attributes:
        masses: Masses in GeV, increasing, shape (n,).
        observed: The intervals of the coupling that the observed limits exclude at each mass,
            ascending; n tuples, empty where nothing is excluded. Any objects with the attributes
            of `Interval` will do.
        expected: The same for the median expected limits.
        valid: Whether all limits behind the intervals of a mass are valid, shape (n,). Where they
            are not, more may be excluded than the intervals say.
        coupling: Name of the coupling, e.g. ``"sin_theta"``.
        coupling_label: The same as an axis label, may hold mathtext.
        coupling_unit: Its unit, "" if it has none.
        model: The model in one line.
        assumptions: What is assumed, one line each.
        channels: Names of the channels that took part.
        level: Confidence level of the limits, e.g. 0.95.
        blind: The data was not looked at: `observed` is empty at all masses.
        pseudo_data: The data was generated, not recorded.
        skipped: Masses without limits, and why.
        provenance: Where the limits come from, plain JSON values.

    Raises:
        InputError: Shapes do not fit, masses do not increase, an interval is none, intervals of a
            mass overlap or do not ascend, or a blind exclusion has observed ones.
    """

    masses: FloatArray
    observed: tuple[tuple[Interval, ...], ...]
    expected: tuple[tuple[Interval, ...], ...]
    valid: BoolArray
    coupling: str
    coupling_label: str
    coupling_unit: str = ""
    model: str
    assumptions: tuple[str, ...]
    channels: tuple[str, ...]
    level: float
    blind: bool = False
    pseudo_data: bool
    skipped: tuple[Skipped, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        masses = frozen("Exclusion.masses", self.masses, (None,))
        n = len(masses)
        if not np.all(np.isfinite(masses)) or np.any(np.diff(masses) <= 0):
            raise InputError("Exclusion.masses must be finite and strictly increasing; sort them")
        object.__setattr__(self, "masses", masses)
        for name in _REGIONS:
            region = getattr(self, name)
            if len(region) != n:
                raise InputError(f"Exclusion.{name} has {len(region)} entries for {n} masses")
            checked = tuple(
                _intervals(f"Exclusion.{name} at {mass:g} GeV", intervals)
                for mass, intervals in zip(masses, region, strict=True)
            )
            object.__setattr__(self, name, checked)
        object.__setattr__(self, "valid", frozen_flags("Exclusion.valid", self.valid, n))
        for name in _LISTS:
            object.__setattr__(self, name, texts_of(f"Exclusion.{name}", getattr(self, name)))
        skipped = tuple(sorted(self.skipped, key=lambda hypothesis: hypothesis.mass))
        object.__setattr__(self, "skipped", skipped)
        for hypothesis in skipped:
            if hypothesis.mass in masses:
                raise InputError(f"the mass {hypothesis.mass:g} GeV has limits and is skipped")
        object.__setattr__(self, "level", float(self.level))
        for name in ("blind", "pseudo_data"):
            object.__setattr__(self, name, bool(getattr(self, name)))
        check_level(self.level)
        if self.blind and any(self.observed):
            raise InputError("Exclusion.observed must be empty: a blind result excludes nothing")
        provenance = plain_json("Exclusion.provenance", self.provenance)
        object.__setattr__(self, "provenance", provenance)

    @property
    def flagged(self) -> BoolArray:
        """Masses with a limit that is not valid, shape (n,)."""
        return ~self.valid

    # -- tables and files -------------------------------------------------------------------

    def to_pandas(self) -> pandas.DataFrame:
        """One row an interval, in order of mass, the observed ones of a mass first.

        Columns: ``mass_GeV, which`` (observed or expected), ``low, high, low_is_crossing,
        high_is_crossing, valid``. A mass where nothing is excluded has a row without an interval:
        NaN for its ends, and missing truth values for what they are (these columns are nullable).
        """
        import pandas as pd

        nothing = (math.nan, math.nan, None, None)
        regions = _REGIONS[1:] if self.blind else _REGIONS
        rows = [
            (mass, which, *interval, valid)
            for i, (mass, valid) in enumerate(zip(self.masses, self.valid, strict=True))
            for which in regions
            for interval in (getattr(self, which)[i] or (nothing,))
        ]
        columns = ["mass_GeV", "which", *Interval._fields, "valid"]
        types: dict[str, Any] = {"which": "str", "valid": bool}
        types |= dict.fromkeys(("mass_GeV", "low", "high"), float)
        types |= dict.fromkeys(("low_is_crossing", "high_is_crossing"), "boolean")
        return pd.DataFrame(rows, columns=columns).astype(types)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the table of `to_pandas`, under comment lines that begin with ``#``.

        The comments hold coupling, model, assumptions, channels, level, what was not scanned,
        pseudo-data and blinding. ``pandas.read_csv(path, comment="#")`` reads it.

        Raises:
            InputError: The file cannot be written.
        """
        header = [
            f"zfit_dark exclusion of {self.coupling}",
            f"coupling label: {self.coupling_label}",
            f"coupling unit: {self.coupling_unit or 'none'}",
            f"model: {self.model}",
            *(f"assumption: {line}" for line in self.assumptions),
            f"channels: {', '.join(self.channels)}",
            f"level: {self.level}",
            f"not scanned: {by_reason(self.skipped) or '0'}",
            f"pseudo-data: {yes_no(self.pseudo_data)}",
            f"blind: {yes_no(self.blind)}",
        ]
        write_csv(Path(path), header, self.to_pandas())

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file, in one step: a reader never sees half a file.

        `from_json` gives back the same, bit for bit.

        Raises:
            InputError: The file cannot be written.
        """
        content: dict[str, Any] = {"format": f"{_FORMAT_NAME} {_FORMAT_VERSION}"}
        content |= {name: getattr(self, name) for name in (*_COMMON, *_LISTS, "provenance")}
        content["masses"] = encoded(self.masses.tolist())
        for name in _REGIONS:
            region = getattr(self, name)
            content[name] = [[i._asdict() for i in intervals] for intervals in region]
        content["valid"] = self.valid.tolist()
        content["skipped"] = [{"mass": s.mass, "reason": s.reason} for s in self.skipped]
        write_json(Path(path), content)

    def to_hepdata(
        self,
        folder: str | os.PathLike[str],
        *,
        images: Iterable[str | os.PathLike[str]] = (),
        qualifiers: Mapping[str, tuple[float | str, str]] | None = None,
    ) -> None:
        """Write a record for HEPData: a table of the observed intervals, one of the expected ones.

        A mass where nothing is excluded has a row that says so, and so has a skipped one.

        Args:
            folder: See `zfit_dark.Scan.to_hepdata`.
            images: Plots as PNG files; they belong to the first table.
            qualifiers: See `zfit_dark.Scan.to_hepdata`.

        Raises:
            InputError: See `zfit_dark.Scan.to_hepdata`.
        """
        from zfit_dark.results.hepdata import write_exclusion

        write_exclusion(self, folder, images, qualifiers)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> Exclusion:
        """The exclusion written by `to_json`.

        Raises:
            InputError: The file is missing, is none of `to_json`, is written in a newer format, or
                is damaged; the message names the file.
        """
        where = os.fspath(path)
        content = read_json(Path(path))
        check_format(content, where, _FORMAT_NAME, _FORMAT_VERSION, "Exclusion.to_json")
        with damage_told(where, "exclusion"):
            regions: dict[str, Any] = {
                name: tuple(
                    tuple(Interval(**interval) for interval in intervals)
                    for intervals in content[name]
                )
                for name in _REGIONS
            }
            lists: dict[str, Any] = {name: tuple(content[name]) for name in _LISTS}
            return cls(
                masses=decoded(content["masses"]),
                **regions,
                **lists,
                valid=content["valid"],
                **{name: typed(content, name) for name in _COMMON},
                skipped=tuple(Skipped(decoded(s["mass"]), s["reason"]) for s in content["skipped"]),
                provenance=content["provenance"],
            )

    def summary(self) -> str:
        """A few lines for a terminal: where something is excluded, how much, what is missing."""
        kind = ["pseudo-data" if self.pseudo_data else "data", *(["blind"] if self.blind else [])]
        n = len(self.masses)
        span = f" from {self.masses[0]:.4g} to {self.masses[-1]:.4g} GeV" if n else ""
        lines = [
            f"{self.coupling} at {n} masses{span} ({100 * self.level:g} % CL, {', '.join(kind)})",
            f"model: {self.model}",
            f"channels: {', '.join(self.channels)}",
        ]
        lines += [] if self.blind else [f"observed: {self._reach(self.observed)}"]
        lines.append(f"expected: {self._reach(self.expected)}")
        lines.append(f"flagged: {int(np.sum(self.flagged))} (limits not valid)")
        lines.append(f"not scanned: {by_reason(self.skipped) or '0'}")
        return "\n".join(lines)

    def _reach(self, region: Sequence[tuple[Interval, ...]]) -> str:
        """Where a region has an interval, and the smallest coupling in it."""
        some = [i for i, intervals in enumerate(region) if intervals]
        if not some:
            return "nothing is excluded"
        smallest = min(some, key=lambda i: region[i][0].low)
        edge = region[smallest][0]
        unit = f" {self.coupling_unit}" if self.coupling_unit else ""
        note = "" if edge.low_is_crossing else ", where the lifetimes end"
        return (
            f"excluded at {len(some)} masses from {self.masses[some[0]]:.4g} to"
            f" {self.masses[some[-1]]:.4g} GeV (nothing at {len(region) - len(some)}), down to"
            f" {edge.low:.3g}{unit} at {self.masses[smallest]:.4g} GeV{note}"
        )


def _intervals(where: str, intervals: Iterable[Any]) -> tuple[Interval, ...]:
    """The intervals of a mass, checked."""
    result = tuple(_interval(where, intervals))
    for interval in result:
        if not 0 < interval.low < interval.high < math.inf:
            raise InputError(
                f"{where}: {interval.low:g} to {interval.high:g} is no interval of a coupling;"
                " give 0 < low < high, or no interval where nothing is excluded"
            )
    for below, above in pairwise(result):
        if not below.high <= above.low:
            raise InputError(f"{where}: its intervals overlap or do not ascend; join or sort them")
    return result


def _interval(where: str, intervals: Iterable[Any]) -> Iterator[Interval]:
    try:
        for interval in intervals:
            yield Interval(
                float(interval.low),
                float(interval.high),
                bool(interval.low_is_crossing),
                bool(interval.high_is_crossing),
            )
    except (AttributeError, TypeError) as error:
        raise InputError(f"{where}: give a tuple of intervals ({error})") from error
