"""Pulls and impacts of the parameters of a fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zfit_dark.results.checks import FloatArray, check_level, frozen, texts_of

if TYPE_CHECKING:
    import pandas

_OF_PARAMETERS = (
    "prefit",
    "prefit_error",
    "postfit",
    "postfit_error",
    "impact_up",
    "impact_down",
    "observed_impact",
    "expected_impact",
)
_NAMED = 3
"""So many parameters are named in a summary."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Impacts:
    """Pulls of the parameters of a fit, their impacts, and what statistics alone would give.

    `n` parameters float besides the parameter of interest (POI). They stand in the order of their
    impact on it, the largest first; those without one are last. Arrays are read-only.

    Attributes:
        names: Names of the parameters, n texts.
        prefit: What a Gaussian constraint says of each, shape (n,); NaN for all other parameters.
        prefit_error: The standard deviation of that, shape (n,).
        postfit: Best fits, shape (n,).
        postfit_error: Their standard deviations, from the second derivatives of the likelihood,
            shape (n,). NaN where those have no meaning: at an edge of the parameter's range, and
            where the data do not determine the parameter.
        impact_up: Shift of the best fit of the POI if the parameter is held one `postfit_error`
            above its best fit, shape (n,). NaN if there is none.
        impact_down: The same for one below.
        observed_impact: The part of the observed limit that is due to the parameter: 1 less the
            ratio of the limit with the parameter held at its best fit to the full one, shape (n,).
        expected_impact: The same of the median expected limit.
        correlation: Correlations of the POI, which is first, and the parameters, shape
            (n + 1, n + 1); NaN for those without a `postfit_error`.
        poi: Name of the POI.
        poi_label: The same as an axis label, may hold mathtext.
        poi_unit: Its unit, "" if it has none.
        poi_hat: Its best fit.
        poi_error: The standard deviation of that, from the second derivatives of the likelihood.
        poi_error_statistical: The same with all constrained parameters held.
        observed: Observed limit.
        expected: Expected limits without signal, for -2, -1, 0, +1, +2 sigma, shape (5,).
        observed_statistical: Observed limit with all constrained parameters held.
        expected_statistical: The same of the expected limits, shape (5,).
        level: Confidence level, e.g. 0.90.
        mass: The hypothesis in GeV; NaN for a loss that knows no mass.
        valid: Whether every fit behind these numbers converged.
        warnings: What a reader of the numbers has to know.
        pseudo_data: The data was generated, not recorded.

    Raises:
        InputError: Shapes do not fit, or `level` is no confidence level.
    """

    names: tuple[str, ...]
    prefit: FloatArray
    prefit_error: FloatArray
    postfit: FloatArray
    postfit_error: FloatArray
    impact_up: FloatArray
    impact_down: FloatArray
    observed_impact: FloatArray
    expected_impact: FloatArray
    correlation: FloatArray
    poi: str
    poi_label: str
    poi_unit: str
    poi_hat: float
    poi_error: float
    poi_error_statistical: float
    observed: float
    expected: FloatArray
    observed_statistical: float
    expected_statistical: FloatArray
    level: float
    mass: float
    valid: bool
    warnings: tuple[str, ...]
    pseudo_data: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", texts_of("Impacts.names", self.names))
        n = len(self.names)
        shapes = dict.fromkeys(_OF_PARAMETERS, (n,)) | {"expected": (5,)}
        shapes |= {"expected_statistical": (5,)}
        for name, shape in shapes.items():
            object.__setattr__(self, name, frozen(f"Impacts.{name}", getattr(self, name), shape))
        matrix = frozen("Impacts.correlation", self.correlation, (n + 1, n + 1))
        object.__setattr__(self, "correlation", matrix)
        object.__setattr__(self, "warnings", texts_of("Impacts.warnings", self.warnings))
        check_level(self.level)

    @property
    def pull(self) -> FloatArray:
        """(postfit - prefit) / prefit_error, shape (n,); NaN for parameters without constraint."""
        pull: FloatArray = (self.postfit - self.prefit) / self.prefit_error
        return pull

    @property
    def constraint(self) -> FloatArray:
        """postfit_error / prefit_error, shape (n,): below 1 where the data know more."""
        constraint: FloatArray = self.postfit_error / self.prefit_error
        return constraint

    @property
    def poi_error_systematic(self) -> float:
        """What the statistical error of the POI leaves of the total one, in quadrature."""
        return float(np.sqrt(max(self.poi_error**2 - self.poi_error_statistical**2, 0.0)))

    def to_pandas(self) -> pandas.DataFrame:
        """One row a parameter, in order of impact.

        Columns: ``parameter, prefit, prefit_error, postfit, postfit_error, pull, constraint,
        impact_up, impact_down, observed_impact, expected_impact, correlation``; the last one is
        that with the POI.
        """
        import pandas as pd

        columns: dict[str, Any] = {"parameter": pd.array(self.names, dtype="str")}
        columns |= {name: getattr(self, name) for name in _OF_PARAMETERS[:4]}
        columns |= {"pull": self.pull, "constraint": self.constraint}
        columns |= {name: getattr(self, name) for name in _OF_PARAMETERS[4:]}
        columns["correlation"] = self.correlation[0, 1:]
        return pd.DataFrame(columns)

    def summary(self) -> str:
        """A few lines for a terminal: best fit, limits, largest impacts and pull, warnings."""
        where = f" at {self.mass:.4g} GeV" if np.isfinite(self.mass) else ""
        kind = "pseudo-data" if self.pseudo_data else "data"
        unit = f" {self.poi_unit}" if self.poi_unit else ""
        lines = [
            f"{len(self.names)} parameters by their impact on {self.poi}{where}"
            f" ({100 * self.level:g} % CL, asymptotic, {kind})",
            f"best fit: {self.poi} = {self.poi_hat:.3g} +- {self.poi_error:.3g}{unit}"
            f" (statistics {self.poi_error_statistical:.3g},"
            f" systematics {self.poi_error_systematic:.3g})",
            f"observed limit: {self.poi} < {self.observed:.3g}{unit}"
            f" (statistics only: {self.observed_statistical:.3g})",
            f"median expected limit: {self.poi} < {self.expected[2]:.3g}{unit}"
            f" (statistics only: {self.expected_statistical[2]:.3g})",
        ]
        largest = [
            f"{name} {up:+.2g} {down:+.2g}"
            for name, up, down in zip(self.names, self.impact_up, self.impact_down, strict=True)
            if np.isfinite(up) or np.isfinite(down)
        ]
        lines.append(f"largest impacts: {', '.join(largest[:_NAMED]) or 'none'}")
        size = np.abs(self.pull)
        if np.isfinite(size).any():
            top = int(np.nanargmax(size))
            lines.append(f"largest pull: {self.names[top]} {self.pull[top]:+.2f} sigma")
        lines += [] if self.valid else ["not every fit converged"]
        return "\n".join([*lines, *(f"warning: {text}" for text in self.warnings)])
