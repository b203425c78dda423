"""hepstats calculators that fit with the compiled likelihood.

The statistics are hepstats': only the places where it would fit are replaced. This is the one room
that knows how hepstats works inside.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
import zfit
from hepstats.hypotests import UpperLimit
from hepstats.hypotests import calculators as hepstats_calculators
from hepstats.hypotests.parameters import POI, POIarray
from scipy import interpolate
from scipy.stats import norm

from zfit_dark.newton import FloatArray, Minimum
from zfit_dark.profile import CompiledLoss, Sample, compiled

__all__ = ["POI", "AsymptoticCalculator", "POIarray"]


class _Roots(np.ndarray[Any, np.dtype[np.float64]]):
    """Roots of a spline; a single one is also a number."""

    def __float__(self) -> float:
        if self.size != 1:
            raise TypeError("only a single root can be a number")
        return float(self.item())


class _Interpolate:
    """``scipy.interpolate`` for hepstats: a single root of a spline is also a number."""

    def __getattr__(self, name: str) -> Any:
        return getattr(interpolate, name)

    @staticmethod
    def sproot(tck: Any, mest: int = 10) -> Any:
        """Roots of a cubic spline."""
        return np.asarray(interpolate.sproot(tck, mest)).view(_Roots)


def _let_upper_limits_be_numbers() -> None:
    """Make hepstats' ``UpperLimit`` return its limits with numpy 2.4 and later.

    hepstats 0.10.1 reads a limit as ``float(root)``, where ``root`` is an array of one element, and
    takes the ``TypeError`` that numpy has for this since 2.4 for "no limit": every limit is None.
    Nothing changes for limits that are right already, nor if hepstats comes to read them otherwise.
    """
    module = sys.modules[UpperLimit.__module__]
    if vars(module).get("interpolate") is interpolate:
        vars(module)["interpolate"] = _Interpolate()


_let_upper_limits_be_numbers()


class _Fit(NamedTuple):
    """A fit at a value of the parameter of interest.

    Attributes:
        theta: all parameters.
        value: negative log-likelihood; NaN if the fit did not converge.
        bend: curvature of the profile likelihood.
        response: how the nuisances follow the parameter of interest, shape (parameters,).
    """

    theta: FloatArray
    value: float
    bend: float
    response: FloatArray


class ProfileLikelihood:
    """The likelihood of one sample, minimised at fixed values of the parameter of interest.

    Args:
        loss: the compiled loss.
        sample: the data, or an Asimov set.
        poi: the parameter of interest.
        start: where the first fit starts, shape (parameters,).
    """

    def __init__(self, loss: CompiledLoss, sample: Sample, poi: Any, start: FloatArray) -> None:
        self.loss = loss
        self.sample = sample
        self.index = loss.index(poi)
        self._start = start
        self._fits: dict[float, _Fit] = {}
        self.failed: set[float] = set()

    def free(self) -> Minimum:
        """The global fit, and next to it the one at zero, in a batch of two."""
        start = np.stack([self._start, self._start])
        start[1, self.index] = 0.0
        free = np.ones(start.shape, bool)
        free[1, self.index] = False
        minimum = self.loss.fit(self.sample, start, free)
        self._keep(minimum)
        return minimum

    def value(self, poi_values: FloatArray) -> FloatArray:
        """Smallest negative log-likelihood at each value of the parameter of interest."""
        missing = sorted({float(v) for v in poi_values} - self._fits.keys())
        if missing:
            start = np.stack([self._foreseen(v) for v in missing])
            free = np.ones(start.shape, bool)
            free[:, self.index] = False
            self._keep(self.loss.fit(self.sample, start, free))
        return np.array([self._fits[float(v)].value for v in poi_values])

    def error(self, poi_value: float) -> float:
        """One standard deviation of the parameter of interest, from the curvature at a value."""
        self.value(np.array([poi_value]))
        bend = self._fits[float(poi_value)].bend
        return float(1 / np.sqrt(bend)) if bend > 0 else np.nan

    def theta(self, poi_value: float) -> FloatArray:
        """All parameters at the minimum for a value of the parameter of interest."""
        self.value(np.array([poi_value]))
        return self._fits[float(poi_value)].theta

    def _keep(self, minimum: Minimum) -> None:
        for row, converged in enumerate(minimum.converged):
            at = float(minimum.theta[row, self.index])
            if converged or at not in self._fits:
                self._fits[at] = self._fit(minimum, row)
            if not converged:
                self.failed.add(at)

    def _fit(self, minimum: Minimum, row: int) -> _Fit:
        theta, curvature = minimum.theta[row], minimum.curvature[row]
        inside = (theta > self.loss.lower) & (theta < self.loss.upper)
        moving = inside & (np.diag(curvature) > 0)
        moving[self.index] = False
        size = np.sqrt(np.diag(curvature)[moving])
        scaled = curvature[np.ix_(moving, moving)] / np.outer(size, size)
        along = -curvature[moving, self.index] / size
        response = np.zeros(len(theta))
        response[moving] = np.linalg.lstsq(scaled, along, rcond=1e-12)[0] / size
        converged = bool(minimum.converged[row])
        return _Fit(
            theta=theta,
            value=float(minimum.value[row]) if converged else np.nan,
            bend=float(curvature[self.index, self.index] + curvature[self.index] @ response),
            response=response,
        )

    def _foreseen(self, poi_value: float) -> FloatArray:
        """The nuisances on the straight line that the curvature of the nearest fit predicts."""
        if not self._fits:
            theta = self._start.copy()
        else:
            nearest = min(self._fits, key=lambda known: abs(known - poi_value))
            fit = self._fits[nearest]
            theta = fit.theta + fit.response * (poi_value - nearest)
            theta = np.clip(theta, self.loss.lower, self.loss.upper)
        theta[self.index] = poi_value
        return theta


class BestFit:
    """A global fit as hepstats reads it; unlike a zfit ``FitResult`` it costs no evaluation.

    Args:
        loss: what was fitted.
        sample: the data.
        minimum: the fit, the first of its batch.

    Attributes:
        params: parameter to ``{"value": ...}``.
        fmin: negative log-likelihood, up to a constant of the data.
        valid, converged: whether the fit converged.
        edm: estimated distance to the minimum.
    """

    def __init__(self, loss: CompiledLoss, sample: Sample, minimum: Minimum) -> None:
        self.loss = loss.loss
        self.params = {
            parameter: {"value": float(value)}
            for parameter, value in zip(loss.parameters, minimum.theta[0], strict=True)
        }
        self.fmin = float(minimum.value[0])
        self.edm = float(minimum.edm[0])
        self.valid = self.converged = bool(minimum.converged[0])
        self._fitted = loss, sample, minimum.theta[0]

    def covariance(self) -> FloatArray:
        """Covariance of the parameters in the order of ``params``, from the second derivatives."""
        loss, sample, theta = self._fitted
        covariance: FloatArray = np.asarray(np.linalg.inv(loss.hessian(theta, sample)), float)
        return covariance


class AsymptoticCalculator(hepstats_calculators.AsymptoticCalculator):
    """hepstats' asymptotic calculator on the compiled likelihood.

    hepstats' ``UpperLimit``, ``Discovery`` and ``ConfidenceInterval`` take it. Not to be confused
    with hepstats' own: the Asimov set has no bins (``asimov_bins`` is accepted and has nothing to
    do), the values of the parameters of the loss are left alone, and what was computed or given is
    forgotten when the data or a fixed parameter such as the mass change.

    Args:
        input: a zfit loss, or a fit result.
        minimizer: the zfit minimiser that stands in the results; it makes no fit.
        asimov_bins: not used.

    Source: G. Cowan et al., Eur. Phys. J. C 71 (2011) 1554, arXiv:1007.1727.
    """

    def __init__(self, input: Any, minimizer: Any = None, asimov_bins: Any = None) -> None:
        del asimov_bins
        super().__init__(input, zfit.minimize.Minuit() if minimizer is None else minimizer)
        self._compiled = compiled(self.loss)
        self._give(self.__dict__["_bestfit"])
        self._state: int | None = None
        self._forget()

    def _give(self, bestfit: Any) -> None:
        """Keep a fit result that was given, and what it is the fit of."""
        self._given_bestfit = bestfit
        self._given_state = self._compiled.fingerprint()

    def _forget(self) -> None:
        self._bestfit: Any = None
        self._observed: dict[str, ProfileLikelihood] = {}
        self._asimov: dict[POI, ProfileLikelihood] = {}

    def outdated(self) -> bool:
        """Whether parameters were fixed or released since."""
        return self._compiled.outdated()

    def refresh(self) -> None:
        """Take the data and the fixed parameters as they are now."""
        if self.outdated():
            self._compiled, self._state = compiled(self.loss), None
        if (state := self._compiled.fingerprint()) != self._state:
            self._forget()
            self._state = state
            self._sample = self._compiled.observed()
            if state == self._given_state:
                self._bestfit = self._given_bestfit

    def observed(self, poi: Any) -> ProfileLikelihood:
        """The profile likelihood of the data."""
        self.refresh()
        if poi.name not in self._observed:
            self._observed[poi.name] = ProfileLikelihood(
                self._compiled, self._sample, poi, self._compiled.values()
            )
        return self._observed[poi.name]

    def asimov(self, poialt: POI) -> ProfileLikelihood:
        """The profile likelihood of the Asimov set of a hypothesis.

        Its nuisance parameters are those fitted to the data with the hypothesis.
        """
        self.refresh()
        if poialt not in self._asimov:
            theta = self.observed(poialt.parameter).theta(poialt.value)
            setting = self._sample.setting
            sample, *_ = self._compiled.asimov(theta, poialt.parameter, setting)
            self._asimov[poialt] = ProfileLikelihood(
                self._compiled, sample, poialt.parameter, theta
            )
        return self._asimov[poialt]

    # ---------------------------------------------------------- hepstats' own places

    @property
    def bestfit(self) -> Any:
        """The global fit: a ``BestFit``, or the fit result that was given for these data."""
        self.refresh()
        if self._bestfit is None:
            start = self._compiled.values()[None]
            found = self._compiled.fit(self._sample, start, np.ones(start.shape, bool))
            self._bestfit = BestFit(self._compiled, self._sample, found)
        return self._bestfit

    @bestfit.setter
    def bestfit(self, value: Any) -> None:
        hepstats_calculators.AsymptoticCalculator.bestfit.fset(self, value)
        self._give(value)

    def obs_nll(self, pois: POIarray) -> FloatArray:
        """Smallest negative log-likelihood of the data at each value, shape (values,)."""
        return self.observed(pois.parameter).value(pois.values)

    def asimov_nll(self, pois: POIarray, poialt: POI) -> FloatArray:
        """Smallest negative log-likelihood of the Asimov set at each value, shape (values,)."""
        return self.asimov(poialt).value(pois.values)

    def asimov_dataset(self, poi: POI, ntrials_fit: int | None = None) -> list[Any]:
        """The Asimov set as weighted zfit data, one a channel."""
        del ntrials_fit
        sample = self.asimov(poi).sample
        return [
            zfit.Data.from_numpy(obs=m.space, array=x, weights=w)
            for m, x, w in zip(self.model, sample.points, sample.weights, strict=True)
        ]

    def asimov_loss(self, poi: POI) -> Any:
        """The loss with the Asimov set in the place of the data."""
        return self.lossbuilder(self.model, self.asimov_dataset(poi))

    def qobs(
        self,
        poinull: POIarray,
        onesided: bool = True,
        onesideddiscovery: bool = True,
        qtilde: bool = False,
    ) -> FloatArray:
        """The observed test statistic at each value, shape (values,), as hepstats defines it."""
        self.check_pois(poinull)
        parameter = poinull.parameter
        observed = self.observed(parameter)
        best = float(self.bestfit.params[parameter]["value"])
        if qtilde and best < 0:
            best = 0.0
        value: FloatArray = self.q(
            nll1=observed.value(poinull.values),
            nll2=observed.value(np.array([best])),
            poi1=poinull,
            poi2=POI(parameter, best),
            onesided=onesided,
            onesideddiscovery=onesideddiscovery,
        )
        return value

    def pnull(
        self,
        qobs: FloatArray,
        qalt: FloatArray | None = None,
        onesided: bool = True,
        onesideddiscovery: bool = False,
        qtilde: bool = False,
        nsigma: float = 0,
    ) -> FloatArray:
        """The p-value of the null hypothesis as hepstats has it, but precise in the far tail."""
        sides = 1.0 if onesided or onesideddiscovery else 2.0
        pnull: FloatArray = sides * norm.sf(np.sqrt(qobs) - nsigma)
        if qalt is not None and qtilde:
            beyond = (qobs > qalt) & (qalt > 0)
            root = np.sqrt(np.where(beyond, qalt, 1.0))
            other = norm.sf((qobs + qalt) / (2.0 * root) - nsigma)
            if sides == 2.0:
                other = other + norm.sf(np.sqrt(qobs) - nsigma)
            pnull = np.where(beyond, other, pnull)
        return pnull

    def palt(
        self,
        qobs: FloatArray,
        qalt: FloatArray,
        onesided: bool = True,
        onesideddiscovery: bool = False,
        qtilde: bool = False,
    ) -> FloatArray:
        """The p-value of the alternative hypothesis as hepstats has it, precise in the far tail."""
        one = onesided or onesideddiscovery
        root, rootalt = np.sqrt(qobs), np.sqrt(qalt)
        both = 0.0 if one else norm.sf(root + rootalt)
        palt: FloatArray = norm.sf(root - rootalt) + both
        if qtilde:
            beyond = qobs > qalt
            safe = np.where(beyond & (qalt > 0), rootalt, 1.0)
            palt = np.where(beyond, norm.sf((qobs - qalt) / (2.0 * safe)) + both, palt)
        return palt
