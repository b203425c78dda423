"""Limits, one or one a mass."""

from __future__ import annotations

import json
import math
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from importlib import metadata
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zfit_dark.errors import InputError
from zfit_dark.results.checks import (
    BoolArray,
    FloatArray,
    check_hidden,
    check_level,
    check_p0,
    frozen,
    frozen_flags,
    significance_of,
    texts_of,
)

if TYPE_CHECKING:
    import pandas


_FORMAT_NAME = "zfit_dark scan"
_FORMAT_VERSION = 3
_ROOT_FORMAT_NAME = "zfit_dark scan in ROOT"
_ROOT_FORMAT_VERSION = 1
_ABSENT_BEFORE: dict[str, Any] = {
    "observed_error": [],
    "how": [],
    "largest_excess": None,
    "toy_excesses": [],
}
"""What files of formats 1 and 2 may lack, and how to read that."""
_COMMON = (
    "level",
    "method",
    "test_statistic",
    "blind",
    "poi",
    "poi_label",
    "poi_unit",
    "pseudo_data",
)
_ESTIMATES = ("observed", "observed_error", "poi_hat", "poi_error", "p0")
_NUMBERS = ("masses", "expected", *_ESTIMATES)
_TEXTS = ("warnings", "how")
_PER_MASS = (*_NUMBERS, "valid", *_TEXTS)
EXPECTED_COLUMNS = ("expected_m2", "expected_m1", "expected_median", "expected_p1", "expected_p2")
_SETTINGS_THAT_ONLY_CHOOSE_MASSES = frozenset({"masses", "max_masses", "shard"})
WRONG = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What values of another kind than they should be raise where they are taken for it."""
_TIE = 1e-6
"""Roots of test statistics that differ by less are equal."""
_PACKAGES = ("zfit-dark", "zfit", "hepstats", "tensorflow", "numpy", "scipy", "uproot")


# -- Limit ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limit:
    """An upper limit on a parameter of interest (POI) for one hypothesis.

    Attributes:
        observed: Observed upper limit, in the unit of the POI.
        expected: Expected upper limits without signal, for -2, -1, 0, +1, +2 sigma.
        poi_hat: Best fit of the POI.
        poi_error: Its uncertainty (one standard deviation).
        p0: Local p-value of the data without signal.
        level: Confidence level, e.g. 0.90.
        method: How the p-values were found, e.g. ``"asymptotic"``.
        test_statistic: e.g. ``"qtilde"``.
        valid: Whether every fit behind these numbers converged.
        warnings: What a reader of the numbers has to know.
        blind: The data was not looked at: `observed`, its error, `poi_hat`, `poi_error`, `p0` are
            NaN.
        observed_error: Statistical error of `observed` if it was found by toys, else NaN.
        how: Which method was used and why, if `method` is ``"auto"``; which backgrounds, if there
            was a choice.

    Raises:
        InputError: `expected` has not five numbers, `level` or `p0` is not a probability, or a
            blind limit carries numbers from the data.
    """

    observed: float
    expected: tuple[float, float, float, float, float]
    poi_hat: float
    poi_error: float
    p0: float
    level: float
    method: str
    test_statistic: str
    valid: bool
    warnings: tuple[str, ...] = ()
    blind: bool = False
    observed_error: float = math.nan
    how: str = ""

    def __post_init__(self) -> None:
        for name in (*_ESTIMATES, "level"):
            object.__setattr__(self, name, float(getattr(self, name)))
        expected = tuple(float(value) for value in self.expected)
        if len(expected) != 5:
            raise InputError(
                f"Limit.expected has {len(expected)} numbers; give five (-2, -1, 0, +1, +2 sigma)"
            )
        object.__setattr__(self, "expected", expected)
        object.__setattr__(self, "valid", bool(self.valid))
        object.__setattr__(self, "warnings", texts_of("Limit.warnings", self.warnings))
        check_level(self.level)
        check_p0(np.array([self.p0]))
        if self.blind:
            for name in _ESTIMATES:
                check_hidden(f"Limit.{name}", np.array([getattr(self, name)]))

    @property
    def significance(self) -> float:
        """Local significance Z of `p0` in standard deviations, at least 0; NaN when blind.

        >>> limit = Limit(3.0, (1, 2, 3, 4, 5), 1.0, 0.5, 0.0013498980316300933, 0.90,
        ...               "asymptotic", "qtilde", valid=True)
        >>> round(limit.significance, 9)
        3.0
        """
        return float(significance_of(np.array([self.p0]))[0])

    def __str__(self) -> str:
        """A few lines for a terminal.

        >>> print(Limit(3.0, (1, 2, 3, 4, 5), 1.0, 0.5, 0.02, 0.90, "asymptotic", "qtilde", True))
        upper limit at 90 % CL (asymptotic): 3
        expected: 3 (-2 to +2 sigma: 1, 2, 3, 4, 5)
        best fit: 1 +- 0.5, p0 = 0.02 (2.05 sigma)
        """
        observed = "blind" if self.blind else f"{self.observed:.4g}"
        if np.isfinite(self.observed_error):
            observed += f" +- {self.observed_error:.2g} (toys)"
        bands = ", ".join(f"{value:.4g}" for value in self.expected)
        lines = [
            f"upper limit at {100 * self.level:g} % CL ({self.how or self.method}): {observed}",
            f"expected: {self.expected[2]:.4g} (-2 to +2 sigma: {bands})",
        ]
        if not self.blind:
            lines.append(
                f"best fit: {self.poi_hat:.4g} +- {self.poi_error:.2g},"
                f" p0 = {self.p0:.3g} ({self.significance:.2f} sigma)"
            )
        lines += [f"{'warning' if self.valid else 'NOT VALID'}: {word}" for word in self.warnings]
        if not (self.valid or self.warnings):
            lines.append("NOT VALID")
        return "\n".join(lines)


# -- Scan -----------------------------------------------------------------------------------


class GlobalSignificance(NamedTuple):
    """How unlikely the largest excess of a scan is, wherever it might have been.

    Attributes:
        mass: Where the largest excess is, in GeV.
        local_p0: Its p-value there.
        local: The significance of that, in standard deviations.
        p0: The probability, without a signal, of an excess as large as this at any mass, after
            Gross and Vitells.
        p0_error: Its standard deviation.
        significance: The significance of `p0`, at least 0.
        crossings: How many times the significance rises above the threshold along the scan.
        toys: Pseudo-experiments of the whole scan; 0 if there are none.
        larger: How many of them have an excess as large as that of the data somewhere.
        toys_p0: The same probability by toys, the data counted as one of them; NaN without toys.
        toys_p0_error: Its standard deviation.
        toys_significance: The significance of `toys_p0`, at least 0.
    """

    mass: float
    local_p0: float
    local: float
    p0: float
    p0_error: float
    significance: float
    crossings: int
    toys: int
    larger: int
    toys_p0: float
    toys_p0_error: float
    toys_significance: float


@dataclass(frozen=True)
class Skipped:
    """A mass hypothesis that was not scanned, and why."""

    mass: float
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "mass", float(self.mass))
        if not math.isfinite(self.mass):
            raise InputError(f"Skipped.mass is {self.mass}; give a finite mass in GeV")
        if not isinstance(self.reason, str) or not self.reason.strip():
            raise InputError(f"the hypothesis skipped at {self.mass:g} GeV has no reason; give one")


@dataclass(frozen=True, eq=False, kw_only=True)
class Scan:
    """Upper limits against mass. Arrays are read-only; `n` is the number of scanned masses.

    Attributes:
        masses: Scanned masses in GeV, increasing, shape (n,).
        observed: Observed upper limits in `poi_unit`, shape (n,).
        expected: Expected upper limits for -2, -1, 0, +1, +2 sigma, shape (n, 5).
        observed_error: Statistical errors of those found by toys, NaN for others, shape (n,).
        poi_hat: Best fits, shape (n,).
        poi_error: Their uncertainties, shape (n,).
        p0: Local p-values of the data without signal, shape (n,).
        valid: Whether all fits of a mass converged, shape (n,).
        warnings: The warnings of each mass, n tuples.
        how: The same at each mass as `Limit.how`; n texts.
        skipped: Hypotheses that were not scanned, in order of mass.
        level: Confidence level, e.g. 0.90.
        method: e.g. ``"asymptotic"``.
        test_statistic: e.g. ``"qtilde"``.
        blind: No number here comes from the data under the signal hypothesis: `observed`,
            its error, `poi_hat`, `poi_error` and `p0` are NaN.
        poi: Name of the parameter of interest.
        poi_label: The same as an axis label, may hold mathtext.
        poi_unit: Unit of the parameter, "" if it has none.
        largest_excess: Root of the largest discovery test statistic q0 of the data at any mass; NaN
            if no toys of the whole scan were made.
        toy_excesses: The same of pseudo-experiments without a signal, one number a toy, in order of
            the toys; NaN for a toy with a fit that did not converge.
        pseudo_data: The data was generated, not recorded.
        provenance: Where the numbers come from, see `new_provenance`. Plain JSON values.

    Raises:
        InputError: Shapes do not fit, masses are not finite and increasing, a mass is scanned
            and skipped, or a blind scan carries numbers from the data.
    """

    masses: FloatArray
    observed: FloatArray
    expected: FloatArray
    poi_hat: FloatArray
    poi_error: FloatArray
    p0: FloatArray
    valid: BoolArray
    warnings: tuple[tuple[str, ...], ...]
    observed_error: FloatArray = field(default_factory=lambda: np.empty(0))
    how: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    level: float
    method: str
    test_statistic: str
    blind: bool = False
    poi: str
    poi_label: str
    poi_unit: str = ""
    largest_excess: float = math.nan
    toy_excesses: FloatArray = field(default_factory=lambda: np.empty(0))
    pseudo_data: bool
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        masses = frozen("Scan.masses", self.masses, (None,))
        n = len(masses)
        if not np.all(np.isfinite(masses)) or np.any(np.diff(masses) <= 0):
            raise InputError("Scan.masses must be finite and strictly increasing; sort them")
        object.__setattr__(self, "masses", masses)
        if not np.size(self.observed_error):
            object.__setattr__(self, "observed_error", np.full(n, np.nan))
        for name in _ESTIMATES:
            object.__setattr__(self, name, frozen(f"Scan.{name}", getattr(self, name), (n,)))
        object.__setattr__(self, "expected", frozen("Scan.expected", self.expected, (n, 5)))
        object.__setattr__(self, "valid", frozen_flags("Scan.valid", self.valid, n))
        if len(self.warnings) != n:
            raise InputError(f"Scan.warnings has {len(self.warnings)} entries for {n} masses")
        warnings = tuple(texts_of("Scan.warnings", texts) for texts in self.warnings)
        object.__setattr__(self, "warnings", warnings)
        how = texts_of("Scan.how", self.how or [""] * n)
        if len(how) != n:
            raise InputError(f"Scan.how has {len(how)} entries for {n} masses")
        object.__setattr__(self, "how", how)
        skipped = tuple(sorted(self.skipped, key=lambda hypothesis: hypothesis.mass))
        object.__setattr__(self, "skipped", skipped)
        twice = Counter([*masses.tolist(), *(hypothesis.mass for hypothesis in skipped)])
        for mass, count in twice.items():
            if count > 1:
                raise InputError(f"the mass {mass:g} GeV is in the scan twice (scanned or skipped)")
        for name in ("level", "largest_excess"):
            object.__setattr__(self, name, float(getattr(self, name)))
        excesses = frozen("Scan.toy_excesses", self.toy_excesses, (None,))
        object.__setattr__(self, "toy_excesses", excesses)
        for name in ("blind", "pseudo_data"):
            object.__setattr__(self, name, bool(getattr(self, name)))
        check_level(self.level)
        check_p0(self.p0)
        if self.blind:
            for name in (*_ESTIMATES, "largest_excess"):
                check_hidden(f"Scan.{name}", np.array(getattr(self, name)))
        object.__setattr__(self, "provenance", plain_json("Scan.provenance", self.provenance))

    @classmethod
    def from_limits(
        cls,
        masses: npt.ArrayLike,
        limits: Sequence[Limit],
        *,
        poi: str,
        poi_label: str,
        pseudo_data: bool,
        poi_unit: str = "",
        skipped: Iterable[Skipped] = (),
        largest_excess: float = math.nan,
        toy_excesses: npt.ArrayLike = (),
        provenance: Mapping[str, Any] | None = None,
    ) -> Scan:
        """The scan made of one `Limit` per mass, in any order of mass.

        Args:
            masses: Masses in GeV, shape (n,), n at least 1.
            limits: One limit per mass, all with one level, method, test statistic and blinding.
            poi: Name of the parameter of interest.
            poi_label: The same as an axis label, may hold mathtext.
            pseudo_data: Whether the data was generated.
            poi_unit: Unit of the parameter, "" if it has none.
            skipped: Hypotheses that were not scanned.
            largest_excess: See `Scan`.
            toy_excesses: See `Scan`.
            provenance: See `new_provenance`, which is called without arguments if this is None.

        Raises:
            InputError: No limit, a different number of limits and masses, or limits that differ
                in level, method, test statistic or blinding.
        """
        mass = np.asarray(masses, dtype=np.float64)
        skipped = tuple(skipped)
        if mass.shape != (len(limits),):
            raise InputError(f"{len(limits)} limits for masses of shape {mass.shape}")
        if not limits:
            reasons = by_reason(skipped) or "there was none"
            raise InputError(f"no mass hypothesis was scanned ({reasons}); change the masses")
        for name in ("level", "method", "test_statistic", "blind"):
            found = sorted({str(getattr(limit, name)) for limit in limits})
            if len(found) > 1:
                raise InputError(
                    f"the limits differ in {name} ({', '.join(found)}); scan with one of them"
                )
        order = np.argsort(mass)
        ordered = [limits[i] for i in order]
        first = ordered[0]
        return cls(
            masses=mass[order],
            expected=np.array([limit.expected for limit in ordered]),
            **{name: np.array([getattr(limit, name) for limit in ordered]) for name in _ESTIMATES},
            valid=np.array([limit.valid for limit in ordered]),
            warnings=tuple(limit.warnings for limit in ordered),
            how=tuple(limit.how for limit in ordered),
            skipped=skipped,
            level=first.level,
            method=first.method,
            test_statistic=first.test_statistic,
            blind=first.blind,
            poi=poi,
            poi_label=poi_label,
            poi_unit=poi_unit,
            largest_excess=largest_excess,
            toy_excesses=np.asarray(toy_excesses, np.float64),
            pseudo_data=pseudo_data,
            provenance=new_provenance() if provenance is None else provenance,
        )

    @property
    def significance(self) -> FloatArray:
        """Local significances Z in standard deviations, at least 0, shape (n,); NaN when blind."""
        return significance_of(self.p0)

    @property
    def flagged(self) -> BoolArray:
        """Masses with a fit that did not converge or with a warning, shape (n,)."""
        warned = np.array([bool(texts) for texts in self.warnings], dtype=np.bool_)
        return ~self.valid | warned

    def global_significance(self, threshold: float = 0.7) -> GlobalSignificance:
        """The significance of the largest excess with the look-elsewhere effect.

        The p-value is that of the excess in each stretch of the scan, plus the rises above its
        height that are expected along the scan. They are inferred from those above a low threshold
        in the scan itself: ``N exp(-(Z^2 - threshold^2) / 2)``. The masses must be no further apart
        than the resolution, or rises are missed. A stretch ends where hypotheses were skipped.

        Toys of the whole scan, if there are any (``scan(..., global_toys=1000)``), tell the same
        without an approximation: it is the part of them with an excess as large somewhere.

        Args:
            threshold: The low height, in standard deviations.

        Raises:
            InputError: The scan is blind, no p-value is valid, or the threshold is not positive.

        Source: E. Gross, O. Vitells, Eur. Phys. J. C 70 (2010) 525, arXiv:1005.1891, equation 3.
        """
        if not 0 < threshold < math.inf:
            raise InputError(
                f"threshold={threshold}: give a positive number of standard deviations"
            )
        known = self.valid & np.isfinite(self.p0)
        if not known.any():
            raise InputError("the scan has no valid p-value: it is blind, or all its fits failed")
        masses, heights = self.masses[known], self.significance[known]
        gaps = np.searchsorted(masses, [hypothesis.mass for hypothesis in self.skipped])
        stretches = [part for part in np.split(heights, np.unique(gaps)) if part.size]
        crossings = sum(
            int(np.sum((part[1:] > threshold) & (part[:-1] <= threshold))) for part in stretches
        )
        top = int(np.argmax(heights))
        local, p_local = float(heights[top]), float(self.p0[known][top])
        higher = math.exp(-max(local**2 - threshold**2, 0.0) / 2)
        p_global = min(len(stretches) * p_local + crossings * higher, 1.0)
        return GlobalSignificance(
            mass=float(masses[top]),
            local_p0=p_local,
            local=local,
            p0=p_global,
            p0_error=math.sqrt(max(crossings, 1)) * higher,
            significance=float(significance_of(np.array([p_global]))[0]),
            crossings=crossings,
            **self._by_toys(),
        )

    def _by_toys(self) -> dict[str, Any]:
        """What the toys of the whole scan add to the global significance."""
        known = self.toy_excesses[np.isfinite(self.toy_excesses)]
        n, larger = known.size, int(np.sum(known >= self.largest_excess - _TIE))
        p0 = (larger + 1) / (n + 1) if n else math.nan
        return {
            "toys": n,
            "larger": larger,
            "toys_p0": p0,
            "toys_p0_error": math.sqrt(p0 * (1 - p0) / n) if n else math.nan,
            "toys_significance": float(significance_of(np.array([p0]))[0]),
        }

    # -- files ------------------------------------------------------------------------------

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file, in one step: a reader never sees half a file.

        NaN is written as null and infinity as "inf" or "-inf". `from_json` gives back the same
        scan, bit for bit.

        Raises:
            InputError: The file cannot be written.
        """
        content: dict[str, Any] = {"format": f"{_FORMAT_NAME} {_FORMAT_VERSION}"}
        content |= {name: getattr(self, name) for name in _COMMON}
        content["provenance"] = self.provenance
        content |= {name: encoded(getattr(self, name).tolist()) for name in _NUMBERS}
        content["valid"] = self.valid.tolist()
        content |= {name: getattr(self, name) for name in _TEXTS}
        content["largest_excess"] = encoded(self.largest_excess)
        content["toy_excesses"] = encoded(self.toy_excesses.tolist())
        content["skipped"] = self._skipped_records()
        write_json(Path(path), content)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> Scan:
        """The scan written by `to_json`.

        Raises:
            InputError: The file is missing, is no scan of this package, is written in a newer
                format, or is damaged; the message names the file.
        """
        where = os.fspath(path)
        content = read_json(Path(path))
        check_format(content, where, _FORMAT_NAME, _FORMAT_VERSION, "Scan.to_json")
        with damage_told(where, "scan"):
            skipped = _skipped_from(content["skipped"])
            for name, absent in _ABSENT_BEFORE.items():
                content.setdefault(name, absent)
            numbers: dict[str, Any] = {name: decoded(content[name]) for name in _NUMBERS}
            numbers["expected"] = numbers["expected"] or np.empty((0, 5))
            return cls(
                **{name: typed(content, name) for name in _COMMON},
                **numbers,
                valid=content["valid"],
                warnings=tuple(tuple(texts) for texts in content["warnings"]),
                how=tuple(content["how"]),
                skipped=skipped,
                largest_excess=decoded(content["largest_excess"]),
                toy_excesses=np.array(decoded(content["toy_excesses"])),
                provenance=content["provenance"],
            )

    def to_root(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a ROOT file, in one step: a reader never sees half a file.

        `from_root` gives back the same scan, bit for bit. For other tools, the file holds what that
        of `LifetimeScan.to_root` does:

        - ``limits``: a TTree with one entry a mass and the branches ``mass_GeV``, ``observed``,
          ``observed_error``, ``expected_m2``, ``expected_m1``, ``expected_median``,
          ``expected_p1``, ``expected_p2``, ``poi_hat``, ``poi_error``, ``p0``, ``valid``,
          ``warnings`` and ``how`` (numbers of texts).
        - ``metadata``: level, method and so on, and where the scan comes from; a text in JSON, as
          are the next two.
        - ``texts``: the ``warnings`` and the ``how`` that the tree counts.
        - ``skipped``: the masses that were not scanned, with the reason of each.
        - ``zfit_dark_pseudo_data``: there only if the limits come from pseudo-data.

        Raises:
            InputError: The file cannot be written.
        """
        from zfit_dark.results import trees

        branches, texts = trees.branches_of([self])
        metadata = {
            "format": f"{_ROOT_FORMAT_NAME} {_ROOT_FORMAT_VERSION}",
            **{name: getattr(self, name) for name in _COMMON},
            "largest_excess": encoded(self.largest_excess),
            "toy_excesses": encoded(self.toy_excesses.tolist()),
            "provenance": self.provenance,
        }
        content = {"metadata": metadata, "texts": texts, "skipped": self._skipped_records()}
        trees.write(Path(path), branches, content, self.level, pseudo_data=self.pseudo_data)

    @classmethod
    def from_root(cls, path: str | os.PathLike[str]) -> Scan:
        """The scan written by `to_root`.

        Raises:
            InputError: The file is missing, is none of `to_root`, is written in a newer format,
                or is damaged; the message names the file.
        """
        from zfit_dark.results import trees

        where = os.fspath(path)
        texts, branches = trees.read(Path(path), "scan", "Scan.to_root")
        with damage_told(where, "scan"):
            content = {name: json.loads(text) for name, text in texts.items()}
        common = content["metadata"]
        check_format(common, where, _ROOT_FORMAT_NAME, _ROOT_FORMAT_VERSION, "Scan.to_root")
        with damage_told(where, "scan"):
            return cls(
                **{name: typed(common, name) for name in _COMMON},
                **trees.columns_from(branches, content["texts"]),
                skipped=_skipped_from(content["skipped"]),
                largest_excess=decoded(common["largest_excess"]),
                toy_excesses=np.array(decoded(common["toy_excesses"])),
                provenance=common["provenance"],
            )

    def _skipped_records(self) -> list[dict[str, Any]]:
        return [{"mass": s.mass, "reason": s.reason} for s in self.skipped]

    def to_pandas(self) -> pandas.DataFrame:
        """All hypotheses in order of mass, also the skipped ones, as a table.

        Columns: ``mass_GeV, observed, observed_error, expected_m2, expected_m1, expected_median,
        expected_p1, expected_p2, poi_hat, poi_error, p0, significance, valid, warnings, how``. A
        skipped mass has NaN for all numbers, a missing `valid` (the column is nullable) and the
        text ``not scanned: <reason>`` in `warnings`. What is common to all masses is in ``attrs``:
        ``level, method, test_statistic, blind, poi, poi_label, poi_unit, pseudo_data``.
        """
        import pandas as pd

        columns: dict[str, Any] = {"mass_GeV": self.masses, "observed": self.observed}
        columns["observed_error"] = self.observed_error
        columns |= dict(zip(EXPECTED_COLUMNS, self.expected.T, strict=True))
        columns |= {name: getattr(self, name) for name in ("poi_hat", "poi_error", "p0")}
        columns["significance"] = self.significance
        missing = np.full(len(self.skipped), np.nan)
        table = {name: np.concatenate([values, missing]) for name, values in columns.items()}
        table["mass_GeV"][len(self.masses) :] = [hypothesis.mass for hypothesis in self.skipped]
        frame = pd.DataFrame(table)
        valid = [*self.valid.tolist(), *(None for _ in self.skipped)]
        frame["valid"] = pd.array(valid, dtype="boolean")
        texts = ["; ".join(texts) for texts in self.warnings]
        texts += [f"not scanned: {hypothesis.reason}" for hypothesis in self.skipped]
        frame["warnings"] = pd.array(texts, dtype="str")
        frame["how"] = pd.array([*self.how, *("" for _ in self.skipped)], dtype="str")
        frame.attrs = {name: getattr(self, name) for name in _COMMON}
        ordered: pandas.DataFrame = frame.sort_values("mass_GeV", ignore_index=True)
        return ordered

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the table of `to_pandas`, under comment lines that begin with ``#``.

        The comments hold level, method, test statistic, POI, pseudo-data and blinding.
        ``pandas.read_csv(path, comment="#")`` reads it.

        Raises:
            InputError: The file cannot be written.
        """
        unit = self.poi_unit or "none"
        header = (
            f"zfit_dark scan of {self.poi}",
            f"level: {self.level}",
            f"method: {self.method}",
            f"test statistic: {self.test_statistic}",
            f"POI label: {self.poi_label}",
            f"POI unit: {unit}",
            f"pseudo-data: {yes_no(self.pseudo_data)}",
            f"blind: {yes_no(self.blind)}",
        )
        frame = self.to_pandas()
        for name in _TEXTS:  # a carriage return would end the line for most who read it
            frame[name] = frame[name].str.replace("\r", " ")
        write_csv(Path(path), header, frame)

    def to_hepdata(
        self,
        folder: str | os.PathLike[str],
        *,
        images: Iterable[str | os.PathLike[str]] = (),
        qualifiers: Mapping[str, tuple[float | str, str]] | None = None,
    ) -> None:
        """Write a record for HEPData, one that HEPData's own validator accepts.

        Its table has one row a mass, also the skipped ones: observed limit, the five expected ones,
        best fit with its error, p-value and significance; whether the fits converged, and remarks.
        Masses are written in full, other numbers with six digits; "-" is a number that is not
        there. It needs hepdata-lib: ``pip install 'zfit-dark[hepdata]'``.

        Args:
            folder: A new folder, or an empty one. It appears when all is written.
            images: Plots of the scan as PNG files; they are copied, and get thumbnails.
            qualifiers: What else a reader has to know, name to value and unit, e.g.
                ``{"SQRT(S)": (10.58, "GeV"), "LUMINOSITY": (365.0, "fb^-1")}``. It cannot change
                what the scan says of itself, such as "Data": pseudo-data.

        Raises:
            InputError: hepdata-lib is not installed, the folder is not empty or cannot be written,
                an image is no PNG file, or HEPData would refuse the record.
        """
        from zfit_dark.results.hepdata import write_scan

        write_scan(self, folder, images, qualifiers)

    # -- new scans --------------------------------------------------------------------------

    def merge(self, other: Scan) -> Scan:
        """The hypotheses of both scans in one.

        A mass may be in both if it carries the same result in both. Toys of a whole scan are not
        those of the merged one, and left out: scan all masses at once for them.

        Raises:
            InputError: The scans differ in level, method, test statistic, blinding, POI, search,
                input files or settings (those that only choose masses may differ), or in the
                result at a mass.
        """
        for name in _COMMON:
            mine, others = getattr(self, name), getattr(other, name)
            if mine != others:
                raise InputError(f"cannot merge scans that differ in {name}: {mine!r}, {others!r}")
        for name in ("search", "settings", "inputs"):
            mine, others = identity_of(self.provenance, name), identity_of(other.provenance, name)
            if mine != others:
                raise InputError(f"cannot merge scans with different {name}: {mine}, {others}")
        _, i, j = np.intersect1d(self.masses, other.masses, return_indices=True)
        for a, b in zip(i, j, strict=True):
            if not _same_result(self, a, other, b):
                raise InputError(
                    f"cannot merge scans with different results at {self.masses[a]:g} GeV"
                )
        reasons = {hypothesis.mass: hypothesis.reason for hypothesis in self.skipped}
        for hypothesis in other.skipped:
            if reasons.setdefault(hypothesis.mass, hypothesis.reason) != hypothesis.reason:
                raise InputError(
                    "cannot merge scans that skip a mass for different reasons: "
                    f"{hypothesis.mass:g} GeV"
                )
        new = ~np.isin(other.masses, self.masses)
        masses = np.concatenate([self.masses, other.masses[new]])
        order = np.argsort(masses)
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(other, name)[new]])[order]
            for name in _PER_MASS
            if name not in _TEXTS
        }
        for name in _TEXTS:
            theirs = getattr(other, name)
            texts = [*getattr(self, name), *(theirs[k] for k in np.flatnonzero(new))]
            columns[name] = tuple(texts[k] for k in order)
        return replace(
            self,
            **columns,
            skipped=tuple(Skipped(mass, reason) for mass, reason in reasons.items()),
            largest_excess=math.nan,
            toy_excesses=np.empty(0),
            provenance=_merged_provenance(self.provenance, other.provenance),
        )

    def between(self, low: float, high: float) -> Scan:
        """The part of the scan with masses from `low` to `high` GeV, both included; maybe none.

        Toys of the whole scan are not those of a part of it, and left out.
        """
        inside = (self.masses >= low) & (self.masses <= high)
        columns: dict[str, Any] = {
            name: getattr(self, name)[inside] for name in _PER_MASS if name not in _TEXTS
        }
        for name in _TEXTS:
            columns[name] = tuple(compress(getattr(self, name), inside))
        return replace(
            self,
            **columns,
            skipped=tuple(s for s in self.skipped if low <= s.mass <= high),
            largest_excess=math.nan,
            toy_excesses=np.empty(0),
        )

    def map_poi(
        self,
        function: Callable[[FloatArray, FloatArray], npt.ArrayLike],
        *,
        poi: str,
        poi_label: str,
        poi_unit: str,
    ) -> Scan:
        """The limits on another parameter, an increasing function of this one at each mass.

        Args:
            function: ``function(masses, values)`` with two arrays of shape (n,) gives the values
                of the new parameter, shape (n,). It is called for the observed limits (unless
                blind) and for each of the five expected ones.
            poi: Name of the new parameter.
            poi_label: Its axis label.
            poi_unit: Its unit.

        Returns:
            A scan with the same p-values. `poi_hat` and all errors are NaN: a limit maps, an
            estimate with its error does not. A mass where `function` gives no finite number for
            a finite limit carries a warning; a limit that is NaN stays NaN.

        Raises:
            InputError: `function` gives another shape or does not increase.

        >>> scan = Scan.from_limits(
        ...     [1.0], [Limit(4.0, (1.0, 2.25, 4.0, 6.25, 9.0), 1.0, 0.5, 0.02, 0.90,
        ...                   "asymptotic", "qtilde", valid=True)],
        ...     poi="branching_fraction", poi_label="$B$", pseudo_data=True)
        >>> coupling = scan.map_poi(lambda mass, b: b**0.5, poi="g", poi_label="$g$", poi_unit="")
        >>> coupling.observed.tolist(), coupling.expected.tolist()
        ([2.0], [[1.0, 1.5, 2.0, 2.5, 3.0]])
        """
        n = len(self.masses)

        def mapped(values: FloatArray) -> FloatArray:
            result = np.array(function(self.masses, values), dtype=np.float64)
            if result.shape != (n,):
                raise InputError(f"the map to {poi} gives the shape {result.shape}, not ({n},)")
            return np.where(np.isnan(values), np.nan, result)

        observed = self.observed if self.blind else mapped(self.observed)
        expected = np.stack([mapped(self.expected[:, k]) for k in range(5)], axis=1)
        before = np.column_stack([self.observed, self.expected])
        after = np.column_stack([observed, expected])
        _check_increasing(self.masses, before, after, poi)
        lost = np.any(np.isfinite(before) & ~np.isfinite(after), axis=1)
        return replace(
            self,
            observed=observed,
            observed_error=np.full(n, np.nan),
            expected=expected,
            poi_hat=np.full(n, np.nan),
            poi_error=np.full(n, np.nan),
            warnings=tuple(
                (*texts, f"the limit has no counterpart in {poi}") if is_lost else texts
                for texts, is_lost in zip(self.warnings, lost, strict=True)
            ),
            poi=poi,
            poi_label=poi_label,
            poi_unit=poi_unit,
        )

    def scaled(self, factor: npt.ArrayLike, *, poi: str, poi_label: str, poi_unit: str) -> Scan:
        """The limits on a parameter that is proportional to this one at each mass.

        Args:
            factor: The new parameter over this one, positive; a number, or one a mass, shape (n,).
            poi: Name of the new parameter.
            poi_label: Its axis label.
            poi_unit: Its unit.

        Returns:
            A scan with the same p-values; limits, best fits and all errors are multiplied.

        Raises:
            InputError: A factor is not positive and finite, or there is another number of them.
        """
        n = len(self.masses)
        factors = np.asarray(factor, dtype=np.float64)
        if factors.shape not in ((), (n,)):
            raise InputError(f"factors of shape {factors.shape} for {n} masses")
        if not np.all(np.isfinite(factors) & (factors > 0)):
            raise InputError(f"a factor to {poi} is not positive and finite; leave that mass out")
        factors = np.broadcast_to(factors, (n,))
        names = ("observed", "observed_error", "poi_hat", "poi_error")
        return replace(
            self,
            **{name: getattr(self, name) * factors for name in names},
            expected=self.expected * factors[:, None],
            poi=poi,
            poi_label=poi_label,
            poi_unit=poi_unit,
        )

    def summary(self) -> str:
        """A few lines for a terminal: best limit, largest local significance, what is missing.

        The best limit and the largest significance are those among the masses whose fits
        converged.
        """
        n = len(self.masses)
        span = f" from {self.masses[0]:.4g} to {self.masses[-1]:.4g} GeV" if n else ""
        lines = [f"{n} mass hypotheses scanned{span} ({settings_of(self)})"]
        kind = "expected" if self.blind else "observed"
        limits = self.expected[:, 2] if self.blind else self.observed
        unit = f" {self.poi_unit}" if self.poi_unit else ""
        best = _first(np.argmin, limits, self.valid & np.isfinite(limits))
        if best is not None:
            lines.append(
                f"best {kind} limit: {self.poi} < {limits[best]:.3g}{unit}"
                f" at {self.masses[best]:.4g} GeV"
            )
        top = _first(np.argmin, self.p0, self.valid & np.isfinite(self.p0))
        if top is not None:
            lines.append(
                f"largest local significance: {self.significance[top]:.2f} sigma"
                f" (p0 = {self.p0[top]:.3g}) at {self.masses[top]:.4g} GeV"
            )
            overall = self.global_significance()
            lines.append(
                f"anywhere in the scan: {overall.significance:.2f} sigma"
                f" (p0 = {overall.p0:.2g} +- {overall.p0_error:.1g}, Gross-Vitells)"
            )
            if overall.toys:
                lines.append(
                    f"the same by toys: {overall.toys_significance:.2f} sigma"
                    f" (p0 = {overall.toys_p0:.2g} +- {overall.toys_p0_error:.1g}:"
                    f" {overall.larger} of {overall.toys} toys)"
                )
        lines.append(flagged_of([self]))
        for mass, warnings in zip(self.masses, self.warnings, strict=True):
            if warnings:
                lines.append(f"first warning, at {mass:.4g} GeV: {'; '.join(warnings)}")
                break
        lines.append(f"not scanned: {by_reason(self.skipped) or '0'}")
        return "\n".join(lines)


def new_provenance(
    *,
    search: str | None = None,
    settings: Mapping[str, Any] | None = None,
    inputs: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The record of where a result comes from, as `Scan.provenance` keeps it.

    Args:
        search: Name of the search.
        settings: What the user chose, plain JSON values. ``masses`` and ``max_masses`` are known
            to `Scan.merge` as the settings that only choose hypotheses.
        inputs: One record per input file with ``path``, ``sha256`` and ``size``, as
            `zfit_dark.candidates.read` makes them.

    Returns:
        A dict with the keys ``search``, ``settings``, ``inputs``, ``versions`` (installed
        packages) and ``created`` (UTC, ISO 8601).
    """
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "search": search,
        "settings": dict(settings or {}),
        "inputs": [dict(record) for record in inputs],
        "versions": versions,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


# -- checks ---------------------------------------------------------------------------------


def _check_increasing(masses: FloatArray, before: FloatArray, after: FloatArray, poi: str) -> None:
    """Where two limits at a mass are ordered, their images must be in the same order."""
    for a in range(before.shape[1]):
        for b in range(a):
            up = (before[:, a] < before[:, b]) & (after[:, a] > after[:, b])
            down = (before[:, a] > before[:, b]) & (after[:, a] < after[:, b])
            wrong = up | down
            if np.any(wrong):
                mass = masses[np.argmax(wrong)]
                raise InputError(f"the map to {poi} does not increase at {mass:g} GeV")


def _first(
    choose: Callable[[FloatArray], np.intp], values: FloatArray, among: BoolArray
) -> int | None:
    """Index of the value that `choose` takes among the marked ones; None if none is marked."""
    indices = np.flatnonzero(among)
    return int(indices[choose(values[indices])]) if len(indices) else None


def by_reason(skipped: Iterable[Skipped]) -> str:
    """How many hypotheses were skipped for each reason; "" if none was."""
    counts = Counter(hypothesis.reason for hypothesis in skipped)
    return ", ".join(f"{count} ({reason})" for reason, count in counts.items())


def settings_of(scan: Scan) -> str:
    """Level, method, test statistic and kind of data of a scan."""
    settings = [f"{100 * scan.level:g} % CL", scan.method, scan.test_statistic]
    settings.append("pseudo-data" if scan.pseudo_data else "data")
    settings += ["blind"] if scan.blind else []
    return ", ".join(settings)


def flagged_of(scans: Iterable[Scan]) -> str:
    """How many masses are flagged in the scans, and why."""
    pairs = [(int(np.sum(scan.flagged)), int(np.sum(~scan.valid))) for scan in scans]
    flagged, not_converged = (sum(numbers) for numbers in zip(*pairs, strict=True))
    return (
        f"flagged: {flagged} ({not_converged} not converged, "
        f"{flagged - not_converged} with a warning)"
    )


def yes_no(flag: bool) -> str:
    """The words for a flag."""
    return "yes" if flag else "no"


# -- merging --------------------------------------------------------------------------------


def _same_result(one: Scan, i: int, other: Scan, j: int) -> bool:
    if one.valid[i] != other.valid[j]:
        return False
    if any(getattr(one, name)[i] != getattr(other, name)[j] for name in _TEXTS):
        return False
    return all(
        np.array_equal(getattr(one, name)[i], getattr(other, name)[j], equal_nan=True)
        for name in _NUMBERS
    )


def identity_of(provenance: Mapping[str, Any], name: str) -> Any:
    """The part of a provenance that decides the numbers."""
    value = provenance.get(name)
    if name == "inputs":
        return sorted(str(record.get("sha256")) for record in value or ())
    if name == "settings":
        return {
            key: setting
            for key, setting in (value or {}).items()
            if key not in _SETTINGS_THAT_ONLY_CHOOSE_MASSES
        }
    return value


def _merged_provenance(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    if one == other:
        return one
    parts: list[Any] = []
    for provenance in (one, other):
        for part in provenance.get("merged", [provenance]):
            if part not in parts:
                parts.append(part)
    return {
        "search": one.get("search"),
        "settings": identity_of(one, "settings"),
        "inputs": one.get("inputs", []),
        "merged": parts,
    }


# -- files ----------------------------------------------------------------------------------


def plain_json(name: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a provenance, as it comes back from a file."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(provenance), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must hold plain JSON values ({error})") from error
    return plain


def encoded(value: Any) -> Any:
    """Numbers, or nested lists of them, as plain JSON values."""
    if isinstance(value, list):
        return [encoded(item) for item in value]
    if math.isfinite(value):
        return value
    return None if math.isnan(value) else ("inf" if value > 0 else "-inf")


def _skipped_from(records: Iterable[Mapping[str, Any]]) -> tuple[Skipped, ...]:
    return tuple(Skipped(decoded(record["mass"]), record["reason"]) for record in records)


def decoded(value: Any) -> Any:
    """The inverse of `encoded`."""
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if value is None:
        return math.nan
    if value in ("inf", "-inf"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{value!r} is not a number")
    return float(value)


def typed(content: Mapping[str, Any], name: str) -> Any:
    """An entry of a file that is the same for all masses, of the type it must have."""
    value = content[name]
    wanted: type = {"level": float, "blind": bool, "pseudo_data": bool}.get(name, str)
    if not isinstance(value, wanted):
        raise InputError(f"{name} is {value!r}")
    return value


def check_format(content: Any, where: str, name: str, version: int, writer: str) -> None:
    """Refuse the content of a file that is not in the format `name`, or newer than `version`."""
    tag = content.get("format") if isinstance(content, dict) else None
    found, _, number = tag.rpartition(" ") if isinstance(tag, str) else ("", "", "")
    if found != name or not number.isdecimal():
        raise InputError(f"{where}: not a {name} file; give one written by {writer}")
    if int(number) > version:
        raise InputError(
            f"{where}: written in format {number} by a newer zfit_dark, this one reads up to "
            f"{version}; update zfit_dark"
        )


@contextmanager
def damage_told(where: str, kind: str) -> Iterator[None]:
    """Tell in one line what is wrong with the content of a file."""
    try:
        yield
    except KeyError as error:
        raise InputError(f"{where}: damaged {kind} file, {error} is missing") from error
    except WRONG as error:
        raise InputError(f"{where}: damaged {kind} file ({error})") from error


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        if "\\u" in text:  # may be half a character, which no file can be written with
            json.dumps(content, ensure_ascii=False).encode()
        return content
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({cause(error)})") from error
    except (RecursionError, ValueError) as error:
        raise InputError(f"{path}: not a JSON file, or a damaged one ({error})") from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file in one step, one entry of `content` a line."""
    lines = (
        f"{json.dumps(key)}: {json.dumps(value, allow_nan=False, ensure_ascii=False)}"
        for key, value in content.items()
    )
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def write_csv(path: Path, header: Iterable[str], frame: pandas.DataFrame) -> None:
    """Write a table in one step, under comment lines that begin with ``#``."""
    comments = "".join(f"# {' '.join(line.split())}\n" for line in header)
    write_text(path, comments + frame.to_csv(index=False, lineterminator="\n"))


def write_text(path: Path, text: str) -> None:
    """Write a text file in one step."""
    with in_one_step(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def in_one_step(path: Path) -> Iterator[Path]:
    """A file to write to that becomes `path` at the end: until then the old content stays.

    Raises:
        InputError: It cannot be written; or something else than a file is there, or one that is
            read-only, which would be replaced all the same.
    """
    target = Path(os.path.realpath(path))  # a link stays one
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    if reason := _in_the_way(target):
        raise InputError(f"{path}: cannot be written ({reason}); choose another name")
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({cause(error)})") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _in_the_way(path: Path) -> str | None:
    """Why a file must not be replaced; None if there is none, or nothing speaks against it."""
    if not os.path.exists(path):
        return None
    if os.path.isdir(path):
        return "a folder is in the way"
    if not os.path.isfile(path):
        return "it is no regular file"
    return None if os.access(path, os.W_OK) else "it is there, and read-only"


def cause(error: OSError) -> str:
    """The words for an error of the file system."""
    return error.strerror or str(error)
