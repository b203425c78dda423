"""Upper limits and significances of any zfit loss, by CLs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.optimize.elementwise import bracket_root, find_root
from scipy.stats import norm

from zfit_dark.calculators import POI, AsymptoticCalculator, POIarray, ProfileLikelihood
from zfit_dark.calculators import calculator as calculator_of
from zfit_dark.errors import InputError
from zfit_dark.likelihood import Likelihood
from zfit_dark.newton import FloatArray
from zfit_dark.results import Limit

TestStatistic = Literal["qtilde", "q"]

FEWEST_EVENTS = 10.0
"""Asymptotic limits are flagged where fewer background events than this compete with the signal."""

BANDS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Quantiles, in standard deviations, of the expected limits."""

_OBSERVED = np.nan
_NODE_TOLERANCE = 1e-4
_RELATIVE_TOLERANCE = 1e-6


def upper_limit(
    model: Any,
    poi: Any = None,
    level: float = 0.95,
    method: str = "asymptotic",
    test_statistic: TestStatistic = "qtilde",
    *,
    blind: bool = False,
) -> Limit:
    """CLs upper limit on a parameter, observed and as expected without a signal.

    The p-values are hepstats'; a limit is where CLs crosses ``1 - level``, found by bracketing it,
    not by a curve through a grid. The values of the model's parameters are left as they were.

    Args:
        model: a zfit loss, or a ``Likelihood``.
        poi: the floating parameter that measures the signal; a ``Likelihood`` knows its own.
        level: confidence level, such as 0.90 or 0.95.
        method: "asymptotic".
        test_statistic: "qtilde" (a negative signal counts as none) or "q".
        blind: expected limits only, from the fit to the sidebands of a ``Likelihood``: the data
            under the signal are not used for anything.

    Returns:
        The limit, its -2 ... +2 sigma expectation, the best fit, the p-value without signal, and
        what to be careful about. ``valid`` is False where a fit did not converge or a limit was not
        found.

    Raises:
        InputError: for a level outside (0, 1), an unknown method or statistic, a parameter that
            does not float in the loss, or a blind limit of a bare loss.

    Source: A. L. Read, J. Phys. G 28 (2002) 2693; G. Cowan et al., arXiv:1007.1727.
    """
    loss, poi = _loss_and_poi(model, poi)
    if not 0 < level < 1:
        raise InputError(f"level={level}: give a confidence level between 0 and 1, such as 0.90")
    if method != "asymptotic":
        raise InputError(f"method={method!r} is not known; there is 'asymptotic'")
    if test_statistic not in get_args(TestStatistic):
        raise InputError(f"test_statistic={test_statistic!r} is not known; give 'qtilde' or 'q'")
    if blind and not isinstance(model, Likelihood):
        raise InputError("a bare loss does not know its sidebands: give a Likelihood to be blind")
    calculator = calculator_of(loss)
    null = POI(poi, 0.0)
    warnings: list[str] = []
    poi_hat = poi_error = p0 = np.nan
    if blind:
        with model.signal_region_hidden():
            sidebands = calculator.observed(poi)
            background, failed = sidebands.theta(0.0), sidebands.failed
        with calculator.blind(background):
            asimov = calculator.asimov(null)
            limits = _roots(calculator, asimov, poi, 1 - level, test_statistic == "qtilde", poi_hat)
            quality = calculator.asimov_error, calculator.signal_per_poi
    else:
        with calculator.held():
            observed = calculator.observed(poi)
            poi_hat, converged = _best_fit(calculator, poi)
            if not converged:
                warnings.append(f"the fit of {poi.name} did not converge")
            poi_error = observed.error(poi_hat)
            p0 = float(calculator.pvalue(null, onesideddiscovery=True)[0][0])
            asimov = calculator.asimov(null)
            limits = _roots(calculator, asimov, poi, 1 - level, test_statistic == "qtilde", poi_hat)
            quality = calculator.asimov_error, calculator.signal_per_poi
        failed = observed.failed
    asimov_error, signal_per_poi = quality
    if failed := failed | asimov.failed:
        warnings.append(f"fits did not converge at {poi.name} = {_listed(failed)}")
    if not np.isfinite(limits[:5]).all():
        warnings.append("an expected limit was not found")
    if not blind and not np.isfinite(limits[5]):
        warnings.append("the observed limit was not found")
    if asimov_error > _NODE_TOLERANCE:
        warnings.append(
            f"integral of the model and sum over its Asimov set differ by {asimov_error:.1e}"
        )
    valid = not warnings
    warnings += _few_events(signal_per_poi, asimov.error(0.0))
    return Limit(
        observed=limits[5],
        expected=tuple(limits[:5]),
        poi_hat=poi_hat,
        poi_error=poi_error,
        p0=p0,
        level=level,
        method=method,
        test_statistic=test_statistic,
        valid=valid,
        warnings=tuple(warnings),
        blind=blind,
    )


def significance(model: Any, poi: Any = None) -> float:
    """Local significance of a signal, in standard deviations.

    Args:
        model: a zfit loss, or a ``Likelihood``.
        poi: the floating parameter that measures the signal; a ``Likelihood`` knows its own.

    Returns:
        Z = Phi^-1(1 - p0), asymptotic; 0 where the best fit is not above zero.

    Raises:
        InputError: if the parameter does not float in the loss, or the fit did not converge.
    """
    loss, poi = _loss_and_poi(model, poi)
    calculator = calculator_of(loss)
    _, converged = _best_fit(calculator, poi)
    if not converged:
        raise InputError(f"the fit of {poi.name} did not converge; no significance")
    p0 = calculator.pvalue(POI(poi, 0.0), onesideddiscovery=True)[0][0]
    return max(0.0, float(norm.isf(p0)))


def _loss_and_poi(model: Any, poi: Any) -> tuple[Any, Any]:
    if isinstance(model, Likelihood):
        if poi is not None and poi is not model.poi:
            raise InputError(f"the parameter of interest of this Likelihood is {model.poi.name}")
        return model.loss, model.poi
    if poi is None:
        raise InputError("give poi=, the floating parameter of the loss that measures the signal")
    return model, poi


def _best_fit(calculator: AsymptoticCalculator, poi: Any) -> tuple[float, bool]:
    """Best fit of the parameter of interest, and whether it and the fit without signal converged.

    Where the fit runs into negative densities on its way to a negative signal, it is made again
    with the signal not below zero, which is all that a limit needs.
    """
    observed = calculator.observed(poi)
    found = observed.free()
    if not found.converged[0] and found.converged[1] and found.theta[0, observed.index] < 0:
        found = observed.free(not_below=0.0)
    calculator.take_bestfit(found)
    return float(found.theta[0, observed.index]), bool(found.converged.all())


def _roots(
    calculator: AsymptoticCalculator,
    asimov: ProfileLikelihood,
    poi: Any,
    alpha: float,
    qtilde: bool,
    poi_hat: float,
) -> FloatArray:
    """Where CLs is alpha: five expected limits, then the observed one (NaN if ``poi_hat`` is)."""
    null = POI(poi, 0.0)
    sigma = asimov.error(0.0)

    def log_cls(values: FloatArray, band: FloatArray) -> FloatArray:
        values, band = np.broadcast_arrays(values, band)
        flat, bands = values.ravel(), band.ravel()
        cls = np.empty(flat.size)
        asimov.value(flat)
        seen = np.isnan(bands)
        if seen.any():
            here = POIarray(poi, flat[seen])
            pnull, palt = calculator.pvalue(here, null, qtilde=qtilde, onesided=True)
            cls[seen] = pnull / palt
        if (~seen).any():
            here = POIarray(poi, flat[~seen])
            each, place = np.unique(bands[~seen], return_inverse=True)
            expected = calculator.expected_pvalue(
                here, null, nsigma=list(each), CLs=True, qtilde=qtilde, onesided=True
            )
            cls[~seen] = np.stack(expected)[place, np.arange(len(place))]
        with np.errstate(divide="ignore"):
            ratio: FloatArray = np.log(cls / alpha)
        return ratio.reshape(values.shape)

    bands = np.array([*BANDS, _OBSERVED])
    guess = sigma * np.array([_expected_in_sigma(alpha, band) for band in BANDS] + [np.nan])
    guess *= _straightened(asimov.value, guess[:5], sigma)
    if np.isfinite(poi_hat):
        guess[5] = sigma * _observed_in_sigma(calculator, alpha, poi_hat / sigma, qtilde)
    floor = np.array([0.0] * 5 + [max(poi_hat, 0.0)])
    limits = np.full(6, np.nan)
    wanted = np.isfinite(guess) & (guess > floor)
    if not wanted.any():
        return limits
    width = np.where(np.isnan(bands), 0.05, 0.003)[wanted]
    low = floor[wanted] + (guess - floor)[wanted] * (1 - width)
    bracket = bracket_root(
        log_cls,
        low,
        guess[wanted] * (1 + width),
        xmin=floor[wanted] * (1 + 1e-12),
        args=(bands[wanted],),
    )
    held = wanted.copy()
    held[wanted] = bracket.success
    if held.any():
        root = find_root(
            log_cls,
            tuple(side[bracket.success] for side in bracket.bracket),
            args=(bands[held],),
            tolerances={"xrtol": _RELATIVE_TOLERANCE, "xatol": 0.0, "fatol": 1e-8},
        )
        limits[held] = np.where(root.success, root.x, np.nan)
    return limits


def _expected_in_sigma(alpha: float, band: float) -> float:
    """Expected limit in standard deviations, for a parabolic likelihood."""
    return float(norm.isf(alpha * norm.cdf(band)) + band)


def _straightened(
    value: Callable[[FloatArray], FloatArray], points: FloatArray, sigma: float
) -> NDArray[np.float64]:
    """How much farther than on a parabola a likelihood ratio of the same size lies, six numbers."""
    levels = value(np.concatenate([[0.0], points]))
    root = np.sqrt(np.maximum(2 * (levels[1:] - levels[0]), 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(root > 0, points / sigma / root, 1.0)
    return np.append(ratio, 1.0)


def _observed_in_sigma(
    calculator: AsymptoticCalculator, alpha: float, best: float, qtilde: bool
) -> float:
    """Observed limit in standard deviations, for a parabolic likelihood around its best fit."""

    def excess(value: float) -> float:
        q = np.array([value**2 - 2 * value * best if qtilde and best < 0 else (value - best) ** 2])
        qalt = np.array([value**2])
        null = calculator.pnull(q, qalt, qtilde=qtilde)
        return float(np.log(null / calculator.palt(q, qalt, qtilde=qtilde) / alpha)[0])

    low = max(best, 0.0) + 1e-6
    high = low + 3.0
    while excess(high) > 0:
        high *= 1.5
    return float(brentq(excess, low, high, xtol=1e-3))


def _few_events(signal_per_poi: float, poi_error: float) -> list[str]:
    """A word of warning where the normal approximation has too few events.

    The variance of the fitted number of signal events is the number of background events that
    compete with the signal. A loss that is not extended counts no events.
    """
    if signal_per_poi == 0.0:
        return []
    competing = (signal_per_poi * poi_error) ** 2
    if competing >= FEWEST_EVENTS:
        return []
    return [
        f"asymptotic limit at low counts: about {competing:.1f} background events compete with the "
        "signal, and the true limit is likely weaker"
    ]


def _listed(values: set[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in sorted(values))
