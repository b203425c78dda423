"""Nuisance parameters ranked by what they do to a measurement and to its limit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zfit_dark.errors import InputError
from zfit_dark.frequentist import Toys
from zfit_dark.hypotheses import fitted
from zfit_dark.likelihood import Likelihood
from zfit_dark.limits import check_asked, limit_of, loss_and_poi
from zfit_dark.newton import FloatArray
from zfit_dark.profile import CompiledLoss, Hypothesis, Sample, compiled
from zfit_dark.results import Impacts

BoolArray = NDArray[np.bool_]

_FLAT = 1e-10
"""Smallest second derivative, of those scaled to a unit diagonal, that determines a parameter."""

_OF_FLAT = 1e-6
"""A parameter with a larger share than this in a flat direction is not determined."""

_PUSHED = 1e-3
"""A best fit kept at zero is pushed there with a larger slope than this, a standard deviation."""

_PARABOLA = 0.25, 1.0
"""Between these the likelihood rises one standard deviation away; a parabola rises by 0.5."""

_LOWER = 1e-6
"""The free fit is not the best one if another one is lower by this."""


def impacts(
    model: Any,
    poi: Any = None,
    mass: float | None = None,
    level: float = 0.95,
    *,
    poi_label: str = "",
    poi_unit: str = "",
    pseudo_data: bool = False,
) -> Impacts:
    """Pulls of the nuisance parameters, their impacts on the best fit and on the limit.

    All uncertainties are those of the inverse matrix of second derivatives of the likelihood at the
    best fit. (The ``poi_error`` of ``upper_limit`` is that of the expected ones.) For an impact on
    the best fit, the parameter is held one standard deviation above and below its own, and all
    others are fitted again.

    Parameters with a constraint are the systematic uncertainties, all others count as statistics.
    For the statistics-only numbers the constrained ones are held where the fit that a number
    belongs to leaves them: for error and observed limit where the free fit does, so that the best
    fit stays the same (that is CMS combine's ``--freezeParameters allConstrainedNuisances`` after
    loading the post-fit snapshot); for the expected limits where the fit without signal does, so
    that the Asimov set stays the same. The impact of a single parameter on the limits is found in
    the same way, with that one held.

    Args:
        model: a ``Likelihood``, or a zfit loss.
        poi: the floating parameter that measures the signal; a ``Likelihood`` knows its own.
        mass: the hypothesis in GeV, where the ``Likelihood`` is moved to; where it stands if not
            given. A loss must have been moved before.
        level: confidence level of the limits, such as 0.90 or 0.95.
        poi_label: the parameter of interest as a plot names it; its own name if not given.
        poi_unit: its unit.
        pseudo_data: whether the data are not real.

    Returns:
        One entry for each floating parameter but that of interest, in order of impact; the
        correlations; and best fit and limits with all uncertainties and with statistics alone. A
        parameter at an edge of its range has neither uncertainty nor impact on the best fit: NaN,
        and a warning. ``valid`` is False where a fit did not converge.

    Raises:
        InputError: if a loss is given a mass, or the mass cannot be a hypothesis; for a level
            outside (0, 1); or for a parameter that does not float in the loss.

    Source: CMS, arXiv:2404.06614 (pulls and impacts); for the limits, ``upper_limit``.
    """
    loss, poi = loss_and_poi(model, poi)
    if isinstance(model, Likelihood):
        moved = model if mass is None else model.move_to(mass)
        mass = float(moved.mass.value())
    elif mass is not None:
        raise InputError(f"mass={mass}: a loss cannot be moved; set its mass, and leave this out")
    check_asked(level, "asymptotic", "qtilde")
    ours = compiled(loss)
    data, index = ours.observed(), ours.index(poi)
    names = np.array([parameter.name for parameter in ours.parameters])
    found = fitted(ours, data, ours.values(), poi, 1 - level)
    limit = limit_of(ours, found, data, poi, level, "asymptotic", "qtilde", False, Toys())
    prior = _prior(ours, data, index)
    best = _best_fit(ours, data, found, index, prior.constrained)
    shifts = _shifts(ours, data, found, best, index)
    order = _ranked(shifts.impact, index)
    held = [prior.constrained, *np.eye(len(names), dtype=bool)[order]]
    limits = np.array([_limits_with(ours, data, found, poi, level, h) for h in held])
    full = np.array([*limit.expected, limit.observed])
    parts = 1 - limits[1:] / full
    all_found = bool(np.isfinite(limits).all())
    lost = limit.valid and not all_found
    with_poi = [index, *order]
    return Impacts(
        names=tuple(names[order].tolist()),
        prefit=prior.value[order],
        prefit_error=prior.error[order],
        postfit=best.theta[order],
        postfit_error=best.error[order],
        impact_up=shifts.impact[order, 0],
        impact_down=shifts.impact[order, 1],
        observed_impact=parts[:, 5],
        expected_impact=parts[:, 2],
        correlation=(best.covariance / np.outer(best.error, best.error))[np.ix_(*[with_poi] * 2)],
        poi=poi.name,
        poi_label=poi_label or poi.name,
        poi_unit=poi_unit,
        poi_hat=float(best.theta[index]),
        poi_error=float(best.error[index]),
        poi_error_statistical=best.statistical,
        observed=limit.observed,
        expected=full[:5],
        observed_statistical=float(limits[0, 5]),
        expected_statistical=limits[0, :5],
        level=level,
        mass=np.nan if mass is None else mass,
        valid=limit.valid and best.valid and shifts.valid and all_found,
        warnings=(
            *limit.warnings,
            *_about(names, prior.not_gaussian, "constrained, but not by one Gaussian; no pull"),
            *best.warnings,
            *shifts.warnings,
            *(["a limit with parameters held was not found"] if lost else []),
        ),
        pseudo_data=pseudo_data,
    )


class _Prior(NamedTuple):
    """What the constraints say.

    Attributes:
        value: of parameters with a Gaussian constraint, shape (parameters,); NaN for others.
        error: its standard deviation.
        constrained: parameters, that of interest apart, with a constraint of any kind.
        not_gaussian: those of them with another one than a single Gaussian.
    """

    value: FloatArray
    error: FloatArray
    constrained: BoolArray
    not_gaussian: BoolArray


def _prior(ours: CompiledLoss, data: Sample, index: int) -> _Prior:
    depends = set().union(*(c.get_params(floating=True) for c in ours.constraints.others))
    others = np.array([parameter in depends for parameter in ours.parameters])
    others[index] = False
    error = np.linalg.norm(ours.constraints.scatter, axis=1)
    gaussian = error > 0
    gaussian[index] = False
    known = gaussian & ~others
    return _Prior(
        value=np.where(known, data.observations, np.nan),
        error=np.where(known, error, np.nan),
        constrained=gaussian | others,
        not_gaussian=others,
    )


class _Best(NamedTuple):
    """The free fit.

    Attributes:
        theta: shape (parameters,); NaN if the fit did not converge.
        covariance: shape (parameters, parameters); NaN where it has no meaning.
        error: standard deviations, shape (parameters,).
        statistical: that of the parameter of interest with the constrained parameters held.
        valid: whether it is a minimum.
        warnings: what to be careful about.
    """

    theta: FloatArray
    covariance: FloatArray
    error: FloatArray
    statistical: float
    valid: bool
    warnings: list[str]


def _best_fit(
    ours: CompiledLoss, data: Sample, found: Hypothesis, index: int, constrained: BoolArray
) -> _Best:
    """The free fit with the covariance of its parameters."""
    theta, names = found.fits.theta[0], np.array([p.name for p in ours.parameters])
    if not found.fits.converged.all():  # the limit tells so already
        nothing = np.full((len(theta), len(theta)), np.nan)
        return _Best(nothing[0], nothing, nothing[0], np.nan, False, [])
    on_edge = (theta <= ours.lower) | (theta >= ours.upper)
    # where densities are negative below a signal of zero, the free fit is kept there
    slope = found.fits.gradient[0, index] * found.poi_error
    on_edge[index] |= bool(theta[index] == 0 and abs(slope) > _PUSHED)
    hessian = ours.hessian(theta, data)
    covariance = _inverse(hessian, ~on_edge)
    error = np.sqrt(np.diag(covariance))
    lost = ~np.isfinite(error) & ~on_edge
    is_poi = np.arange(len(theta)) == index
    warnings = [
        *_about(names, on_edge & is_poi, "the best fit is at an edge of the range; no impacts"),
        *_about(names, on_edge & ~is_poi, "at an edge of the range; no uncertainty, no impact"),
        *_about(names, lost, "not determined by the data; no uncertainty, no impact"),
    ]
    valid = bool(np.isfinite(error).any() or on_edge.all())
    if not valid:
        warnings.append("the best fit is no minimum: its second derivatives are not positive")
    return _Best(
        theta=theta,
        covariance=covariance,
        error=error,
        statistical=float(np.sqrt(_inverse(hessian, ~on_edge & ~constrained)[index, index])),
        valid=valid,
        warnings=warnings,
    )


def _inverse(hessian: FloatArray, moving: BoolArray) -> FloatArray:
    """Covariance of the moving parameters from the second derivatives of the likelihood.

    Args:
        hessian: shape (parameters, parameters).
        moving: which parameters take part, shape (parameters,).

    Returns:
        shape (parameters, parameters); NaN for parameters that take no part or that a flat
        direction leaves undetermined, and for all if the likelihood bends down anywhere.
    """
    covariance = np.full(hessian.shape, np.nan)
    square = np.ix_(moving, moving)
    if not moving.any() or not np.isfinite(hessian[square]).all():
        return covariance
    diagonal = np.diag(hessian)[moving]
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    bend, directions = np.linalg.eigh(hessian[square] * np.outer(scale, scale))
    if bend[0] < -_FLAT:
        return covariance
    steep = bend > _FLAT
    inverse = (directions[:, steep] / bend[steep]) @ directions[:, steep].T
    inverse *= np.outer(scale, scale)
    undetermined = (np.abs(directions[:, ~steep]) > _OF_FLAT).any(axis=1)
    inverse[undetermined] = inverse[:, undetermined] = np.nan
    covariance[square] = inverse
    return covariance


class _Shifts(NamedTuple):
    """How the best fit moves with its parameters.

    Attributes:
        impact: shifts of the parameter of interest with each parameter up and down, shape
            (parameters, 2); NaN where there is none.
        valid: whether every fit converged, and none of them to a better minimum.
        warnings: what to be careful about.
    """

    impact: FloatArray
    valid: bool
    warnings: list[str]


def _shifts(
    ours: CompiledLoss, data: Sample, found: Hypothesis, best: _Best, index: int
) -> _Shifts:
    """Fits with each parameter held one standard deviation up and down."""
    p, names = len(best.theta), np.array([parameter.name for parameter in ours.parameters])
    lower, upper, signs = ours.lower, ours.upper, np.array([1.0, -1.0])
    known = np.isfinite(best.error) & np.isfinite(best.error[index])
    known[index] = False
    held_at = best.theta[:, None] + signs * best.error[:, None]
    inside = known[:, None] & (held_at >= lower[:, None]) & (held_at <= upper[:, None])
    impact, rise = np.full((2, p, 2), np.nan)
    failed, stuck = np.zeros((2, p, 2), bool)
    held, side = np.nonzero(inside)
    if held.size:
        # the others follow as the covariance says, so that each fit starts next to where it ends
        follow = np.nan_to_num(best.covariance / best.error[:, None])
        start = np.clip(best.theta + signs[side][:, None] * follow[held], lower, upper)
        free, each = np.ones(start.shape, bool), np.arange(held.size)
        start[each, held], free[each, held] = held_at[held, side], False
        fits = ours.fit(data, start, free)
        moved = fits.theta[:, index]
        at_limit = (moved <= lower[index]) | (moved >= upper[index])
        failed[held, side] = ~fits.converged
        stuck[held, side] = fits.converged & at_limit
        good = fits.converged & ~at_limit
        impact[held, side] = np.where(good, moved - best.theta[index], np.nan)
        rise[held, side] = np.where(good, fits.value - found.fits.value[0], np.nan)
    mean: FloatArray = 0.5 * (rise[:, 0] + rise[:, 1])
    about: tuple[tuple[Any, str], ...] = (
        (known & ~inside.all(axis=1), "a standard deviation away is out of range; no impact there"),
        (failed.any(axis=1), "the fit a standard deviation away did not converge"),
        (stuck.any(axis=1), f"{names[index]} runs into its limit a standard deviation away"),
        (
            (mean < _PARABOLA[0]) | (mean > _PARABOLA[1]),
            "the likelihood is no parabola; take the uncertainty with care",
        ),
        (
            (rise < -_LOWER).any(axis=1),
            "held, the fit is better: the free one is in a local minimum",
        ),
    )
    return _Shifts(
        impact=impact,
        valid=not (failed.any() or (rise < -_LOWER).any()),
        warnings=[text for which, what in about for text in _about(names, which, what)],
    )


def _ranked(impact: FloatArray, index: int) -> NDArray[np.intp]:
    """Parameters but that of interest, the one with the largest impact first."""
    size = np.max(np.abs(impact), axis=1, initial=-1.0, where=np.isfinite(impact))
    order = np.argsort(-size, kind="stable")
    others: NDArray[np.intp] = order[order != index]
    return others


def _limits_with(
    ours: CompiledLoss,
    data: Sample,
    found: Hypothesis,
    poi: Any,
    level: float,
    held: BoolArray,
) -> FloatArray:
    """Five expected limits and the observed one with some parameters held; see ``impacts``."""
    if not found.fits.converged.all():
        return np.full(6, np.nan)
    free, without = (
        fitted(ours, data, theta, poi, 1 - level, held=held) for theta in found.fits.theta
    )
    return np.append(
        without.limits[:5] if without.fits.converged[1] else np.full(5, np.nan),
        free.limits[5] if free.fits.converged.all() else np.nan,
    )


def _about(names: NDArray[np.str_], which: BoolArray, text: str) -> list[str]:
    """A warning about some parameters; none if there are none."""
    return [f"{', '.join(names[which])}: {text}"] if which.any() else []
