"""Upper limits and significances of any zfit loss, by CLs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from scipy.special import ndtr

from zfit_dark.errors import InputError
from zfit_dark.likelihood import Likelihood
from zfit_dark.newton import FloatArray, Minimum
from zfit_dark.profile import CompiledLoss, Hypothesis, Sample, compiled
from zfit_dark.results import Limit

TestStatistic = Literal["qtilde", "q"]

FEWEST_EVENTS = 10.0
"""Asymptotic limits are flagged where fewer background events than this compete with the signal."""

_NODE_TOLERANCE = 1e-4


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

    The p-values are those of hepstats' asymptotic calculator; a limit is where CLs crosses
    ``1 - level``, found by Newton's steps in a bracket, not by a curve through a grid. The values
    of the model's parameters are left as they were.

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
    return asked(model, poi, level, method, test_statistic, blind=blind)()


def asked(
    model: Any,
    poi: Any = None,
    level: float = 0.95,
    method: str = "asymptotic",
    test_statistic: TestStatistic = "qtilde",
    *,
    blind: bool = False,
) -> Callable[[], Limit]:
    """The limit as a task: what is returned works it out without another look at the model.

    So the model can be moved on to the next mass while the task runs in another thread.

    Args:
        model: see ``upper_limit``, as for all arguments.
        poi: the parameter of interest.
        level: confidence level.
        method: "asymptotic".
        test_statistic: "qtilde" or "q".
        blind: expected limits only.

    Raises:
        InputError: as ``upper_limit``.
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
    ours = compiled(loss)
    index, start = ours.index(poi), ours.values()
    if blind:
        with model.signal_region_hidden():
            data = ours.observed()
        # the sidebands stand in for the data: with no weight, and nothing is fitted to them
        nothing = ours.sample(data.points, [0.0 * w for w in data.weights])
    else:
        data = nothing = ours.observed()

    def ask(sample: Sample, begin: FloatArray, **how: Any) -> Hypothesis:
        return ours.hypothesis(sample, poi, begin, 1 - level, test_statistic == "qtilde", **how)

    def work() -> Limit:
        found = _fitted(ours, data, start, index, ask)
        warnings = _unconverged(found, poi.name)
        poi_hat, poi_error = float(found.fits.theta[0, index]), found.poi_error
        p0 = float(ndtr(-_local_significance(found.fits, poi_hat)))
        if blind:
            found = ask(nothing, found.fits.theta, blind=True)
            poi_hat = poi_error = p0 = np.nan
        if not np.isfinite(found.limits[:5]).all():
            warnings.append("an expected limit was not found")
        if not blind and not np.isfinite(found.limits[5]):
            warnings.append("the observed limit was not found")
        if not found.asimov_error <= _NODE_TOLERANCE:
            missed = f"{found.asimov_error:.1e}"
            warnings.append(f"integral of the model and sum over its Asimov set differ by {missed}")
        valid = not warnings
        return Limit(
            observed=float(found.limits[5]),
            expected=tuple(found.limits[:5].tolist()),
            poi_hat=poi_hat,
            poi_error=poi_error,
            p0=p0,
            level=level,
            method=method,
            test_statistic=test_statistic,
            valid=valid,
            warnings=(*warnings, *_few_events(found.signal_per_poi, found.sigma)),
            blind=blind,
        )

    return work


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
    ours = compiled(loss)

    def ask(sample: Sample, start: FloatArray, **how: Any) -> Hypothesis:
        return ours.hypothesis(sample, poi, start, 0.05, True, **how)

    found = _fitted(ours, ours.observed(), ours.values(), ours.index(poi), ask)
    if not found.fits.converged.all():
        raise InputError(f"the fit of {poi.name} did not converge; no significance")
    return _local_significance(found.fits, float(found.fits.theta[0, ours.index(poi)]))


def _loss_and_poi(model: Any, poi: Any) -> tuple[Any, Any]:
    if isinstance(model, Likelihood):
        if poi is not None and poi is not model.poi:
            raise InputError(f"the parameter of interest of this Likelihood is {model.poi.name}")
        return model.loss, model.poi
    if poi is None:
        raise InputError("give poi=, the floating parameter of the loss that measures the signal")
    return model, poi


def _fitted(
    ours: CompiledLoss,
    data: Sample,
    start: FloatArray,
    index: int,
    ask: Callable[..., Hypothesis],
) -> Hypothesis:
    """What is asked, with the fits of the data taken up by Minuit where Newton's steps fail.

    Where the free fit runs into negative densities on its way to a negative signal, it is made
    again with the signal not below zero, which is all that a limit needs.
    """
    both = np.stack([start] * 2)
    found = ask(data, both)
    if found.fits.converged.all():
        return found
    both[1, index] = 0.0
    free = np.ones(both.shape, bool)
    free[1, index] = False
    by_minuit = ours.fit(data, both, free)
    found = ask(data, by_minuit.theta)
    if not found.fits.converged[0] and found.fits.converged[1]:
        again = ask(data, np.stack([by_minuit.theta[1]] * 2), not_below=0.0)
        return again if again.fits.converged.all() else found
    return found


def _unconverged(found: Hypothesis, poi: str) -> list[str]:
    free, at_zero = found.fits.converged
    what = [] if free else [f"the fit of {poi} did not converge"]
    return what if at_zero else [*what, f"the fit at {poi} = 0 did not converge"]


def _local_significance(fits: Minimum, poi_hat: float) -> float:
    """Root of the likelihood ratio of no signal; 0 where the best fit is not above zero."""
    if not fits.converged.all():
        return np.nan
    ratio = 2 * float(fits.value[1] - fits.value[0]) if poi_hat > 0 else 0.0
    return float(np.sqrt(max(ratio, 0.0)))


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
