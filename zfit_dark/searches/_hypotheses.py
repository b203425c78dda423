"""The mass hypotheses that a scan is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from zfit_dark.errors import InputError
from zfit_dark.searches import spread

FloatArray = npt.NDArray[np.float64]


def chosen_masses(
    wanted: npt.ArrayLike, max_masses: int | None, search: str, low: float, high: float
) -> FloatArray:
    """Masses in ascending order, each once, thinned if there are too many.

    Args:
        wanted: Masses in GeV.
        max_masses: Take so many of them, spread evenly, the first and the last among them.
        search: Name of the search.
        low: Where its range begins.
        high: Where its range ends.

    Raises:
        InputError: the masses are no numbers, there is none, or one is outside the range.
    """
    try:
        masses = np.unique(np.asarray(wanted, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InputError(f"masses {wanted!r}: give numbers in GeV") from error
    if not masses.size:
        raise InputError("no mass is given")
    check_masses(masses, search, low, high)
    if max_masses is None:
        return masses
    if max_masses < 1:
        raise InputError(f"max_masses={max_masses}: give 1 or more")
    return masses[spread(len(masses), max_masses)]


def check_range(low: float, high: float, search: str, first: float, last: float) -> None:
    """Refuse a range of masses that is none, or not within that of the search, first to last."""
    if not low <= high:
        raise InputError(f"masses from {low:.6g} to {high:.6g} GeV: give the lower one first")
    check_masses([low, high], search, first, last)


def check_masses(masses: npt.ArrayLike, search: str, low: float, high: float) -> None:
    """Refuse masses outside the range of a search."""
    for mass in np.ravel(np.asarray(masses, dtype=np.float64)).tolist():
        if not low <= mass <= high:
            hint = "; it looks like MeV" if low <= mass / 1000 <= high else ""
            there = f"the range of {search}, {low:g} to {high:g} GeV"
            raise InputError(f"mass {mass:.6g} GeV is outside {there}{hint}")


def within(wanted: npt.ArrayLike, low: float, high: float) -> FloatArray:
    """Those of some masses that are within a range."""
    given = np.ravel(np.asarray(wanted, dtype=np.float64))
    return given[(given >= low) & (given <= high)]


def whole_range(ranges: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """From the lowest to the highest mass of several ranges."""
    lows, highs = zip(*ranges, strict=True)
    return min(lows), max(highs)


def where(search: str, modes: Sequence[str]) -> str:
    """What errors name: the search, and the channel if there is one."""
    return f"{search}, {modes[0]}" if len(modes) == 1 else search
