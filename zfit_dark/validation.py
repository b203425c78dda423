"""Limits and fits of a search tried on pseudo-experiments; background models compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from zfit_dark.errors import InputError
from zfit_dark.frequentist import Toys
from zfit_dark.hypotheses import fitted
from zfit_dark.likelihood import Likelihood
from zfit_dark.limits import TestStatistic, check_asked, limit_of, loss_and_poi
from zfit_dark.newton import FloatArray, Minimum
from zfit_dark.profile import CompiledLoss, Draw, Sample, compiled
from zfit_dark.progress import shown
from zfit_dark.results import BackgroundComparison, Validation
from zfit_dark.scanning import mover, put_back
from zfit_dark.toys import check, check_seed, cores, make_room, recipe


def validate(
    model: Any,
    masses: ArrayLike,
    signals: ArrayLike = (0.0,),
    *,
    poi: Any = None,
    mass: Any = None,
    truth: Any = None,
    toys: int = 200,
    seed: int = 1,
    level: float = 0.95,
    method: str = "asymptotic",
    test_statistic: TestStatistic = "qtilde",
    poi_label: str = "",
    poi_unit: str = "",
    progress: bool = True,
) -> Validation:
    """Coverage of the limit, bias and pull of the best fit, spurious signal: all by toys.

    At each mass the background is fitted to the data without a signal. Toys are drawn of that
    background and each of the true signals; events and what constraints observed fluctuate in them.
    Each toy is fitted, and gets a limit, as the data do. No best fit of a signal to the data is
    used or reported.

    Args:
        model: a ``Likelihood``, or a zfit loss, with data. A parameter of interest that must not be
            negative has a biased best fit where the signal is small.
        masses: the hypotheses, in GeV, increasing.
        signals: true values of the parameter of interest, not negative: the same for all masses, or
            of shape (masses, signals). ``np.outer(scan.expected[:, 2], [0, 1])`` are none and the
            median expected limit of a scan of the same masses.
        poi: for a loss, the floating parameter that measures the signal.
        mass: for a loss, the fixed parameter that the signal is built on.
        truth: a model that the toys are drawn of, in the place of ``model``, after a fit without
            signal to its own data: the same channels, with another background. A bare loss has
            ``poi`` and ``mass`` in it, too. The mean fit without a true signal is then the spurious
            signal.
        toys: of each mass and signal.
        seed: of the random numbers. A toy is a function of the seed, its mass, its signal and its
            number alone.
        level: confidence level of the limits.
        method: see ``upper_limit``. Limits by toys take seconds each.
        test_statistic: see ``upper_limit``.
        poi_label: the parameter of interest as plots name it; its own name if not given.
        poi_unit: its unit.
        progress: show a progress bar on standard error.

    Returns:
        Best fits, their uncertainties and the limits of all toys, with tables of what they say.
        Fits and limits that failed are left out and counted; a mass without toys says why.

    Raises:
        InputError: if a mass cannot be a hypothesis, a signal is negative, toys cannot be drawn,
            ``truth`` has other channels or constraints, or for what ``upper_limit`` refuses.

    Source: spurious signal: ATLAS, ATL-PHYS-PUB-2020-028.
    """
    check_asked(level, method, test_statistic)
    check_seed(seed)
    if toys < 2:
        raise InputError(f"toys={toys}: give at least 2; 400 tell a bias of 0.05 sigma")
    hypotheses = _increasing(masses)
    wanted = _signals(signals, hypotheses.size)
    fit = source = _movable(model, poi, mass, hypotheses)
    if truth is not None:
        of_truth = None if isinstance(truth, Likelihood) else fit.poi
        source = _movable(truth, of_truth, mass, hypotheses)
        _check_channels(model, truth, hypotheses)
    for each in (fit, source):
        check(each.ours)
    trial = _Trial(fit, source, _observations(fit.ours, source.ours), level, method, test_statistic)
    found = np.full((*wanted.shape, toys, 3), np.nan)
    expected, warnings = np.full(hypotheses.size, np.nan), []
    with put_back(model, mass), ThreadPoolExecutor(cores()) as pool:
        make_room(fit.ours, _most_events(model, fit.ours, hypotheses, wanted.max(axis=1)))
        for i, hypothesis in enumerate(shown(hypotheses.tolist(), progress)):
            fit.move(hypothesis)
            source.move(hypothesis)
            expected[i], reasons = trial.at_mass(
                found[i], wanted[i], _seed_at(seed, hypothesis), pool
            )
            warnings.append(reasons)
    best, sigma, limits = np.moveaxis(found, 3, 0)
    return Validation(
        masses=hypotheses,
        signals=wanted,
        best=best,
        sigma=sigma,
        limits=limits,
        expected=expected,
        level=level,
        method=method,
        test_statistic=test_statistic,
        poi=fit.poi.name,
        poi_label=poi_label or fit.poi.name,
        poi_unit=poi_unit,
        other_truth=truth is not None,
        warnings=tuple(warnings),
    )


def compare_backgrounds(
    models: Mapping[str, Any],
    masses: ArrayLike,
    *,
    poi: Any = None,
    mass: Any = None,
    progress: bool = True,
) -> BackgroundComparison:
    """Which background the data ask for: likelihood-ratio p-values, AIC and BIC of each model.

    All fits are fits of the background alone: the signal is held at zero, and the candidates under
    it take part. The likelihoods are complete: if they are extended, the numbers of events are part
    of all of them, and the background yields count as parameters. A nuisance that a constraint
    holds does not.

    Args:
        models: the ``Likelihood`` or zfit loss of each background, by name; all have the same data.
        masses: one hypothesis, or several, in GeV, increasing: where windows and vetoes are.
        poi: for losses, the floating parameter that measures the signal, the same in all of them.
        mass: for losses, the fixed parameter that the signal is built on.
        progress: show a progress bar on standard error.

    Returns:
        Likelihoods, criteria and choices, the models ordered by their number of parameters. A fit
        that did not converge is NaN, and nothing is chosen by it.

    Raises:
        InputError: if there is no model, the models have different data, or a mass cannot be a
            hypothesis of one of them.

    Source: S. Wilks, Ann. Math. Statist. 9 (1938) 60; H. Akaike, IEEE Trans. Autom. Control 19
    (1974) 716; G. Schwarz, Ann. Statist. 6 (1978) 461.
    """
    if not models:
        raise InputError("give at least one background model, by name")
    hypotheses = _increasing(masses)
    known = {name: _movable(each, poi, mass, hypotheses) for name, each in models.items()}
    free = {name: _free_parameters(model) for name, model in known.items()}
    names = sorted(known, key=lambda name: free[name])
    for name in names:
        most = _most_events(models[name], known[name].ours, hypotheses, 0.0 * hypotheses)
        make_room(known[name].ours, most)
    two_nll, events = np.full((hypotheses.size, len(names)), np.nan), np.empty(hypotheses.size)
    with put_back(models[names[0]], mass):
        for i, hypothesis in enumerate(shown(hypotheses.tolist(), progress)):
            samples = []
            for k, name in enumerate(names):
                known[name].move(hypothesis)
                samples.append(known[name].ours.observed())
                _check_same_data(samples[0], samples[k], (names[0], name))
                minimum = known[name].without_signal(samples[k])
                two_nll[i, k] = 2 * minimum.value[0] if minimum.converged[0] else np.nan
            events[i] = sum(float(w.sum()) for w in samples[0].weights)
    return BackgroundComparison(
        masses=hypotheses,
        names=tuple(names),
        parameters=np.array([free[name] for name in names], float),
        events=events,
        two_nll=two_nll,
    )


class _Model(NamedTuple):
    """A model that can be taken from mass to mass.

    Attributes:
        ours: its compiled loss.
        poi: the parameter of interest.
        move: takes it to a mass.
    """

    ours: CompiledLoss
    poi: Any
    move: Callable[[float], Any]

    def without_signal(self, data: Sample) -> Minimum:
        """The fit of the background alone, one row."""
        index, start = self.ours.index(self.poi), self.ours.values()[None]
        start[0, index] = 0.0
        free = np.ones(start.shape, bool)
        free[0, index] = False
        return self.ours.fit(data, start, free)


class _Trial(NamedTuple):
    """What is done at each mass.

    Attributes:
        fit: the model that is fitted.
        source: the one that toys are drawn of.
        observations: what the constraints of the first observe in a toy of the second.
        level: of the limits.
        method: of the limits.
        test_statistic: of the limits.
    """

    fit: _Model
    source: _Model
    observations: Callable[[Draw], FloatArray]
    level: float
    method: str
    test_statistic: TestStatistic

    def at_mass(
        self, found: FloatArray, signals: FloatArray, seed: int, pool: ThreadPoolExecutor
    ) -> tuple[float, tuple[str, ...]]:
        """Draw and try toys at the mass where the models stand.

        Args:
            found: what is filled, shape (signals, toys, 3); see ``_tried``.
            signals: true values of the parameter of interest.
            seed: of the mass.
            pool: threads that share the work.

        Returns:
            The median expected limit, and why there are no toys.
        """
        ours, data = self.fit.ours, self.fit.ours.observed()
        alpha, qtilde = 1 - self.level, self.test_statistic == "qtilde"
        fits = fitted(ours, data, ours.values(), self.fit.poi, alpha, qtilde, at_zero_only=True)
        origin = self.source.ours.observed()
        own = self.source is self.fit
        background = fits.fits if own else self.source.without_signal(origin)
        expected, start = float(fits.limits[2]), fits.fits.theta[1]
        if not (fits.fits.converged[1] and background.converged[-1]):
            return expected, ("no toys: the fit of the data without signal did not converge",)
        for signal, rows in zip(signals, found, strict=True):
            truth = background.theta[-1].copy()
            truth[self.source.ours.index(self.source.poi)] = signal
            try:
                drawn = recipe(self.source.ours, truth, self.source.poi, origin)
            except InputError as error:  # of this hypothesis: the others go on
                return expected, (str(error),)
            make_room(ours, drawn.events)

            def one(toy: int) -> tuple[float, float, float]:
                plan = Toys(seed=(seed + 1 + toy) % 2**64)  # not the toys that are tried
                return self._tried(drawn.draw(seed, toy), data, start, plan)  # noqa: B023

            # the first one compiles, once for all
            rows[:] = [one(0), *pool.map(one, range(1, len(rows)))]
        return expected, ()

    def _tried(
        self, draw: Draw, data: Sample, start: FloatArray, plan: Toys
    ) -> tuple[float, float, float]:
        """Best fit, its uncertainty and the limit of a toy; NaN where one failed.

        Args:
            draw: the toy.
            data: stands where the model does.
            start: where the fit without signal starts, shape (parameters,).
            plan: for limits by toys.
        """
        ours, poi = self.fit.ours, self.fit.poi
        sample = ours.sample(draw.points, draw.weights, data.setting, self.observations(draw))
        qtilde = self.test_statistic == "qtilde"
        fits = fitted(ours, sample, start, poi, 1 - self.level, qtilde)
        best = float(fits.fits.theta[0, ours.index(poi)]) if fits.fits.converged[0] else np.nan
        known = np.isfinite(best) and np.isfinite(fits.poi_error)
        limit = limit_of(
            ours, fits, sample, poi, self.level, self.method, self.test_statistic, False, plan
        )
        sigma = fits.poi_error if known else np.nan
        return best, sigma, limit.observed if limit.valid else np.nan


def _increasing(masses: ArrayLike) -> FloatArray:
    """One mass or several, as an array."""
    hypotheses = np.atleast_1d(np.asarray(masses, float))
    if hypotheses.ndim > 1 or hypotheses.size == 0 or not np.isfinite(hypotheses).all():
        raise InputError("give at least one mass, and only finite ones, in GeV")
    if (np.diff(hypotheses) <= 0).any():
        raise InputError("give the masses in increasing order, each of them once")
    return hypotheses


def _signals(signals: ArrayLike, masses: int) -> FloatArray:
    """True signals of each mass, shape (masses, signals)."""
    wanted = np.atleast_1d(np.asarray(signals, float))
    if wanted.ndim > 2 or wanted.shape[-1] == 0 or wanted.shape[:-1] not in ((), (masses,)):
        raise InputError(
            f"signals have the shape {wanted.shape}; give some numbers, the same for all masses, "
            f"or {masses} rows of them, one a mass"
        )
    if not (np.isfinite(wanted) & (wanted >= 0)).all():
        raise InputError("signals: give true values of the parameter of interest, 0 or more")
    return np.broadcast_to(wanted, (masses, wanted.shape[-1])).copy()


def _movable(model: Any, poi: Any, mass: Any, hypotheses: FloatArray) -> _Model:
    """A model ready to be moved to all the masses.

    Raises:
        InputError: if it cannot be moved to one of them, or the parameters are not right.
    """
    loss, poi = loss_and_poi(model, poi)
    ours = compiled(loss)
    ours.index(poi)
    move, why_not = mover(model, mass, poi)
    for hypothesis in hypotheses.tolist():
        if reason := why_not(hypothesis):
            raise InputError(f"no hypothesis at {hypothesis:.6g} GeV: {reason}; leave it out")
    return _Model(ours, poi, move)


def _check_channels(model: Any, truth: Any, hypotheses: FloatArray) -> None:
    """Refuse a truth whose toys are no data of the model."""
    losses = [each.loss if isinstance(each, Likelihood) else each for each in (model, truth)]
    if type(losses[0]) is not type(losses[1]):
        kinds = " and ".join(type(loss).__name__ for loss in losses)
        raise InputError(f"model and truth are of different kinds, {kinds}: give two of one kind")
    one, other = (_channels(each, hypotheses) for each in (model, truth))
    if len(one) != len(other):
        raise InputError(
            f"model and truth have {len(one)} and {len(other)} channels; they must be "
            "the same, in the same order"
        )
    for i, (mine, its) in enumerate(zip(one, other, strict=True)):
        if mine != its:
            raise InputError(
                f"channel {i + 1} of model and truth differs in observable, range, window or "
                "vetoes; they must be the same, in the same order"
            )


def _channels(model: Any, hypotheses: FloatArray) -> list[Any]:
    """What makes toys of one model data of another, of each channel."""
    if isinstance(model, Likelihood):
        return [
            (c.name, c.limits, c.vetoes, [c.window_at(m) for m in hypotheses.tolist()])
            for c in model.channels
        ]
    return [pdf.space for pdf in model.model]


def _observations(fit: CompiledLoss, source: CompiledLoss) -> Callable[[Draw], FloatArray]:
    """What takes a toy to the observed values of the constraints of the model that is fitted.

    Raises:
        InputError: if the two have constraints on parameters of different names.
    """
    mine, its = _constrained(fit), _constrained(source)
    if alone := ", ".join(sorted(set(mine) ^ set(its))):
        raise InputError(
            f"model and truth must constrain the same parameters; only one has {alone}"
        )

    def observations(draw: Draw) -> FloatArray:
        observed = fit.constraints.observed.copy()
        for name, i in mine.items():
            observed[i] = draw.observations[its[name]]
        return observed

    return observations


def _constrained(ours: CompiledLoss) -> dict[str, int]:
    """Where the parameters that have a constraint stand, by name."""
    held = {p for c in ours.loss.constraints or () for p in c.get_params(floating=True)}
    return {p.name: ours.index(p) for p in held}


def _free_parameters(model: _Model) -> int:
    """Parameters that nothing but the data of a fit without signal tell."""
    return len(model.ours.parameters) - len({*_constrained(model.ours), model.poi.name})


def _most_events(
    model: Any, ours: CompiledLoss, hypotheses: FloatArray, signals: FloatArray
) -> list[float]:
    """About the most events of each channel at any of the masses, with these signals at each."""
    if not isinstance(model, Likelihood):
        return [float(n) for n in ours.events()]
    return [
        most + max(map(channel.yield_per_poi, hypotheses.tolist())) * float(signals.max())
        for channel, most in zip(model.channels, model.largest_windows(hypotheses), strict=True)
    ]


def _seed_at(seed: int, mass: float) -> int:
    """A seed of the mass's own."""
    words = [seed, int(np.float64(mass).view(np.uint64))]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])


def _check_same_data(one: Sample, other: Sample, names: tuple[str, str]) -> None:
    """Refuse models of different data."""
    same = len(one.weights) == len(other.weights) and all(
        np.array_equal(a, b)
        for a, b in zip((*one.points, *one.weights), (*other.points, *other.weights), strict=True)
    )
    if not same:
        raise InputError(f"backgrounds {names[0]!r} and {names[1]!r} have different data")
