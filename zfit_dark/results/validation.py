"""What pseudo-experiments say of limits and fits, and likelihoods of background models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import betaincinv
from scipy.stats import chi2

from zfit_dark.errors import InputError
from zfit_dark.results.checks import FloatArray, check_level, frozen, texts_of

if TYPE_CHECKING:
    import pandas

SIGNIFICANT = 0.05
"""A background model of higher order is taken where its likelihood-ratio p-value is not above."""

_ONE_SIGMA = 0.6826894921370859


@dataclass(frozen=True, eq=False, kw_only=True)
class Validation:
    """Fits and limits of pseudo-experiments (toys) with a known signal. Arrays are read-only.

    m masses, s true signals at each, t toys of each. What failed is NaN: it is left out of every
    mean and counted.

    Attributes:
        masses: Mass hypotheses in GeV, increasing, shape (m,).
        signals: True values of the parameter of interest in `poi_unit`, shape (m, s).
        best: Best fits of each toy, shape (m, s, t); NaN where the fit did not converge.
        sigma: Uncertainties from the fit of each toy; NaN, too, where the fit gives none.
        limits: Upper limits of each toy; NaN where none was found, or it was flagged.
        expected: Median expected limits without signal, asymptotic, from the fit of the model to
            the data, shape (m,).
        level: Confidence level of the limits.
        method: Of the limits, e.g. ``"asymptotic"``.
        test_statistic: e.g. ``"qtilde"``.
        poi: Name of the parameter of interest.
        poi_label: The same as an axis label, may hold mathtext.
        poi_unit: Its unit, "" if it has none.
        other_truth: The toys come from another model than the one that is fitted to them.
        warnings: Why there are no toys of a mass, m tuples; empty where there are.

    Raises:
        InputError: Shapes do not fit, or the masses are not finite and increasing.
    """

    masses: FloatArray
    signals: FloatArray
    best: FloatArray
    sigma: FloatArray
    limits: FloatArray
    expected: FloatArray
    level: float
    method: str
    test_statistic: str
    poi: str
    poi_label: str
    poi_unit: str
    other_truth: bool
    warnings: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        masses = _masses("Validation.masses", self.masses)
        m = len(masses)
        signals = frozen("Validation.signals", self.signals, (m, None))
        best = frozen("Validation.best", self.best, (*signals.shape, None))
        if best.shape[2] < 2:
            raise InputError(f"Validation.best has {best.shape[2]} toys; two or more have a spread")
        arrays = {"masses": masses, "signals": signals, "best": best}
        for name in ("sigma", "limits"):
            arrays[name] = frozen(f"Validation.{name}", getattr(self, name), best.shape)
        arrays["expected"] = frozen("Validation.expected", self.expected, (m,))
        for name, array in arrays.items():
            object.__setattr__(self, name, array)
        check_level(self.level)
        if len(self.warnings) != m:
            raise InputError(f"Validation.warnings has {len(self.warnings)} entries, {m} masses")
        warnings = tuple(texts_of("Validation.warnings", texts) for texts in self.warnings)
        object.__setattr__(self, "warnings", warnings)

    @property
    def toys(self) -> int:
        """Toys of each mass and signal."""
        return int(self.best.shape[2])

    @property
    def drawn(self) -> FloatArray:
        """Toys that there are, shape (m, s): none at a mass with a warning."""
        there = np.array([not texts for texts in self.warnings])
        return np.where(there[:, None], float(self.toys), np.zeros(self.signals.shape))

    @property
    def failed_fits(self) -> FloatArray:
        """Toys whose fit did not converge, shape (m, s)."""
        return self.drawn - _count(np.isfinite(self.best))

    @property
    def without_sigma(self) -> FloatArray:
        """Toys whose fit converged and gives no uncertainty, as that of no events, shape (m, s)."""
        return _count(np.isfinite(self.best) & ~np.isfinite(self.sigma))

    @property
    def failed_limits(self) -> FloatArray:
        """Toys without a valid limit, shape (m, s)."""
        return self.drawn - _count(np.isfinite(self.limits))

    @property
    def coverage(self) -> FloatArray:
        """Fraction of the limits that are not below the true signal, shape (m, s).

        The coverage of a CLs limit is larger than its level where the signal is small, and 1
        without signal.
        """
        return _ratio(self._covered, _count(np.isfinite(self.limits)))

    @property
    def coverage_interval(self) -> FloatArray:
        """Central 68.3 % interval of the coverage, shape (m, s, 2).

        Source: C. Clopper, E. Pearson, Biometrika 26 (1934) 404.
        """
        k, n = self._covered, _count(np.isfinite(self.limits))
        tail = 0.5 * (1 - _ONE_SIGMA)
        low = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, tail), 0.0)
        high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1), 1 - tail), 1.0)
        return np.where((n > 0)[..., None], np.stack([low, high], axis=-1), np.nan)

    @property
    def bias(self) -> FloatArray:
        """Mean of the best fits minus the true signal, in `poi_unit`, shape (m, s)."""
        return _mean(self.best) - self.signals

    @property
    def bias_error(self) -> FloatArray:
        """Statistical error of the bias, from the spread of the best fits, shape (m, s)."""
        return _ratio(_spread(self.best), np.sqrt(_count(np.isfinite(self.best))))

    @property
    def typical_sigma(self) -> FloatArray:
        """Median uncertainty of the best fits, in `poi_unit`, shape (m, s)."""
        found = np.full(self.signals.shape, np.nan)
        for where in np.ndindex(found.shape):
            known = self.sigma[where][np.isfinite(self.sigma[where])]
            found[where] = np.median(known) if known.size else np.nan
        return found

    @property
    def pulls(self) -> FloatArray:
        """(best fit - true signal) / uncertainty of each toy, shape (m, s, t).

        Toys without an uncertainty have none. With few events they are those with the smallest best
        fits: there the bias tells more than the mean pull.
        """
        return (self.best - self.signals[..., None]) / self.sigma

    @property
    def pull_mean(self) -> FloatArray:
        """Mean pulls, shape (m, s)."""
        return _mean(self.pulls)

    @property
    def pull_mean_error(self) -> FloatArray:
        """Statistical error of the mean pulls, shape (m, s)."""
        return _ratio(self.pull_width, np.sqrt(_count(np.isfinite(self.pulls))))

    @property
    def pull_width(self) -> FloatArray:
        """Standard deviations of the pulls, shape (m, s)."""
        return _spread(self.pulls)

    @property
    def pull_width_error(self) -> FloatArray:
        """Statistical error of the widths, that of normal pulls: width / sqrt(2 (n - 1))."""
        n = _count(np.isfinite(self.pulls))
        return _ratio(self.pull_width, np.sqrt(2 * np.maximum(n - 1, 0)))

    @property
    def spurious_signal(self) -> FloatArray:
        """Mean fitted signal without a true one, in `poi_unit`, shape (m,); NaN if not asked for.

        With toys of another background model that is what the choice of a background may fake.
        """
        return self.at_zero(self.bias)

    def at_zero(self, values: FloatArray) -> FloatArray:
        """Those of some numbers, shape (m, s), that belong to no true signal, shape (m,)."""
        none = self.signals == 0.0
        column = np.argmax(none, axis=1)
        found: FloatArray = values[np.arange(len(self.masses)), column]
        return np.where(none.any(axis=1), found, np.nan)

    @property
    def _covered(self) -> FloatArray:
        return _count(self.limits >= self.signals[..., None])

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each mass and true signal.

        Columns: ``mass_GeV, signal, toys, failed_fits, without_sigma, failed_limits, coverage,
        coverage_low, coverage_high, bias, bias_error, sigma, bias_in_sigma, expected_limit,
        bias_in_expected_limit, pull_mean, pull_mean_error, pull_width, pull_width_error,
        warnings``. ``sigma`` is the median uncertainty of a fit, which ``bias_in_sigma`` is
        relative to. Without signal the bias is the spurious signal.
        """
        import pandas as pd

        each = self.signals.shape[1]
        low, high = np.moveaxis(self.coverage_interval, 2, 0)
        expected = np.repeat(self.expected[:, None], each, axis=1)
        columns: dict[str, Any] = {
            "mass_GeV": np.repeat(self.masses[:, None], each, axis=1),
            "signal": self.signals,
            "toys": self.drawn.astype(int),
            "failed_fits": self.failed_fits.astype(int),
            "without_sigma": self.without_sigma.astype(int),
            "failed_limits": self.failed_limits.astype(int),
            "coverage": self.coverage,
            "coverage_low": low,
            "coverage_high": high,
            "bias": self.bias,
            "bias_error": self.bias_error,
            "sigma": self.typical_sigma,
            "bias_in_sigma": self.bias / self.typical_sigma,
            "expected_limit": expected,
            "bias_in_expected_limit": self.bias / expected,
            "pull_mean": self.pull_mean,
            "pull_mean_error": self.pull_mean_error,
            "pull_width": self.pull_width,
            "pull_width_error": self.pull_width_error,
        }
        frame = pd.DataFrame({name: values.ravel() for name, values in columns.items()})
        texts = ["; ".join(texts) for texts in self.warnings for _ in range(each)]
        frame["warnings"] = pd.array(texts, dtype="str")
        return frame

    def summary(self) -> str:
        """A few lines for a terminal: the worst of everything, and what failed."""
        m, s = self.signals.shape
        origin = "another model" if self.other_truth else "the fitted model"
        unit = f" {self.poi_unit}" if self.poi_unit else ""
        lines = [
            f"{m} masses, {s} true signals, {self.toys} toys of {origin} at each "
            f"({100 * self.level:g} % CL, {self.method}, {self.test_statistic})"
        ]

        def at(i: int, j: int) -> str:
            return f"at {self.masses[i]:.4g} GeV, true {self.poi} = {self.signals[i, j]:.4g}{unit}"

        if worst := _first_of(-self.coverage):
            low, high = self.coverage_interval[worst]
            interval = f"{self.coverage[worst]:.4f} ({low:.4f} to {high:.4f})"
            lines.append(f"lowest coverage: {interval} {at(*worst)}")
        biases, errors = self.bias / self.typical_sigma, self.bias_error / self.typical_sigma
        if worst := _first_of(np.abs(biases)):
            lines.append(
                f"largest bias: {biases[worst]:.3f} +- {errors[worst]:.3f} sigma {at(*worst)}"
            )
        if worst := _first_of(np.abs(self.pull_width - 1)):
            lines.append(
                f"pull width furthest from 1: {self.pull_width[worst]:.3f} +- "
                f"{self.pull_width_error[worst]:.3f} {at(*worst)}"
            )
        if worst := _first_of(np.abs(self.spurious_signal)):
            (i,) = worst
            lines.append(
                f"largest mean fit without signal: {self.spurious_signal[i]:.3g} +- "
                f"{self.at_zero(self.bias_error)[i]:.2g}{unit} at {self.masses[i]:.4g} GeV, "
                f"{self.at_zero(biases)[i]:.2f} sigma, "
                f"{self.spurious_signal[i] / self.expected[i]:.2f} of the expected limit"
            )
        failed = {
            "fits that did not converge": self.failed_fits,
            "fits without an uncertainty": self.without_sigma,
            "limits not found or flagged": self.failed_limits,
        }
        lines += [
            f"{name}, left out: {counts.sum():.0f} of {self.drawn.sum():.0f}"
            for name, counts in failed.items()
            if counts.any()
        ]
        lines += [
            f"{mass:.4g} GeV: {text}"
            for mass, texts in zip(self.masses, self.warnings, strict=True)
            for text in texts
        ]
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, kw_only=True)
class BackgroundComparison:
    """Background models fitted to the same data without signal. Arrays are read-only.

    m masses, k models in ascending order of their number of parameters.

    Attributes:
        masses: Mass hypotheses in GeV (they place windows), increasing, shape (m,).
        names: Of the models, k texts.
        parameters: Free parameters of each, the background yields among them, shape (k,). The
            parameter of interest and what has a constraint do not count.
        events: In the data of all channels, shape (m,).
        two_nll: Twice the smallest negative log-likelihood, up to a constant of the data, shape
            (m, k); NaN where the fit did not converge.

    Raises:
        InputError: Shapes do not fit, or masses or numbers of parameters are not in order.
    """

    masses: FloatArray
    names: tuple[str, ...]
    parameters: FloatArray
    events: FloatArray
    two_nll: FloatArray

    def __post_init__(self) -> None:
        masses = _masses("BackgroundComparison.masses", self.masses)
        names = texts_of("BackgroundComparison.names", self.names)
        m, k = len(masses), len(names)
        parameters = frozen("BackgroundComparison.parameters", self.parameters, (k,))
        if np.any(np.diff(parameters) < 0):
            raise InputError("BackgroundComparison.parameters must not decrease; sort the models")
        object.__setattr__(self, "masses", masses)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "parameters", parameters)
        for name, shape in (("events", (m,)), ("two_nll", (m, k))):
            array = frozen(f"BackgroundComparison.{name}", getattr(self, name), shape)
            object.__setattr__(self, name, array)

    @property
    def aic(self) -> FloatArray:
        """Akaike's criterion 2 NLL + 2 parameters, shape (m, k)."""
        return self.two_nll + 2 * self.parameters

    @property
    def bic(self) -> FloatArray:
        """The Bayesian criterion 2 NLL + parameters log(events), shape (m, k)."""
        return self.two_nll + self.parameters * np.log(self.events)[:, None]

    @property
    def p_values(self) -> FloatArray:
        """Likelihood-ratio p-value of each model against the next simpler one, shape (m, k).

        The chance, if the simpler model is true, of a likelihood that improves as much or more: the
        tail of chi-square with as many degrees of freedom as there are parameters more. NaN for the
        first model and for one with no parameter more. Models have to be nested, and bounds of
        parameters far away.

        Source: S. Wilks, Ann. Math. Statist. 9 (1938) 60.
        """
        found = np.full(self.two_nll.shape, np.nan)
        more = np.diff(self.parameters)
        better = self.two_nll[:, :-1] - self.two_nll[:, 1:]
        found[:, 1:] = np.where(more > 0, chi2.sf(better, np.maximum(more, 1)), np.nan)
        found[:, 1:][~np.isfinite(better)] = np.nan
        return found

    @property
    def chosen_by_p_value(self) -> tuple[str, ...]:
        """Name of the model at each mass that the usual rule chooses.

        Beginning with the simplest, one goes on to the next as long as its p-value is not above
        0.05. "" where a p-value that this needs is NaN.
        """
        chosen = []
        for p_values in self.p_values:
            i = 0
            while i + 1 < len(self.names) and p_values[i + 1] <= SIGNIFICANT:
                i += 1
            decided = i + 1 == len(self.names) or np.isfinite(p_values[i + 1])
            chosen.append(self.names[i] if decided else "")
        return tuple(chosen)

    @property
    def chosen_by_aic(self) -> tuple[str, ...]:
        """Name of the model with the smallest AIC at each mass; "" where a fit failed."""
        return tuple(
            self.names[int(np.argmin(aic))] if np.isfinite(aic).all() else "" for aic in self.aic
        )

    def to_pandas(self) -> pandas.DataFrame:
        """One row for each mass and model.

        Columns: ``mass_GeV, background, parameters, two_nll, aic, bic, p_value,
        chosen_by_p_value, chosen_by_aic, converged``.
        """
        import pandas as pd

        m, k = self.two_nll.shape
        names = list(self.names) * m
        frame = pd.DataFrame(
            {
                "mass_GeV": np.repeat(self.masses, k),
                "background": pd.array(names, dtype="str"),
                "parameters": np.tile(self.parameters.astype(int), m),
                "two_nll": self.two_nll.ravel(),
                "aic": self.aic.ravel(),
                "bic": self.bic.ravel(),
                "p_value": self.p_values.ravel(),
            }
        )
        for rule in ("chosen_by_p_value", "chosen_by_aic"):
            chosen = np.repeat(np.array(getattr(self, rule)), k)
            frame[rule] = chosen == np.array(names)
        frame["converged"] = np.isfinite(self.two_nll).ravel()
        return frame

    def summary(self) -> str:
        """A line for each mass: what is chosen, and all p-values."""
        lines = ["background chosen by p-value and by AIC (p-values against the next simpler)"]
        for mass, by_p, by_aic, p_values in zip(
            self.masses, self.chosen_by_p_value, self.chosen_by_aic, self.p_values, strict=True
        ):
            each = ", ".join(
                f"{name} {p:.3g}"
                for name, p in zip(self.names[1:], p_values[1:].tolist(), strict=True)
            )
            chosen = f"{by_p or 'undecided'}, {by_aic or 'undecided'}"
            lines.append(f"{mass:.4g} GeV: {chosen}" + (f" ({each})" if each else ""))
        if failed := int((~np.isfinite(self.two_nll)).sum()):
            lines.append(f"fits that did not converge: {failed} of {self.two_nll.size}")
        return "\n".join(lines)


def _masses(name: str, values: FloatArray) -> FloatArray:
    masses = frozen(name, values, (None,))
    if not np.all(np.isfinite(masses)) or np.any(np.diff(masses) <= 0):
        raise InputError(f"{name} must be finite and strictly increasing; sort them")
    return masses


def _count(flags: np.ndarray[Any, np.dtype[np.bool_]]) -> FloatArray:
    """How many toys are flagged, shape (m, s)."""
    counts: FloatArray = flags.sum(axis=-1).astype(np.float64)
    return counts


def _ratio(one: FloatArray, other: FloatArray) -> FloatArray:
    """A ratio, NaN where there is nothing to divide by."""
    ratio = np.full(np.shape(one), np.nan)
    np.divide(one, other, out=ratio, where=other > 0)
    return ratio


def _mean(values: FloatArray) -> FloatArray:
    """Means over the toys that are not NaN."""
    return _ratio(np.nansum(values, axis=-1), _count(np.isfinite(values)))


def _spread(values: FloatArray) -> FloatArray:
    """Standard deviations over the toys that are not NaN; NaN for fewer than two."""
    squares = np.nansum((values - _mean(values)[..., None]) ** 2, axis=-1)
    spread: FloatArray = np.sqrt(_ratio(squares, _count(np.isfinite(values)) - 1))
    return spread


def _first_of(values: FloatArray) -> tuple[int, ...] | None:
    """Where the largest value is that is not NaN."""
    if not np.isfinite(values).any():
        return None
    where = np.unravel_index(np.nanargmax(values), values.shape)
    return tuple(int(i) for i in where)
