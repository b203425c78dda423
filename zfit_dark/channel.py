"""What a search looks at: decay modes with their candidates, and the uncertainties they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import zfit
from numpy.typing import ArrayLike

from zfit_dark.errors import InputError
from zfit_dark.kinematics import daughter_mass, modified_mass
from zfit_dark.newton import FloatArray
from zfit_dark.pdf.bernstein import BernsteinTerm
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

    It may become negative where no candidate says otherwise. Where a veto or an edge takes half of
    a window, its coefficients may grow without end; a limit is then flagged as not found.
    ``bernstein`` has neither trouble, and compiles faster.

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
        return [BernsteinTerm(i, order, obs, name=f"{name}_{i}") for i in range(order + 1)]

    return background


def _check_order(order: int) -> None:
    if order < 0:
        raise InputError(f"a polynomial of order {order} is none")


def _constant(obs: Any, name: str) -> Any:
    """A flat PDF, which zfit's polynomials of order 0 are not."""
    return BernsteinTerm(0, 0, obs, name=name)


_SMOOTH, _FLAT = bernstein(2), bernstein(0)

_Pieces: TypeAlias = list[tuple[Any, Any]]

_HIGHEST = 20.0
"""GeV; no candidate is heavier."""


class Channel:
    """What all decay modes have in common: see ``ShapeChannel`` and ``CountingChannel``."""

    name: str
    limits: tuple[float, float]
    signal: SignalShape
    signal_per_poi: float | Callable[[float], float]
    background: Background | Mapping[str, Background]
    vetoes: tuple[Veto, ...]
    nuisances: tuple[Nuisance, ...]
    daughter: str | float | None
    label: str

    @property
    def candidates(self) -> FloatArray:
        """The masses of the candidates in GeV, ascending."""
        raise NotImplementedError

    @property
    def backgrounds(self) -> Mapping[str, Background]:
        """The backgrounds to choose from, by name; a single one has no name."""
        found = self.background
        return found if isinstance(found, Mapping) else {"": found}

    @property
    def reach_of_fit(self) -> float | None:
        """Half width of what a hypothesis looks at, in units of the resolution; None for all."""
        raise NotImplementedError

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

    def around(self, mass: float, resolutions: float) -> tuple[float, float]:
        """The range of so many resolutions on both sides of the peak of a mass, in GeV."""
        peak = self.position(mass)
        half = resolutions * self.signal.sigma(peak)
        return peak - half, peak + half

    def window_at(self, mass: float) -> tuple[float, float]:
        """What a mass hypothesis looks at, from the first to the last mass, in GeV."""
        if self.reach_of_fit is None:
            return self.limits
        return self._inside(self.around(mass, self.reach_of_fit))

    def edges(self, mass: float, hidden: float = 0.0) -> dict[str, float]:
        """What moves with a mass hypothesis, by name, in GeV: see ``holes``."""
        low, high = self.window_at(mass)
        hidden_low, hidden_high = self.around(mass, hidden)
        return {
            "window_low": low,
            "window_high": high,
            "hidden_low": hidden_low,
            "hidden_high": hidden_high,
        }

    def holes(self, edges: Mapping[str, Any]) -> list[tuple[Any, Any]]:
        """The holes in the window, as pairs of edges.

        Args:
            edges: those of ``edges``, or parameters in their place.
        """
        vetoes: list[tuple[Any, Any]] = [(veto.low, veto.high) for veto in self.vetoes]
        return [*vetoes, (edges["hidden_low"], edges["hidden_high"])]

    def not_looked_at(self, mass: float) -> list[tuple[float, float, str]]:
        """The holes of a hypothesis in the range, but for a hidden one: ends in GeV, and why."""
        return [(veto.low, veto.high, veto.reason) for veto in self.vetoes]

    def fitted(self, mass: float, hidden: float = 0.0) -> FloatArray:
        """The candidates that a hypothesis looks at, ascending.

        Args:
            mass: the hypothesis.
            hidden: half width of the region around it that is left out, in units of the resolution.
        """
        edges = self.edges(mass, hidden)
        low, high = edges["window_low"], edges["window_high"]
        data = self.candidates
        inside = data[np.searchsorted(data, low) : np.searchsorted(data, high, side="right")]
        keep = np.ones(inside.size, bool)
        for start, stop in self.holes(edges):
            keep &= (inside <= start) | (inside >= stop)
        return inside[keep]

    def _inside(self, interval: tuple[float, float]) -> tuple[float, float]:
        """What lies inside the limits."""
        low, high = self.limits
        return min(max(interval[0], low), high), max(min(interval[1], high), low)

    def _check(self, masses: ArrayLike) -> FloatArray:
        """The masses of the candidates, ascending and read-only."""
        data = np.array(masses, float)
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
        if len({n.name for n in self.nuisances}) < len(self.nuisances):
            raise InputError(f"{where}: the same nuisance twice")
        if isinstance(self.background, Mapping) and not self.background:
            raise InputError(f"{where}: a choice of no background")
        data.sort()
        data.setflags(write=False)
        return data


@dataclass(frozen=True, eq=False)
class ShapeChannel(Channel):
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
        object.__setattr__(self, "data", self._check(self.data))
        object.__setattr__(self, "label", self.label or self.name)
        if self.window is not None and not self.window >= 3:
            where = f"channel {self.name!r}"
            raise InputError(f"{where}: a window of {self.window} resolutions leaves no sidebands")

    @property
    def candidates(self) -> FloatArray:
        """The masses of the candidates in GeV, ascending."""
        return np.asarray(self.data)

    @property
    def reach_of_fit(self) -> float | None:
        """Half width of the fit window in units of the resolution; None for the whole range."""
        return self.window


@dataclass(frozen=True, eq=False)
class CountingChannel(Channel):
    """One decay mode in which candidates are counted: in a window around the mass, and beside it.

    The sidebands tell how many background events there are in the window. If the background has a
    fixed shape, such as a constant, two numbers are all that is used of the data: n_on in the
    window and n_off in the sidebands, Poisson with s f_on + b and s f_off + tau b, where tau and
    the fractions f of the signal are integrals of the shapes. If the background has parameters of
    its own, they are fitted to where the candidates in the sidebands are, and carry their
    uncertainty into the window.

    Limits and vetoes cut the window and the sidebands. A hypothesis needs some of both.

    Args:
        name: starts the name of every parameter of the channel.
        masses: of the candidates in GeV, all of them inside ``limits``.
        signal: the shape of the peak; the window and the sidebands follow its resolution.
        window: half width of the window, in units of the resolution.
        sidebands: where they begin and end on both sides of the mass, in these units.
        signal_per_poi: signal events in the whole peak (the window sees part of them) for a
            parameter of interest of 1; a number or a function of the mass, 0 where the mode is
            closed.
        limits: the range of the mass that was selected, in GeV.
        background: makes the background on [-1, 1], laid over the sidebands from end to end; a
            constant if not given. See ``bernstein`` and ``chebyshev``.
        vetoes: holes in the range.
        nuisances: uncertainties of ``signal_per_poi``.
        daughter: see ``ShapeChannel``.
        label: for plots; the name if not given.

    Raises:
        InputError: if the masses are not finite numbers inside the limits, window and sidebands
            are not in ascending order, there are several backgrounds, or as ``ShapeChannel``.
    """

    name: str
    masses: ArrayLike
    signal: SignalShape
    window: float
    sidebands: tuple[float, float]
    signal_per_poi: float | Callable[[float], float]
    limits: tuple[float, float] = (0.0, _HIGHEST)
    background: Background | Mapping[str, Background] = _FLAT
    vetoes: tuple[Veto, ...] = ()
    nuisances: tuple[Nuisance, ...] = ()
    daughter: str | float | None = None
    label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "masses", self._check(self.masses))
        object.__setattr__(self, "label", self.label or self.name)
        begin, end = self.sidebands
        if not 0 < self.window <= begin < end:
            raise InputError(
                f"channel {self.name!r}: a window of {self.window} and sidebands from {begin} to "
                f"{end} resolutions; each has to end before the next begins"
            )
        if isinstance(self.background, Mapping):
            raise InputError(
                f"channel {self.name!r}: counting leaves no choice of backgrounds; give one"
            )

    @property
    def candidates(self) -> FloatArray:
        """The masses of the candidates in GeV, ascending."""
        return np.asarray(self.masses)

    @property
    def reach_of_fit(self) -> float:
        """Where the sidebands end, in units of the resolution."""
        return self.sidebands[1]

    def why_not(self, mass: float) -> str | None:
        """Why a mass cannot be a hypothesis of this channel, or None if it can."""
        if reason := super().why_not(mass):
            return reason
        regions = self.regions(self.edges(mass))
        for region, what in zip(regions, ("window", "sidebands"), strict=True):
            if not any(self._is_seen(*interval) for interval in region):
                return f"nothing is left of the {what} of channel {self.name}"
        return None

    def _is_seen(self, low: float, high: float) -> bool:
        """Whether vetoes leave something of an interval."""
        for veto in sorted(self.vetoes, key=lambda veto: veto.low):
            if veto.low <= low:
                low = max(low, veto.high)
        return low < high

    def edges(self, mass: float, hidden: float = 0.0) -> dict[str, float]:
        """What moves with a mass hypothesis, by name, in GeV: see ``holes`` and ``regions``."""
        on = self._inside(self.around(mass, self.window))
        gap = self._inside(self.around(mass, self.sidebands[0]))
        return super().edges(mass, hidden) | {
            "left_high": gap[0],
            "on_low": on[0],
            "on_high": on[1],
            "right_low": gap[1],
        }

    def holes(self, edges: Mapping[str, Any]) -> list[tuple[Any, Any]]:
        """The holes between the lower and the upper end of the sidebands, as pairs of edges."""
        return super().holes(edges) + self._gaps(edges)

    def _gaps(self, edges: Mapping[str, Any]) -> _Pieces:
        """What lies between the window and the sidebands, as pairs of edges."""
        return [(edges["left_high"], edges["on_low"]), (edges["on_high"], edges["right_low"])]

    def not_looked_at(self, mass: float) -> list[tuple[float, float, str]]:
        """The holes of a hypothesis in the range, but for a hidden one: ends in GeV, and why."""
        gaps = [(low, high) for low, high in self._gaps(self.edges(mass)) if low < high]
        why = "between window and sidebands"
        return super().not_looked_at(mass) + [(*gap, why) for gap in gaps]

    def regions(self, edges: Mapping[str, Any]) -> tuple[_Pieces, _Pieces]:
        """The window, and the two sidebands, as pairs of edges."""
        return [(edges["on_low"], edges["on_high"])], [
            (edges["window_low"], edges["left_high"]),
            (edges["right_low"], edges["window_high"]),
        ]
