r"""Upper limits on the coupling g_aW from limits on B(B → K(*) a), with the lifetime in them.

The coupling fixes how often the a is made, B ∝ g², and how far it flies, cτ ∝ 1/g². The efficiency,
and with it the limit on B, depends on cτ, so that the limit on the coupling is a solution g of
``B(m, g) = B_UL(m, cτ(m, g))``. At long lifetimes the efficiency falls as 1/cτ, the number of
events as g⁴. For other models see `exclusion.excluded_interval`, which does the work.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zfit_dark.errors import InputError
from zfit_dark.theory import alp
from zfit_dark.theory.exclusion import ExcludedInterval, excluded_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]
    Efficiency = Callable[[FloatArray], ArrayLike]

__all__ = ["COUPLING_RANGE", "CouplingLimit", "coupling_limit"]

COUPLING_RANGE = (1e-9, 1e-2)
"""Couplings in GeV⁻¹ that are looked at if no others are asked for: B(B → K(*) a) < 1 in them."""

_ALL_LIFETIMES = (1e-60, 1e60)  # cm, beyond what any coupling gives
_UPPER_EDGE = {
    "crossing": "above it the prediction is below the limit again",
    "lifetimes": "above it the lifetimes are shorter than those with a limit",
    "range": "the largest that was looked at",
}


@dataclass(frozen=True)
class CouplingLimit:
    """Couplings g_aW at which the prediction for a mass meets its upper limit.

    Attributes:
        mass: Mass of the a in GeV.
        mode: The mode that the limit on the branching fraction is quoted for.
        coupling_range: Lowest and highest coupling that was looked at, in GeV⁻¹.
        excluded: The excluded couplings in GeV⁻¹, ascending; see `ExcludedInterval` for what ends
            them. The first one begins with a crossing.

    >>> limit = coupling_limit(1.0, 1e-7, efficiency=lambda ctau: 1.0 / (1.0 + ctau))
    >>> print(limit)
    m = 1 GeV: g_aW < 9.63e-06 GeV^-1; excluded up to 0.01 GeV^-1, the largest that was looked at
    """

    mass: float
    mode: str
    coupling_range: tuple[float, float]
    excluded: tuple[ExcludedInterval, ...]

    @property
    def limit(self) -> float:
        """The lowest excluded coupling, in GeV⁻¹: the upper limit. NaN if none is excluded.

        That all larger couplings are excluded too is true only up to ``excluded[0].high``.
        """
        return self.excluded[0].low if self.excluded else math.nan

    @property
    def solutions(self) -> tuple[float, ...]:
        """All couplings at which prediction and limit are equal, ascending, in GeV⁻¹.

        None: no coupling is excluded. One: `limit`, and all that are larger are excluded as far as
        the limits reach. More: see `excluded`.
        """
        edges = [
            edge
            for low, high, low_edge, high_edge in self.excluded
            for edge, kind in ((low, low_edge), (high, high_edge))
            if kind == "crossing"
        ]
        return tuple(edges)

    def __str__(self) -> str:
        """The limit, and what ends the excluded couplings, in one line."""
        if not self.excluded:
            low, high = self.coupling_range
            return f"m = {self.mass:g} GeV: no g_aW is excluded from {low:g} to {high:g} GeV^-1"
        first, others = self.excluded[0], len(self.excluded) - 1
        text = (
            f"m = {self.mass:g} GeV: g_aW < {first.low:.3g} GeV^-1; excluded up to "
            f"{first.high:.3g} GeV^-1, {_UPPER_EDGE[first.high_edge]}"
        )
        return f"{text}; {others} more interval(s) above" if others else text


def coupling_limit(
    mass: float,
    bf_limit: ArrayLike,
    *,
    ctau_cm: ArrayLike | None = None,
    prompt_below_cm: float | None = None,
    efficiency: Efficiency | None = None,
    mode: str = "Kplus",
    coupling_range: tuple[float, float] = COUPLING_RANGE,
    inputs: alp.Inputs = alp.DEFAULT_INPUTS,
) -> CouplingLimit:
    r"""The upper limit on g_aW: solves ``B(m, g) = B_UL(m, cτ(m, g))`` for g at one mass.

    The limit on the branching fraction is given at several lifetimes, with `ctau_cm`, or for a
    prompt a, with `efficiency`, which makes ``B_UL(cτ) = B_UL(0) ε(0)/ε(cτ)``.

    A simultaneous fit of several modes is quoted for one of them, the others tied to it by theory:
    give that one as `mode`, and as `efficiency` the expected signal events of all modes together.
    With different losses in different modes that holds as far as all modes weigh the same in the
    fit; otherwise fit at several lifetimes and give the table.

    Args:
        mass: mass m_a in GeV.
        bf_limit: upper limits on B(B → K(*) a), all a decaying to γγ: one per lifetime, NaN where
            there is none; or, with `efficiency`, the limit for a prompt a.
        ctau_cm: two or more ascending proper decay lengths cτ in cm. Between them ln(limit) runs
            on a straight line in ln(cτ). The first may be 0, for a prompt a.
        prompt_below_cm: up to this cτ in cm, at most the first that is not 0, the a counts as
            prompt: the first limit of the table holds there, and for all shorter lifetimes.
            Without it the table ends at its shortest lifetime.
        efficiency: ε of an array of cτ in cm, positive at 0; only its ratio to ε(0) counts.
        mode: one of `alp.MODES`, the one that the limit is quoted for.
        coupling_range: lowest and highest coupling to look at, in GeV⁻¹.
        inputs: the numbers that go in.

    Returns:
        The limit, with all solutions. It has none if the prediction is below the limit for all
        couplings.

    Raises:
        InputError: the limit on the coupling lies at a lifetime outside the table, or outside the
            range of couplings; an argument is not as described; the mode is unknown or closed.

    Limits for a prompt a, and at 1 and 10 cm:

    >>> limits = [2e-7, 3e-7, 9e-7]
    >>> limit = coupling_limit(0.4, limits, ctau_cm=[0.0, 1.0, 10.0], prompt_below_cm=0.1)
    >>> f"{limit.limit:.3g}"
    '1.73e-05'
    >>> f"{alp.coupling_from_branching_fraction('Kplus', 0.4, 2e-7):.3g}"  # if it were prompt
    '1.02e-05'
    """
    mass = float(mass)
    if alp.branching_ratio_per_coupling_squared(mode, mass, inputs=inputs) == 0.0:
        raise InputError(f"mode {mode} is closed at {mass:g} GeV: no coupling to give")
    if (ctau_cm is None) == (efficiency is None):
        raise InputError(
            "give either ctau_cm, with a limit for each lifetime, or efficiency, with a limit for "
            "a prompt particle"
        )

    def lifetime(g: FloatArray) -> FloatArray:
        return alp.lifetime_ctau_cm(mass, g, inputs=inputs)

    def predicted(g: FloatArray) -> FloatArray:
        return alp.branching_fraction(mode, mass, g, inputs=inputs)

    if efficiency is not None:
        limits = _prompt_limit(bf_limit, prompt_below_cm)
        grid = np.array(_ALL_LIFETIMES)
        relative = _relative_to_prompt(efficiency)
        excluded = excluded_interval(
            lambda g: predicted(g) * relative(lifetime(g)), lifetime, coupling_range, grid, limits
        )
    else:
        grid, limits = _table(ctau_cm, bf_limit, prompt_below_cm)
        excluded = excluded_interval(predicted, lifetime, coupling_range, grid, limits)
    _check_limit_is_inside(mass, excluded, lifetime, grid, coupling_range)
    return CouplingLimit(mass, mode, coupling_range, tuple(excluded))


def _prompt_limit(bf_limit: ArrayLike, prompt_below_cm: float | None) -> FloatArray:
    """The limit for a prompt particle, at both ends of all lifetimes."""
    limit = np.asarray(bf_limit, dtype=np.float64)
    if limit.ndim != 0 or not (np.isfinite(limit) and limit > 0.0):
        raise InputError(f"bf_limit is {limit}: with efficiency, give one positive limit")
    if prompt_below_cm is not None:
        raise InputError("prompt_below_cm belongs to a table of limits, not to efficiency")
    return np.full(2, limit)


def _relative_to_prompt(efficiency: Efficiency) -> Callable[[FloatArray], FloatArray]:
    """ε(cτ)/ε(0) as a function of cτ, checked."""

    def checked(ctau_cm: FloatArray) -> FloatArray:
        values = np.asarray(efficiency(ctau_cm), dtype=np.float64)
        if values.shape != ctau_cm.shape:
            raise InputError(
                f"efficiency returns the shape {values.shape} for {ctau_cm.size} lifetimes: it "
                "must take an array of cτ and return one value for each"
            )
        bad = ~((values >= 0.0) & np.isfinite(values))
        if np.any(bad):
            raise InputError(
                f"efficiency is {values[bad][0]:g} at cτ = {ctau_cm[bad][0]:g} cm: it must be "
                "finite and not negative"
            )
        return values

    (prompt,) = checked(np.zeros(1))
    if prompt == 0.0:
        raise InputError("efficiency is 0 at cτ = 0: there is no limit for a prompt particle then")
    return lambda ctau_cm: checked(ctau_cm) / prompt


def _table(
    ctau_cm: ArrayLike | None, bf_limit: ArrayLike, prompt_below_cm: float | None
) -> tuple[FloatArray, FloatArray]:
    """The table of limits, with what is prompt in it."""
    grid = np.array(ctau_cm, dtype=np.float64)
    limits = np.array(bf_limit, dtype=np.float64)
    if grid.ndim != 1 or grid.size < 2 or limits.shape != grid.shape:
        raise InputError(
            f"ctau_cm has the shape {grid.shape} and bf_limit {limits.shape}: give two or more "
            "lifetimes and one limit for each"
        )
    has_zero = bool(grid[0] == 0.0)
    if prompt_below_cm is None:
        if has_zero:
            raise InputError("ctau_cm starts at 0: say with prompt_below_cm how far that reaches")
        return grid, limits
    shortest = grid[1] if has_zero else grid[0]
    if not 0.0 < prompt_below_cm <= shortest or (has_zero and prompt_below_cm == shortest):
        raise InputError(
            f"prompt_below_cm is {prompt_below_cm:g} cm: it must be positive and below the "
            f"shortest lifetime of the table, {shortest:g} cm"
        )
    prompt = [_ALL_LIFETIMES[0], prompt_below_cm]
    beyond = grid > prompt_below_cm
    return (
        np.concatenate([prompt, grid[beyond]]),
        np.concatenate([[limits[0]] * 2, limits[beyond]]),
    )


def _check_limit_is_inside(
    mass: float,
    excluded: list[ExcludedInterval],
    lifetime: Callable[[FloatArray], FloatArray],
    grid: FloatArray,
    coupling_range: tuple[float, float],
) -> None:
    """Refuse a limit that only the end of the lifetimes, or of the couplings, sets."""
    if not excluded:
        if lifetime(np.array(coupling_range))[1] < grid[0]:
            raise InputError(
                f"mass {mass:g} GeV: the prediction is below the limit at all lifetimes of the "
                f"table, {grid[0]:g} to {grid[-1]:g} cm; give limits at shorter ones, or "
                "prompt_below_cm"
            )
        return
    first = excluded[0]
    if first.low_edge == "lifetimes":
        edge = lifetime(np.array([first.low]))[0]
        raise InputError(
            f"mass {mass:g} GeV: the prediction is above the limit at cτ = {edge:g} cm, and no "
            f"limit is given right beyond it (the table ends at {grid[-1]:g} cm): give limits at "
            "longer lifetimes"
        )
    if first.low_edge == "range":
        raise InputError(
            f"mass {mass:g} GeV: the prediction is above the limit at the lowest coupling, "
            f"{coupling_range[0]:g} GeV^-1; lower coupling_range"
        )
