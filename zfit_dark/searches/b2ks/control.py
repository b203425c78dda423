"""The K⁰_S that are left in M(ππ), as a control of b2ks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import zfit

from zfit_dark.errors import InputError
from zfit_dark.kinematics import invariant_mass, modified_mass
from zfit_dark.pdf import DoubleCB, ModifiedMass
from zfit_dark.profile import CompiledLoss
from zfit_dark.searches._samples import sample_of, unknown
from zfit_dark.searches.b2ks.samples import read
from zfit_dark.searches.b2ks.signal import NUMBERS, resolution

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Peak:
    """A fitted peak.

    Attributes:
        variable: "M" or "M'".
        mass: Its mass, in GeV.
        mass_error: The uncertainty of that.
        width_scale: Its width over that of the signal's table.
        width_scale_error: The uncertainty of that.
        events: Candidates in the peak.
        events_error: The uncertainty of that.
        valid: Whether the fit converged.
    """

    variable: str
    mass: float
    mass_error: float
    width_scale: float
    width_scale_error: float
    events: float
    events_error: float
    valid: bool


def control(data: Any, mode: str = "Kplus_pipi") -> list[Peak]:
    """Validation: fit the K⁰_S that are left in M(ππ), in M and in M′.

    In M′ the peak is that in M seen through `pdf.ModifiedMass`, on a background of its own. The
    natural width of the K⁰_S, 7 × 10⁻¹⁵ GeV, is nothing beside the resolution: the peak is a
    Breit–Wigner line of no width folded with it, which is the resolution itself.

    Args:
        data: A `Sample`, or what `read` takes.
        mode: "Kplus_pipi" or "Kst0_pipi".

    Returns:
        The fits in M and in M′.

    Raises:
        InputError: the channel has no pions, or see `read`.
    """
    if mode not in NUMBERS.leftovers["KS"].events:
        raise InputError(unknown("control channel", mode, NUMBERS.leftovers["KS"].events))
    sample, _ = sample_of(data, [mode], read)
    low, high = (NUMBERS.leftovers["KS"].mass.value + x for x in (-_AROUND_KS, _AROUND_KS))
    values = sample.values[mode]
    values = values[(values >= low) & (values <= high)]
    if not len(values):
        raise InputError(f"{mode}: no candidate around the K⁰_S, {low:.3f} to {high:.3f} GeV")
    edges = modified_mass([low, high], "pi").tolist()
    return [
        _control_fit("M", values, (low, high)),
        _control_fit("M'", np.clip(modified_mass(values, "pi"), *edges), (edges[0], edges[1])),
    ]


_AROUND_KS = 0.05
"""Half width of the control fit, in GeV."""


def _control_fit(variable: str, values: FloatArray, limits: tuple[float, float]) -> Peak:
    """The fit of the peak on a straight line."""
    at = NUMBERS.leftovers["KS"].mass.value
    position = modified_mass(at, "pi")
    shape = resolution("pipi").parameters(position)
    width = shape["sigma"] * position / at  # of M, from that of M'
    obs = zfit.Space(f"control_{variable}", *limits)
    mass = zfit.Parameter("control_mass", at, at - 0.02, at + 0.02)
    scale = zfit.Parameter("control_width_scale", 1.0, 0.1, 10.0)
    sigma = zfit.ComposedParameter(
        "control_sigma", lambda p: width * p["scale"], params={"scale": scale}, unpack_params=False
    )
    tails: dict[str, Any] = {name: shape[name] for name in dict(NUMBERS.tails)}
    events = zfit.Parameter("control_events", 0.8 * len(values), 0.0)
    if variable == "M":
        peak = DoubleCB(mass, sigma, **tails, obs=obs, extended=events)
    else:
        in_mass = zfit.Space("control_mass_of_pair", *invariant_mass(limits, "pi"))
        peak = ModifiedMass(
            DoubleCB(mass, sigma, **tails, obs=in_mass), "pi", obs=obs, extended=events
        )
    backgrounds = [
        zfit.pdf.Bernstein(
            obs, coefficients, extended=zfit.Parameter(f"control_background_{i}", 5.0, 0.0)
        )
        for i, coefficients in enumerate(([1.0, 0.0], [0.0, 1.0]))
    ]
    ours = CompiledLoss(
        zfit.loss.ExtendedUnbinnedNLL(
            zfit.pdf.SumPDF([peak, *backgrounds]), zfit.Data.from_numpy(obs=obs, array=values)
        )
    )
    start = ours.values()[None]
    found = ours.fit(ours.observed(), start, np.ones(start.shape, bool))
    theta = found.theta[0]
    bend = ours.evaluate(found.theta, ours.observed())[2][0]
    errors = np.sqrt(np.diag(np.linalg.pinv(bend)))
    at_mass, at_scale, at_events = (ours.index(each) for each in (mass, scale, events))
    return Peak(
        variable,
        mass=float(theta[at_mass]),
        mass_error=float(errors[at_mass]),
        width_scale=float(theta[at_scale]),
        width_scale_error=float(errors[at_scale]),
        events=float(theta[at_events]),
        events_error=float(errors[at_events]),
        valid=bool(found.converged[0]),
    )
