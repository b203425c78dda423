"""What a search looks at: decay modes with their candidates, and the uncertainties they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import zfit
from numpy.typing import ArrayLike

from zfit_dark.errors import InputError
from zfit_dark.kinematics import daughter_mass, modified_mass
from zfit_dark.newton import FloatArray
from zfit_dark.signal_shape import SignalShape

Background = Callable[[Any, str], Any]
"""Makes a PDF without a yield, from an observable and a name that its own names start with.

It may make several: each then has a yield of its own, and they add up to the background.
"""

Prior = Literal["lognormal", "gaussian"]


@dataclass(frozen=True)
class Nuisance:
    """A relative uncertainty on the signal yield, constrained by a measurement elsewhere.

    Nuisances of the same name are one and the same uncertainty, in all channels that name it, with
    the size that each channel gives; one that belongs to a channel alone has a name of its own.

    The yield is multiplied with (1 + uncertainty)^theta for "lognormal", 1 + uncertainty * theta
    for "gaussian", where theta is constrained to 0 +- 1.

    Args:
        name: names the uncertainty, such as "n_bb" or "efficiency_Kplus".
        uncertainty: relative, such as 0.014.
        prior: "lognormal" or "gaussian".

    Raises:
        InputError: if the uncertainty is not between 0 and 1, or the prior is unknown.
    """

    name: str
    uncertainty: float
    prior: Prior = "lognormal"

    def __post_init__(self) -> None:
        if not 0 < self.uncertainty < 1:
            raise InputError(
                f"nuisance {self.name!r}: uncertainty {self.uncertainty} is not between 0 and 1"
            )
        if self.prior not in get_args(Prior):
            raise InputError(f"nuisance {self.name!r}: prior {self.prior!r} is not known")

    def factor(self, theta: Any) -> Any:
        """What the signal yield is multiplied with."""
        if self.prior == "gaussian":
            return 1.0 + self.uncertainty * theta
        return (1.0 + self.uncertainty) ** theta


@dataclass(frozen=True)
class Veto:
    """A range of the mass that the search does not look at, and why.

    Args:
        low: its start, in GeV.
        high: its end.
        reason: such as "eta -> gamma gamma".

    Raises:
        InputError: if it is empty.
    """

    low: float
    high: float
    reason: str

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise InputError(f"veto {self.reason!r}: {self.low} to {self.high} GeV is no range")


def chebyshev(order: int) -> Background:
    """A smooth background: zfit's Chebyshev polynomial with free coefficients.

    Args:
        order: highest power, 0 for a constant.

    Raises:
        InputError: if the order is negative.
    """
    _check_order(order)

    def background(obs: Any, name: str) -> Any:
        if order == 0:
            return _constant(obs, name)
        coefficients = [
            zfit.Parameter(f"{name}_c{i}", 0.0, stepsize=0.05) for i in range(1, order + 1)
        ]
        return zfit.pdf.Chebyshev(obs, coefficients, name=name)

    return background


def bernstein(order: int) -> Background:
    """A smooth background that cannot become negative: a sum of Bernstein's basis polynomials.

    Each basis polynomial is a PDF of fixed shape with a yield of its own, which is not negative.
    The likelihood is convex in the yields, and no fit has to evaluate a background twice.

    Args:
        order: highest power, 0 for a constant.

    Raises:
        InputError: if the order is negative.
    """
    _check_order(order)

    def background(obs: Any, name: str) -> list[Any]:
        if order == 0:
            return [_constant(obs, name)]
        return [
            zfit.pdf.Bernstein(obs, list(np.eye(order + 1)[i]), name=f"{name}_{i}")
            for i in range(order + 1)
        ]

    return background


def _check_order(order: int) -> None:
    if order < 0:
        raise InputError(f"a polynomial of order {order} is none")


def _constant(obs: Any, name: str) -> Any:
    """A flat PDF, which zfit's polynomials of order 0 are not."""
    low, high = (float(edge[0]) for edge in obs.v1.limits)
    return zfit.pdf.Uniform(low, high, obs=obs, name=name)


_SMOOTH = bernstein(2)


@dataclass(frozen=True, eq=False)
class ShapeChannel:
    """One decay mode, searched for a peak in a mass, or in the modified mass of two daughters.

    Args:
        name: starts the name of every parameter of the channel.
        data: masses of the candidates in GeV, all of them inside ``limits``; those inside a veto
            are not used.
        limits: the range of the mass that was selected, in GeV.
        signal: the shape of the peak, a table against where the peak is.
        signal_per_poi: signal events in the whole peak, in data of the search, for a parameter of
            interest of 1: a number or a function of the mass. A function returns 0 where the mode
            is closed.
        background: makes the background; see ``bernstein``, the default of second order, and
            ``chebyshev``. With a window it is made on [-1, 1] and laid over the window, else on
            the range of the data. A mapping of names to several backgrounds makes the choice among
            them an uncertainty; see ``Likelihood``.
        window: half width of the fit window in units of the resolution, or None to fit the whole
            range.
        vetoes: holes in the range.
        nuisances: uncertainties of ``signal_per_poi``.
        daughter: the candidates are pairs of these: "e", "mu", "pi", "K" or a mass in GeV. Data,
            limits, vetoes and the table of the signal are then of the modified mass
            M' = sqrt(M^2 - 4 m^2), and limits begin at 0 or above; hypotheses stay masses. The
            signal of a mass is normalised above threshold.
        label: for plots; the name if not given.

    Raises:
        InputError: if the data are not finite numbers inside the limits, the window is too narrow,
            there is no background to choose, the daughter is unknown, or limits of a modified mass
            are negative.
    """

    name: str
    data: ArrayLike
    limits: tuple[float, float]
    signal: SignalShape
    signal_per_poi: float | Callable[[float], float]
    background: Background | Mapping[str, Background] = _SMOOTH
    window: float | None = None
    vetoes: tuple[Veto, ...] = ()
    nuisances: tuple[Nuisance, ...] = ()
    daughter: str | float | None = None
    label: str = ""

    def __post_init__(self) -> None:
        data = np.array(self.data, float)
        low, high = self.limits
        where = f"channel {self.name!r}"
        if data.ndim != 1:
            raise InputError(f"{where}: give a flat array of masses, not one of shape {data.shape}")
        if not low < high:
            raise InputError(f"{where}: limits {low} to {high} GeV are no range")
        if self.threshold and low < 0:
            raise InputError(f"{where}: a modified mass is not negative; begin the limits at 0")
        if bad := int((~np.isfinite(data)).sum()):
            raise InputError(f"{where}: {bad} of {data.size} masses are NaN or infinite; cut them")
        if outside := int(((data < low) | (data > high)).sum()):
            raise InputError(
                f"{where}: {outside} of {data.size} masses are outside {low:.6g} to {high:.6g} "
                "GeV; cut them or widen the limits"
            )
        if self.window is not None and not self.window >= 3:
            raise InputError(f"{where}: a window of {self.window} resolutions leaves no sidebands")
        if len({n.name for n in self.nuisances}) < len(self.nuisances):
            raise InputError(f"{where}: the same nuisance twice")
        if isinstance(self.background, Mapping) and not self.background:
            raise InputError(f"{where}: a choice of no background")
        data.sort()
        data.setflags(write=False)
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "label", self.label or self.name)

    @property
    def backgrounds(self) -> Mapping[str, Background]:
        """The backgrounds to choose from, by name; a single one has no name."""
        found = self.background
        return found if isinstance(found, Mapping) else {"": found}

    def yield_per_poi(self, mass: float) -> float:
        """Signal events for a parameter of interest of 1, at a mass.

        Raises:
            InputError: if ``signal_per_poi`` is negative there, or no finite number.
        """
        per_poi = self.signal_per_poi
        events = float(per_poi(mass)) if callable(per_poi) else float(per_poi)
        if not (np.isfinite(events) and events >= 0):
            raise InputError(
                f"channel {self.name!r}: signal_per_poi is {events} at {mass:.6g} GeV; "
                "give a number of events, 0 where the channel is closed"
            )
        return events

    @property
    def threshold(self) -> float:
        """The lowest mass that a hypothesis can have, in GeV."""
        return 0.0 if self.daughter is None else 2 * daughter_mass(self.daughter)

    def why_not(self, mass: float) -> str | None:
        """Why a mass cannot be a hypothesis of this channel, or None if it can."""
        if mass < self.threshold:
            return f"below the threshold of channel {self.name}, {self.threshold:.6g} GeV"
        low, high = self.limits
        there = mass if self.daughter is None else modified_mass(mass, self.daughter)
        if not low <= there <= high:
            return f"outside the range {low:.6g} to {high:.6g} GeV of channel {self.name}"
        if not self.signal.masses[0] <= there <= self.signal.masses[-1]:
            return f"outside the table of the signal shape of channel {self.name}"
        for veto in self.vetoes:
            if veto.low < there < veto.high:
                return f"vetoed: {veto.reason}"
        return None

    @property
    def reach(self) -> tuple[float, float]:
        """Where a peak can be, in GeV: inside the limits and the table of the signal."""
        first, last = (float(self.signal.masses[i]) for i in (0, -1))
        return max(self.limits[0], first), min(self.limits[1], last)

    def position(self, mass: float) -> float:
        """Where the peak of a mass hypothesis is, in GeV; as near as can be where it cannot be."""
        low, high = self.reach
        if self.daughter is not None:
            mass = modified_mass(max(mass, self.threshold), self.daughter)
        return min(max(mass, low), high)

    def window_at(self, mass: float) -> tuple[float, float]:
        """The fit window of a mass hypothesis, in GeV."""
        if self.window is None:
            return self.limits
        low, high = self.around(mass, self.window)
        return max(low, self.limits[0]), min(high, self.limits[1])

    def around(self, mass: float, resolutions: float) -> tuple[float, float]:
        """The range of so many resolutions on both sides of the peak of a mass, in GeV."""
        peak = self.position(mass)
        half = resolutions * self.signal.sigma(peak)
        return peak - half, peak + half

    def fitted(self, mass: float, hidden: float = 0.0) -> FloatArray:
        """The candidates in the window of a hypothesis and outside the vetoes, ascending.

        Args:
            mass: the hypothesis.
            hidden: half width of the region around it that is left out, in units of the resolution.
        """
        low, high = self.window_at(mass)
        data = np.asarray(self.data)
        inside = data[np.searchsorted(data, low) : np.searchsorted(data, high, side="right")]
        keep = np.ones(inside.size, bool)
        for start, stop in [(v.low, v.high) for v in self.vetoes] + [self.around(mass, hidden)]:
            keep &= (inside <= start) | (inside >= stop)
        return inside[keep]
