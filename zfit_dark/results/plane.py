"""Regions of a plane of two parameters that limits exclude."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zfit_dark.errors import InputError
from zfit_dark.results.checks import FloatArray, check_level, frozen, texts_of
from zfit_dark.results.scan import (
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

_FORMAT_NAME = "zfit_dark plane"
_FORMAT_VERSION = 1
_TEXTS = ("x", "x_label", "x_unit", "y", "y_label", "y_unit", "model")
_FLAGS = ("log_x", "log_y", "blind", "pseudo_data")
_LISTS = ("held", "assumptions")
_REGIONS = ("observed", "expected")
_POINTS = ("x", "y", "ratio")
_LINES = ("excluded", "boundary", "ends", "unknown")
_COLUMNS_OF_ITS_OWN = ("which", "ratio", "kind", "line")


@dataclass(frozen=True, eq=False, kw_only=True)
class Region:
    """A region of a plane that limits exclude, as `zfit_dark.planes.refined` finds it.

    Lines and rings are arrays of points (x, y), shape (k, 2). The first point of a ring is its
    last; what lies on its left is inside, so that the rings of holes run clockwise.

    Attributes:
        x: Where the prediction was compared with the limit, shape (n,).
        y: The same for the other parameter, shape (n,).
        ratio: Prediction over upper limit there, shape (n,): excluded where it exceeds 1, NaN
            where it is not known.
        excluded: Rings around the excluded region.
        boundary: Its edges where prediction and limit are equal.
        ends: Its edges where the plane ends, or what is known of it: it may go on beyond them.
        unknown: Rings around the parts of the plane where the ratio is not known.

    Raises:
        InputError: Shapes do not fit, a point is not finite, or a ratio is negative or infinite.
    """

    x: FloatArray
    y: FloatArray
    ratio: FloatArray
    excluded: tuple[FloatArray, ...]
    boundary: tuple[FloatArray, ...]
    ends: tuple[FloatArray, ...]
    unknown: tuple[FloatArray, ...]

    def __post_init__(self) -> None:
        for name in _POINTS:
            values = frozen(f"Region.{name}", getattr(self, name), (None,))
            object.__setattr__(self, name, values)
        if not len(self.x) == len(self.y) == len(self.ratio):
            raise InputError(
                f"Region has {len(self.x)} x, {len(self.y)} y and {len(self.ratio)} ratios;"
                " give one of each for a point"
            )
        if not np.all(np.isfinite(self.x) & np.isfinite(self.y)):
            raise InputError("Region.x and Region.y must be finite")
        if np.any((self.ratio < 0) | np.isinf(self.ratio)):
            raise InputError("Region.ratio must not be negative or infinite; NaN is not known")
        for name in _LINES:
            object.__setattr__(self, name, _lines(f"Region.{name}", getattr(self, name)))


@dataclass(frozen=True, eq=False, kw_only=True)
class Plane:
    """What limits exclude in a plane of two parameters. Arrays are read-only.

    Attributes:
        observed: What the observed limits exclude; None in a blind result.
        expected: What the median expected limits exclude.
        x: Name of the first parameter, e.g. ``"m_chi1"``.
        x_label: The same as an axis label, may hold mathtext.
        x_unit: Its unit, "" if it has none.
        log_x: Whether its axis is logarithmic.
        y: Name of the second parameter, e.g. ``"epsilon"``.
        y_label: The same as an axis label.
        y_unit: Its unit, "" if it has none.
        log_y: Whether its axis is logarithmic.
        held: What is held fixed in the plane, one text a parameter, may hold mathtext. Plots show
            it.
        model: The model in one line.
        assumptions: What is assumed, one line each.
        level: Confidence level of the limits, e.g. 0.95.
        blind: The data was not looked at: `observed` is None.
        pseudo_data: The data was generated, not recorded.
        flagged: Points (x, y) with a limit that is not valid, shape (m, 2). Next to them more or
            less may be excluded.
        provenance: Where the limits come from, plain JSON values.

    Raises:
        InputError: The parameters have one name, a flag is no truth value, a point of a
            logarithmic axis is not positive, or a blind plane has an observed region, or another
            one has none.
    """

    observed: Region | None
    expected: Region
    x: str
    x_label: str
    x_unit: str = ""
    log_x: bool = False
    y: str
    y_label: str
    y_unit: str = ""
    log_y: bool = False
    held: tuple[str, ...]
    model: str
    assumptions: tuple[str, ...]
    level: float
    blind: bool = False
    pseudo_data: bool
    flagged: FloatArray = field(default_factory=lambda: np.empty((0, 2)))
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.x == self.y or {self.x, self.y} & set(_COLUMNS_OF_ITS_OWN):
            raise InputError(
                f"the parameters are named {self.x} and {self.y}; give two names, and none of"
                f" {', '.join(_COLUMNS_OF_ITS_OWN)}"
            )
        for name in _FLAGS:
            flag = getattr(self, name)
            if not isinstance(flag, bool | np.bool_):
                raise InputError(f"Plane.{name} is {flag!r}; give True or False")
            object.__setattr__(self, name, bool(flag))
        for name in _LISTS:
            object.__setattr__(self, name, texts_of(f"Plane.{name}", getattr(self, name)))
        object.__setattr__(self, "level", float(self.level))
        check_level(self.level)
        if self.blind != (self.observed is None):
            raise InputError(
                "Plane.observed must be None in a blind result, and only there;"
                f" blind is {self.blind}"
            )
        flagged = frozen("Plane.flagged", self.flagged, (None, 2))
        object.__setattr__(self, "flagged", flagged)
        for name, is_log in (("x", self.log_x), ("y", self.log_y)):
            scanned = [getattr(region, name) for _, region in self._regions()]
            if is_log and any(np.any(values <= 0) for values in scanned):
                raise InputError(f"Plane.log_{name} is True, but not all {name} are positive")
        provenance = plain_json("Plane.provenance", self.provenance)
        object.__setattr__(self, "provenance", provenance)

    def _regions(self) -> list[tuple[str, Region]]:
        """The regions that there are, with their names."""
        pairs = [(name, getattr(self, name)) for name in _REGIONS]
        return [(name, region) for name, region in pairs if region is not None]

    # -- tables and files -------------------------------------------------------------------

    def to_pandas(self) -> pandas.DataFrame:
        """One row a point at which prediction and limit were compared.

        Columns: ``which`` (observed or expected), the two parameters by their names, ``ratio``
        (prediction over limit, NaN where it is not known).
        """
        import pandas as pd

        tables = [
            pd.DataFrame({"which": name, self.x: region.x, self.y: region.y, "ratio": region.ratio})
            for name, region in self._regions()
        ]
        return pd.concat(tables, ignore_index=True)

    def contours_to_pandas(self) -> pandas.DataFrame:
        """One row a point of the edges of the excluded regions, in the order along the edge.

        Columns: ``which`` (observed or expected), ``kind`` (boundary, where prediction and limit
        are equal, or ends, where the plane or what is known of it ends), ``line`` (number of the
        line, from 0 in each kind), the two parameters by their names.
        """
        import pandas as pd

        rows = [
            (which, kind, number, *point)
            for which, region in self._regions()
            for kind in ("boundary", "ends")
            for number, line in enumerate(getattr(region, kind))
            for point in line.tolist()
        ]
        types: dict[str, Any] = {"which": "str", "kind": "str", "line": int}
        types |= {self.x: float, self.y: float}
        columns = ["which", "kind", "line", self.x, self.y]
        return pd.DataFrame(rows, columns=columns).astype(types)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the table of `to_pandas`, under comment lines that begin with ``#``.

        The comments hold parameters, what is held fixed, model, assumptions, level, pseudo-data
        and blinding. ``pandas.read_csv(path, comment="#")`` reads it.

        Raises:
            InputError: The file cannot be written.
        """
        header = [
            f"zfit_dark plane of {self.x} and {self.y}",
            f"label of {self.x}: {self.x_label}",
            f"unit of {self.x}: {self.x_unit or 'none'}",
            f"label of {self.y}: {self.y_label}",
            f"unit of {self.y}: {self.y_unit or 'none'}",
            *(f"held fixed: {text}" for text in self.held),
            f"model: {self.model}",
            *(f"assumption: {line}" for line in self.assumptions),
            f"level: {self.level}",
            f"points with limits that are not valid: {len(self.flagged)}",
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
        names = (*_TEXTS, *_FLAGS, *_LISTS, "level", "provenance")
        content: dict[str, Any] = {"format": f"{_FORMAT_NAME} {_FORMAT_VERSION}"}
        content |= {name: getattr(self, name) for name in names}
        content["flagged"] = encoded(self.flagged.tolist())
        content |= dict.fromkeys(_REGIONS)
        content |= {name: _written(region) for name, region in self._regions()}
        write_json(Path(path), content)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> Plane:
        """The plane written by `to_json`.

        Raises:
            InputError: The file is missing, is none of `to_json`, is written in a newer format, or
                is damaged; the message names the file.
        """
        where = os.fspath(path)
        content = read_json(Path(path))
        check_format(content, where, _FORMAT_NAME, _FORMAT_VERSION, "Plane.to_json")
        with damage_told(where, "plane"):
            observed = content["observed"]
            lists: dict[str, Any] = {name: tuple(content[name]) for name in _LISTS}
            return cls(
                observed=None if observed is None else _read(observed),
                expected=_read(content["expected"]),
                **{name: typed(content, name) for name in (*_TEXTS, "level")},
                **{name: content[name] for name in _FLAGS},
                **lists,
                flagged=np.reshape(decoded(content["flagged"]), (-1, 2)),
                provenance=content["provenance"],
            )

    def summary(self) -> str:
        """A few lines for a terminal: what is excluded, what is held fixed, what is missing."""
        kind = ["pseudo-data" if self.pseudo_data else "data", *(["blind"] if self.blind else [])]
        lines = [
            f"{self.y} against {self.x} ({100 * self.level:g} % CL, {', '.join(kind)})",
            f"model: {self.model}",
            f"held fixed: {', '.join(self.held) or 'nothing'}",
        ]
        lines += [f"{name}: {self._reach(region)}" for name, region in self._regions()]
        lines += [f"flagged: {len(self.flagged)} (limits not valid)"]
        return "\n".join(lines)

    def _reach(self, region: Region) -> str:
        """How far a region reaches, and how many points it was found with."""
        unknown = int(np.sum(np.isnan(region.ratio)))
        points = f"; {len(region.ratio)} points, {unknown} of them not known"
        if not region.excluded:
            return f"nothing is excluded{points}"
        (x_low, y_low), (x_high, y_high) = (
            extreme(np.concatenate(region.excluded), axis=0) for extreme in (np.min, np.max)
        )
        note = ", and may go on where the scan ends" if region.ends else ""
        return (
            f"excluded within {self.x} {_span(x_low, x_high, self.x_unit)} and"
            f" {self.y} {_span(y_low, y_high, self.y_unit)}{note}{points}"
        )


def _span(low: float, high: float, unit: str) -> str:
    return f"{low:.3g} to {high:.3g}{' ' if unit else ''}{unit}"


def _lines(name: str, lines: Iterable[npt.ArrayLike]) -> tuple[FloatArray, ...]:
    """Lines of two or more points, checked."""
    result = tuple(frozen(name, line, (None, 2)) for line in lines)
    if any(len(line) < 2 or not np.all(np.isfinite(line)) for line in result):
        raise InputError(f"{name} must be lines of two or more points, all of them finite")
    return result


def _written(region: Region) -> dict[str, Any]:
    """A region as plain JSON values."""
    content = {name: encoded(getattr(region, name).tolist()) for name in _POINTS}
    for name in _LINES:
        lines: Sequence[FloatArray] = getattr(region, name)
        content[name] = [line.tolist() for line in lines]
    return content


def _read(content: Mapping[str, Any]) -> Region:
    """The inverse of `_written`."""
    points: dict[str, Any] = {name: decoded(content[name]) for name in _POINTS}
    lines: dict[str, Any] = {name: tuple(content[name]) for name in _LINES}
    return Region(**points, **lines)
