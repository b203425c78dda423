"""Upper limits that experiments published, to be drawn beside ours."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zfit_dark.errors import InputError
from zfit_dark.results.checks import FloatArray, check_level, frozen, texts_of

if TYPE_CHECKING:
    import pandas

_TEXTS = ("name", "experiment", "process", "reference", "level_source", "origin", "package")
_SAME = 1e-6
"""Lifetimes that differ by less than this part of them are the same."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Published:
    """Upper limits that an experiment published, against mass and lifetime.

    Arrays are read-only; `n` is the number of masses, `k` that of lifetimes.

    Attributes:
        name: Short name, e.g. ``"babar_kgg_prompt"``.
        experiment: e.g. ``"BaBar"``.
        process: The decay as a plot names it, may hold mathtext.
        search: Name of the search of this package that looks for the same.
        mode: Its decay mode.
        masses: Masses in GeV, increasing, shape (n,).
        lifetimes: Proper decay lengths ctau in cm, increasing, shape (k,); 0 is a particle that
            decays at once. Empty if the limits are on a coupling that fixes the lifetime.
        limits: Upper limits in `poi_unit`, one row a lifetime, shape (k, n), or (1, n) if
            `lifetimes` is empty; NaN where there is none.
        poi: What is limited, by the name that it has in the search.
        poi_label: The same as an axis label, may hold mathtext.
        poi_unit: Its unit, "" if it has none.
        level: Confidence level, e.g. 0.90.
        level_source: Where the level was read.
        reference: The paper, e.g. ``"arXiv:2111.01800"``.
        inspire: Its key at INSPIRE.
        origin: How the numbers were taken from the paper, e.g. ``"digitised"``.
        package: The package that holds the numbers, and its version.
        assumptions: What was assumed to get from the published limits to these, one line each.

    Raises:
        InputError: Shapes do not fit, masses or lifetimes do not increase, a limit is not positive,
            the level is none, or the limits lack a name, a source or a reference.
    """

    name: str
    experiment: str
    process: str
    search: str
    mode: str
    masses: FloatArray
    lifetimes: FloatArray
    limits: FloatArray
    poi: str
    poi_label: str
    poi_unit: str = ""
    level: float
    level_source: str
    reference: str
    inspire: str
    origin: str
    package: str
    assumptions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        masses = frozen("Published.masses", self.masses, (None,))
        lifetimes = frozen("Published.lifetimes", self.lifetimes, (None,))
        limits = frozen("Published.limits", self.limits, (max(len(lifetimes), 1), len(masses)))
        for name, values in (("masses", masses), ("lifetimes", lifetimes)):
            if not np.all(np.isfinite(values) & (values >= 0)) or np.any(np.diff(values) <= 0):
                raise InputError(f"Published.{name} must be finite, not negative and increasing")
        if np.any(limits <= 0) or np.any(np.isinf(limits)):
            raise InputError("Published.limits must be positive; give NaN where there is none")
        for name, values in (("masses", masses), ("lifetimes", lifetimes), ("limits", limits)):
            object.__setattr__(self, name, values)
        for name in _TEXTS:
            if not getattr(self, name).strip():
                raise InputError(f"Published.{name} is empty; published limits need one")
        check_level(self.level)
        assumptions = texts_of("Published.assumptions", self.assumptions)
        object.__setattr__(self, "assumptions", assumptions)

    def at(self, ctau: float) -> Published:
        """The limits at one lifetime.

        Between two lifetimes the logarithm of the limit runs on a straight line in that of the
        lifetime. Outside them there is no limit.

        Args:
            ctau: Proper decay length in cm; 0 for a particle that decays at once.

        Returns:
            The same with this lifetime alone; all limits are NaN if it is outside the table.

        Raises:
            InputError: The lifetime is negative or not finite, or the limits are on a coupling.
        """
        if not 0 <= ctau < math.inf:
            raise InputError(f"ctau = {ctau:g} cm: give a finite lifetime, not negative")
        if not len(self.lifetimes):
            raise InputError(f"{self.name}: its lifetimes follow from {self.poi}; choose none")
        return replace(self, lifetimes=np.array([ctau]), limits=self._row(ctau)[None])

    def _row(self, ctau: float) -> FloatArray:
        same = np.flatnonzero(np.isclose(self.lifetimes, ctau, rtol=_SAME, atol=0.0))
        if len(same):
            row: FloatArray = self.limits[same[0]]
            return row
        above = int(np.searchsorted(self.lifetimes, ctau))
        if not 0 < above < len(self.lifetimes) or self.lifetimes[above - 1] == 0:
            return np.full(len(self.masses), np.nan)
        low, high = self.lifetimes[above - 1 : above + 1]
        part = math.log(ctau / low) / math.log(high / low)
        below, beyond = np.log(self.limits[above - 1 : above + 1])
        between: FloatArray = np.exp((1 - part) * below + part * beyond)
        return between

    def limits_at(self, masses: npt.ArrayLike) -> FloatArray:
        """The limits at other masses.

        Between two masses the logarithm of the limit runs on a straight line. There is no limit
        next to a mass without one, nor outside.

        Args:
            masses: Masses in GeV, shape (m,).

        Returns:
            One row a lifetime, shape (k, m); NaN where there is no limit.
        """
        wanted = np.atleast_1d(np.asarray(masses, dtype=np.float64))
        rows = [
            np.exp(np.interp(wanted, self.masses, np.log(row), left=np.nan, right=np.nan))
            for row in self.limits
        ]
        return np.array(rows)

    @property
    def citation(self) -> str:
        """Experiment and paper, e.g. ``"BaBar, arXiv:2111.01800"``."""
        return f"{self.experiment}, {self.reference}"

    def to_pandas(self) -> pandas.DataFrame:
        """One row a limit, those that are NaN too: ``mass_GeV, ctau_cm, limit``.

        The lifetime is NaN if it follows from the coupling that is limited.
        """
        import pandas as pd

        n = len(self.masses)
        lifetimes = self.lifetimes if len(self.lifetimes) else np.array([np.nan])
        return pd.DataFrame(
            {
                "mass_GeV": np.tile(self.masses, len(lifetimes)),
                "ctau_cm": np.repeat(lifetimes, n),
                "limit": self.limits.ravel(),
            }
        )

    def summary(self) -> str:
        """A few lines for a terminal: what is limited, at which level, and where it comes from."""
        unit = f" {self.poi_unit}" if self.poi_unit else ""
        lines = [
            f"{self.name}: {self.citation} ({self.inspire})",
            f"upper limits on {self.poi_label}{unit} at {100 * self.level:g} % CL",
            f"level: {self.level_source}",
            f"masses: {_span(self.masses, 'GeV')}",
            f"ctau: {_span(self.lifetimes, 'cm') or 'follows from the coupling'}",
            f"{int(np.sum(np.isnan(self.limits)))} of {self.limits.size} have no limit",
            f"numbers: {self.package}, {self.origin}",
        ]
        return "\n".join([*lines, *(f"assumption: {line}" for line in self.assumptions)])


def _span(values: FloatArray, unit: str) -> str:
    """How many values there are, and the first and the last of them."""
    if len(values) < 2:
        return ", ".join(f"{value:.4g} {unit}" for value in values)
    return f"{len(values)} from {values[0]:.4g} to {values[-1]:.4g} {unit}"
