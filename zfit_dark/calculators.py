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
from hepstats.hypotests.toyutils import ToyResult
from scipy import interpolate
from scipy.stats import norm

from zfit_dark import toys
from zfit_dark.errors import InputError
from zfit_dark.newton import FloatArray, Minimum
from zfit_dark.profile import TESTS, CompiledLoss, Sample, compiled

__all__ = ["POI", "AsymptoticCalculator", "FrequentistCalculator", "POIarray"]


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
        response: how the nuisances follow the parameter of interest, shape (parameters,).
    """

    theta: FloatArray
    value: float
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

    def value(self, poi_values: FloatArray) -> FloatArray:
        """Smallest negative log-likelihood at each value of the parameter of interest."""
        missing = sorted({float(v) for v in poi_values} - self._fits.keys())
        if missing:
            start = np.stack([self._foreseen(v) for v in missing])
            free = np.ones(start.shape, bool)
            free[:, self.index] = False
            self._keep(self.loss.fit(self.sample, start, free))
        return np.array([self._fits[float(v)].value for v in poi_values])

    def theta(self, poi_value: float) -> FloatArray:
        """All parameters at the minimum for a value of the parameter of interest."""
        self.value(np.array([poi_value]))
        return self._fits[float(poi_value)].theta

    def _keep(self, minimum: Minimum) -> None:
        for row, converged in enumerate(minimum.converged):
            at = float(minimum.theta[row, self.index])
            if converged or at not in self._fits:
                self._fits[at] = self._fit(minimum, row)

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


_DECIMALS = 5
"""Of a test statistic by toys."""


class _CompiledCalculator:
    """What hepstats calculators have in common here: the fits of the data.

    The values of the parameters of the loss are left alone. What was computed or given is forgotten
    when the data or a fixed parameter such as the mass change.
    """

    def __init__(self, input: Any, minimizer: Any, **more: Any) -> None:
        minimizer = zfit.minimize.Minuit() if minimizer is None else minimizer
        super().__init__(input, minimizer, **more)  # type: ignore[call-arg]
        self._compiled = compiled(self.loss)  # type: ignore[attr-defined]
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

    def outdated(self) -> bool:
        """Whether parameters were fixed or released since."""
        return self._compiled.outdated()

    def refresh(self) -> None:
        """Take the data and the fixed parameters as they are now."""
        if self.outdated():
            self._compiled, self._state = compiled(self._compiled.loss), None
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

    def qobs(
        self,
        poinull: POIarray,
        onesided: bool = True,
        onesideddiscovery: bool = True,
        qtilde: bool = False,
    ) -> FloatArray:
        """The observed test statistic at each value, shape (values,), as hepstats defines it."""
        self.check_pois(poinull)  # type: ignore[attr-defined]
        parameter = poinull.parameter
        observed = self.observed(parameter)
        best = float(self.bestfit.params[parameter]["value"])
        if qtilde and best < 0:
            best = 0.0
        value: FloatArray = self.q(  # type: ignore[attr-defined]
            nll1=observed.value(poinull.values),
            nll2=observed.value(np.array([best])),
            poi1=poinull,
            poi2=POI(parameter, best),
            onesided=onesided,
            onesideddiscovery=onesideddiscovery,
        )
        return value


class AsymptoticCalculator(_CompiledCalculator, hepstats_calculators.AsymptoticCalculator):
    """hepstats' asymptotic calculator on the compiled likelihood.

    hepstats' ``UpperLimit``, ``Discovery`` and ``ConfidenceInterval`` take it. Not to be confused
    with hepstats' own: the Asimov set has no bins (``asimov_bins`` is accepted and has nothing to
    do), its constraints observe the nuisances that it is made of, the values of the parameters of
    the loss are left alone, and what was computed or given is forgotten when the data or a fixed
    parameter such as the mass change.

    Args:
        input: a zfit loss, or a fit result.
        minimizer: the zfit minimiser that stands in the results; it makes no fit.
        asimov_bins: not used.

    Source: G. Cowan et al., Eur. Phys. J. C 71 (2011) 1554, arXiv:1007.1727.
    """

    def __init__(self, input: Any, minimizer: Any = None, asimov_bins: Any = None) -> None:
        del asimov_bins
        super().__init__(input, minimizer)

    def _forget(self) -> None:
        super()._forget()
        self._asimov: dict[POI, ProfileLikelihood] = {}

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


class FrequentistCalculator(_CompiledCalculator, hepstats_calculators.FrequentistCalculator):
    """hepstats' calculator by toys, on the compiled likelihood.

    hepstats' ``UpperLimit``, ``Discovery`` and ``ConfidenceInterval`` take it. Not to be confused
    with hepstats' own: numbers of events and observations of Gaussian constraints fluctuate, the
    nuisances of the toys are those fitted to the data at the value that they are drawn with, the
    same seed gives the same toys, and toys are forgotten when the data or a fixed parameter such as
    the mass change. ``to_yaml`` writes all toys; ``from_yaml`` takes them up again, and more can be
    added to them.

    Args:
        input: a zfit loss, or a fit result.
        minimizer: the zfit minimiser that stands in the results; it makes no fit.
        ntoysnull: toys for each value that is tested.
        ntoysalt: toys for the alternative.
        sampler: not used.
        sample: not used.
        seed: of the random numbers.
    """

    def __init__(
        self,
        input: Any,
        minimizer: Any = None,
        ntoysnull: int = 1000,
        ntoysalt: int = 1000,
        sampler: Any = None,
        sample: Any = None,
        *,
        seed: int = 1,
    ) -> None:
        del sampler, sample
        toys.check_seed(seed)
        self.seed, self._seeds = seed, {seed}
        super().__init__(input, minimizer, ntoysnull=ntoysnull, ntoysalt=ntoysalt)

    def _forget(self) -> None:
        super()._forget()
        self._toys: dict[tuple[POI, POIarray], ToyResult] = {}

    @classmethod
    def from_yaml(
        cls,
        filename: str,
        input: Any,
        minimizer: Any = None,
        sampler: Any = None,
        sample: Any = None,
        *,
        seed: int = 1,
        **more: Any,
    ) -> FrequentistCalculator:
        """A calculator with the toys of a file that ``to_yaml`` wrote.

        Args:
            filename: the file.
            input: the loss the toys belong to, or a fit result.
            minimizer: see the class.
            sampler: not used.
            sample: not used.
            seed: the one of these toys, so that more toys are new ones.
            **more: ``ntoysnull`` and ``ntoysalt``.
        """
        del sampler, sample
        calculator = cls(input, minimizer, seed=seed, **more)
        for result in calculator.toysresults_from_yaml(filename):
            calculator.add_toyresult(result)
        return calculator

    def q(self, *arguments: Any, **how: Any) -> FloatArray:
        """The test statistic, as hepstats has it, to five decimals.

        Fits end within 1e-8 of their minimum, so that toys of equal counts would differ, and
        hepstats would take half of them for less unlike a hypothesis than the data.
        """
        found: FloatArray = np.round(super().q(*arguments, **how), _DECIMALS)
        return found

    def add_toyresult(self, toy: ToyResult) -> None:
        """Take up toys, which belong to the data and the fixed parameters as they are now."""
        self.refresh()
        super().add_toyresult(toy)

    def merge(self, other: FrequentistCalculator) -> None:
        """Take over the toys of a calculator of the same loss that has other seeds.

        Raises:
            InputError: if the two share a seed, so that their toys are the same; if the other one's
                belong to other data or another mass.
        """
        if shared := self._seeds & other._seeds:
            raise InputError(f"both calculators have toys of the seed {min(shared)}: the same ones")
        self.refresh()
        if other._toys and other._state != self._state:
            raise InputError("the toys of the other calculator belong to other data or masses")
        self._seeds |= other._seeds
        for key, theirs in other._toys.items():
            if key not in self._toys:
                self._toys[key] = ToyResult(*key)
            self._toys[key].add_entries(theirs.bestfit, theirs.nll_bestfit, theirs.nlls)

    def generate_and_fit_toys(self, ntoys: int, poigen: POI, poieval: POIarray) -> None:
        """Draw more toys at one value and profile their likelihoods at others.

        Args:
            ntoys: how many.
            poigen: the value to draw with.
            poieval: the values to profile at.
        """
        poi = poigen.parameter
        theta = self.observed(poi).theta(poigen.value)
        try:
            result = self.get_toyresult(poigen, poieval)
        except KeyError:
            result = ToyResult(poigen, poieval)
            self.add_toyresult(result)
        recipe = toys.recipe(self._compiled, theta, poi, self._sample)
        numbers, values = range(result.ntoys, result.ntoys + ntoys), result.poieval.values
        parts = []
        for first in range(0, len(values), TESTS):
            at = values[first : first + TESTS]
            parts.append(toys.fitted(self._compiled, recipe, poi, at, None, numbers, self.seed))
        nlls = np.concatenate([part.values for part in parts], axis=1)
        result.add_entries(
            parts[0].best, parts[0].lowest, dict(zip(result.poieval, nlls.T, strict=True))
        )
