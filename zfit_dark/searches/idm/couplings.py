"""What limits of idm mean for the seven parameters of the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from zfit_dark.errors import InputError
from zfit_dark.planes import refined
from zfit_dark.results import Exclusion, LifetimeScan, Plane, Region
from zfit_dark.searches._couplings import Coupling, Prediction, channel_of, exclusion
from zfit_dark.searches._samples import unknown
from zfit_dark.searches.idm.signal import MODELS, MODES, NUMBERS, chi2_lifetime_factor, known_states
from zfit_dark.theory import inelastic, scalar

FloatArray = npt.NDArray[np.float64]

_ASSUMED = (
    "the efficiency is assumed, it is not that of the experiment",
    "the charge of the dark Higgs boson is 2",
    "cross sections are known to 10 %",
)


def benchmark() -> inelastic.Parameters:
    """The point of the model that is taken where nothing else is said; see ``idm.yaml``."""
    point = NUMBERS.benchmark
    return inelastic.Parameters(
        aprime_mass=point.aprime_per_chi1.value * point.chi1_mass.value,
        chi1_mass=point.chi1_mass.value,
        splitting=point.splitting_per_chi1.value * point.chi1_mass.value,
        hprime_mass=point.hprime_mass.value,
        alpha_d=point.alpha_d.value,
        epsilon=point.epsilon.value,
        sin_theta=point.sin_theta.value,
    )


def interpret(
    result: LifetimeScan,
    *,
    model: str = "scalar",
    channel: str | None = None,
    point: inelastic.Parameters | None = None,
) -> Exclusion:
    """The mixing angles that limits exclude, the lifetime of the h′ moving along.

    The rate does not depend on sin θ, the lifetime of the h′ does: at each mass of the h′ those
    angles are excluded at which it lives neither too short nor too long.

    Args:
        result: The limits, of `scan_lifetimes`.
        model: "scalar": the h′ mixes with the Higgs boson.
        channel: Which of the channels, if there are several: one of `MODES`, or the model that
            they were combined with.
        point: The other parameters of the model; those of `benchmark` if not given. Its mass of the
            h′ and its sin θ are not used.

    Returns:
        The excluded intervals of sin θ against the mass of the h′. Masses at which the model does
        not tell the rate are skipped with the reason.

    Raises:
        InputError: the model or the channel is unknown.
    """
    _check_model(model)
    name = channel_of(result, channel, (*MODES, *MODELS))
    point = benchmark() if point is None else point

    def predicted(mass: float) -> Prediction:
        rate = _rate(name, replace(point, hprime_mass=mass))
        return Prediction(partial(np.full_like, fill_value=rate), _unit_ctau(mass))

    held = (
        f"m_A' = {point.aprime_mass:g} GeV, m_chi1 = {point.chi1_mass:g} GeV, "
        f"Delta m = {point.splitting:g} GeV",
        f"alpha_D = {point.alpha_d:g}, epsilon = {point.epsilon:g}",
    )
    coupling = Coupling(
        "sin_theta", r"$\sin\theta$", "inelastic dark matter with a dark Higgs", (1e-9, 1.0), held
    )
    return exclusion(
        result, name, coupling, predicted, channels=_modes(result, name), assumptions=_ASSUMED
    )


class _Axis(NamedTuple):
    label: str
    reach: tuple[float, float]
    point: Callable[[inelastic.Parameters, float], inelastic.Parameters]
    held: Callable[[inelastic.Parameters], str]


def _with_chi1(point: inelastic.Parameters, mass: float) -> inelastic.Parameters:
    """The point at another mass of χ₁, all heavier ones in proportion."""
    factor = mass / point.chi1_mass
    return replace(
        point,
        chi1_mass=mass,
        splitting=factor * point.splitting,
        aprime_mass=factor * point.aprime_mass,
    )


def _with_aprime(point: inelastic.Parameters, mass: float) -> inelastic.Parameters:
    return replace(point, aprime_mass=mass)


_AXES = {
    "chi1_mass": _Axis(
        r"$m_{\chi_1}$",
        (0.2, 4.0),
        _with_chi1,
        lambda p: (
            rf"$m_{{A'}} = {p.aprime_mass / p.chi1_mass:g}\,m_{{\chi_1}}$, "
            rf"$\Delta m = {p.splitting / p.chi1_mass:g}\,m_{{\chi_1}}$"
        ),
    ),
    "aprime_mass": _Axis(
        r"$m_{A'}$",
        (1.0, 10.0),
        _with_aprime,
        lambda p: rf"$m_{{\chi_1}} = {p.chi1_mass:g}$ GeV, $\Delta m = {p.splitting:g}$ GeV",
    ),
}
_REACH = (1e-7, 1.0)
"""Of ε √α_D in a plane."""


def planes(
    result: LifetimeScan,
    *,
    model: str = "scalar",
    channel: str | None = None,
    against: str = "chi1_mass",
    point: inelastic.Parameters | None = None,
) -> list[Plane]:
    """What limits exclude in the plane of ε √α_D and a mass.

    The cross section and the lifetime of the χ₂ depend on ε and α_D through ε √α_D alone (but for
    the width of the A′, for which α_D is held). The limits are those of the scanned mass of the h′
    next to that of the point, at the lifetime of its sin θ, divided by the efficiency at the
    lifetime of the χ₂.

    Args:
        result: The limits, of `scan_lifetimes`.
        model: "scalar": the h′ mixes with the Higgs boson.
        channel: See `interpret`.
        against: "chi1_mass", with m_A′/m_χ₁ and Δm/m_χ₁ as at the point; or "aprime_mass".
        point: The parameters that are held; those of `benchmark` if not given.

    Returns:
        One plane; none if the channel does not look at that mass of the h′, or at a lifetime with
        that sin θ.

    Raises:
        InputError: the model, the channel or the mass is unknown.
    """
    _check_model(model)
    if against not in _AXES:
        raise InputError(unknown("axis", against, _AXES))
    name = channel_of(result, channel, (*MODES, *MODELS))
    axis, point = _AXES[against], benchmark() if point is None else point
    mass = _scanned(result, name, point.hprime_mass)
    if mass is None:
        return []
    point = replace(point, hprime_mass=mass)
    ctau = _unit_ctau(mass) / point.sin_theta**2
    found = result.limits_at(name, mass), result.expected_at(name, mass)[:, 2]
    observed, expected = (_at_lifetime(result.lifetimes, limits, ctau) for limits in found)
    if np.isnan(expected):
        return []
    rate = _rates(name, partial(axis.point, point))

    def region(limit: float) -> Region:
        return refined(lambda x, y: rate(x, y) / limit, axis.reach, _REACH, log_x=True, log_y=True)

    return [
        Plane(
            observed=None if np.isnan(observed) else region(observed),
            expected=region(expected),
            x=against,
            x_label=axis.label,
            x_unit="GeV",
            log_x=True,
            y="epsilon_sqrt_alpha_d",
            y_label=r"$\varepsilon\sqrt{\alpha_D}$",
            log_y=True,
            held=(
                axis.held(point),
                rf"$m_{{h'}} = {mass:.4g}$ GeV, $\sin\theta = {point.sin_theta:g}$",
                rf"$\alpha_D = {point.alpha_d:g}$",
            ),
            model="inelastic dark matter with a dark Higgs",
            assumptions=_ASSUMED,
            level=result.level,
            blind=result.blind,
            pseudo_data=result.pseudo_data,
            provenance=result.scans[name][0].provenance,
        )
    ]


def _check_model(model: str) -> None:
    if model not in MODELS:
        raise InputError(unknown("model", model, MODELS))


def _modes(result: LifetimeScan, channel: str) -> list[str]:
    if channel in MODES:
        return [channel]
    modes: list[str] = result.scans[channel][0].provenance["settings"]["modes"]
    return modes


def _unit_ctau(mass: float) -> float:
    """Proper decay length of an h′ for sin θ = 1, in cm."""
    return float(scalar.lifetime_ctau_cm(mass, 1.0))


def _finals(channel: str, mass: float) -> list[str]:
    """What a channel adds up: itself, or all pairs whose share is known."""
    return [channel] if channel in MODES else known_states(mass)


def _rate(channel: str, point: inelastic.Parameters) -> float:
    """What a channel limits, in fb, times the loss of efficiency by the lifetime of the χ₂.

    Raises:
        InputError: the model does not tell.
    """
    made = inelastic.signal_cross_section_fb(point, _finals(channel, point.hprime_mass))
    return made * chi2_lifetime_factor(inelastic.chi2_lifetime_ctau_cm(point))


def _rates(
    channel: str, point_at: Callable[[float], inelastic.Parameters]
) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """The same as a function of a mass and of ε √α_D; NaN where the model does not tell."""

    @cache
    def of_unit(mass: float) -> tuple[float, float]:
        """Cross section over, and lifetime of the χ₂ times, the square of ε √α_D."""
        try:
            point = point_at(mass)
            made = inelastic.signal_cross_section_fb(point, _finals(channel, point.hprime_mass))
            squared = point.epsilon**2 * point.alpha_d
            return made / squared, inelastic.chi2_lifetime_ctau_cm(point) * squared
        except InputError:
            return np.nan, np.nan

    def rates(x: FloatArray, y: FloatArray) -> FloatArray:
        found = []
        for mass, strength in zip(x.tolist(), (y**2).tolist(), strict=True):
            made, ctau = of_unit(mass)
            seen = np.nan if np.isnan(made) else chi2_lifetime_factor(ctau / strength)
            found.append(made * strength * seen)
        return np.array(found)

    return rates


def _scanned(result: LifetimeScan, channel: str, mass: float) -> float | None:
    """The scanned mass next to a mass; None if there is none within its distance to the others."""
    masses = result.masses(channel)
    nearest = int(np.argmin(np.abs(masses - mass)))
    step = np.diff(masses).max(initial=0.0)
    return float(masses[nearest]) if abs(masses[nearest] - mass) <= step else None


def _at_lifetime(lifetimes: FloatArray, limits: FloatArray, ctau: float) -> float:
    """The limit at a lifetime, on straight lines of the logarithms; NaN outside."""
    inside = lifetimes[0] <= ctau <= lifetimes[-1]
    return (
        float(np.exp(np.interp(np.log(ctau), np.log(lifetimes), np.log(limits))))
        if inside
        else np.nan
    )
