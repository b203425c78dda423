"""Upper limits and significances of any zfit loss, by CLs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from scipy.special import ndtr

from zfit_dark.counting import Count, exact_limit
from zfit_dark.errors import InputError
from zfit_dark.frequentist import Data, Toys, toy_limit
from zfit_dark.hypotheses import Alternative, fitted, local_significance, profiled
from zfit_dark.likelihood import Choice, Counting, Likelihood
from zfit_dark.losses import check_kind
from zfit_dark.newton import FloatArray, Minimum
from zfit_dark.profile import CompiledLoss, Hypothesis, Sample, compiled
from zfit_dark.results import Limit
from zfit_dark.toys import check, make_room

TestStatistic = Literal["qtilde", "q"]

METHODS = ("asymptotic", "toys", "exact", "auto")

FEWEST_EVENTS = 10.0
"""Asymptotic limits are flagged where fewer background events than this compete with the signal."""

ENOUGH_EVENTS = 100.0
"""With method "auto", limits are asymptotic where so many background events or more compete with
the signal: there they are off by 2 % or so."""

_NODE_TOLERANCE = 1e-4

_MOST_FAILED = 0.01


def upper_limit(
    model: Any,
    poi: Any = None,
    level: float = 0.95,
    method: str | None = None,
    test_statistic: TestStatistic = "qtilde",
    *,
    blind: bool = False,
    toys: Toys | None = None,
) -> Limit:
    """CLs upper limit on a parameter, observed and as expected without a signal.

    The p-values are those of hepstats' asymptotic calculator; a limit is where CLs crosses
    ``1 - level``, found by Newton's steps in a bracket, not by a curve through a grid. The values
    of the model's parameters are left as they were.

    Args:
        model: a zfit loss, or a ``Likelihood``.
        poi: the floating parameter that measures the signal; a ``Likelihood`` knows its own.
        level: confidence level, such as 0.90 or 0.95.
        method: "asymptotic"; "toys"; "exact", sums over the outcomes of a counting experiment, see
            ``counts_of``; or "auto": exact for a ``Likelihood`` that only counts, asymptotic where
            enough background events compete with the signal, else exact if that is possible, else
            toys. ``how`` of the limit tells. By default "asymptotic", but "auto" for a
            ``Likelihood`` that only counts.
        test_statistic: "qtilde" (a negative signal counts as none) or "q".
        blind: expected limits only, from the fit to the sidebands of a ``Likelihood``: the data
            under the signal are not used for anything.
        toys: how many, and how precise, for method "toys".

    Returns:
        The limit, its -2 ... +2 sigma expectation, the best fit, the p-value without signal, and
        what to be careful about. ``valid`` is False where a fit did not converge or a limit was not
        found.

    Raises:
        InputError: for a level outside (0, 1), an unknown method or statistic, a parameter that
            does not float in the loss, a blind limit of a bare loss, a model that toys cannot be
            drawn of, or an exact limit of what is no counting experiment.

    Source: A. L. Read, J. Phys. G 28 (2002) 2693; G. Cowan et al., arXiv:1007.1727.
    """
    plan = Toys() if toys is None else toys
    return asked(model, poi, level, method or usual(model), test_statistic, blind, plan)()


def usual(model: Any) -> str:
    """The method for a model if none is asked for."""
    return "auto" if isinstance(model, Likelihood) and model.only_counts() else "asymptotic"


def asked(
    model: Any,
    poi: Any,
    level: float,
    method: str,
    test_statistic: TestStatistic,
    blind: bool,
    toys: Toys,
) -> Callable[[], Limit]:
    """The limit as a task: what is returned works it out without another look at the model.

    So the model can be moved on to the next mass while the task runs in another thread.

    The arguments are those of ``upper_limit``, and so are the errors.
    """
    loss, poi = unpacked(model, poi)
    check_asked(level, method, test_statistic)
    choices = several_backgrounds(model)
    if choices and method != "asymptotic":
        raise InputError(
            f"method={method!r} does not profile a choice of backgrounds; use 'asymptotic'"
        )
    if blind and not isinstance(model, Likelihood):
        raise InputError("a bare loss does not know its sidebands: give a Likelihood to be blind")
    ours = compiled(loss)
    start = ours.values()
    ours.index(poi)  # refuses a parameter that does not float
    if method == "toys":
        check(ours)
    if method in ("toys", "auto") and not ours.binned:
        # at once, or toys with more events than the data would have all programs made again
        make_room(ours, ours.events())
    if blind:
        with model.signal_region_hidden():
            data = ours.observed()
        # the sidebands stand in for the data: with no weight, and nothing is fitted to them
        nothing = ours.sample(data.points, [0.0 * w for w in data.weights])
    else:
        data = nothing = ours.observed()

    alpha, qtilde = 1 - level, test_statistic == "qtilde"
    backgrounds = alternatives(ours, choices, start)
    counting, why = None, ""
    exactly = method == "exact" or (method == "auto" and usual(model) == "auto")
    if exactly and isinstance(model, Likelihood) and not blind:
        try:
            counting = model.counting()
        except InputError as error:
            if method == "exact":
                raise
            why = str(error)

    def work() -> Limit:
        how, not_exact = "", why
        if counting is not None:
            try:
                return _counted(counting, level, method, test_statistic, toys.precision)
            except InputError as error:
                if method == "exact":
                    raise
                not_exact = str(error)
        if backgrounds:
            setting = nothing.setting
            found, best, without = profiled(
                ours, data, backgrounds, setting, poi, alpha, qtilde, blind=blind
            )
            how = "background: " + ("" if blind else f"{best.name}, ")
            how += f"without signal {without.name}"
        else:
            found = fitted(ours, data, start, poi, alpha, qtilde, at_zero_only=blind)
            if blind:
                at_zero = found.fits.theta[1]
                expected = ours.hypothesis(nothing, poi, at_zero, alpha, qtilde, blind=True)
                found = expected._replace(fits=found.fits)
        limit = limit_of(
            ours, found, nothing, poi, level, method, test_statistic, blind, toys, not_exact
        )
        if limit.method == "asymptotic" and not (blind or isinstance(model, Likelihood)):
            limit = replace(limit, warnings=(*limit.warnings, *_no_candidates(ours, nothing)))
        return replace(limit, how=limit.how or how)

    return work


def check_asked(level: float, method: str, test_statistic: str) -> None:
    """Refuse what is no question for a limit.

    Raises:
        InputError: for a level outside (0, 1), an unknown method or an unknown test statistic.
    """
    try:
        is_level = 0 < level < 1
    except TypeError:  # "90%"
        is_level = False
    if not is_level:
        raise InputError(f"level={level}: give a confidence level between 0 and 1, such as 0.90")
    if method not in METHODS:
        known = ", ".join(map(repr, METHODS))
        raise InputError(f"method={method!r} is not known; there are {known}")
    if test_statistic not in get_args(TestStatistic):
        raise InputError(f"test_statistic={test_statistic!r} is not known; give 'qtilde' or 'q'")


def limit_of(
    ours: CompiledLoss,
    found: Hypothesis,
    data: Sample,
    poi: Any,
    level: float,
    method: str,
    test_statistic: TestStatistic,
    blind: bool,
    toys: Toys,
    not_exact: str = "",
) -> Limit:
    """The limit that follows from the fits of a sample.

    Args:
        ours: the compiled loss.
        found: the fits, see ``fitted``.
        data: the sample that was fitted; for a blind limit one of no weight.
        poi: the parameter of interest.
        level: see ``upper_limit``, as for all that follow.
        method: of the limit.
        test_statistic: of the limit.
        blind: expected limits only.
        toys: how many, for method "toys".
        not_exact: why method "auto" cannot take exact sums, if that is known.

    Raises:
        InputError: for an exact limit of what is no counting experiment.
    """
    free, at_zero = found.fits.converged
    warnings = [] if free or blind else [f"the fit of {poi.name} did not converge"]
    warnings += [] if at_zero else [f"the fit at {poi.name} = 0 did not converge"]
    poi_hat, poi_error = float(found.fits.theta[0, ours.index(poi)]), found.poi_error
    fits, p0 = found.fits, float(ndtr(-local_significance(found.fits, poi_hat)))
    if blind:
        poi_hat = poi_error = p0 = np.nan
    if not np.isfinite(found.limits[:5]).all():
        warnings.append("an expected limit was not found")
    if not blind and not np.isfinite(found.limits[5]):
        warnings.append("the observed limit was not found")
    if not found.asimov_error <= _NODE_TOLERANCE:
        missed = f"{found.asimov_error:.1e}"
        warnings.append(f"integral of the model and sum over its Asimov set differ by {missed}")
    competing = _competing(found.signal_per_poi, found.sigma)
    asymptotic = Limit(
        observed=float(found.limits[5]),
        expected=tuple(found.limits[:5].tolist()),
        poi_hat=poi_hat,
        poi_error=poi_error,
        p0=p0,
        level=level,
        method="asymptotic",
        test_statistic=test_statistic,
        valid=not warnings,
        warnings=(*warnings, *_few_events(competing)),
        blind=blind,
    )

    def by_toys() -> Limit:
        nothing_found = replace(
            asymptotic, observed=np.nan, expected=(np.nan,) * 5, method="toys", valid=False
        )
        if not (at_zero and (free or blind)):
            return nothing_found  # there is nothing to draw toys of
        try:
            return _by_toys(ours, data, fits, poi, asymptotic, toys)
        except InputError as error:  # of this hypothesis: a scan goes on
            return replace(nothing_found, warnings=(str(error),))

    if method == "toys":
        return by_toys()
    if method == "exact":
        return _exactly(ours, data, poi, asymptotic)
    if method == "asymptotic":
        return asymptotic
    about = f"{competing:.3g} background events compete with the signal"
    if competing >= ENOUGH_EVENTS:
        return replace(asymptotic, method="auto", how=f"asymptotic: {about}")
    if not not_exact:
        try:
            limit = _exactly(ours, data, poi, asymptotic)
            return replace(limit, method="auto", how=f"exact: {about}")
        except InputError as error:
            not_exact = str(error)
    return replace(by_toys(), method="auto", how=f"toys: {about}; not exact: {not_exact}")


def _exactly(ours: CompiledLoss, data: Sample, poi: Any, asymptotic: Limit) -> Limit:
    """A limit by exact sums, with the error of the best fit of the asymptotic one."""
    if asymptotic.blind:
        raise InputError("a counting experiment has no blind limit; use method='asymptotic'")
    _check_exact(asymptotic.test_statistic)
    found = exact_limit(counts_of(ours, data, poi), asymptotic.level)
    return replace(
        asymptotic,
        observed=found.observed,
        expected=found.expected,
        poi_hat=found.poi_hat,
        p0=found.p0,
        method="exact",
        valid=True,
        warnings=(),
    )


def _counted(
    counting: Counting, level: float, method: str, test_statistic: TestStatistic, precision: float
) -> Limit:
    """A limit by exact sums for a ``Likelihood`` that only counts; there is nothing to fit."""
    _check_exact(test_statistic)
    found = exact_limit(counting.counts, level, counting.uncertainties)
    on, off = (
        sum(each) for each in zip(*((c.on, c.off or 0.0) for c in counting.counts), strict=True)
    )
    warnings: tuple[str, ...] = ()
    if found.error > precision * found.observed:
        part = 100 * found.error / found.observed
        warnings = (f"random outcomes leave an error of {part:.1f} % on the limit",)
    of = "a random part of " if found.error else ""
    return Limit(
        observed=found.observed,
        observed_error=found.error or np.nan,
        expected=found.expected,
        poi_hat=found.poi_hat,
        poi_error=found.poi_error,
        p0=found.p0,
        level=level,
        method=method,
        test_statistic=test_statistic,
        valid=True,
        warnings=warnings,
        how=f"exact: sums over {of}the counts; {on:.0f} in windows, {off:.0f} in sidebands",
    )


def _check_exact(test_statistic: str) -> None:
    if test_statistic != "qtilde":
        raise InputError("exact limits are those of the test statistic 'qtilde'")


def counts_of(ours: CompiledLoss, data: Sample, poi: Any) -> list[Count]:
    """The counting experiment that a loss is.

    It is one if the loss is extended and binned, the signal yield of every channel is a multiple of
    the parameter of interest, and the background of every channel is either known, or has two bins
    (the signal region and a sideband) and a free yield of its own.

    Args:
        ours: the compiled loss.
        data: the counts, and where the model stands.
        poi: the parameter of interest.

    Raises:
        InputError: if the loss is no such thing.
    """
    index, p = ours.index(poi), len(ours.parameters)
    bins = [np.empty(n) for n in data.capacity]
    if not (ours.binned and ours.loss.is_extended):
        raise InputError(
            "exact limits are for counts: those of an extended binned loss, or of a Likelihood of "
            "counting channels; use method='toys'"
        )
    if ours.loss.constraints:
        raise InputError("exact sums know no uncertainty but that of a sideband; use method='toys'")

    def expected(values: dict[int, float]) -> list[FloatArray]:
        theta = np.array([values.get(i, 0.0) for i in range(p)])
        return [e.density for e in ours.densities(theta, bins, fixed=data.setting.fixed)]

    known = expected({})
    signals = [s - k for s, k in zip(expected({index: 1.0}), known, strict=True)]
    sidebands: dict[int, FloatArray] = {}
    for i in sorted(set(range(p)) - {index}):
        once, twice = expected({i: 1.0}), expected({i: 2.0})
        both = expected({i: 2.0, index: 3.0})
        moved = [c for c, (a, b) in enumerate(zip(once, known, strict=True)) if (a != b).any()]
        straight = all(
            np.allclose(b - k, 2 * (a - k), rtol=1e-9, atol=1e-12)
            and np.allclose(c - k, 2 * (a - k) + 3 * s, rtol=1e-9, atol=1e-12)
            for a, b, c, k, s in zip(once, twice, both, known, signals, strict=True)
        )
        name = ours.parameters[i].name
        if len(moved) != 1 or not straight or moved[0] in sidebands or bins[moved[0]].size != 2:
            raise InputError(
                f"exact sums take {name!r} for no background yield of one channel of two bins; "
                "use method='toys'"
            )
        sidebands[moved[0]] = once[moved[0]] - known[moved[0]]
    counts = []
    for c, (model, n, s, b) in enumerate(
        zip(ours.loss.model, data.weights, signals, known, strict=True)
    ):
        if c not in sidebands:
            counts += [Count(*each, name=model.name) for each in zip(n, s, b, strict=True)]
            continue
        if (b != 0).any():
            raise InputError(f"exact sums need one background in {model.name}; use method='toys'")
        share = sidebands[c]
        on = int(np.argmax(s * share[::-1]))  # where there is more signal for the background
        counts.append(
            Count(
                on=n[on],
                per_poi=s[on],
                off=n[1 - on],
                # the background is counted in the signal region
                tau=share[1 - on] / share[on],
                off_per_poi=s[1 - on],
                name=model.name,
            )
        )
    return counts


def _by_toys(
    ours: CompiledLoss, data: Sample, fits: Minimum, poi: Any, asymptotic: Limit, toys: Toys
) -> Limit:
    """A limit by toys, around the asymptotic one.

    Args:
        ours: the compiled loss.
        data: the sample.
        fits: the free fit of the data and the one without signal.
        poi: the parameter of interest.
        asymptotic: the limit that there is already.
        toys: how many.
    """
    free, without = fits.theta
    lowest, at_zero = fits.value.tolist()
    found = toy_limit(
        ours,
        Data(data, float(free[ours.index(poi)]), lowest, free, without, at_zero),
        poi,
        np.array([*asymptotic.expected, asymptotic.observed]),
        1 - asymptotic.level,
        asymptotic.test_statistic == "qtilde",
        toys,
        blind=asymptotic.blind,
    )
    wanted = found.limits[:5] if asymptotic.blind else found.limits
    warnings = [] if np.isfinite(wanted).all() else ["a limit was not found by toys"]
    valid = not warnings
    decisive = found.errors[2 if asymptotic.blind else 5] / wanted[2 if asymptotic.blind else 5]
    if valid and decisive > toys.precision:
        warnings.append(f"{found.toys} toys leave an error of {100 * decisive:.1f} % on the limit")
    if found.failed:
        warnings.append(f"the fits of {found.failed} of {found.toys} toys did not converge")
        valid &= found.failed < _MOST_FAILED * found.toys
    return replace(
        asymptotic,
        observed=float(found.limits[5]),
        observed_error=float(found.errors[5]) if np.isfinite(found.limits[5]) else np.nan,
        expected=tuple(found.limits[:5].tolist()),
        p0=found.p0,
        method="toys",
        valid=valid,
        warnings=tuple(warnings),
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
    loss, poi = loss_and_poi(model, poi)
    ours = compiled(loss)
    found = fitted(ours, ours.observed(), ours.values(), poi)
    if not found.fits.converged.all():
        raise InputError(f"the fit of {poi.name} did not converge; no significance")
    return local_significance(found.fits, float(found.fits.theta[0, ours.index(poi)]))


def loss_and_poi(model: Any, poi: Any) -> tuple[Any, Any]:
    """The zfit loss of a model of one background, and what its signal is measured by.

    Raises:
        InputError: if a ``Likelihood`` has another parameter of interest, or a choice of
            backgrounds, or a loss is given no parameter of interest.
    """
    if several_backgrounds(model):
        raise InputError("only asymptotic limits profile a choice of backgrounds: take one")
    return unpacked(model, poi)


def several_backgrounds(model: Any) -> tuple[Choice, ...]:
    """The choices of backgrounds of a model; none if there is nothing to choose."""
    choices = model.choices if isinstance(model, Likelihood) else ()
    return choices if len(choices) > 1 else ()


def alternatives(
    ours: CompiledLoss, choices: Sequence[Choice], start: FloatArray
) -> list[Alternative]:
    """Choices of backgrounds, as the fits of a compiled loss see them.

    Args:
        ours: the compiled loss.
        choices: of its ``Likelihood``.
        start: where fits start, shape (parameters,).
    """
    found = []
    for choice in choices:
        held, theta = np.zeros(len(start), bool), start.copy()
        for parameter, value in choice.left_out.items():
            held[ours.index(parameter)] = True
            theta[ours.index(parameter)] = value
        found.append(Alternative(choice.name, held, theta, choice.penalty))
    return found


def unpacked(model: Any, poi: Any) -> tuple[Any, Any]:
    """The zfit loss of a model, and what its signal is measured by.

    Raises:
        InputError: if a ``Likelihood`` has another parameter of interest, a loss is given none or
            only its name, or the model is neither.
    """
    if isinstance(model, Likelihood):
        if poi is not None and poi is not model.poi:
            raise InputError(f"the parameter of interest of this Likelihood is {model.poi.name}")
        return model.loss, model.poi
    check_kind(model)
    if poi is None:
        raise InputError("give poi=, the floating parameter of the loss that measures the signal")
    if isinstance(poi, str):
        raise InputError(f"poi={poi!r}: give the parameter itself, not its name")
    return model, poi


def _competing(signal_per_poi: float, poi_error: float) -> float:
    """How many background events compete with the signal.

    That is the variance of the fitted number of signal events. A loss that is not extended counts
    no events: infinitely many.
    """
    return (signal_per_poi * poi_error) ** 2 if signal_per_poi else np.inf


def _no_candidates(ours: CompiledLoss, data: Sample) -> list[str]:
    """A word of warning where zfit may have dropped all candidates."""
    if ours.binned or any(weight.any() for weight in data.weights):
        return []
    return ["no candidates in the range of the fit: zfit drops those outside (MeV for GeV?)"]


def _few_events(competing: float) -> list[str]:
    """A word of warning where the normal approximation has too few events."""
    if not competing < FEWEST_EVENTS:  # NaN has words of its own
        return []
    return [
        f"asymptotic limit at low counts: about {competing:.1f} background events compete with the "
        "signal, and the true limit is likely weaker; take method='auto'"
    ]
